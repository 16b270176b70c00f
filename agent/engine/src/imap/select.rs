//! The state of a mailbox as EXAMINE or SELECT reports it (RFC 9051 section 6.3.2).

use super::code::ResponseCode;
use super::fetch::texts;
use super::parse::Data;
use super::scan;
use super::status_line::Code;
use super::token;

/// What the replies to one EXAMINE say together. Absent is what the server did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Messages in the mailbox.
    pub exists: Option<u64>,
    /// Messages that this session is the first to see; gone in IMAP4rev2.
    pub recent: Option<u64>,
    /// The flags that the mailbox knows.
    pub flags: Option<Vec<String>>,
    /// The flags that can be kept; `\*` when clients may add their own.
    pub permanent_flags: Option<Vec<String>>,
    /// The generation of the UIDs. When it changes, every client downloads the mailbox again.
    pub uid_validity: Option<u64>,
    /// The UID that the next message will get.
    pub uid_next: Option<u64>,
    /// The first unseen message.
    pub unseen: Option<u64>,
    /// The highest modification sequence (RFC 7162).
    pub highest_mod_seq: Option<u64>,
    /// Whether the server said that it keeps no modification sequences.
    pub no_mod_seq: bool,
    /// Whether the server said that it does not keep UIDs.
    pub uid_not_sticky: bool,
    /// READ-ONLY or READ-WRITE, from the code of the tagged reply.
    pub read_only: Option<bool>,
    /// The mailbox's own identifier (RFC 8474).
    pub mailbox_id: Option<String>,
}

impl Selected {
    /// Takes what a line of data says.
    pub fn take_data(&mut self, data: &Data) {
        match data {
            Data::Exists(number) => self.exists = Some(*number),
            Data::Recent(number) => self.recent = Some(*number),
            Data::Flags(flags) => self.flags = Some(flags.clone()),
            Data::Expunge(_) => self.exists = self.exists.map(|exists| exists.saturating_sub(1)),
            Data::Fetch(_) => {}
        }
    }

    /// Takes what the code of a status line says, tagged or not.
    pub fn take_code(&mut self, code: &Code<'_>) {
        let number = || scan::number(code.arguments);
        match code.name {
            ResponseCode::UidValidity => self.uid_validity = number(),
            ResponseCode::UidNext => self.uid_next = number(),
            ResponseCode::Unseen => self.unseen = number(),
            ResponseCode::HighestModSeq => self.highest_mod_seq = number(),
            ResponseCode::NoModSeq => self.no_mod_seq = true,
            ResponseCode::UidNotSticky => self.uid_not_sticky = true,
            ResponseCode::ReadOnly => self.read_only = Some(true),
            ResponseCode::ReadWrite => self.read_only = Some(false),
            ResponseCode::PermanentFlags => self.permanent_flags = list(code.arguments),
            ResponseCode::MailboxId => self.mailbox_id = list(code.arguments).and_then(|mut ids| ids.pop()),
            _ => {}
        }
    }
}

fn list(arguments: &[u8]) -> Option<Vec<String>> {
    let read = token::values_of(arguments).ok()?;
    Some(texts(read.values.first()?.list()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits, Reply, parse};

    #[test]
    fn the_replies_to_examine_are_summed_up() {
        let mut framer = Framer::new(Limits::default());
        framer.push(
            b"* FLAGS (\\Answered \\Seen)\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n* 172 EXISTS\r\n\
              * 1 RECENT\r\n* OK [UIDVALIDITY 3857529045] UIDs valid\r\n* OK [UIDNEXT 4392] Predicted\r\n\
              * OK [HIGHESTMODSEQ 715194045007] Highest\r\n* OK [MAILBOXID (F2212ea87)] Ok\r\n\
              aaaa0007 OK [READ-ONLY] Examine completed\r\n",
        );
        let mut selected = Selected::default();
        while let Some(frame) = framer.next_frame().unwrap() {
            match Reply::of(&frame) {
                Reply::Data(line) => {
                    selected.take_data(parse::mailbox_data(&frame, &line).unwrap().data().unwrap());
                }
                Reply::Status(line) | Reply::Tagged { line, .. } => selected.take_code(&line.code.unwrap()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            (selected.exists, selected.recent, selected.read_only),
            (Some(172), Some(1), Some(true))
        );
        assert_eq!(
            (selected.uid_validity, selected.uid_next),
            (Some(3_857_529_045), Some(4_392))
        );
        assert_eq!(selected.highest_mod_seq, Some(715_194_045_007));
        assert_eq!(selected.permanent_flags, Some(vec![]));
        assert_eq!(selected.mailbox_id.as_deref(), Some("F2212ea87"));
    }
}
