//! The second message of a synchronisation: stored, known again by its mark, flagged.

use crate::imap::append::AppendUid;
use crate::imap::parse::{Data, mailbox_data};
use crate::imap::sync::Contents;
use crate::imap::{DataLine, Frame, StatusLine};
use crate::own::{mark, number};

/// The number of the message that is stored here; the first was stored before.
pub(super) const SECOND: u8 = 2;

/// What is set on it.
const FLAG: &str = "\\Flagged";

/// The same where the mailbox keeps keywords.
const FLAG_AND_KEYWORD: &str = "\\Flagged $ParallaxProbe";

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Second {
    /// Its number by its mark: what has no mark is never named.
    pub(super) uid: Option<u64>,
    /// The number that APPEND was answered with.
    said: Option<u64>,
    flags: &'static str,
}

impl Second {
    /// Takes the answer to APPEND.
    pub(super) fn stored(&mut self, line: &StatusLine<'_>) {
        let stored = line.code.as_ref().and_then(AppendUid::from_code);
        self.said = stored.map(|stored| stored.uid);
    }

    /// Takes the header of a message in the mailbox, and its number if it is this one. The last word on it counts.
    pub(super) fn find(&mut self, mailbox: &str, frame: &Frame, line: &DataLine<'_>) {
        let shown = Contents::from_data(frame, line).unwrap_or_default();
        let (Some(uid), Some(header)) = (shown.uid, &shown.bytes) else {
            return;
        };
        self.uid.take_if(|known| *known == uid);
        if mark(mailbox).and_then(|mark| number(header, mark)) == Some(SECOND) {
            self.uid = Some(uid);
        }
    }

    /// What is wrong with the number that APPEND was answered with.
    pub(super) fn misnumbered(&self) -> Option<String> {
        let (uid, said) = self.uid.zip(self.said)?;
        (uid != said).then(|| format!("APPENDUID names it {said}, FETCH {uid}"))
    }

    /// The flags to set.
    pub(super) fn choose_flags(&mut self, keywords: bool) -> &'static str {
        self.flags = if keywords { FLAG_AND_KEYWORD } else { FLAG };
        self.flags
    }

    /// Whether it has the flags that were set, where this line tells.
    pub(super) fn keeps_flags(&self, frame: &Frame, line: &DataLine<'_>) -> Option<bool> {
        let read = mailbox_data(frame, line)?;
        let Some(Data::Fetch(fetched)) = read.data() else {
            return None;
        };
        if fetched.uid.is_none() || fetched.uid != self.uid {
            return None;
        }
        let kept = fetched.flags.as_deref().unwrap_or_default();
        let has = |flag: &str| kept.iter().any(|kept| kept.eq_ignore_ascii_case(flag));
        Some(self.flags.split(' ').all(has))
    }
}
