//! Compares stages with what a dialogue expects of them.

use parallax_model::stage::{Outcome, Stage};

use super::script::Expected;

/// Every stage in order, none left out.
pub(crate) fn compare(expected: &[Expected], stages: &[Stage]) -> Result<(), String> {
    let heads: Vec<String> = stages.iter().map(head).collect();
    let wanted: Vec<&str> = expected.iter().map(|one| one.head.as_str()).collect();
    if heads != wanted {
        return Err(format!("expected {wanted:#?}"));
    }
    for (one, stage) in expected.iter().zip(stages) {
        for (path, value) in &one.facts {
            let found = fact(stage, path);
            if found.as_deref().unwrap_or("absent") != value {
                return Err(format!("{}: {path} is {found:?}, not {value}", one.head));
            }
        }
        for words in &one.words {
            let said = words_of(stage);
            if !said.contains(words.as_str()) {
                return Err(format!("{}: {words:?} is not in {said:?}", one.head));
            }
        }
    }
    Ok(())
}

/// The stage, its outcome and its words.
pub(crate) fn summary(stage: &Stage) -> String {
    format!("{}  {}", head(stage), words_of(stage))
}

fn head(stage: &Stage) -> String {
    let mut head = format!("{} {}", stage.name, stage.outcome.as_str());
    if let Some(fault) = stage.outcome.fault() {
        head.push_str(&format!(" {}.{}", fault.layer(), fault.kind.as_str()));
    }
    head
}

fn words_of(stage: &Stage) -> String {
    match &stage.outcome {
        Outcome::Failed(fault) | Outcome::Degraded(fault) => {
            format!("{} {}", fault.message, fault.raw.as_deref().unwrap_or_default())
        }
        Outcome::Skipped(reason) => reason.clone(),
        Outcome::Ok | Outcome::NotReached => String::new(),
    }
}

/// A value of the stage's evidence by its path, `reply.code` or `certificate_faults.0.kind`. `tcp` and `took` are of
/// the stage itself.
fn fact(stage: &Stage, path: &str) -> Option<String> {
    match path {
        "tcp" => return Some(stage.tcp.is_some().to_string()),
        "took" => return Some(format!("{}ms", stage.duration.as_millis())),
        _ => {}
    }
    let map = stage.evidence.as_ref()?.to_map().unwrap();
    let mut keys = path.split('.');
    let mut value = map.get(keys.next()?)?;
    for key in keys {
        value = match key.parse::<usize>() {
            Ok(index) => value.get(index)?,
            Err(_) => value.get(key)?,
        };
    }
    Some(
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
            .replace(' ', "_"),
    )
}
