//! Runs of the catalogue as fixtures: the diagnosis judges them again without the lab.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::catalogue::{Affected, Ask, Row, Says, Today};
use crate::document::Document;
use crate::lab::VANTAGES;

/// Writes the run of `row` below `directory`: to `catalogue`, or to `held_out`.
pub fn write(directory: &Path, row: &Row, document: &Document) -> Result<()> {
    let folder = directory.join(if row.held_out { "held_out" } else { "catalogue" });
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut run = document.value().clone();
    without_transcripts(&mut run);
    let recording = json!({
        "claim": row.inject.join(", "),
        "login": matches!(row.ask, Ask::Login | Ask::Mailbox),
        "says": row.says.iter().map(says).collect::<Vec<_>>(),
        "known_wrong": match row.today {
            Today::Right => Value::Null,
            Today::Wrong(why) | Today::Sometimes(why) => why.into(),
        },
        "run": run,
    });
    let file = folder.join(row.id).with_extension("json");
    std::fs::write(&file, format!("{recording}\n")).with_context(|| format!("write {}", file.display()))
}

fn says(says: &Says) -> Value {
    let affected: Value = match says.affected {
        Affected::Everyone => VANTAGES.as_slice().into(),
        Affected::Only(one) => [one].as_slice().into(),
        Affected::These(these) => these.into(),
        Affected::Anyone => Value::Null,
    };
    json!({ "kinds": says.kinds, "affected": affected })
}

fn without_transcripts(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("transcript");
            members.values_mut().for_each(without_transcripts);
        }
        Value::Array(list) => list.iter_mut().for_each(without_transcripts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
