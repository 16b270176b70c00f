//! The wall clock of one program, set forward and back while it runs. Its monotonic clock goes on as ever.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where Debian's `libfaketime` has its library, by architecture.
const LIBRARIES: &str = "/usr/lib";

/// A clock that can be set.
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// One that goes right, in this directory.
    ///
    /// Fails where Debian's package `faketime` is not installed.
    pub fn new(directory: &Path) -> Result<Self> {
        let library = library().context("libfaketimeMT.so.1 is missing: install faketime")?;
        let clock = Self {
            file: directory.join("clock"),
            library,
        };
        clock.set("+0")?;
        Ok(clock)
    }

    /// Sets it so far from the right time, such as `+2h` or `-30m`.
    pub fn set(&self, offset: &str) -> Result<()> {
        Ok(fs::write(&self.file, format!("{offset}\n"))?)
    }

    /// What a program needs in its environment to have this clock.
    pub fn variables(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file)),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

fn library() -> Option<PathBuf> {
    let architectures = fs::read_dir(LIBRARIES).ok()?.flatten();
    let mut libraries = architectures.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists())
}
