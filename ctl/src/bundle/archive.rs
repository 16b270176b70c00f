//! Files as the bytes of a `.tar.gz` that depend on nothing else.

use std::io;

use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use tar::{Builder, EntryType, Header};

use super::Entry;

/// The files in one folder, all of one age and nobody's in particular.
pub(super) fn made_at(time: Timestamp, folder: &str, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let seconds = u64::try_from(time.as_second()).unwrap_or_default();
    // Neither a time nor a system in gzip's own header (RFC 1952 section 2.3.1; 255: unknown).
    let packed = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::default());
    let mut tar = Builder::new(packed);
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(seconds);
        header.set_size(entry.bytes.len() as u64);
        tar.append_data(
            &mut header,
            format!("{folder}/{}", entry.path),
            entry.bytes.as_slice(),
        )?;
    }
    tar.into_inner()?.finish()
}
