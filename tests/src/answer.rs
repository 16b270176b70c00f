//! What a program answered: what it printed, how it exited, how long it took.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::document::Document;

/// A program that has ended.
pub struct Answer {
    /// The command line.
    pub command: String,
    /// Its exit status, or nothing if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Answer {
    /// The one JSON value on standard output. Panics, with everything printed, if there is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{self}"))
    }

    /// The run document on standard output. Panics, with everything printed, if there is none.
    pub fn document(&self) -> Document {
        Document::new(self.json())
    }

    /// Panics, with everything printed, unless the program exited with `status`.
    pub fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self}");
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            status,
            stdout,
            stderr,
            took,
        } = self;
        writeln!(f, "$ {command}\nexit status {status:?} after {took:?}")?;
        writeln!(f, "--- standard output\n{stdout}\n--- standard error\n{stderr}")
    }
}
