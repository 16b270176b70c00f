//! Plays a dialogue against a session, as a driver would.

use std::time::Duration;

use parallax_engine::action::{Action, Connection, Dial, Hello};
use parallax_engine::budgets::Budgets;
use parallax_engine::event::Event;
use parallax_engine::imap::Outgoing;
use parallax_engine::plan::Plan;
use parallax_engine::session::{Session, SessionConfig};
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::observation::{Attempt, AttemptOutcome, Purpose};
use parallax_model::signal::Signal;
use parallax_model::spec::{FamilyChoice, ProbeOptions, ProbeSpec};
use parallax_model::stage::Stage;
use parallax_model::target::{Endpoint, Host, Security, Target};

use super::expect::compare;
use super::script::{Script, Step};
use super::world::{ADDRESS, Eavesdropper, HOST, WALL, account, connection, handshake, not_connected};

/// Plays it to the end and compares what was reported.
pub(crate) fn play(script: &Script) -> Result<(), String> {
    let mut player = Player::new(script);
    let attempt = player.run().map_err(|why| player.explained(&why))?;
    if attempt.stages != player.reported {
        return Err(player.explained("the stages reported are not those of the attempt"));
    }
    let kept = match attempt.outcome() {
        AttemptOutcome::Ok => Vec::new(),
        AttemptOutcome::Degraded | AttemptOutcome::Failed => player.session.transcript().lines(),
    };
    if attempt.transcript != kept {
        return Err(player.explained("a transcript is kept where something was not ok, and only there"));
    }
    player
        .check_secret(&attempt)
        .map_err(|why| player.explained(&why))?;
    compare(&script.expected, &attempt.stages).map_err(|why| player.explained(&why))
}

struct Player<'s> {
    script: &'s Script,
    session: Session,
    port: u16,
    at: usize,
    now: Duration,
    tag: String,
    /// The message that the client stored last, and how many bytes it announced for it.
    message: String,
    literal: usize,
    sent: Vec<u8>,
    shown: String,
    reported: Vec<Stage>,
    verified: bool,
    /// What the last handshake was for.
    connection: Option<Connection>,
}

impl<'s> Player<'s> {
    fn new(script: &'s Script) -> Self {
        let port = if script.security == Security::Tls {
            993
        } else {
            143
        };
        let endpoint = Endpoint {
            port,
            security: script.security,
        };
        let spec = ProbeSpec {
            target: Target::parse(HOST, None).unwrap(),
            depth: script.depth,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: script.deadline,
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions {
                hold: script.hold,
                ..ProbeOptions::default()
            },
        };
        let session = Session::new(SessionConfig {
            address: ADDRESS,
            endpoint,
            purpose: script
                .experiment
                .map_or(Purpose::Requested, |_| Purpose::FollowUp),
            experiment: script.experiment,
            plan: match script.experiment {
                Some(kind) => Plan::follow_up(kind, &spec, endpoint),
                None => Plan::requested(&spec, endpoint),
            },
            reference: Host::Name(HOST.to_owned()),
            login: script.login.clone(),
            masked: None,
            mechanism: script.mechanism,
            started: Duration::ZERO,
            deadline: script.deadline,
            wall: WALL.parse().unwrap(),
            seed: 0,
            nonce: [7; 18],
            tlsa: None,
            sync: script.part.clone(),
            hold: script.hold,
            hello: Hello {
                name: script.name.clone(),
                ..Hello::default()
            },
            dial: Dial::default(),
            budgets: Budgets::default(),
        });
        Self {
            script,
            session,
            port,
            at: 0,
            now: Duration::ZERO,
            tag: String::new(),
            message: String::new(),
            literal: 0,
            sent: Vec::new(),
            shown: String::new(),
            reported: Vec::new(),
            verified: false,
            connection: None,
        }
    }

