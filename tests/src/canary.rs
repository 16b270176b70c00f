//! A secret that must be nowhere, and where it is looked for.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::read::GzDecoder;
use memchr::memmem::Finder;

/// Memory is read in pieces of this size, each with the end of the one before.
const PIECE: usize = 1 << 20;

/// A secret and every form in which it could be written.
pub struct Canary {
    forms: Vec<(String, Finder<'static>)>,
    longest: usize,
}

impl Canary {
    /// A secret, long enough to be nowhere by chance.
    pub fn of(secret: &str) -> Self {
        let mut forms = vec![("in clear".to_owned(), secret.as_bytes().to_vec())];
        // Wherever it stands in what is encoded, one of the three has its middle.
        for before in 0..3 {
            let shifted = [&vec![0; before], secret.as_bytes()].concat();
            let encoded = STANDARD_NO_PAD.encode(&shifted);
            let middle = &encoded.as_bytes()[4..encoded.len() - 4];
            forms.push((format!("in base64 after {before} bytes"), middle.to_vec()));
        }
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.push(("in hexadecimal".to_owned(), hex.to_ascii_uppercase().into_bytes()));
        forms.push(("in hexadecimal".to_owned(), hex.into_bytes()));
        let listed = secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>();
        forms.push(("as a list of bytes".to_owned(), listed.join(", ").into_bytes()));
        let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        forms.push(("in UTF-16".to_owned(), wide));
        let longest = forms.iter().map(|(_, form)| form.len()).max().unwrap_or(1);
        let forms = forms
            .into_iter()
            .map(|(name, form)| (name, Finder::new(&form).into_owned()))
            .collect();
        Self { forms, longest }
    }

    /// The form in which it is among these bytes, if it is.
    pub fn within(&self, bytes: &[u8]) -> Option<&str> {
        let found = |(_, form): &&(String, Finder<'_>)| form.find(bytes).is_some();
        self.forms.iter().find(found).map(|(name, _)| name.as_str())
    }

    /// Where it is in the files below a directory, compressed ones read as well; but for those that are to have it.
    pub fn below(&self, directory: &Path, exempt: &impl Fn(&Path) -> bool) -> Result<Vec<String>> {
        let mut places = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if exempt(&path) || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                places.extend(self.below(&path, exempt)?);
            } else if path.is_file() {
                places.extend(self.in_file(&path)?);
            }
        }
        Ok(places)
    }

    fn in_file(&self, path: &Path) -> Result<Option<String>> {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let mut unpacked = Vec::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
        }
        let form = self.within(&bytes).or_else(|| self.within(&unpacked));
        Ok(form.map(|form| format!("{}, {form}", path.display())))
    }

    /// The form in which it is in what a process can write to, if it is.
    pub fn in_memory_of(&self, process: u32) -> Result<Option<&str>> {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
        let memory = File::open(format!("/proc/{process}/mem"))?;
        for region in maps.lines().filter_map(writable) {
            if let Some(form) = self.in_region(&memory, region) {
                return Ok(Some(form));
            }
        }
        Ok(None)
    }

    /// A region may go while it is read.
    fn in_region(&self, memory: &File, (start, end): (u64, u64)) -> Option<&str> {
        let mut piece = vec![0; PIECE + self.longest];
        let mut at = start;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(piece.len());
            let read = memory.read_at(&mut piece[..wanted], at).unwrap_or(0);
            if let Some(form) = self.within(&piece[..read]) {
                return Some(form);
            }
            at += PIECE as u64;
        }
        None
    }
}

/// A line of proc_pid_maps(5).
fn writable(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split(' ');
    let (start, end) = words.next()?.split_once('-')?;
    if !words.next()?.starts_with("rw") {
        return None;
    }
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    const SECRET: &str = "cnry-5f2b8c1d7e";

    #[test]
    fn the_canary_is_found_however_it_is_written() {
        let canary = Canary::of(SECRET);
        assert_eq!(canary.within(b"nothing of it"), None);
        for before in ["", "\0anna\0", "\0bo\0", "x", "u=p&"] {
            let sent = STANDARD.encode(format!("{before}{SECRET}"));
            assert!(canary.within(sent.as_bytes()).is_some(), "{sent}");
        }
        assert!(
            canary
                .within(format!("{:?}", SECRET.as_bytes()).as_bytes())
                .is_some()
        );
        assert!(canary.within(b"x cnry-5f2b8c1d7e y").is_some());
    }

    #[test]
    fn the_canary_is_found_in_a_compressed_file_and_in_memory() {
        use std::io::Write as _;
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("a.tar.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packed.write_all(SECRET.as_bytes()).unwrap();
        packed.finish().unwrap();
        let canary = Canary::of(SECRET);
        assert_eq!(canary.below(directory.path(), &|_| false).unwrap().len(), 1);
        assert!(canary.below(directory.path(), &|_| true).unwrap().is_empty());
        let kept = std::hint::black_box(SECRET.to_owned());
        assert!(
            canary.in_memory_of(std::process::id()).unwrap().is_some(),
            "{kept}"
        );
    }
}
