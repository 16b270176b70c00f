use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parallax_model::check::Chain;

use crate::spool::SpoolLimits;
use crate::spool::disk::Disk;
use crate::spool::tests::scratch;

const LIMITS: SpoolLimits = SpoolLimits {
    max_bytes: 1 << 20,
    max_age: Duration::from_secs(3600),
};

fn open(dir: &Path) -> Disk {
    Disk::open(dir, LIMITS).unwrap()
}

fn result(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![b'.'; size];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn number(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().unwrap())
}

/// Writes so many results, each as large.
fn fill(disk: &mut Disk, chain: Chain, numbers: std::ops::Range<u64>, size: usize) {
    for number in numbers {
        disk.append(chain, &result(number, size), 0);
    }
    disk.sync();
}

fn all(disk: &mut Disk, chain: Chain) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut after = 0;
    loop {
        let read = disk.read_after(chain, after, 10_000);
        let Some((last, _)) = read.last() else {
            return numbers;
        };
        after = *last;
        numbers.extend(read.iter().map(|(_, payload)| number(payload)));
    }
}

fn segments(dir: &Path, letter: char) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&format!("{letter}-"))
        })
        .collect();
    paths.sort();
    paths
}

#[test]
fn cut_at_any_byte_it_opens_and_has_every_whole_record() {
    let dir = scratch();
    let mut disk = open(dir.path());
    fill(&mut disk, Chain::Failures, 0..8, 40);
    let epoch = disk.epoch();
    drop(disk);
    let file = segments(dir.path(), 'f').remove(0);
    let whole = fs::read(&file).unwrap();
    let record = (whole.len() - 8) / 8;
    let counters = fs::read(dir.path().join("counters")).unwrap();
    for cut in 0..whole.len() {
        for old in segments(dir.path(), 'f') {
            fs::remove_file(old).unwrap();
        }
        fs::write(&file, &whole[..cut]).unwrap();
        fs::write(dir.path().join("counters"), &counters).unwrap();
        let mut disk = open(dir.path());
        let there = (cut.saturating_sub(8) / record) as u64;
        assert_eq!(
            all(&mut disk, Chain::Failures),
            (0..there).collect::<Vec<_>>(),
            "cut at {cut}"
        );
        let state = disk.state();
        assert_eq!(
            (state.made, state.waiting, state.dropped),
            (8, there, 8 - there),
            "cut at {cut}"
        );
        fill(&mut disk, Chain::Failures, 8..9, 40);
        drop(disk);
        let mut disk = open(dir.path());
        assert_eq!(all(&mut disk, Chain::Failures).last(), Some(&8), "cut at {cut}");
        assert_eq!(disk.epoch(), epoch);
    }
}

#[test]
fn a_flipped_bit_costs_a_segment_at_most() {
    let dir = scratch();
    let mut disk = open(dir.path());
    fill(&mut disk, Chain::Failures, 0..900, 1000);
    let epoch = disk.epoch();
    drop(disk);
    let files = segments(dir.path(), 'f');
    assert!(files.len() >= 6, "{}", files.len());
    for flipped in [0, 20_000, 60_000] {
        let mut bytes = fs::read(&files[2]).unwrap();
        bytes[flipped] ^= 4;
        fs::write(&files[2], bytes).unwrap();
    }
    let mut disk = open(dir.path());
    let there = all(&mut disk, Chain::Failures);
    assert!(there.is_sorted() && there.len() > 900 - 140, "{}", there.len());
    let state = disk.state();
    assert_eq!(state.made, 900);
    assert_eq!(state.waiting + state.dropped, 900);
    assert_eq!(state.waiting, there.len() as u64);
    assert_eq!(disk.epoch(), epoch);
}

