//! The state directory: one agent at a time lives in it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an agent that is about to end is waited for.
const TO_END: Duration = Duration::from_secs(1);
/// What is locked, and by whom: proc_locks(5).
const LOCKS: &str = "/proc/locks";

/// Another agent lives in the state directory.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is in use by another agent{}: give every agent a state directory of its own (--state-dir)",
    dir.display(),
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
)]
pub struct InUse {
    /// The directory.
    pub dir: PathBuf,
    /// The other's process, if the system tells.
    pub pid: Option<u32>,
}

/// Claims the directory for this agent until the file is dropped or the process ends; it is made if there is none, and
/// nothing is written into it. `None` where the file system knows no locks on directories.
pub(crate) fn claim(dir: &Path) -> Result<Option<File>, InUse> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    let Ok(claimed) = made.and_then(|()| File::open(dir)) else {
        // Whoever needs the directory says what is wrong with it.
        return Ok(None);
    };
    let until = Instant::now() + TO_END;
    loop {
        match claimed.try_lock() {
            Ok(()) => return Ok(Some(claimed)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(TO_END / 20),
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &claimed)),
            Err(TryLockError::Error(error)) => {
                tracing::debug!(dir = %dir.display(), %error, "the state directory can't be locked");
                return Ok(None);
            }
        }
    }
}

fn in_use(dir: &Path, claimed: &File) -> InUse {
    let pid = claimed.metadata().and_then(|claimed| {
        let locks = std::fs::read_to_string(LOCKS)?;
        Ok::<_, io::Error>(holder(&locks, claimed.ino()))
    });
    InUse {
        dir: dir.to_owned(),
        pid: pid.ok().flatten(),
    }
}

/// The process that has locked this file as a whole. The device is not compared: what is written of it differs between
/// file systems.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    let inode = inode.to_string();
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, "WRITE", pid, place, ..] if place.rsplit(':').next() == Some(&inode) => {
                pid.parse().ok()
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_of_the_first_and_nothing_is_written() {
        let above = tempfile::tempdir().unwrap();
        let dir = above.path().join("state");
        let first = claim(&dir).unwrap().unwrap();
        let refused = claim(&dir).unwrap_err();
        assert_eq!(refused.pid, Some(std::process::id()), "{refused}");
        let said = refused.to_string();
        let expected = format!("{} is in use by another agent (process ", dir.display());
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        drop(first);
        assert!(claim(&dir).unwrap().is_some());
    }

    #[test]
    fn the_holder_of_a_lock_is_the_one_of_that_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 fe:00:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 11 fe:00:78 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 12 fe:00:77 0 EOF\n3: FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF\n";
        assert_eq!(holder(locks, 77), Some(13));
        assert_eq!(holder(locks, 7), None);
    }
}
