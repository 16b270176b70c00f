use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::routine::tests::{assignment, update};

fn loaded(dir: &tempfile::TempDir) -> Checks {
    Checks::load(dir.path()).unwrap()
}

fn names(checks: &Checks) -> Vec<String> {
    checks
        .tasks()
        .map(|task| task.assignment.name.to_string())
        .collect()
}

#[test]
fn a_full_set_removes_and_a_delta_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut checks = loaded(&dir);
    let (one, two, three) = (assignment(1), assignment(2), assignment(3));
    assert!(checks.apply(update(true, [&one, &two])).is_empty());
    checks.apply(update(false, [&three]));
    assert_eq!(names(&checks), ["check-1", "check-2", "check-3"]);
    let mut removal = update(false, []);
    removal.removed = vec![two.check_id.clone()];
    checks.apply(removal);
    assert_eq!(names(&checks), ["check-1", "check-3"]);
    checks.apply(update(true, [&two]));
    assert_eq!(names(&checks), ["check-2"]);
    assert_eq!(checks.sum(), two.digest);
}

#[test]
fn what_was_taken_is_there_in_the_next_process_and_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (assignment(1), assignment(2));
    loaded(&dir).apply(update(true, [&one, &two]));
    let again = loaded(&dir);
    assert_eq!(names(&again), ["check-1", "check-2"]);
    assert_eq!(again.sum(), one.digest ^ two.digest);
    let told: Vec<_> = again.known().iter().map(|known| known.digest).collect();
    assert_eq!(told, [one.digest, two.digest]);
    let mode = std::fs::metadata(dir.path().join(FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_torn_file_is_left_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    loaded(&dir).apply(update(true, [&assignment(1)]));
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
    for torn in cuts.chain([flipped, [whole.as_slice(), &[0]].concat()]) {
        std::fs::write(&path, &torn).unwrap();
        let checks = loaded(&dir);
        assert_eq!(checks.len(), 0, "{} of {} bytes", torn.len(), whole.len());
        assert!(!path.exists(), "it does not stand in the way");
        assert_eq!(std::fs::read(path.with_extension("pb.damaged")).unwrap(), torn);
    }
}

#[test]
fn one_unknown_depth_is_a_problem_and_the_others_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut checks = loaded(&dir);
    let mut abyss = assignment(1);
    abyss.spec.as_mut().unwrap().depth = "abyss".into();
    let mut nothing = assignment(2);
    nothing.spec = None;
    let mut nobody = assignment(3);
    nobody.check_id = vec![1; 3];
    let told = checks.apply(update(true, [&abyss, &nothing, &nobody, &assignment(4)]));
    assert_eq!(names(&checks), ["check-4"]);
    assert_eq!(told.len(), 1, "{told:?}");
    let problems = checks.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("check-1: ") && problems[0].contains("abyss"),
        "{problems:?}"
    );
    assert_eq!(checks.len(), 3, "it is not sent again and again");
}

#[test]
fn checks_that_can_not_be_kept_run_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let mut checks = Checks::load(&gone).unwrap();
    let problems = checks.apply(update(true, [&assignment(1)]));
    assert!(problems[0].contains("lost at a restart"), "{problems:?}");
    assert_eq!(names(&checks), ["check-1"]);
}

#[test]
fn a_check_that_was_told_with_more_than_is_understood_is_not_said_to_be_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut checks = loaded(&dir);
    let mut newer = assignment(1);
    newer.digest ^= 1;
    checks.apply(update(true, [&newer]));
    assert_ne!(checks.known()[0].digest, newer.digest);
    assert_eq!(checks.sum(), newer.digest, "of the connection that told it");
}