#[test]
fn a_bit_that_flips_while_it_runs_is_counted_too() {
    let dir = scratch();
    let mut disk = open(dir.path());
    fill(&mut disk, Chain::Successes, 0..300, 1000);
    let file = segments(dir.path(), 's').remove(1);
    let mut bytes = fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let there = all(&mut disk, Chain::Successes).len() as u64;
    assert!((170..300).contains(&there), "{there}");
    let state = disk.state();
    assert_eq!((state.waiting, state.waiting + state.dropped), (there, 300));
    fill(&mut disk, Chain::Successes, 300..301, 1000);
    assert_eq!(all(&mut disk, Chain::Successes).last(), Some(&300));
}

#[test]
fn acknowledged_ones_do_not_come_back() {
    let dir = scratch();
    let mut disk = open(dir.path());
    fill(&mut disk, Chain::Failures, 0..500, 1000);
    assert_eq!(all(&mut disk, Chain::Failures).len(), 500);
    let epoch = disk.epoch();
    disk.kept(epoch, Chain::Failures, 401);
    let before = segments(dir.path(), 'f').len();
    assert!(before <= 2, "{before} files");
    drop(disk);
    let mut disk = open(dir.path());
    assert_eq!(all(&mut disk, Chain::Failures), (401..500).collect::<Vec<_>>());
    assert_eq!(disk.state().waiting, 99);
    disk.kept(epoch, Chain::Failures, 500);
    drop(disk);
    let mut disk = open(dir.path());
    assert!(all(&mut disk, Chain::Failures).is_empty());
    fill(&mut disk, Chain::Failures, 500..501, 1000);
    assert_eq!(
        disk.read_after(Chain::Failures, 0, 10)[0].0,
        501,
        "no sequence is given twice"
    );
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_takes_nothing() {
    let dir = scratch();
    let mut disk = open(dir.path());
    let epoch = disk.epoch();
    fill(&mut disk, Chain::Failures, 0..5, 100);
    disk.kept(epoch, Chain::Failures, u64::MAX);
    assert_eq!(disk.state().waiting, 5);
    disk.kept(uuid::Uuid::nil(), Chain::Failures, 5);
    assert_eq!(disk.state().waiting, 5);
}

#[test]
fn oldest_successes_go_first_and_failures_stay() {
    let dir = scratch();
    let mut disk = open(dir.path());
    fill(&mut disk, Chain::Failures, 0..300, 1000);
    fill(&mut disk, Chain::Successes, 0..2000, 1000);
    let failures = all(&mut disk, Chain::Failures);
    assert_eq!(failures, (0..300).collect::<Vec<_>>());
    let successes = all(&mut disk, Chain::Successes);
    assert_eq!(successes.last(), Some(&1999));
    assert!(
        successes.len() > 400 && successes.is_sorted(),
        "{}",
        successes.len()
    );
    let state = disk.state();
    assert!(state.bytes <= LIMITS.max_bytes, "{}", state.bytes);
    assert_eq!(
        (state.made, state.waiting + state.dropped, state.dropped_failures),
        (2300, 2300, 0)
    );

    fill(&mut disk, Chain::Failures, 300..2000, 1000);
    assert!(all(&mut disk, Chain::Successes).is_empty());
    assert_eq!(all(&mut disk, Chain::Failures).last(), Some(&1999));
    assert!(disk.state().dropped_failures > 0);
    fill(&mut disk, Chain::Successes, 2000..2010, 1000);
    let state = disk.state();
    assert_eq!((state.made, state.waiting + state.dropped), (4010, 4010));
    assert!(state.bytes <= LIMITS.max_bytes, "{}", state.bytes);
}

#[test]
fn what_is_too_old_goes_and_is_counted() {
    let dir = scratch();
    let mut disk = open(dir.path());
    fill(&mut disk, Chain::Failures, 0..200, 1000);
    let hour = 3_600_000_000;
    disk.append(Chain::Failures, &result(200, 1000), hour);
    disk.sync();
    assert_eq!(disk.state().dropped, 0);
    disk.append(Chain::Failures, &result(201, 1000), 2 * hour);
    disk.sync();
    let state = disk.state();
    assert!(state.dropped >= 100, "{state:?}");
    assert_eq!((state.made, state.waiting + state.dropped), (202, 202));
}

#[test]
fn a_mark_ahead_begins_a_new_epoch_and_nothing_that_waits_is_lost() {
    let dir = scratch();
    let backup = scratch();
    let mut disk = open(dir.path());
    let epoch = disk.epoch();
    fill(&mut disk, Chain::Failures, 0..10, 100);
    drop(disk);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, backup.path().join(path.file_name().unwrap())).unwrap();
    }
    let mut restored = open(backup.path());
    // More than the collector has of the spool that was: only what was sent tells them apart.
    fill(&mut restored, Chain::Failures, 10..50, 100);
    assert!(restored.resume(epoch, [20, 0]));
    assert_ne!(restored.epoch(), epoch);
    assert_eq!(all(&mut restored, Chain::Failures), (0..50).collect::<Vec<_>>());
    let state = restored.state();
    assert_eq!((state.made, state.waiting, state.dropped), (50, 50, 0));
    let second = restored.epoch();
    drop(restored);
    let mut restored = open(backup.path());
    assert_eq!(restored.epoch(), second);
    assert!(!restored.resume(second, [50, 0]));
    assert_eq!(restored.state().waiting, 0);
}

