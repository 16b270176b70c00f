//! What an earlier process left, as it is found.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::spool::segment::Segment;
use crate::spool::tally::Tally;

/// Reads the files of one chain. What was counted last may be older than they are, never newer.
pub(super) fn recover(
    dir: &Path,
    letter: char,
    counted: Option<Tally>,
) -> io::Result<(Tally, VecDeque<Segment>)> {
    let mut tally = counted.clone().unwrap_or_default();
    let mut segments: VecDeque<Segment> = VecDeque::new();
    for (first, path) in files(dir, letter)? {
        let behind = segments.back().map_or(1, Segment::next);
        let recovered = Segment::recover(path.clone(), first)?;
        if recovered.damaged {
            tracing::warn!(file = %path.display(), "the end of a file of results can't be read; it is cut off");
        }
        match recovered.segment {
            Some(segment) if first >= behind && segment.next() > tally.through + 1 => {
                segments.push_back(segment)
            }
            _ => fs::remove_file(&path)?,
        }
    }
    if let (None, Some(oldest)) = (counted, segments.front()) {
        tally.through = oldest.first() - 1;
        tally.base = tally.through;
    }
    tally.next = tally.next.max(segments.back().map_or(1, Segment::next));
    let found: u64 = segments
        .iter()
        .map(|segment| segment.count_after(tally.through))
        .sum();
    let lost = tally.waiting().saturating_sub(found);
    if lost > 0 {
        tracing::warn!(
            results = lost,
            "results in the spool can't be read; they are counted as dropped"
        );
        tally.lost(lost);
    }
    Ok((tally, segments))
}

/// The files of a chain and the sequence of the first result of each, ascending.
fn files(dir: &Path, letter: char) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_prefix(letter)?.strip_prefix('-')?.strip_suffix(".seg"));
        let first = first.and_then(|first| u64::from_str_radix(first, 16).ok());
        files.extend(
            first
                .filter(|first| *first > 0)
                .map(|first| (first, entry.path())),
        );
    }
    files.sort_unstable();
    Ok(files)
}
