//! Codes of extensions, which an IMAP client meets only where it uses them.

use super::{Meaning, PointsTo, meaning};
use crate::imap::code::ResponseCode;

pub(super) fn refused(code: &ResponseCode) -> Option<Meaning> {
    let fit = |cause, next_step| meaning(PointsTo::ProtocolCompat, cause, next_step);
    match code {
        ResponseCode::BadEvent | ResponseCode::NotificationOverflow => fit(
            "the server does not notify of what was asked for, or gave it up",
            "use IDLE instead",
        ),
        ResponseCode::BadCharset => fit(
            "the server cannot search in the character set asked for",
            "search in US-ASCII or UTF-8",
        ),
        ResponseCode::BadComparator => fit(
            "the server has none of the collations that were asked for to sort or search",
            "sort or search without one",
        ),
        ResponseCode::NotSaved => fit(
            "the result of an earlier search was not kept, so there is nothing to refer to",
            "search again",
        ),
        ResponseCode::NoUpdate => fit(
            "the server does not keep a search up to date by itself",
            "search again when the mailbox changes",
        ),
        ResponseCode::UndefinedFilter => fit(
            "a search names a filter that is not stored on the server",
            "store the filter first",
        ),
        ResponseCode::Modified => fit(
            "another session changed the message meanwhile, and a change that depends on its old state was not made",
            "fetch the flags again, then make the change",
        ),
        ResponseCode::TooMany | ResponseCode::TooFew => fit(
            "the mailbox was to be divided into more, or fewer, batches of messages than the server makes",
            "ask for another number of batches",
        ),
        ResponseCode::CompressionActive => fit(
            "the connection is compressed already, by this command or by TLS",
            "go on without COMPRESS",
        ),
        ResponseCode::UnknownCte => fit(
            "the server cannot decode the part's transfer encoding",
            "fetch the part as it is",
        ),
        ResponseCode::MaxConvertMessages | ResponseCode::MaxConvertParts => fit(
            "more was to be converted at once than the server does",
            "convert fewer messages or parts at once",
        ),
        ResponseCode::BadUrl => fit(
            "a message was to be put together from others, and one of those cannot be read",
            "look at the address that stands in the code, and send the message whole",
        ),
        ResponseCode::Downgraded => fit(
            "a message with headers in UTF-8 was rewritten for a client that did not ask for UTF-8",
            "nothing; a client that enables UTF8=ACCEPT gets it as it is",
        ),
        ResponseCode::Metadata | ResponseCode::Annotate => fit(
            "an annotation is too large, there are too many, or the server keeps none of that kind",
            "compare it with the limit that stands in the code",
        ),
        ResponseCode::NewName => fit(
            "the mailbox was renamed; the code tells its new name",
            "use the new name; this code is obsolete, so the server is old",
        ),
        _ => None,
    }
}
