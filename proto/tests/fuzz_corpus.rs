//! The fuzz targets without a fuzzer: what is committed, the messages made of it, and mutations of both.

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

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Run documents as `ctl` printed them, and what broke something once.
fn committed(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(fuzz().join("inputs").join(target)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The messages that the documents are made of, each behind the number of its kind.
fn messages() -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut put = |which: u8, message: Vec<u8>| messages.push([&[which][..], &message].concat());
    let documents = committed("run_document");
    for run in documents
        .iter()
        .filter_map(|json| serde_json::from_slice(json).ok())
    {
        let run = v1::Run::from(&run as &RunDocument);
        put(0, run.encode_to_vec());
        for observation in &run.vantages {
            put(1, observation.encode_to_vec());
            for attempt in &observation.attempts {
                put(2, attempt.encode_to_vec());
                attempt
                    .stages
                    .iter()
                    .for_each(|stage| put(3, stage.encode_to_vec()));
            }
        }
        run.findings
            .iter()
            .for_each(|finding| put(4, finding.encode_to_vec()));
    }
    messages
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = committed(target);
    if target == "run_message" {
        seeds.extend(messages());
    }
    seeds
}

#[test]
fn every_target_survives_its_inputs() {
    for (target, run) in targets::TARGETS {
        seeds(target).iter().for_each(|seed| run(seed));
    }
}

/// A seed with some bytes changed, some left out and some said twice.
fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<Index>(), any::<u8>(), 0..4_u8, 1..40_usize);
    (select(seeds(target)), prop::collection::vec(change, 1..8)).prop_map(|(mut bytes, changes)| {
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
#[ignore = "writes the corpus that the fuzzers begin with"]
fn seed_the_corpus() {
    for (target, _) in targets::TARGETS {
        let corpus = fuzz().join("corpus").join(target);
        fs::create_dir_all(&corpus).unwrap();
        for (number, seed) in seeds(target).iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
