//! The floors: who may know whom. A new edge is a decision, so it is written down in `edges.txt`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// The crates that only compute.
const INNER: [&str; 3] = ["parallax-model", "parallax-engine", "parallax-diagnosis"];
/// Sockets, clocks and the runtimes that bring them.
const WORLD: [&str; 11] = [
    "tokio",
    "tonic",
    "rustls",
    "tokio-rustls",
    "socket2",
    "libc",
    "nix",
    "hickory-proto",
    "axum",
    "sqlx",
    "tracing",
];
const EDGES: &str = include_str!("edges.txt");

#[test]
fn every_edge_between_our_crates_is_written_down() {
    let found: BTreeSet<_> = packages().iter().flat_map(edges).collect();
    let written: BTreeSet<_> = EDGES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let new: Vec<_> = found.difference(&written).collect();
    let gone: Vec<_> = written.difference(&found).collect();
    assert!(new.is_empty(), "edges that nobody decided on: {new:#?}");
    assert!(gone.is_empty(), "edges that are no more: {gone:#?}");
}

#[test]
fn crates_that_only_compute_can_not_touch_the_world() {
    for package in packages()
        .iter()
        .filter(|package| INNER.contains(&text(package, "name")))
    {
        for dependency in dependencies(package).filter(|dependency| dependency["kind"] != "dev") {
            let name = text(dependency, "name");
            assert!(!WORLD.contains(&name), "{} lists {name}", text(package, "name"));
        }
    }
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// `FROM -> TO`, with the kind of the dependency where it is not an ordinary one.
fn edges(package: &Value) -> Vec<String> {
    let from = text(package, "name");
    let ours = dependencies(package).filter(|dependency| dependency["path"].is_string());
    let line = |dependency: &Value| match dependency["kind"].as_str() {
        None => format!("{from} -> {}", text(dependency, "name")),
        Some(kind) => format!("{from} -> {} ({kind})", text(dependency, "name")),
    };
    ours.map(line).collect()
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}
