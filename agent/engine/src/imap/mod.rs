//! IMAP as a server speaks it, hostile servers included (RFC 9051, RFC 3501).
//!
//! Bytes pass these rooms in order, and none is skipped:
//!
//! 1. [`framing`] cuts the stream into frames under [`limits`]; whatever comes later sees bounded input only.
//! 2. [`sniff`] says which other protocol answers, when it is not IMAP.
//! 3. [`scan`] tells status lines, data and continuations apart; [`status_line`] reads the response code
//!    ([`code`], [`meaning`]).
//! 4. [`parse`] reads the data of EXAMINE and FETCH with `imap-proto` behind a guard, and with the tolerant
//!    reader of [`token`] where that fails; [`capability`], [`namespace`], [`listing`], [`server_id`],
//!    [`status`] and [`quota`] use the tolerant reader alone.
//!
//! [`command`], [`append`] and [`sync`] write the other direction; [`outgoing`] and [`redact`] keep secrets out of every record.

pub mod append;
mod assembly;
pub mod backend;
pub mod capability;
pub mod code;
pub mod command;
pub mod fetch;
pub mod frame;
pub mod framing;

pub mod limits;
pub mod listing;
pub mod mailbox_name;
pub mod meaning;
pub mod namespace;
pub mod outgoing;
pub mod parse;
pub mod quota;
pub mod redact;
pub mod scan;
pub mod select;
pub mod server_id;
pub mod sniff;
pub mod status;
pub mod status_line;
pub mod sync;
pub mod tag;
pub mod token;
pub mod vendor_text;
pub(crate) mod writer;

pub use capability::Capabilities;
pub use code::ResponseCode;
pub use command::{Command, CommandError};
pub use frame::Frame;
pub use framing::Framer;
pub use limits::{LimitExceeded, LimitKind, Limits};
pub use outgoing::{CarriesSecrets, Outgoing};
pub use scan::{DataLine, Reply};
pub use status_line::{Code, Status, StatusLine};
pub use tag::{Tag, Tags};