    fn run(&mut self) -> Result<Attempt, String> {
        loop {
            self.now += Duration::from_millis(1);
            match self.session.next(self.now) {
                Action::Connect { until, .. } => self.connect(until),
                Action::Handshake {
                    connection, until, ..
                } => {
                    self.connection = Some(connection);
                    self.shake_hands(until)?;
                }
                Action::Send { bytes, .. } => self.send(&bytes)?,
                Action::Receive { until } => self.receive(until)?,
                Action::AskLogin { .. } => self.ask_login(),
                Action::Report(stage) => self.reported.push(stage),
                Action::Tell(signal) => self.tells(&signal)?,
                Action::Close => {}
                Action::Finish(attempt) => {
                    return match self.script.steps.get(self.at) {
                        None => Ok(attempt),
                        Some(step) => Err(format!("finished before {step:?}")),
                    };
                }
            }
        }
    }

    fn connect(&mut self, until: Duration) {
        let event = match self.event("connect ") {
            Some("timed_out") => {
                self.now = until;
                not_connected("timed_out", self.port)
            }
            Some(kind) => not_connected(kind, self.port),
            None => Event::Connected(connection(self.port)),
        };
        self.tell(event);
    }

    fn shake_hands(&mut self, until: Duration) -> Result<(), String> {
        let kind = self.event("tls ").unwrap_or("verified");
        if kind == "silent" {
            self.now = until;
        }
        let facts = handshake(kind).ok_or_else(|| format!("no handshake is called {kind}"))?;
        self.verified = facts.verified;
        self.tell(Event::Handshake(Box::new(facts)));
        Ok(())
    }

    fn send(&mut self, bytes: &Outgoing) -> Result<(), String> {
        if self.connection != Some(Connection::Strict) && bytes.public().is_none() {
            return Err(format!(
                "{bytes:?} holds a secret, and the driver would not send it here"
            ));
        }
        self.sent.extend_from_slice(bytes.wire(&Eavesdropper));
        let shown = String::from_utf8(bytes.shown().to_vec()).map_err(|error| error.to_string())?;
        let mut rest = shown.as_str();
        while !rest.is_empty() {
            let line = match self.script.steps.get(self.at) {
                Some(Step::Client(expected)) if expected == "$MESSAGE" => {
                    let message = rest.get(..self.literal).ok_or("the literal is not whole")?;
                    message.clone_into(&mut self.message);
                    message
                }
                _ => rest.split("\r\n").next().unwrap_or(rest),
            };
            let behind = &rest[line.len()..];
            rest = behind.strip_prefix("\r\n").unwrap_or(behind);
            self.sends(line)?;
        }
        self.shown.push_str(&shown);
        self.tell(Event::Sent);
        Ok(())
    }

    fn sends(&mut self, line: &str) -> Result<(), String> {
        let Some(Step::Client(expected)) = self.script.steps.get(self.at) else {
            return Err(format!(
                "C: {line} is sent where {:?} should be",
                self.script.steps.get(self.at)
            ));
        };
        self.at += 1;
        if expected == "$MESSAGE" {
            return Ok(());
        }
        let mut said = line.to_owned();
        if expected.starts_with("$ ") {
            let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
            self.tag = tag.to_owned();
            said = format!("$ {rest}");
        }
        self.literal = announced(line).unwrap_or(self.literal);
        let expected = expected.replace("$VERSION", env!("CARGO_PKG_VERSION"));
        if said != expected {
            return Err(format!("C: {said} is sent where C: {expected} should be"));
        }
        Ok(())
    }

    fn tells(&mut self, signal: &Signal) -> Result<(), String> {
        let words = [signal.kind.as_str(), &signal.subject, &signal.detail];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let said = words.join(" ");
        match self.script.steps.get(self.at) {
            Some(Step::Tells(expected)) if *expected == said => {
                self.at += 1;
                Ok(())
            }
            step => Err(format!("T: {said} is told where {step:?} should be")),
        }
    }

