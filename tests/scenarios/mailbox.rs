//! The user is let in, and her mailboxes are not as they should be.

use parallax_tests::answer::Answer;
use parallax_tests::dovecot::{PASSWORD, USER};
use parallax_tests::site::TARGET;
use parallax_tests::world::World;

use crate::{HEALTHY, everyone, world};

#[test]
fn a_full_mailbox_is_told_before_mail_is_refused_and_is_why_it_is_refused() {
    let Some(mut world) = world() else { return };
    logged_in(&world, &["all", "--depth", "mailbox"]).expect_status(HEALTHY);
    world.inject("quota_full@mail").unwrap();

    let document = logged_in(&world, &["all", "--depth", "mailbox"]).document();
    let finding = document.finding("over_quota");
    assert_eq!(finding.affected(), everyone(), "{document}");

    let answer = logged_in(&world, &["edge-ams", "--depth", "sync"]);
    let document = answer.document();
    assert_ne!(answer.status, Some(HEALTHY), "{answer}");
    let finding = document.first_finding();
    assert_eq!(finding.kind(), "over_quota", "{document}");
    assert_eq!(finding.stage(), Some("append"), "{document}");
    assert!(finding.because().contains("OVERQUOTA"), "{document}");
    assert!(finding.next_steps().contains("doveadm quota"), "{document}");
}

fn logged_in(world: &World, what: &[&str]) -> Answer {
    let login = ["--user", USER, "--password-stdin", "-o", "json"];
    let args = [&["probe", TARGET, "--from"], what, &login].concat();
    world.start_ctl(&args, PASSWORD).unwrap().answer().unwrap()
}
