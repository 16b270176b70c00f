//! The login (RFC 9051 section 6.2): one secret, tried once, only where it is safe.

use std::time::Duration;

use parallax_model::credential::{Credential, Mechanism};
use parallax_model::evidence::{AuthenticateEvidence, Evidence};
use parallax_model::fault::{AuthFault, Fault, FaultKind, ImapFault};
use parallax_model::stage::Outcome;

use super::capability::Announced;
use super::{Exchange, Lost, Turn, choice, id, refusal};
use crate::handshake::Verified;
use crate::imap::command::{cancel_authentication, sasl_response};
use crate::imap::{Capabilities, Command, CommandError, Status, StatusLine, Tag};
use crate::sasl::{Conversation, Means, SaslError};
use crate::wire::{Channel, Heard, Wire};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How long Dovecot makes an address wait that failed before, when the login succeeds: 2, 4, 8 or 15 seconds; a
/// refusal takes two seconds by itself.
const PENALTIES: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];
/// What a refusal takes without any penalty.
const REFUSAL: Duration = Duration::from_secs(2);
/// How much longer than that the answer may be under way.
const SLACK: Duration = Duration::from_millis(750);

/// What a login needs.
#[derive(Debug, Default)]
pub(crate) struct LoginRequest {
    /// The secret; without one there is no login.
    pub(crate) credential: Option<Credential>,
    /// The mechanism asked for.
    pub(crate) mechanism: Option<Mechanism>,
    /// The client's nonce, should the mechanism need one.
    pub(crate) nonce: [u8; 18],
    /// The host as it was asked for.
    pub(crate) host: String,
    /// Whether the mailbox is read afterwards.
    pub(crate) for_the_mailbox: bool,
}

/// Logs in.
#[derive(Debug)]
pub(super) struct Login {
    request: LoginRequest,
    command: Option<Command>,
    conversation: Option<Conversation>,
    step: Step,
    before: Capabilities,
    list: Announced,
    broken: Option<SaslError>,
    facts: AuthenticateEvidence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Asking,
    /// The capabilities after the login; those from before are void (RFC 9051 section 6.2.2).
    Reading,
    /// Who asks, once more: some servers open no mailbox to a client that did not say it after the login.
    Telling,
    /// What the server is to do beyond the base protocol.
    Enabling,
}

impl Login {
    pub(super) fn new(request: LoginRequest) -> Self {
        Self {
            request,
            command: None,
            conversation: None,
            step: Step::Asking,
            before: Capabilities::default(),
            list: Announced::default(),
            broken: None,
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
        self.before = wire.capabilities.clone();
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
        if self.step == Step::Enabling
            && let Heard::Data(frame, line) = &heard
            && let Some(enabled) = Capabilities::enabled(frame, line)
        {
            self.facts.enabled = wire.masked_all(enabled.names());
        }
        match (heard, self.step) {
            (Heard::Reply(line), Step::Asking) => self.answered(&line, wire),
            (Heard::Reply(_), Step::Reading) => {
                self.list.adopt(wire);
                self.tell(wire)
            }
            (Heard::Reply(_), Step::Telling) => self.enable(wire),
            (Heard::Reply(_), Step::Enabling) => Turn::ok(),
            (Heard::Plus, Step::Asking) if wire.asking() == "AUTHENTICATE" => self.challenged(wire),
            _ => Turn::Listen,
        }
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        let mut fault = lost.fault(wire);
        if let (Lost::Bye(reply), Step::Asking) = (lost, self.step) {
            if let Some(kind) = refusal::of_login_by_bye(&reply) {
                fault.kind = FaultKind::Auth(kind);
            }
            self.facts.reply = Some(reply);
        }
        Outcome::Failed(fault)
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let mut facts = std::mem::take(&mut self.facts);
        facts.capabilities = self.list.names(wire);
        (facts.added, facts.removed) = self.list.changed_from(&self.before, wire);
        // Only a server that lets in, or shows a wrong proof, owes a right one; who refuses has nothing to prove.
        let owes_proof = self.broken == Some(SaslError::ServerNotVerified)
            || facts
                .reply
                .as_ref()
                .is_some_and(|reply| reply.status == Status::Ok.as_str());
        if let Some(conversation) = &self.conversation {
            facts.channel_binding = conversation.binding().map(str::to_owned);
            facts.server_verified = conversation
                .server_verified()
                .filter(|proved| *proved || owes_proof);
            facts.oauth_error = conversation.oauth_error().cloned();
        }
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
        let mechanism = choice::of(self.request.mechanism, &wire.capabilities)?;
        self.facts.mechanism = choice::name(mechanism).to_owned();
        let unusable = |why: String| Fault::new(FaultKind::Auth(AuthFault::SecretUnavailable), why);
        let means = Means {
            credential,
            nonce: self.request.nonce,
            bindings: proof.bindings(),
            binding_offered: choice::offers_binding(&wire.capabilities),
            host: &self.request.host,
            port: wire.peer.port(),
        };
        let begun = Conversation::begin(mechanism, means).map_err(|error| match error {
            SaslError::NoBinding(_) => Fault::new(
                FaultKind::Auth(AuthFault::MechanismUnavailable),
                error.to_string(),
            ),
            other => unusable(other.to_string()),
        })?;
        let command = match begun {
            None => {
                self.facts.command = "LOGIN".to_owned();
                Command::login(proof, tag, credential, wire.capabilities.literals())
            }
            Some(mut conversation) => {
                self.facts.command = "AUTHENTICATE".to_owned();
                let first = match wire.capabilities.has("SASL-IR") {
                    true => conversation.initial(),
                    false => None,
                };
                self.facts.initial_response = first.is_some();
                self.conversation = Some(conversation);
                let first = first.as_ref().map(|first| &first[..]);
                Command::authenticate(proof, tag, mechanism.as_str(), credential, first)
            }
        };
        command.map_err(|error: CommandError| unusable(error.to_string()))
    }

    /// The server asks on: the mechanism's next message, or, where there is none, the end of the attempt (RFC 9051
    /// section 6.2.2).
    fn challenged(&mut self, wire: &mut Wire) -> Turn {
        if self.broken.is_some() {
            return Turn::Listen;
        }
        let answer = match (&mut self.conversation, STANDARD.decode(&wire.challenge)) {
            (Some(conversation), Ok(challenge)) => conversation.answer(&challenge),
            (Some(_), Err(_)) => Err(SaslError::Unreadable("it is no base64")),
            (None, _) => Err(SaslError::Unexpected),
        };
        match (answer, &wire.channel) {
            (Ok(message), Channel::Verified(proof)) => {
                let (answer, concealed) = sasl_response(proof, &message);
                wire.conceal(&[concealed]);
                Turn::Say(answer)
            }
            (Err(error), _) => {
                self.broken = Some(error);
                Turn::Say(cancel_authentication())
            }
            (Ok(_), Channel::Clear | Channel::Unverified) => Turn::Say(cancel_authentication()),
        }
    }

    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.facts.reply = Some(wire.evidence(line));
        self.facts.penalty_suspected = penalised(wire.since_asked(), line.status == Status::Ok);
        if let Some(error) = &self.broken
            && *error != SaslError::Unexpected
        {
            return Turn::failed(broken(error, line, wire));
        }
        if line.status != Status::Ok {
            return Turn::failed(self.refused(line, wire));
        }
        // RFC 5802 section 3: a client believes only a server that has proved itself.
        if self.conversation.as_ref().and_then(Conversation::server_verified) == Some(false) {
            return Turn::failed(Fault::new(
                FaultKind::Auth(AuthFault::ServerNotVerified),
                format!(
                    "{} lets in without the proof that it knows the password",
                    wire.peer
                ),
            ));
        }
        wire.logged_in = true;
        if self.list.came() {
            self.list.adopt(wire);
            return self.tell(wire);
        }
        self.step = Step::Reading;
        Turn::Ask(Command::capability(wire.tag()))
    }

