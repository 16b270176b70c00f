//! The example configurations are what the programs read.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use parallax_tests::programs::Programs;

#[test]
fn the_collectors_example_is_accepted_and_prints_back() {
    accepted(|programs| programs.collector(), "serve", "collector.toml");
}

/// They are off in the example: nobody of that name is there.
#[test]
fn the_receivers_of_the_collectors_example_are_accepted_once_they_are_on() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/collector.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let (_, receivers) = example.split_once("# [alerting]\n").unwrap();
    let on: Vec<&str> = receivers
        .lines()
        .map(|line| line.trim_start_matches('#').trim())
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.toml");
    std::fs::write(&file, format!("[alerting]\n{}\n", on.join("\n"))).unwrap();
    let mut command = Programs::ready().unwrap().collector();
    let output = command
        .args(["serve", "--print-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(printed.matches("[[alerting.receivers]]").count(), 3, "{printed}");
}

#[test]
fn the_agents_example_is_accepted_and_prints_back() {
    accepted(|programs| programs.agent(), "run", "agent.toml");
}

#[test]
fn the_policys_example_is_accepted_and_says_the_defaults() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/policy.toml");
    let printed = |more: &[&std::ffi::OsStr]| {
        let mut command = Programs::ready().unwrap().agent();
        let output = command
            .args(["run", "--collector", "collector.example.org", "--print-config"])
            .args(more)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let from_file = printed(&["--policy".as_ref(), example.as_os_str()]);
    let (_, said) = from_file.split_once(" says:\n").unwrap();
    let said: Vec<&str> = said.lines().map(|line| line.trim_start_matches("# ")).collect();
    let default = printed(&[]);
    let (_, default) = default.split_once("[policy]\n").unwrap();
    let default: Vec<&str> = default.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(said, default);
}

#[test]
fn the_example_of_checks_is_read() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/checks.toml");
    let mut command = Programs::ready().unwrap().ctl();
    let output = command
        .args(["check", "apply", "--check-config", "-f"])
        .arg(&example)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
}

#[test]
fn a_word_that_is_not_known_is_named_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, "colector = \"collector.example.org\"\n").unwrap();
    let mut command = Programs::ready().unwrap().agent();
    let output = command
        .args(["run", "--check-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("colector"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// What a program prints of its configuration is a configuration again.
fn accepted(program: impl Fn(&Programs) -> Command, verb: &str, example: &str) {
    let programs = Programs::ready().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(example);
    let run = |flag: &str, file: &Path| {
        let output = program(&programs)
            .args([verb, flag, "--config"])
            .arg(file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{flag}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    run("--check-config", &example);
    let printed = run("--print-config", &example);
    let directory = tempfile::tempdir().unwrap();
    let again = directory.path().join("printed.toml");
    std::fs::write(&again, &printed).unwrap();
    assert_eq!(
        String::from_utf8(run("--print-config", &again)).unwrap(),
        String::from_utf8(printed).unwrap()
    );
}
