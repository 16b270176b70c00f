//! A command sent in clear together with STARTTLS: a server that carries it out behind TLS takes the words of whoever
//! stands on the way for the client's own (RFC 9051 section 11.1; the class of CVE-2011-0411 and CVE-2021-33515).

use std::time::Duration;

use parallax_model::evidence::{Evidence, ImapReply, StarttlsEvidence, TlsEvidence};
use parallax_model::fault::{Fault, FaultKind, ImapFault};
use parallax_model::stage::Outcome;

use super::{Exchange, Lost, Turn};
use crate::handshake::Judgement;
use crate::imap::{Command, Status, Tag};
use crate::wire::{Channel, Heard, Wire};

/// How long the reply to the smuggled command is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends the two commands in one write, and sees whether the second is answered, and where. The connection is one for
/// evidence: no secret can follow.
#[derive(Debug, Default)]
pub(super) struct Injection {
    step: Step,
    smuggled: Option<Tag>,
    became: Option<&'static str>,
    reply: Option<ImapReply>,
    tls: Option<TlsEvidence>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Asking,
    Handshake,
    /// Behind TLS: the reply may come by itself, or when the server is spoken to.
    Waiting,
    Prompting,
}

impl Exchange for Injection {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        if wire.logged_in || !wire.capabilities.has("STARTTLS") {
            return Turn::skipped("the server does not offer STARTTLS");
        }
        let tag = wire.tag();
        let smuggled = wire.tag();
        let command = Command::starttls_and_noop(tag, &smuggled);
        wire.listen_for(smuggled.clone());
        self.smuggled = Some(smuggled);
        Turn::Ask(command)
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        if wire.smuggled_answered {
            return self.answered(wire);
        }
        match (heard, self.step) {
            (Heard::Reply(line), Step::Asking) => {
                self.reply = Some(wire.evidence(&line));
                if line.status != Status::Ok {
                    return self.ends("refused");
                }
                if self.stands_in_clear(wire) {
                    return self.answered(wire);
                }
                self.step = Step::Handshake;
                Turn::Handshake
            }
            (Heard::Reply(_), Step::Prompting) => self.ends("discarded"),
            _ => Turn::Listen,
        }
    }

    /// A certificate that is wrong changes nothing here; a handshake that broke off is an end as good as any.
    fn secured(&mut self, judgement: Judgement, wire: &mut Wire) -> Turn {
        let in_clear = self.smuggled.as_ref().map(|tag| hex::encode(tag.as_str()));
        let first = judgement.evidence.first_bytes.clone().unwrap_or_default();
        let completed = judgement.completed;
        self.tls = Some(judgement.evidence);
        if in_clear.is_some_and(|tag| first.starts_with(&tag)) {
            return self.answered(wire);
        }
        if !completed {
            wire.end();
            return self.ends("refused");
        }
        wire.channel = Channel::Unverified;
        self.step = Step::Waiting;
        Turn::Rest(PATIENCE)
    }

    fn rested(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Prompting;
        Turn::Ask(Command::capability(wire.tag()))
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        match lost {
            Lost::Closed | Lost::Bye(_) => self.became = Some("closed"),
            Lost::Broken(_) if self.step != Step::Asking => self.became = Some("closed"),
            Lost::Late(_) if matches!(self.step, Step::Handshake | Step::Prompting) => {
                self.became = Some("discarded");
            }
            lost @ (Lost::Broken(_)
            | Lost::Late(_)
            | Lost::OutOfTime(_)
            | Lost::TooMuch(_)
            | Lost::Drip(_)) => {
                return Outcome::Failed(lost.fault(wire));
            }
        }
        Outcome::Ok
    }

    fn evidence(&mut self, _wire: &Wire) -> Option<Evidence> {
        Some(Evidence::Starttls(Box::new(StarttlsEvidence {
            reply: self.reply.take(),
            tls: self.tls.take(),
            injection: self.became.map(str::to_owned),
            ..StarttlsEvidence::default()
        })))
    }
}

impl Injection {
    fn ends(&mut self, became: &'static str) -> Turn {
        self.became = Some(became);
        Turn::ok()
    }

    /// Whether the reply to the smuggled command has begun to arrive before any handshake.
    fn stands_in_clear(&self, wire: &Wire) -> bool {
        let came = [wire.framer().partial(), wire.framer().unread()].concat();
        let tag = self.smuggled.as_ref().map(Tag::as_str);
        tag.is_some_and(|tag| came.starts_with(tag.as_bytes()))
    }

    fn answered(&mut self, wire: &mut Wire) -> Turn {
        let fault = |what: &str| {
            Fault::new(
                FaultKind::Imap(ImapFault::StarttlsInjection),
                format!("{} {what}", wire.peer),
            )
        };
        let turn = if self.step == Step::Waiting || self.step == Step::Prompting {
            self.became = Some("executed");
            Turn::failed(fault(
                "carries out behind TLS what was sent in clear: words put in on the way count as the client's",
            ))
        } else {
            self.became = Some("answered_in_clear");
            Turn::degraded(fault(
                "answers in clear a command that came together with STARTTLS",
            ))
        };
        wire.end();
        turn
    }
}
