//! The fuzz targets without a fuzzer: what is committed, what is on record, and mutations of both that are the same every time.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/lib.rs"]
#[allow(missing_docs, unreachable_pub)]
mod targets;

#[allow(dead_code)]
#[path = "support/script.rs"]
mod script;

use script::{Script, Step};

/// Mutations for each target, in all.
const MUTATIONS: usize = 2_500;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Made by hand, or what broke something once.
fn committed(target: &str) -> BTreeSet<Vec<u8>> {
    let Ok(entries) = fs::read_dir(fuzz().join("inputs").join(target)) else {
        return BTreeSet::new();
    };
    entries
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let seeds: Vec<_> = committed(target).union(&on_record(target)).cloned().collect();
    assert!(!seeds.is_empty(), "there is nothing to begin with for {target}");
    seeds
}

/// What servers are on record to have said, in the form of each target.
fn on_record(target: &str) -> BTreeSet<Vec<u8>> {
    if target == "hello" {
        return recorded_handshakes();
    }
    let dialogues = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut seeds = BTreeSet::new();
    for entry in fs::read_dir(dialogues).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let script = Script::read(&fs::read_to_string(&path).unwrap()).unwrap();
        let said: Vec<Vec<u8>> = script
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Server(bytes) => Some(tagged(bytes)),
                _ => None,
            })
            .collect();
        match target {
            "framer" => {
                seeds.insert([&[16][..], &said.concat()].concat());
            }
            "scanner" => seeds.extend(said.iter().filter(|line| !is_data(line)).cloned()),
            "tokenizer" => seeds.extend(
                said.iter()
                    .filter(|line| is_data(line))
                    .map(|line| line[2..].to_vec()),
            ),
            "sasl" => seeds.extend(
                said.iter()
                    .filter(|line| line.starts_with(b"+ "))
                    .flat_map(|line| {
                        (0..10).map(move |pick| [&[pick][..], line[2..].trim_ascii_end()].concat())
                    }),
            ),
            _ => {}
        }
    }
    seeds
}

fn recorded_handshakes() -> BTreeSet<Vec<u8>> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hello/recorded");
    let paths = fs::read_dir(recorded).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| [&[7][..], &fs::read(path).unwrap()].concat())
        .collect()
}

fn tagged(bytes: &[u8]) -> Vec<u8> {
    match bytes.strip_prefix(b"$") {
        Some(rest) => [b"aaaa0001", rest].concat(),
        None => bytes.to_vec(),
    }
}

fn is_data(line: &[u8]) -> bool {
    let status = ["* OK", "* NO", "* BAD", "* BYE", "* PREAUTH"];
    line.starts_with(b"* ") && !status.iter().any(|word| line.starts_with(word.as_bytes()))
}

#[test]
fn every_target_survives_its_inputs_and_mutations_of_them() {
    for (target, run) in targets::TARGETS {
        let seeds = seeds(target);
        seeds.iter().for_each(|seed| run(seed));
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for _ in 0..MUTATIONS {
            let mutated = mutate(&seeds, &mut dice);
            run(&mutated);
        }
    }
}

#[test]
fn what_is_committed_is_small() {
    let committed = targets::TARGETS.iter().flat_map(|(target, _)| committed(target));
    let bytes: usize = committed.map(|input| input.len()).sum();
    assert!(bytes < 100 * 1024, "{bytes} bytes");
}

#[test]
#[ignore = "writes the corpus that the fuzzers begin with"]
fn seed_the_corpus() {
    for (target, _) in targets::TARGETS {
        let corpus = fuzz().join("corpus").join(target);
        fs::create_dir_all(&corpus).unwrap();
        for seed in seeds(target) {
            fs::write(corpus.join(format!("{:016x}", hash(&seed))), seed).unwrap();
        }
    }
}

/// FNV-1a: names that stay the same.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// One to eight small changes to one of the seeds, or to two of them in one.
fn mutate(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(6) {
            0 => bytes.insert(at, dice.byte()),
            1 if at < bytes.len() => bytes[at] = dice.byte(),
            2 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            3 => bytes.truncate(at),
            4 => {
                let piece = bytes[at..(at + dice.below(32)).min(bytes.len())].repeat(1 + dice.below(20));
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = &seeds[dice.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[dice.below(other.len() + 1)..]);
            }
        }
    }
    bytes
}

/// Numbers that look random and never change (xorshift64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Often one that means something.
    fn byte(&mut self) -> u8 {
        const MEANT: &[u8] = b" \r\n()[]{}\"\\*+~<>=,:0129.\0\x1b\x80\xff\xc3{[]";
        let drawn = self.next();
        if drawn.is_multiple_of(2) {
            MEANT[self.below(MEANT.len())]
        } else {
            (drawn >> 8) as u8
        }
    }
}
