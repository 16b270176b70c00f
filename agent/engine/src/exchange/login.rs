//! The login (RFC 9051 section 6.2): one secret, tried once, only where it is safe.

use parallax_model::credential::{Credential, Mechanism};
use parallax_model::evidence::{AuthenticateEvidence, Evidence};
use parallax_model::fault::{AuthFault, Fault, FaultKind};

use super::capability::Announced;
use super::{Exchange, Turn, id, refusal};
use crate::handshake::Verified;
use crate::imap::command::cancel_authentication;
use crate::imap::{Command, CommandError, Status, StatusLine, Tag};
use crate::wire::{Channel, Heard, Wire};

/// What a login needs.
#[derive(Debug, Default)]
pub(crate) struct LoginRequest {
    /// The secret; without one there is no login.
    pub(crate) credential: Option<Credential>,
    /// The mechanism asked for.
    pub(crate) mechanism: Option<Mechanism>,
    /// Whether the mailbox is read afterwards.
    pub(crate) for_the_mailbox: bool,
}

/// Logs in.
#[derive(Debug)]
pub(super) struct Login {
    request: LoginRequest,
    command: Option<Command>,
    step: Step,
    list: Announced,
    cancelled: bool,
    facts: AuthenticateEvidence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Asking,
    /// The capabilities after the login; those from before are void (RFC 9051 section 6.2.2).
    Reading,
    /// Who asks, once more: some servers open no mailbox to a client that did not say it after the login.
    Telling,
}

impl Login {
    pub(super) fn new(request: LoginRequest) -> Self {
        Self {
            request,
            command: None,
            step: Step::Asking,
            list: Announced::default(),
            cancelled: false,
            facts: AuthenticateEvidence::default(),
        }
    }
}

impl Exchange for Login {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        let Some(credential) = self.request.credential.take() else {
            return Turn::skipped("no credential was given");
        };
        if wire.logged_in {
            return Turn::skipped("the server takes everybody for logged in (PREAUTH)");
        }
        let tag = wire.tag();
        let prepared = match &wire.channel {
            Channel::Verified(proof) => self.prepare(proof, tag, &credential, wire),
            Channel::Clear => Err(insecure(wire, "it is not TLS")),
            Channel::Unverified => Err(insecure(wire, "its certificate is not verified")),
        };
        match prepared {
            Ok(command) => {
                self.command = Some(command);
                Turn::AskLogin
            }
            Err(fault) => Turn::failed(fault),
        }
    }

    fn granted(&mut self, _wire: &mut Wire) -> Turn {
        match self.command.take() {
            Some(command) => Turn::Ask(command),
            None => Turn::Listen,
        }
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        self.list.take(&heard);
        match (heard, self.step) {
            (Heard::Reply(line), Step::Asking) => self.answered(&line, wire),
            (Heard::Reply(_), Step::Reading) => {
                self.list.adopt(wire);
                self.tell(wire)
            }
            (Heard::Reply(_), Step::Telling) => Turn::ok(),
            // A challenge that cannot be answered (RFC 9051 section 6.2.2).
            (Heard::Plus, Step::Asking) if wire.asking() == "AUTHENTICATE" && !self.cancelled => {
                self.cancelled = true;
                Turn::Say(cancel_authentication())
            }
            _ => Turn::Listen,
        }
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let mut facts = std::mem::take(&mut self.facts);
        facts.capabilities = self.list.names(wire);
        Some(Evidence::Authenticate(facts))
    }
}

impl Login {
    /// Everything but the sending, so that a login that cannot be tried takes nobody's turn.
    fn prepare(
        &mut self,
        proof: &Verified,
        tag: Tag,
        credential: &Credential,
        wire: &Wire,
    ) -> Result<Command, Fault> {
        let mechanism = choose(self.request.mechanism, wire)?;
        self.facts.mechanism = mechanism.as_str().to_owned();
        let command = match mechanism {
            Mechanism::Plain => {
                self.facts.initial_response = wire.capabilities.has("SASL-IR");
                Command::authenticate_plain(proof, tag, credential, self.facts.initial_response)
            }
            _ => Command::login(proof, tag, credential, wire.capabilities.literals()),
        };
        command.map_err(|error: CommandError| {
            Fault::new(FaultKind::Auth(AuthFault::SecretUnavailable), error.to_string())
        })
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.facts.reply = Some(wire.evidence(line));
        if line.status != Status::Ok {
            return Turn::failed(refusal::of_login(line, wire));
        }
        wire.logged_in = true;
        if self.list.came() {
            self.list.adopt(wire);
            return self.tell(wire);
        }
        self.step = Step::Reading;
        Turn::Ask(Command::capability(wire.tag()))
    }

    fn tell(&mut self, wire: &mut Wire) -> Turn {
        if !self.request.for_the_mailbox || !wire.capabilities.has("ID") {
            return Turn::ok();
        }
        self.step = Step::Telling;
        match id::command(wire.tag()) {
            Ok(command) => Turn::Ask(command),
            Err(_) => Turn::ok(),
        }
    }
}

fn insecure(wire: &Wire, why: &str) -> Fault {
    Fault::new(
        FaultKind::Auth(AuthFault::InsecureChannel),
        format!("no secret is sent over the connection to {}: {why}", wire.peer),
    )
}

/// The mechanism asked for; else PLAIN where it is offered, else the LOGIN command where it is not forbidden.
fn choose(asked: Option<Mechanism>, wire: &Wire) -> Result<Mechanism, Fault> {
    let offers = &wire.capabilities;
    let plain = offers.offers_mechanism("PLAIN");
    let login = !offers.has("LOGINDISABLED");
    match asked {
        Some(Mechanism::Plain) if plain => Ok(Mechanism::Plain),
        Some(Mechanism::Login) if login => Ok(Mechanism::Login),
        None if plain => Ok(Mechanism::Plain),
        None if login => Ok(Mechanism::Login),
        Some(
            Mechanism::Plain
            | Mechanism::LoginCommand
            | Mechanism::ScramSha1
            | Mechanism::ScramSha1Plus
            | Mechanism::ScramSha256
            | Mechanism::ScramSha256Plus
            | Mechanism::OauthBearer
            | Mechanism::Xoauth2
            | Mechanism::External,
        )
        | None => Err(nothing_in_common(wire)),
        Some(Mechanism::Login) => Err(cannot(
            AuthFault::LoginDisabled,
            "the server does not take the LOGIN command (LOGINDISABLED)",
        )),
    }
}

fn nothing_in_common(wire: &Wire) -> Fault {
    let offered: Vec<String> = wire.capabilities.mechanisms().take(16).collect();
    let oauth = |mechanism: &String| mechanism == "XOAUTH2" || mechanism == "OAUTHBEARER";
    if offered.is_empty() && wire.capabilities.has("LOGINDISABLED") {
        cannot(
            AuthFault::LoginDisabled,
            "the server offers no way to log in (LOGINDISABLED)",
        )
    } else if !offered.is_empty() && offered.iter().all(oauth) {
        cannot(AuthFault::OauthRequired, "the server takes OAuth only")
    } else {
        let list = parallax_model::text::escape_str(&offered.join(" "), 200);
        cannot(
            AuthFault::MechanismUnavailable,
            &format!("no mechanism in common; the server offers: {list}"),
        )
    }
}

fn cannot(kind: AuthFault, message: &str) -> Fault {
    Fault::new(FaultKind::Auth(kind), message)
}
