//! What is printed keeps to its contract.

use parallax_tests::document::Document;
use parallax_tests::site::TARGET;
use parallax_tests::world::World;

use crate::{BRIEF, DOWN, HEALTHY, PARTIAL, UNKNOWN, world};

#[test]
fn run_documents_keep_to_the_schema_that_is_printed() {
    let Some(mut world) = world() else { return };
    assert_valid(&world, HEALTHY);
    world.inject("firewall_reset@edge-ams").unwrap();
    world.inject("agent_down@edge-nyc").unwrap();
    assert_valid(&world, PARTIAL);
    world.inject("certificate_expired@mail").unwrap();
    assert_valid(&world, DOWN);
}

#[test]
fn a_table_in_a_pipe_has_no_control_characters() {
    let Some(mut world) = world() else { return };
    world.inject("firewall_reset@edge-ams").unwrap();
    let answer = world
        .ctl(&["probe", TARGET, "--from", "all"])
        .unwrap()
        .expect_status(PARTIAL);
    let clean = |text: &str| text.chars().all(|letter| letter == '\n' || !letter.is_control());
    assert!(
        clean(&answer.stdout) && clean(&answer.stderr),
        "{answer:?}",
        answer = answer.to_string()
    );
    for part in ["edge-fra", "edge-ams", "rejected_with_reset"] {
        assert!(answer.stdout.contains(part), "{answer}");
    }
}

#[test]
fn a_stored_run_is_shown_as_it_was() {
    let Some(world) = world() else { return };
    let document = world.probe(&[]).unwrap().expect_status(HEALTHY).document();
    let run = document.value()["run_id"].as_str().unwrap();
    let shown = world
        .ctl(&["runs", "show", run, "-o", "json"])
        .unwrap()
        .expect_status(0)
        .document();
    assert_eq!(shown.value(), document.value());
}

#[test]
fn an_unreadable_command_line_can_not_tell() {
    let Some(world) = world() else { return };
    world.ctl(&["probe", "imap://"]).unwrap().expect_status(UNKNOWN);
    world
        .ctl(&["probe", TARGET, "--depth", "abyss"])
        .unwrap()
        .expect_status(UNKNOWN);
}

fn assert_valid(world: &World, status: i32) {
    let document = world.probe(&BRIEF).unwrap().expect_status(status).document();
    assert_keeps_to_schema(world, &document);
}

/// Whether a document is as the schema that is printed says.
pub(crate) fn assert_keeps_to_schema(world: &World, document: &Document) {
    let schema = world.ctl(&["schema", "run"]).unwrap().expect_status(0).json();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = schema
        .iter_errors(document.value())
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document}");
}
