//! What servers say in words where no response code says it. The texts stand in a data file, each with its source.

use std::sync::LazyLock;

use parallax_model::fault::{AuthFault, MailboxFault};
use serde::Deserialize;

use super::meaning::PointsTo;

static TEXTS: LazyLock<Vec<VendorText>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("../../data/vendor_texts.toml"))
        .expect("the data file is read by a test");
    file.text
});

/// Bytes of a text that are looked at.
const READ: usize = 2 * 1024;

/// One text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorText {
    /// Whose it is; `any` for wordings that many have.
    pub vendor: String,
    /// What stands in it, in lower case; all of it must.
    pub(crate) says: Vec<String>,
    /// Where it is said.
    pub at: Place,
    /// What it makes of a refused login.
    #[serde(default)]
    pub(crate) fault: Option<String>,
    /// What it makes of a refused command on a mailbox.
    #[serde(default)]
    pub(crate) mailbox_fault: Option<String>,
    /// What it points to, by name.
    points_to: String,
    /// What is usually behind it.
    pub cause: String,
    /// What to do next.
    pub next_step: String,
    /// Where the wording is from.
    pub source: String,
    /// A text that it fits.
    sample: String,
}

/// Where a text is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In answer to a login.
    Login,
    /// In answer to a command on a mailbox.
    Mailbox,
    /// Anywhere.
    Any,
}

#[derive(Deserialize)]
struct File {
    text: Vec<VendorText>,
}

impl VendorText {
    /// All of them, in the order in which they are tried.
    pub fn all() -> &'static [Self] {
        &TEXTS
    }

    /// The first text that fits; `None` when no server is known to say this.
    pub fn of(text: &[u8]) -> Option<&'static Self> {
        Self::fitting(text).next()
    }

    /// What the text makes of a refused login.
    pub fn login_fault(text: &[u8]) -> Option<AuthFault> {
        Self::fitting(text).find_map(|entry| AuthFault::known(entry.fault.as_deref()?))
    }

    /// What the text makes of a refused command on a mailbox.
    pub fn mailbox_fault(text: &[u8]) -> Option<MailboxFault> {
        Self::fitting(text).find_map(|entry| MailboxFault::known(entry.mailbox_fault.as_deref()?))
    }

    /// What it points to.
    pub fn points_to(&self) -> Option<PointsTo> {
        PointsTo::known(&self.points_to)
    }

    fn fitting(text: &[u8]) -> impl Iterator<Item = &'static Self> {
        let text = text[..text.len().min(READ)].to_ascii_lowercase();
        TEXTS.iter().filter(move |entry| {
            let stands = |words: &String| text.windows(words.len()).any(|window| window == words.as_bytes());
            entry.says.iter().all(stands)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_entry_is_whole_and_knows_its_own_sample() {
        let mut seen = BTreeSet::new();
        for entry in TEXTS.iter() {
            assert!(seen.insert(&entry.says), "{:?} stands there twice", entry.says);
            assert!(entry.points_to().is_some(), "{}", entry.points_to);
            for text in [
                &entry.vendor,
                &entry.cause,
                &entry.next_step,
                &entry.source,
                &entry.sample,
            ] {
                assert!(!text.trim().is_empty(), "{:?}", entry.says);
            }
            for words in &entry.says {
                assert!(!words.is_empty() && *words == words.to_lowercase(), "{words:?}");
            }
            let sample = entry.sample.as_bytes();
            assert!(
                VendorText::fitting(sample).any(|found| found == entry),
                "{:?}",
                entry.sample
            );
            if let Some(fault) = &entry.fault {
                assert!(AuthFault::known(fault).is_some(), "{fault}");
                assert!(VendorText::login_fault(sample).is_some(), "{:?}", entry.sample);
            }
            if let Some(fault) = &entry.mailbox_fault {
                assert!(MailboxFault::known(fault).is_some(), "{fault}");
            }
            let fits_its_place = match entry.at {
                Place::Login => entry.mailbox_fault.is_none(),
                Place::Mailbox => entry.fault.is_none(),
                Place::Any => true,
            };
            assert!(fits_its_place, "{:?}", entry.says);
        }
    }

    #[test]
    fn the_vendors_of_large_installations_are_all_there() {
        let vendors: BTreeSet<&str> = TEXTS.iter().map(|entry| entry.vendor.as_str()).collect();
        for vendor in [
            "Dovecot",
            "Courier",
            "Cyrus",
            "Exchange",
            "Microsoft 365",
            "Gmail",
            "Yahoo",
            "iCloud",
            "NetEase",
            "QQ",
            "Mailu",
            "Zimbra",
        ] {
            assert!(vendors.contains(vendor), "{vendor}");
        }
    }

    #[test]
    fn what_nobody_is_known_to_say_means_nothing() {
        assert_eq!(VendorText::of(b"Logged in"), None);
        assert_eq!(VendorText::of(b""), None);
        assert_eq!(VendorText::login_fault(b"\xff\xfe rubbish"), None);
    }
}
