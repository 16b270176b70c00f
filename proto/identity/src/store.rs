//! Files that must be whole or absent, most of which hold secrets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The owner alone: mode 0600.
    Owner,
    /// Everybody: mode 0644.
    All,
}

/// Writes a file so that a reader, also one after a crash, sees the old content or the new, never a part.
pub fn write_whole(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    let written = write_draft(&draft, content, readers).and_then(|()| rename(&draft, path));
    if written.is_err() {
        // A draft left behind could hold a key; that it can not be removed is no news beside the first error.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Renames a file so that the new name is still there after a crash.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

/// Makes a directory for the owner only, with those above it; one that exists is left as it is.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// A file's content, or none if there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// [`read`] for a secret: one that others could read is made the owner's, and that is said.
pub(crate) fn read_secret(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let content = read(path)?;
    #[cfg(unix)]
    if content.is_some() {
        use std::os::unix::fs::PermissionsExt as _;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "this secret was readable by others; its mode is 0600 now");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(content)
}

/// Waits for the only right to write in a place; it ends when the file is dropped.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    file.lock()?;
    Ok(file)
}

fn write_draft(draft: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(match readers {
            Readers::Owner => 0o600,
            Readers::All => 0o644,
        });
    }
    let mut file = options.open(draft)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_secret_is_for_its_owner_from_its_first_byte_and_leaves_no_draft() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write_whole(&path, b"old", Readers::Owner).unwrap();
        write_whole(&path, b"new", Readers::Owner).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(directory.path()), ["key.pem"]);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content_and_no_draft() {
        let directory = tempfile::tempdir().unwrap();
        let taken = directory.path().join("taken");
        fs::create_dir_all(taken.join("below")).unwrap();
        assert!(write_whole(&taken, b"secret", Readers::Owner).is_err());
        assert_eq!(names(directory.path()), ["taken"]);
    }

    #[test]
    fn a_secret_that_others_could_read_is_made_the_owners() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write_whole(&path, b"key", Readers::All).unwrap();
        assert_eq!(read_secret(&path).unwrap().unwrap(), b"key");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_secret(&directory.path().join("absent")).unwrap(), None);
    }
}
