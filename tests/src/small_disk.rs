//! A small file system in the place of an agent's state directory, which can be filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};

use crate::host;
use crate::namespace::Namespace;

/// Mounts one at `directory`, for those inside `namespace`; what was there is there.
pub fn mount_at(namespace: &Namespace, directory: &Path, size: &str) -> Result<()> {
    let (directory, size) = (directory.to_owned(), format!("size={size},mode=0700"));
    let before = directory.with_extension("before");
    namespace.run(move || {
        copy(&directory, &before)?;
        let none = MsFlags::empty();
        mount(
            Some("tmpfs"),
            &directory,
            Some("tmpfs"),
            none,
            Some(size.as_str()),
        )
        .context("mount a small file system")?;
        copy(&before.join("."), &directory)
    })
}

/// Takes all the room that is left.
pub fn fill(namespace: &Namespace, directory: &Path) -> Result<()> {
    let file = filler(directory);
    namespace.run(move || {
        use std::io::Write as _;
        let mut file = fs::File::options().create(true).append(true).open(file)?;
        while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
        Ok(())
    })
}

/// Gives it back.
pub fn empty(namespace: &Namespace, directory: &Path) -> Result<()> {
    let file = filler(directory);
    namespace.run(move || match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    })
}

fn filler(directory: &Path) -> PathBuf {
    directory.join("everything-else")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp")
        .arg("-a")
        .args([from, to])
        .env("PATH", host::path())
        .status()?;
    ensure!(status.success(), "copy {}", from.display());
    Ok(())
}