#[test]
fn without_its_counters_it_begins_a_new_epoch_with_what_is_there() {
    let dir = scratch();
    let mut disk = open(dir.path());
    let epoch = disk.epoch();
    fill(&mut disk, Chain::Successes, 0..10, 100);
    drop(disk);
    fs::remove_file(dir.path().join("counters")).unwrap();
    let mut disk = open(dir.path());
    assert_ne!(disk.epoch(), epoch);
    assert_eq!(all(&mut disk, Chain::Successes).len(), 10);
    let state = disk.state();
    assert_eq!((state.made, state.waiting, state.dropped), (10, 10, 0));
}

#[test]
fn one_directory_is_one_process() {
    let dir = scratch();
    let held = open(dir.path());
    let error = Disk::open(dir.path(), LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "another agent uses this state directory");
    drop(held);
    open(dir.path());
}

#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = scratch();
    let spool = dir.path().join("spool");
    let mut disk = open(&spool);
    fill(&mut disk, Chain::Failures, 0..1, 100);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&spool), 0o700);
    for file in ["counters", "f-0000000000000001.seg"] {
        assert_eq!(mode(&spool.join(file)), 0o600, "{file}");
    }
}

/// Needs root, or a user namespace, for a file system of its own.
#[test]
fn on_a_full_disk_the_counter_still_counts() {
    let Some(small) = Tmpfs::mount("1m") else {
        return;
    };
    let dir = small.0.path().join("spool");
    let limits = SpoolLimits {
        max_bytes: 64 << 20,
        ..LIMITS
    };
    let mut disk = Disk::open(&dir, limits).unwrap();
    fill(&mut disk, Chain::Failures, 0..100, 1000);
    fill(&mut disk, Chain::Successes, 0..2000, 1000);
    fill(&mut disk, Chain::Failures, 100..2000, 1000);
    let _ = fs::write(small.0.path().join("everything"), vec![1; 2 << 20]);
    fill(&mut disk, Chain::Successes, 2000..2100, 1000);
    let state = disk.state();
    assert_eq!((state.made, state.waiting + state.dropped), (4100, 4100));
    assert!(state.waiting > 300 && state.dropped > 1000, "{state:?}");
    drop(disk);
    let mut disk = Disk::open(&dir, limits).unwrap();
    let again = disk.state();
    assert_eq!(
        (again.made, again.waiting, again.dropped),
        (state.made, state.waiting, state.dropped)
    );
    assert_eq!(all(&mut disk, Chain::Failures).len() as u64, state.waiting);
    fs::remove_file(small.0.path().join("everything")).unwrap();
    fill(&mut disk, Chain::Failures, 2000..2001, 1000);
    assert_eq!(all(&mut disk, Chain::Failures).last(), Some(&2000));
}

/// A small file system, unmounted on drop.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        let required = std::env::var("PARALLAX_LAB").is_ok_and(|value| value == "required");
        assert!(!required, "a file system can't be mounted here");
        None
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
    }
}
