//! A dialogue as it is written down.

use std::time::Duration;

use parallax_engine::action::NameShown;
use parallax_engine::session::SyncPart;
use parallax_model::credential::{Credential, Mechanism, Secret};
use parallax_model::experiment::ExperimentKind;
use parallax_model::signal::{Signal, SignalKind};
use parallax_model::spec::Depth;
use parallax_model::target::Security;

/// One file.
pub(crate) struct Script {
    pub(crate) claim: String,
    pub(crate) security: Security,
    pub(crate) depth: Depth,
    pub(crate) login: Option<Credential>,
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) deadline: Duration,
    pub(crate) hold: Option<Duration>,
    /// Its part in a synchronisation.
    pub(crate) part: Option<SyncPart>,
    /// How far the other session's clock may be off.
    pub(crate) uncertainty: Duration,
    /// What is varied, in a follow-up.
    pub(crate) experiment: Option<ExperimentKind>,
    /// The name in the ClientHello.
    pub(crate) name: NameShown,
    /// Whether the password is meant to be sent; otherwise it must not be.
    pub(crate) secret_sent: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Vec<Expected>,
}

/// What happens, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client sends this line; `$` stands for its tag.
    Client(String),
    /// The server sends these bytes; `$` stands for the client's last tag.
    Server(Vec<u8>),
    /// The session tells the other one of its synchronisation this.
    Tells(String),
    /// The other one tells it something.
    Told(Signal),
    /// Time passes.
    Later(Duration),
    /// Something else happens.
    Event(String),
}

/// A stage as it must be reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    /// `select failed mailbox.missing`
    pub(crate) head: String,
    /// Evidence by its path in the run document.
    pub(crate) facts: Vec<(String, String)>,
    /// Words that stand in the fault's message or the reason.
    pub(crate) words: Vec<String>,
}

impl Script {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut script = Self {
            claim: String::new(),
            security: Security::Tls,
            depth: Depth::Greeting,
            login: None,
            mechanism: None,
            deadline: Duration::from_secs(60),
            hold: None,
            part: None,
            uncertainty: Duration::ZERO,
            experiment: None,
            name: NameShown::Host,
            secret_sent: false,
            steps: Vec::new(),
            expected: Vec::new(),
        };
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            script.take(line).ok_or_else(|| format!("cannot read {line:?}"))?;
        }
        Ok(script)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        if let Some(rest) = line.strip_prefix("= ") {
            self.expected.push(expected(rest));
        } else if let Some(words) = line.strip_prefix("~ ") {
            self.expected.last_mut()?.words.push(words.to_owned());
        } else if let Some(time) = line.strip_prefix("@+") {
            self.steps.push(Step::Later(duration(time)?));
        } else if let Some(event) = line.strip_prefix("-- ") {
            self.steps.push(Step::Event(event.to_owned()));
        } else if let Some(bytes) = line.strip_prefix("S+: ") {
            self.steps.push(Step::Server(unescaped(bytes)?));
        } else if let Some((key, value)) = line.split_once(':') {
            return self.field(key, value.strip_prefix(' ').unwrap_or(value));
        } else {
            return None;
        }
        Some(())
    }

    fn field(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "C" => self.steps.push(Step::Client(value.to_owned())),
            "S" => {
                let line = [unescaped(value)?, b"\r\n".to_vec()].concat();
                self.steps.push(Step::Server(line));
            }
            "T" => self.steps.push(Step::Tells(value.to_owned())),
            "O" => self.steps.push(Step::Told(signal(value)?)),
            "S<" => self.steps.push(Step::Server(recorded(value)?)),
            "claim" => self.claim = value.to_owned(),
            "security" => self.security = Security::known(value)?,
            "depth" => self.depth = Depth::known(value)?,
            "mechanism" => self.mechanism = Some(Mechanism::known(value)?),
            "deadline" => self.deadline = duration(value)?,
            "experiment" => self.experiment = Some(ExperimentKind::known(value)?),
            "name" if value == "none" => self.name = NameShown::Nothing,
            "name" => self.name = NameShown::Other(value.to_owned()),
            "hold" => self.hold = Some(duration(value)?),
            "uncertainty" => self.uncertainty = duration(value)?,
            "part" => self.take_part(value)?,
            "secret" => self.secret_sent = value == "sent",
            "login" => {
                let (user, password) = value.split_once(' ')?;
                self.login = Some(Credential {
                    user: user.to_owned(),
                    secret: Secret::new(String::from_utf8(unescaped(password)?).ok()?),
                });
            }
            _ => return None,
        }
        Some(())
    }

    /// Whoever watches is a session beside the one that was asked for.
    fn take_part(&mut self, value: &str) -> Option<()> {
        self.part = Some(match value.split_once(' ') {
            Some(("watcher", mailbox)) => {
                self.experiment = Some(ExperimentKind::Watch);
                SyncPart::Watcher {
                    mailbox: mailbox.to_owned(),
                }
            }
            None if value == "writer" => SyncPart::Writer { watcher: None },
            _ => return None,
        });
        Some(())
    }
}

/// `seen exists idle`, or `gone` and the reason.
fn signal(text: &str) -> Option<Signal> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let kind = SignalKind::known(kind)?;
    let (subject, detail) = match kind {
        SignalKind::Gone => ("", rest),
        _ => rest.split_once(' ').unwrap_or((rest, "")),
    };
    Some(Signal::new(kind, subject, detail))
}

/// The answer of a server to a ClientHello made by hand.
fn recorded(name: &str) -> Option<Vec<u8>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/hello/recorded");
    std::fs::read(format!("{directory}/{name}.bin")).ok()
}

fn expected(rest: &str) -> Expected {
    let mut expected = Expected::default();
    let mut head = Vec::new();
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some((path, value)) => expected.facts.push((path.to_owned(), value.to_owned())),
            None => head.push(word),
        }
    }
    expected.head = head.join(" ");
    expected
}

fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(millis) => millis.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

/// `\xNN`, `\r`, `\n` and `\\`; `\*8000` repeats the character before it so often in all.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let (kind, behind) = rest.split_at_checked(1)?;
        rest = behind;
        match kind {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "\\" => bytes.push(b'\\'),
            "x" => {
                let (digits, behind) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = behind;
            }
            "*" => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let times: usize = rest[..digits].parse().ok()?;
                let last = *bytes.last()?;
                bytes.resize(bytes.len() + times - 1, last);
                rest = &rest[digits..];
            }
            // A flag.
            _ => bytes.extend_from_slice(format!("\\{kind}").as_bytes()),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}
