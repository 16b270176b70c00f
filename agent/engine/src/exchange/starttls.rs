//! From clear to TLS (RFC 9051 section 6.2.1): the command, the handshake, and the capabilities behind it.

use parallax_model::evidence::{Evidence, ImapReply, StarttlsEvidence, TlsEvidence};
use parallax_model::fault::{Fault, FaultKind, ImapFault};
use parallax_model::stage::Outcome;

use super::capability::Announced;
use super::{Exchange, Lost, Turn, refusal, tls};
use crate::handshake::Judgement;
use crate::imap::{Capabilities, Command, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// Starts TLS.
#[derive(Debug, Default)]
pub(super) struct Starttls {
    step: Step,
    reply: Option<ImapReply>,
    tls: Option<TlsEvidence>,
    list: Announced,
    judged: Option<Outcome>,
    before: Capabilities,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Asking,
    Handshake,
    Reading,
}

impl Exchange for Starttls {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if wire.logged_in {
            return Turn::failed(Fault::new(
                FaultKind::Imap(ImapFault::StarttlsMissing),
                format!("{} greets with PREAUTH, which rules STARTTLS out", wire.peer),
            ));
        }
        if !wire.capabilities.has("STARTTLS") {
            return Turn::failed(Fault::new(
                FaultKind::Imap(ImapFault::StarttlsMissing),
                format!("{} does not offer STARTTLS", wire.peer),
            ));
        }
        Turn::Ask(Command::starttls(wire.tag()))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        if self.step == Step::Reading {
            self.list.take(&heard);
        }
        match (heard, self.step) {
            (Heard::Reply(line), Step::Asking) => self.answered(&line, wire),
            (Heard::Reply(line), Step::Reading) => match self.list.concluded(&line, wire) {
                Ok(()) => Turn::End(self.judged.take().unwrap_or(Outcome::Ok)),
                Err(fault) => Turn::failed(fault),
            },
            _ => Turn::Listen,
        }
    }

    fn secured(&mut self, judgement: Judgement, wire: &mut Wire) -> Turn {
        // RFC 9051 section 6.2.1: what was announced in clear is void.
        self.before = std::mem::take(&mut wire.capabilities);
        let (outcome, facts) = tls::enter(judgement, wire);
        self.tls = Some(facts);
        if matches!(outcome, Outcome::Failed(_)) {
            return Turn::End(outcome);
        }
        self.judged = Some(outcome);
        self.step = Step::Reading;
        Turn::Ask(Command::capability(wire.tag()))
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        Outcome::Failed(match self.step {
            Step::Handshake => tls::broken_off(&lost, wire),
            Step::Asking | Step::Reading => lost.fault(wire),
        })
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let (added, removed) = self.list.changed_from(&self.before, wire);
        Some(Evidence::Starttls(Box::new(StarttlsEvidence {
            reply: self.reply.take(),
            tls: self.tls.take(),
            capabilities: self.list.names(wire),
            added,
            removed,
            injection: None,
        })))
    }
}

impl Starttls {
    fn answered(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.reply = Some(wire.evidence(line));
        if line.status != Status::Ok {
            return Turn::failed(refusal::of_command(line, wire));
        }
        // RFC 9051 section 11.1: what follows the OK in clear would be taken for words that came through TLS.
        if !wire.framer().is_empty() {
            let left = [wire.framer().partial(), wire.framer().unread()].concat();
            let shown = hex::encode(&left[..left.len().min(64)]);
            wire.end();
            return Turn::failed(
                Fault::new(
                    FaultKind::Imap(ImapFault::StarttlsInjection),
                    format!(
                        "{} bytes in clear follow the answer to STARTTLS from {}",
                        left.len(),
                        wire.peer
                    ),
                )
                .with_raw(shown),
            );
        }
        self.step = Step::Handshake;
        Turn::Handshake
    }
}
