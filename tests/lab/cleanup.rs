//! Nothing of a lab stays behind.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parallax_tests::host;
use parallax_tests::lab::Lab;
use parallax_tests::site::Site;
use parallax_tests::wait;

#[test]
fn dropping_a_site_ends_its_namespaces_its_programs_and_its_files() {
    if !host::lab_can_run() {
        return;
    }
    let site = Site::new(&["edge-one", "edge-two"]).unwrap();
    let (networks, directory) = traces(&site.lab);
    assert_eq!(networks.len(), 9);
    assert!(in_use(&networks));
    drop(site);
    assert_gone(&networks, &directory);
}

#[test]
fn a_panic_ends_them_too() {
    if !host::lab_can_run() {
        return;
    }
    let mut left = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let site = Site::new(&["edge-one"]).unwrap();
        left = Some(traces(&site.lab));
        panic!("as a failed test does");
    }));
    assert!(panicked.is_err());
    let (networks, directory) = left.unwrap();
    assert_gone(&networks, &directory);
}

fn traces(lab: &Lab) -> (BTreeSet<u64>, PathBuf) {
    let inode = || std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    (
        lab.namespaces().map(|namespace| namespace.run(inode)).collect(),
        lab.directory().to_owned(),
    )
}

fn assert_gone(networks: &BTreeSet<u64>, directory: &Path) {
    let left = || Ok((!in_use(networks)).then_some(()));
    wait::until("end of all namespaces", Duration::from_secs(5), left).unwrap();
    assert!(!directory.exists());
}

/// Whether any thread of any process is still in one of these networks.
fn in_use(networks: &BTreeSet<u64>) -> bool {
    let numbered = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    numbered(Path::new("/proc"))
        .flat_map(|process| numbered(&process.path().join("task")))
        .filter_map(|thread| std::fs::metadata(thread.path().join("ns/net")).ok())
        .any(|network| networks.contains(&network.ino()))
}