    fn refused(&self, line: &StatusLine<'_>, wire: &Wire) -> Fault {
        let mut fault = refusal::of_login(line, wire);
        let token = self.conversation.as_ref().and_then(Conversation::oauth_error);
        if let Some(error) = token
            && fault.kind == FaultKind::Auth(AuthFault::CredentialsRejected)
        {
            let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            fault.kind = FaultKind::Auth(AuthFault::TokenRejected);
            fault.message = format!(
                "{}; the server says of the token: status {}, scope {}",
                fault.message,
                parallax_model::text::escape_str(&word(&error.status), 64),
                parallax_model::text::escape_str(&word(&error.scope), 128),
            );
        }
        fault
    }

    fn tell(&mut self, wire: &mut Wire) -> Turn {
        if !self.request.for_the_mailbox || !wire.capabilities.has("ID") {
            return self.enable(wire);
        }
        self.step = Step::Telling;
        match id::command(wire.tag()) {
            Ok(command) => Turn::Ask(command),
            Err(_) => self.enable(wire),
        }
    }

    /// As mail clients do, and only what is offered; a refusal changes nothing.
    fn enable(&mut self, wire: &mut Wire) -> Turn {
        let offers = &wire.capabilities;
        if !self.request.for_the_mailbox || !offers.has("ENABLE") {
            return Turn::ok();
        }
        let wanted: Vec<&str> = ["CONDSTORE", "UTF8=ACCEPT", "IMAP4rev2"]
            .into_iter()
            .filter(|name| offers.has(name))
            .collect();
        if wanted.is_empty() {
            return Turn::ok();
        }
        self.step = Step::Enabling;
        Turn::Ask(Command::enable(wire.tag(), &wanted))
    }
}

fn broken(error: &SaslError, line: &StatusLine<'_>, wire: &Wire) -> Fault {
    let kind = match error {
        SaslError::ServerNotVerified => FaultKind::Auth(AuthFault::ServerNotVerified),
        SaslError::Refused(_) if line.status == Status::No => return refusal::of_login(line, wire),
        SaslError::Refused(_) => FaultKind::Auth(AuthFault::CredentialsRejected),
        SaslError::TooManyRounds(_) => FaultKind::Imap(ImapFault::LimitExceeded),
        SaslError::Unreadable(_)
        | SaslError::Forbidden(_)
        | SaslError::NoBinding(_)
        | SaslError::Unexpected => FaultKind::Imap(ImapFault::ProtocolError),
    };
    Fault::new(kind, format!("AUTHENTICATE at {}: {error}", wire.peer))
}

/// Whether the answer took as long as a server makes somebody wait who failed before.
fn penalised(took: Duration, accepted: bool) -> bool {
    PENALTIES.into_iter().any(|penalty| {
        let due = if accepted { penalty } else { penalty + REFUSAL };
        took >= due && took < due + SLACK
    })
}

fn insecure(wire: &Wire, why: &str) -> Fault {
    Fault::new(
        FaultKind::Auth(AuthFault::InsecureChannel),
        format!("no secret is sent over the connection to {}: {why}", wire.peer),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_of_the_usual_lengths_is_suspected_and_any_other_is_not() {
        let after = |millis, accepted| penalised(Duration::from_millis(millis), accepted);
        assert!(after(15_030, true) && after(4_010, true) && after(6_020, false) && after(17_010, false));
        assert!(!after(300, true) && !after(2_010, false) && !after(5_500, true) && !after(30_000, true));
    }
}
