//! How the command ends: the status a script sees, and one line that says why.

use std::fmt::Display;

use crate::render::words;

/// Could not tell: no agent, no collector, a command line that can't be read.
pub(crate) const UNKNOWN: u8 = 3;

/// What ended the command early, in one line, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    what: String,
    hint: Option<String>,
}

impl Trouble {
    /// Something that went wrong.
    pub(crate) fn new(what: impl Display) -> Self {
        Self {
            what: what.to_string(),
            hint: None,
        }
    }

    /// And what to do about it.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same with its place before it.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// As printed on standard error. The words may be a server's.
    pub(crate) fn lines(&self) -> String {
        let line = |label: &str, text: &str| format!("{label}: {}\n", words::safe(text));
        let hint = self.hint.as_deref().map(|hint| line("hint", hint));
        line("error", &self.what) + &hint.unwrap_or_default()
    }
}

/// An error with everything behind it, in one line.
impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !what.contains(&text) {
                what.push_str(": ");
                what.push_str(&text);
            }
            cause = inner.source();
        }
        Self::new(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_one_line_and_a_hint_whatever_a_server_says() {
        let trouble = Trouble::new("refused: bad\ntoken\x1b[31m").hint("make a new one");
        assert_eq!(
            trouble.lines(),
            "error: refused: bad\\x0atoken\\x1b[31m\nhint: make a new one\n"
        );
    }
}
