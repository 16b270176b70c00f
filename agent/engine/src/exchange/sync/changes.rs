//! The commands of a synchronisation, each naming the probe's own mailboxes and messages only.

use parallax_model::fault::{Fault, FaultKind, MailboxFault};

use super::{Step, Sync};
use crate::exchange::second::SECOND;
use crate::exchange::{Turn, ask};
use crate::handshake::wall;
use crate::imap::Command;
use crate::imap::sync::Store;
use crate::own::{ProbeName, message};
use crate::wire::Wire;

impl Sync {
    pub(super) fn create(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Creating;
        let copies = ProbeName::copies(&self.mailbox);
        let literals = wire.capabilities.literals();
        let command = Command::create(wire.tag(), copies.as_bytes(), literals);
        // From here on it may be there, whatever comes of the answer.
        wire.own.mailboxes.push(copies);
        ask(command)
    }

    pub(super) fn store(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Storing;
        let message = message(&self.mailbox, SECOND, wall(self.began, wire.now()));
        let literals = wire.capabilities.literals();
        ask(Command::append(
            wire.tag(),
            self.mailbox.as_bytes(),
            &message,
            literals,
        ))
    }

    pub(super) fn flag(&mut self, wire: &mut Wire) -> Turn {
        let mismatch = |what: &str| {
            let what = format!("second message stored at {}: {what}", wire.peer);
            Fault::new(FaultKind::Mailbox(MailboxFault::AppendMismatch), what)
        };
        let Some(uid) = self.second.uid else {
            self.failed = Some(mismatch("nothing with its mark came back"));
            return self.part(wire);
        };
        if let Some(what) = self.second.misnumbered() {
            self.spoiled.get_or_insert(mismatch(&what));
        }
        self.step = Step::Flagging;
        let flags = self.second.choose_flags(wire.own.keywords);
        Turn::Ask(Command::store(wire.tag(), &[uid], Store::Add, flags))
    }

    pub(super) fn copy(&mut self, wire: &mut Wire) -> Turn {
        self.step = Step::Copying;
        let (Some(uid), Some(copies)) = (self.second.uid, wire.own.mailboxes.get(1).cloned()) else {
            return self.mark_second(wire);
        };
        let literals = wire.capabilities.literals();
        ask(Command::copy(wire.tag(), uid, copies.as_bytes(), literals))
    }

    pub(super) fn move_away(&mut self, wire: &mut Wire) -> Turn {
        let offered = wire.capabilities.has("MOVE") || wire.capabilities.has("IMAP4rev2");
        let (Some(uid), Some(copies), true) = (self.second.uid, wire.own.mailboxes.get(1).cloned(), offered)
        else {
            return self.mark_second(wire);
        };
        self.step = Step::Moving;
        let literals = wire.capabilities.literals();
        ask(Command::move_to(wire.tag(), uid, copies.as_bytes(), literals))
    }

    pub(super) fn mark_second(&mut self, wire: &mut Wire) -> Turn {
        self.mark(Step::MarkingSecond, self.second.uid, wire)
    }

    pub(super) fn mark_first(&mut self, wire: &mut Wire) -> Turn {
        self.mark(Step::MarkingFirst, wire.own.first, wire)
    }

    fn mark(&mut self, step: Step, uid: Option<u64>, wire: &mut Wire) -> Turn {
        let Some(uid) = uid else {
            return self.part(wire);
        };
        self.step = step;
        Turn::Ask(Command::store(
            wire.tag(),
            &[uid],
            Store::AddSilently,
            "\\Deleted",
        ))
    }

    pub(super) fn expunge(&mut self, step: Step, uid: Option<u64>, wire: &mut Wire) -> Turn {
        let Some(uid) = uid else {
            return self.part(wire);
        };
        self.step = step;
        Turn::Ask(Command::expunge(wire.tag(), &[uid]))
    }
}
