//! How long the hub does nothing else while it judges one round that all vantage points saw fail.
//!
//! `cargo bench -p parallax-collector --bench judge`

#![allow(clippy::print_stdout, reason = "it is what a benchmark is for")]

use std::error::Error;
use std::path::Path;

use parallax_collector::measure::judge;
use parallax_model::run::RunDocument;
use serde_json::Value;

/// Recorded runs, by what was broken.
const RECORDED: [&str; 4] = [
    "drop_993_core",
    "hello_drop_core",
    "certificate_expired",
    "backend_dead",
];

fn main() -> Result<(), Box<dyn Error>> {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("diagnosis/tests/recorded/catalogue");
    for name in RECORDED {
        let text = std::fs::read_to_string(recordings.join(format!("{name}.json")))?;
        let recorded: Value = serde_json::from_str(&text)?;
        let run: RunDocument = serde_json::from_value(recorded["run"].clone())?;
        for agents in [4, 50, 200] {
            println!("{name}: {}", judge(&run.vantages, agents));
        }
    }
    Ok(())
}
