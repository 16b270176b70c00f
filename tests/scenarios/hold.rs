//! A session that is kept open.

use crate::{HEALTHY, PARTIAL, all_but, everyone, world};

const HOLD: [&str; 4] = ["--depth", "greeting", "--hold", "6s"];
const CUT: &str = "edge-ams";

#[test]
fn a_quiet_session_that_lives_as_long_as_it_is_held_is_healthy() {
    let Some(world) = world() else { return };
    let document = world.probe(&HOLD).unwrap().expect_status(HEALTHY).document();
    assert_eq!(document.with_outcome("ok"), everyone(), "{document}");
    for vantage in document.vantages() {
        assert!(!vantage.evidence_of("hold").is_empty(), "{document}");
    }
}

#[test]
fn a_path_that_forgets_quiet_connections_is_found_and_its_patience_is_bracketed() {
    let Some(mut world) = world() else { return };
    world.inject(&format!("idle_cut@{CUT}")).unwrap();
    let document = world.probe(&HOLD).unwrap().expect_status(PARTIAL).document();
    assert_eq!(document.with_outcome("ok"), all_but(CUT), "{document}");
    let finding = document.finding("idle_timeout_in_path");
    assert_eq!(finding.affected(), [CUT], "{document}");
    assert_eq!(finding.unaffected(), all_but(CUT), "{document}");
    assert!(!finding.next_steps().is_empty(), "{document}");
    let because = finding.because();
    assert!(because.contains("1.") || because.contains("2."), "{document}");
}
