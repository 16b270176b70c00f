//! Whether CREATE made a mailbox, where its answer says no.

use crate::imap::{ResponseCode, Status, StatusLine};
use crate::wire::Wire;

/// Whether a mailbox is there by this CREATE though it is refused as one that exists already (ALREADYEXISTS, RFC 5530
/// section 3): its name has a random number, and LIST did not show it just before. So Dovecot 2.3 does at times while
/// another session of the user lists mailboxes.
pub(super) fn all_the_same(line: &StatusLine<'_>, wire: &mut Wire) -> bool {
    let exists = line
        .code
        .as_ref()
        .is_some_and(|code| code.name == ResponseCode::AlreadyExists);
    let made = exists && line.status == Status::No && !wire.own.shown_before;
    if made {
        wire.note("CREATE is refused as if the mailbox had been there, and LIST did not show it before");
    }
    made
}
