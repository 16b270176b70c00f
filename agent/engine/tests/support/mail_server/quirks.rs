//! How a mail server is wrong.

use std::time::Duration;

/// How another session's changes reach a session that watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// During IDLE, after this time.
    Pushed(Duration),
    /// In answer to NOOP only.
    Asked,
    /// When the mailbox is opened anew.
    OpenedAnew,
    /// Never: a replica that is not fed.
    Never,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quirks {
    /// The command of this number behind the login is refused with NO.
    pub(crate) refuse: Option<usize>,
    /// The connection is closed in place of the answer to the command of this number behind the login.
    pub(crate) cut: Option<usize>,
    /// Commands that begin like this are answered like that.
    pub(crate) answers: Vec<(&'static str, &'static str)>,
    /// A header is put in front of every message stored.
    pub(crate) rewrites: bool,
    /// What the session stores itself is not there for it until it asks with NOOP, as at Courier.
    pub(crate) blind: bool,
    /// Answers to DONE never come.
    pub(crate) dies_idle: bool,
    /// What APPENDUID says is so far from the truth.
    pub(crate) misnumbers: i64,
    /// APPENDUID says that it is of another mailbox.
    pub(crate) other_validity: bool,
    /// APPEND is answered without APPENDUID.
    pub(crate) no_numbers: bool,
}
