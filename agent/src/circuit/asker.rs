//! Who wants a login, and so whether it is made although the secret was turned down.

use jiff::Timestamp;

use super::rejection::Rejection;

/// Who wants a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A person, who asked for this one.
    Person {
        /// Whether it is wanted although the secret was turned down before.
        insists: bool,
    },
    /// A check or a scrape: it comes again by itself, whatever comes of this one.
    Routine {
        /// Since when a secret that was turned down may be sent once more.
        once: Option<Timestamp>,
    },
}

impl Asker {
    pub(super) fn wants_again(self, rejection: &Rejection) -> bool {
        match self {
            Self::Person { insists } => insists,
            Self::Routine { once } => once.is_some_and(|once| !rejection.was_at_request(once)),
        }
    }

    pub(super) const fn what_helps(self) -> &'static str {
        match self {
            Self::Person { .. } => "it is sent again only with --retry-login",
            Self::Routine { .. } => "it is sent again, once, after ctl credential retry",
        }
    }

    /// By which a later one is told from this.
    pub(super) const fn request(self) -> Option<Timestamp> {
        match self {
            Self::Person { .. } => None,
            Self::Routine { once } => once,
        }
    }
}
