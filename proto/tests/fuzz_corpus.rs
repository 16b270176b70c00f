//! The fuzz targets without a fuzzer: the corpus, and mutations of it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use parallax_model::run::RunDocument;
use parallax_proto::v1;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::Message;

#[path = "../fuzz/src/lib.rs"]
#[allow(missing_docs, unreachable_pub)]
mod targets;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

fn committed(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(corpus(target))
        .unwrap_or_else(|error| panic!("the corpus of {target}: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_target_survives_its_corpus() {
    for (target, run) in targets::TARGETS {
        let seeds = committed(target);
        assert!(!seeds.is_empty(), "{target} has no corpus");
        seeds.iter().for_each(|seed| run(seed));
    }
}

#[test]
fn the_corpus_is_small() {
    let seeds = targets::TARGETS.iter().flat_map(|(target, _)| committed(target));
    let bytes: usize = seeds.map(|seed| seed.len()).sum();
    assert!(bytes < 100 * 1024, "{bytes} bytes");
}

/// A seed with some bytes changed, some left out and some said twice.
fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<Index>(), any::<u8>(), 0..4_u8, 1..40_usize);
    (select(committed(target)), prop::collection::vec(change, 1..8)).prop_map(|(mut bytes, changes)| {
        for (index, byte, how, length) in changes {
            let at = index.index(bytes.len() + 1);
            let piece = at..(at + length).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => drop(bytes.drain(piece)),
                2 => {
                    let twice = bytes[piece.clone()].repeat(2);
                    bytes.splice(piece, twice);
                }
                _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn a_damaged_document_is_refused_or_read(bytes in damaged("run_document")) {
        targets::run_document::run(&bytes);
    }

    #[test]
    fn a_damaged_message_is_refused_or_read(bytes in damaged("run_message")) {
        targets::run_message::run(&bytes);
    }
}

#[test]
#[ignore = "writes the messages of the corpus anew, from its documents"]
fn seed_the_corpus() {
    fs::create_dir_all(corpus("run_message")).unwrap();
    let put = |name: String, which: u8, message: Vec<u8>| {
        let path = corpus("run_message").join(name);
        fs::write(path, [&[which][..], &message].concat()).unwrap();
    };
    for (number, json) in committed("run_document").iter().enumerate() {
        let Ok(run) = serde_json::from_slice::<RunDocument>(json) else {
            continue;
        };
        let run = v1::Run::from(run);
        put(format!("run-{number}"), 0, run.encode_to_vec());
        for observation in &run.vantages {
            put(format!("observation-{number}"), 1, observation.encode_to_vec());
            for attempt in &observation.attempts {
                put(format!("attempt-{number}"), 2, attempt.encode_to_vec());
                for stage in &attempt.stages {
                    put(format!("{}-{number}", stage.name), 3, stage.encode_to_vec());
                }
            }
        }
        for finding in &run.findings {
            put(format!("finding-{number}"), 4, finding.encode_to_vec());
        }
    }
}
