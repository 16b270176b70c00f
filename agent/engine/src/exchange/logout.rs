//! The end, as a server likes it (RFC 9051 section 6.1.3).

use parallax_model::evidence::{CommandEvidence, Evidence, ImapReply};
use parallax_model::stage::Outcome;

use super::{Exchange, Lost, Turn, refusal};
use crate::imap::{Command, Status};
use crate::wire::{Heard, Wire};

/// Says goodbye.
#[derive(Debug, Default)]
pub(super) struct Logout {
    reply: Option<ImapReply>,
}

impl Exchange for Logout {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        Turn::Ask(Command::logout(wire.tag()))
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        let Heard::Reply(line) = heard else {
            return Turn::Listen;
        };
        self.reply = Some(wire.evidence(&line));
        if line.status != Status::Ok {
            return Turn::failed(refusal::of_command(&line, wire));
        }
        if wire.bye.is_none() {
            wire.note("LOGOUT is answered without a BYE");
        }
        Turn::ok()
    }

    fn awaits_bye(&self) -> bool {
        true
    }

    /// Many servers close the connection right after their BYE.
    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        match lost {
            Lost::Closed | Lost::Broken(_) if wire.bye.is_some() => Outcome::Ok,
            lost => Outcome::Failed(lost.fault(wire)),
        }
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let reply = self.reply.take();
        let parted = reply.as_ref().is_some_and(|reply| reply.status == "OK");
        let bye = wire.bye.clone();
        Some(Evidence::Command(CommandEvidence {
            command: "LOGOUT".to_owned(),
            reply,
            bye: if parted { bye.map(as_a_goodbye) } else { bye },
        }))
    }
}

/// Whatever its words, it is the answer to ours: Courier says that it shuts down.
fn as_a_goodbye(bye: ImapReply) -> ImapReply {
    ImapReply {
        cause: None,
        next_step: None,
        source: None,
        ..bye
    }
}
