//! Dialogues as data: every file under `dialogues/` is played against a session, see its README.

#![allow(clippy::unwrap_used)]

#[path = "../src/certificate/forge.rs"]
#[allow(dead_code)]
mod forge;
mod support;

use std::fs;
use std::path::PathBuf;

use support::play::play;
use support::script::Script;

#[test]
fn every_dialogue_goes_as_it_is_written() {
    let mut broken = Vec::new();
    let files = files();
    assert!(files.len() > 40, "only {} dialogues found", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        if let Err(why) = Script::read(&text).and_then(|script| play(&script)) {
            broken.push(format!("{name}: {why}"));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n\n"));
}

#[test]
fn every_dialogue_makes_a_claim_of_its_own() {
    let mut claims: Vec<String> = files()
        .iter()
        .map(|file| Script::read(&fs::read_to_string(file).unwrap()).unwrap().claim)
        .collect();
    let all = claims.len();
    claims.sort();
    claims.dedup();
    assert_eq!(claims.len(), all);
    assert!(claims.iter().all(|claim| !claim.is_empty()));
}

fn files() -> Vec<PathBuf> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}