    fn receive(&mut self, until: Duration) -> Result<(), String> {
        while let Some(Step::Later(time)) = self.script.steps.get(self.at) {
            self.now += *time;
            self.at += 1;
        }
        let mut bytes = Vec::new();
        while let Some(Step::Server(piece)) = self.script.steps.get(self.at) {
            bytes.extend(self.with_tag(piece));
            self.at += 1;
        }
        if !bytes.is_empty() {
            self.tell(Event::Received(bytes));
            return Ok(());
        }
        let event = match self.script.steps.get(self.at) {
            Some(Step::Event(event)) => event.as_str(),
            Some(Step::Told(signal)) => {
                self.at += 1;
                self.tell(Event::Told {
                    signal: signal.clone(),
                    at: self.now,
                    uncertainty: self.script.uncertainty,
                });
                return Ok(());
            }
            step => {
                return Err(format!(
                    "the session waits for the server where {step:?} should be"
                ));
            }
        };
        self.at += 1;
        match event {
            "close" => self.tell(Event::Closed),
            "reset" => self.tell(Event::Failed(Fault::new(
                FaultKind::Tcp(TcpFault::ConnectionReset),
                "connection reset by peer",
            ))),
            "silence" => {
                self.now = until;
                self.tell(Event::TimedOut);
            }
            "nothing acknowledged" => {
                self.now = until;
                self.session.handle(Event::Tcp(account(0)), self.now);
                self.session.handle(Event::TimedOut, self.now);
            }
            other => return Err(format!("no event is called {other}")),
        }
        Ok(())
    }

    fn ask_login(&mut self) {
        let event = match self.event("withheld ") {
            Some(reason) => Event::LoginWithheld(reason.to_owned()),
            None => {
                self.now += Duration::from_secs(2);
                Event::LoginGranted
            }
        };
        self.tell(event);
    }

    fn tell(&mut self, event: Event) {
        let segments = u32::try_from(self.at).unwrap();
        self.session.handle(Event::Tcp(account(segments)), self.now);
        self.session.handle(event, self.now);
    }

    /// The next step, if it is this event.
    fn event(&mut self, prefix: &str) -> Option<&'s str> {
        let script = self.script;
        let Some(Step::Event(event)) = script.steps.get(self.at) else {
            return None;
        };
        let rest = event.strip_prefix(prefix)?;
        self.at += 1;
        Some(rest)
    }

    /// What the server sends: the tag in place of `$`, the message stored as a literal in place of `$MESSAGE`.
    fn with_tag(&self, piece: &[u8]) -> Vec<u8> {
        let mark = b"$MESSAGE";
        let piece = match piece.windows(mark.len()).position(|window| window == mark) {
            Some(at) => {
                let literal = format!("{{{}}}\r\n{}", self.message.len(), self.message);
                [&piece[..at], literal.as_bytes(), &piece[at + mark.len()..]].concat()
            }
            None => piece.to_vec(),
        };
        match piece.strip_prefix(b"$ ") {
            Some(rest) => [self.tag.as_bytes(), b" ", rest].concat(),
            None => piece,
        }
    }

    /// The password is sent where the dialogue says so, over a verified connection, and stands nowhere else.
    fn check_secret(&self, attempt: &Attempt) -> Result<(), String> {
        let Some(login) = &self.script.login else {
            return Ok(());
        };
        let secret = login.secret.expose();
        let encoded = encoded(&login.user, secret);
        let holds = |bytes: &[u8], text: &str| {
            !text.is_empty() && bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        let sent = holds(&self.sent, secret) || encoded_words(&self.sent).any(|word| holds(&word, secret));
        if sent != self.script.secret_sent {
            return Err(format!("the password is sent: {sent}"));
        }
        if sent && !self.verified {
            return Err("the password is sent over a connection that is not verified".to_owned());
        }
        let told = format!("{attempt:?} {} {}", self.shown, self.session.transcript());
        if told.contains(secret) || told.contains(&encoded) {
            return Err("the password stands in a record".to_owned());
        }
        Ok(())
    }

    fn explained(&self, why: &str) -> String {
        let stages: Vec<String> = self.reported.iter().map(super::expect::summary).collect();
        format!("{why}\n{}\n{}", stages.join("\n"), self.session.transcript())
    }
}

/// The size of the literal that is announced at the end of a line.
fn announced(line: &str) -> Option<usize> {
    let (_, size) = line.strip_suffix('}')?.rsplit_once('{')?;
    size.trim_end_matches('+').parse().ok()
}

/// What the words that were sent hold under their base64.
fn encoded_words(sent: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    use base64::Engine as _;
    let words = sent.split(|byte| byte.is_ascii_whitespace());
    words.filter_map(|word| base64::engine::general_purpose::STANDARD.decode(word).ok())
}

fn encoded(user: &str, secret: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{secret}"))
}
