//! Keeps secrets out of what a server says back.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

/// Below this length a secret is masked only where it stands as a word by itself: masking every `a` would spell
/// the secret out.
const SHORT: usize = 4;

/// Something that must not appear in a record, and what stands there instead.
#[derive(Clone)]
pub struct Concealed {
    secret: Zeroizing<Vec<u8>>,
    label: &'static str,
    words_only: bool,
    any_case: bool,
}

impl Concealed {
    /// A secret: masked wherever it appears, in any case of letters. Servers repeat commands in upper case, and names
    /// of codes and capabilities are kept so.
    pub fn secret(bytes: &[u8], label: &'static str) -> Self {
        Self {
            secret: Zeroizing::new(bytes.to_vec()),
            label,
            words_only: bytes.len() < SHORT,
            any_case: true,
        }
    }

    /// A name that belongs to a person: masked where it stands by itself, not inside host names or addresses
    /// that happen to contain it.
    pub fn name(bytes: &[u8], label: &'static str) -> Self {
        Self {
            secret: Zeroizing::new(bytes.to_vec()),
            label,
            words_only: true,
            any_case: false,
        }
    }

    fn stands_at(&self, text: &[u8], at: usize) -> bool {
        let Some(here) = text.get(at..at + self.secret.len()) else {
            return false;
        };
        if !(here == &self.secret[..] || self.any_case && here.eq_ignore_ascii_case(&self.secret)) {
            return false;
        }
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(at + self.secret.len());
        !self.words_only || !(before.is_some_and(is_word) || after.is_some_and(is_word))
    }
}

impl fmt::Debug for Concealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Concealed({})", self.label)
    }
}

/// Masks everything that a session has to conceal. Servers do repeat commands in their error texts.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    concealed: Vec<Concealed>,
}

impl Redactor {
    /// Conceals one more thing from now on. What is empty is ignored.
    pub fn conceal(&mut self, concealed: Concealed) {
        let known = self
            .concealed
            .iter()
            .any(|known| known.secret == concealed.secret);
        if !concealed.secret.is_empty() && !known {
            self.concealed.push(concealed);
            // A longer one may contain a shorter one.
            self.concealed
                .sort_by_key(|concealed| std::cmp::Reverse(concealed.secret.len()));
        }
    }

    /// The text with everything concealed replaced.
    pub fn redact<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut redacted: Option<Vec<u8>> = None;
        let mut at = 0;
        while at < text.len() {
            match self
                .concealed
                .iter()
                .find(|concealed| concealed.stands_at(text, at))
            {
                Some(found) => {
                    redacted
                        .get_or_insert_with(|| text[..at].to_vec())
                        .extend_from_slice(found.label.as_bytes());
                    at += found.secret.len();
                }
                None => {
                    if let Some(redacted) = &mut redacted {
                        redacted.push(text[at]);
                    }
                    at += 1;
                }
            }
        }
        redacted.map_or(Cow::Borrowed(text), Cow::Owned)
    }
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"._-@".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let mut redactor = Redactor::default();
        redactor.conceal(Concealed::name(b"mail", "<user>"));
        redactor.conceal(Concealed::secret(b"hunter2", "<password>"));
        redactor.conceal(Concealed::secret(b"ab", "<password>"));
        redactor.conceal(Concealed::secret(b"", "<nothing>"));
        redactor
    }

    #[test]
    fn a_secret_that_a_server_repeats_is_masked() {
        assert_eq!(
            &redactor().redact(b"BAD LOGIN mail xhunter2x")[..],
            b"BAD LOGIN <user> x<password>x"
        );
    }

    #[test]
    fn a_secret_in_another_case_is_still_one_and_a_name_is_a_word_like_others() {
        assert_eq!(
            &redactor().redact(b"BAD LOGIN MAIL HUNTER2 Ab")[..],
            b"BAD LOGIN MAIL <password> <password>"
        );
    }

    #[test]
    fn names_and_short_secrets_are_masked_as_words_only() {
        let text = b"mail.example.org is about to fail";
        assert_eq!(&redactor().redact(text)[..], text);
        assert_eq!(
            &redactor().redact(b"\"ab\" (mail)")[..],
            b"\"<password>\" (<user>)"
        );
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let printed = format!("{:?}", redactor());
        assert!(
            !printed.contains("hunter2") && printed.contains("<password>"),
            "{printed}"
        );
    }
}
