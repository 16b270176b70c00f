//! Which agents a question goes to: `--from`.

use std::fmt;
use std::str::FromStr;

use crate::vantage::Labels;

/// A choice of vantage points. Repeated `--from` is OR; commas inside one are AND.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    alternatives: Vec<Vec<Term>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    All,
    Glob(String),
    Equals(String, String),
    Differs(String, String),
}

/// Why a selector could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a selector: write all, a name, a glob such as fra-*, or labels such as region=eu,tier!=test"
)]
pub struct SelectorError(String);

impl Selector {
    /// Every vantage point.
    pub fn all() -> Self {
        Self {
            alternatives: vec![vec![Term::All]],
        }
    }

    /// Reads the values of several `--from`, of which one must match; none at all means every vantage point.
    pub fn parse_any<S: AsRef<str>>(texts: &[S]) -> Result<Self, SelectorError> {
        if texts.is_empty() {
            return Ok(Self::all());
        }
        let alternatives = texts
            .iter()
            .map(|text| parse_terms(text.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { alternatives })
    }

    /// Whether an agent of this name with these labels is chosen.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.alternatives
            .iter()
            .any(|terms| terms.iter().all(|term| term.matches(name, labels)))
    }

    /// The single agent names that the selector spells out, whether or not such an agent exists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.alternatives
            .iter()
            .filter_map(|terms| match terms.as_slice() {
                [Term::Glob(name)] if !name.contains(['*', '?']) => Some(name.as_str()),
                _ => None,
            })
    }

    /// The texts that [`Selector::parse_any`] reads back.
    pub fn to_texts(&self) -> Vec<String> {
        self.alternatives
            .iter()
            .map(|terms| terms.iter().map(Term::to_string).collect::<Vec<_>>().join(","))
            .collect()
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse_any(&[text])
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_texts().join(" or "))
    }
}

impl Term {
    fn matches(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Self::All => true,
            Self::Glob(pattern) => glob_matches(pattern.as_bytes(), name.as_bytes()),
            Self::Equals(key, pattern) => labels
                .get(key)
                .is_some_and(|value| glob_matches(pattern.as_bytes(), value.as_bytes())),
            Self::Differs(key, pattern) => !labels
                .get(key)
                .is_some_and(|value| glob_matches(pattern.as_bytes(), value.as_bytes())),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Glob(pattern) => f.write_str(pattern),
            Self::Equals(key, value) => write!(f, "{key}={value}"),
            Self::Differs(key, value) => write!(f, "{key}!={value}"),
        }
    }
}

fn parse_terms(text: &str) -> Result<Vec<Term>, SelectorError> {
    let wrong = || SelectorError(text.to_owned());
    let plain = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'*' | b'?'))
    };
    text.split(',')
        .map(|part| {
            let part = part.trim();
            if part == "all" {
                return Ok(Term::All);
            }
            let term = if let Some((key, value)) = part.split_once("!=") {
                Term::Differs(key.to_owned(), value.to_owned())
            } else if let Some((key, value)) = part.split_once('=') {
                Term::Equals(key.to_owned(), value.to_owned())
            } else {
                Term::Glob(part.to_owned())
            };
            let fits = match &term {
                Term::All => true,
                Term::Glob(pattern) => !pattern.is_empty() && plain(pattern),
                Term::Equals(key, value) | Term::Differs(key, value) => {
                    !key.is_empty() && plain(key) && plain(value)
                }
            };
            if fits { Ok(term) } else { Err(wrong()) }
        })
        .collect()
}

/// `*` is any run of characters, `?` exactly one. Linear in the name for each star: no back-tracking blow-up.
pub(crate) fn glob_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((star_at, star_seen)) => {
                    star = Some((star_at, star_seen + 1));
                    at = star_at + 1;
                    seen = star_seen + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn commas_are_and_repetition_is_or() {
        let eu = labels(&[("region", "eu"), ("tier", "prod")]);
        let test = labels(&[("region", "eu"), ("tier", "test")]);
        let selector = Selector::parse_any(&["region=eu,tier!=test", "nyc-*"]).expect("selector");
        assert!(selector.matches("fra-1", &eu));
        assert!(!selector.matches("fra-2", &test));
        assert!(selector.matches("nyc-7", &test));
        assert!(!selector.matches("lon-1", &labels(&[])));
    }

    #[test]
    fn globs_match_whole_names() {
        assert!(
            "f?a-*"
                .parse::<Selector>()
                .expect("glob")
                .matches("fra-12", &labels(&[]))
        );
        assert!(
            !"fra"
                .parse::<Selector>()
                .expect("glob")
                .matches("fra-1", &labels(&[]))
        );
        assert!(
            "*a*b*"
                .parse::<Selector>()
                .expect("glob")
                .matches("xxaxxbxx", &labels(&[]))
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", ",", "=eu", "fra 1", "a,,b", "name[1]"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn text_and_selector_round_trip() {
        let selector = Selector::parse_any(&["region=eu,tier!=test", "all", "fra-*"]).expect("selector");
        assert_eq!(Selector::parse_any(&selector.to_texts()), Ok(selector));
    }
}
