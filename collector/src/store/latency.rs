//! How long each stage of many probes took.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_model::stage::StageName;

use super::sketch::{Sketch, put_varint, take_varint};

/// What was timed: a stage, or (`None`) the probe as a whole.
pub(crate) type Timed = Option<StageName>;

/// The name of what was timed, as it is shown.
pub(crate) const fn timed_name(timed: Timed) -> &'static str {
    match timed {
        None => "total",
        Some(stage) => stage.as_str(),
    }
}

/// A sketch of the whole and of each stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) sketches: BTreeMap<Timed, Sketch>,
}

impl Latency {
    /// Counts one.
    pub(crate) fn add(&mut self, timed: Timed, duration: Duration) {
        self.sketches.entry(timed).or_default().add(duration);
    }

    /// Counts everything that the other counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (&timed, sketch) in &other.sketches {
            self.sketches.entry(timed).or_default().merge(sketch);
        }
    }

    /// Each as its number, the length of its sketch, and the sketch.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (&timed, sketch) in &self.sketches {
            let mut one = Vec::new();
            sketch.encode(&mut one);
            put_varint(&mut bytes, number(timed));
            put_varint(&mut bytes, u64::try_from(one.len()).unwrap_or(u64::MAX));
            bytes.append(&mut one);
        }
        bytes
    }

    /// Reads what was encoded; `None` of anything else. A stage that a newer program timed is left out.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut sketches = BTreeMap::new();
        while !bytes.is_empty() {
            let timed = from_number(take_varint(&mut bytes)?);
            let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
            let (one, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            if let Some(timed) = timed {
                sketches.insert(timed, Sketch::decode(one)?);
            }
        }
        Some(Self { sketches })
    }
}

/// The durations of the stages of one probe: number and microseconds of each.
pub(crate) fn encode_stages(stages: &[(StageName, Duration)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &(stage, duration) in stages {
        put_varint(&mut bytes, number(Some(stage)));
        put_varint(
            &mut bytes,
            u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        );
    }
    bytes
}

/// Reads what was encoded; `None` of anything else.
pub(crate) fn decode_stages(mut bytes: &[u8]) -> Option<Vec<(StageName, Duration)>> {
    let mut stages = Vec::new();
    while !bytes.is_empty() {
        let timed = from_number(take_varint(&mut bytes)?);
        let duration = Duration::from_micros(take_varint(&mut bytes)?);
        if let Some(Some(stage)) = timed {
            stages.push((stage, duration));
        }
    }
    Some(stages)
}

/// As it stands in databases: a number is never used for another stage.
const fn number(timed: Timed) -> u64 {
    let Some(stage) = timed else { return 0 };
    match stage {
        StageName::Resolve => 1,
        StageName::Connect => 2,
        StageName::Tls => 3,
        StageName::Greeting => 4,
        StageName::Capability => 5,
        StageName::Starttls => 6,
        StageName::Id => 7,
        StageName::Authenticate => 8,
        StageName::Namespace => 9,
        StageName::List => 10,
        StageName::Select => 11,
        StageName::Fetch => 12,
        StageName::Append => 13,
        StageName::Sync => 14,
        StageName::Idle => 15,
        StageName::Hold => 16,
        StageName::Logout => 17,
    }
}

/// `None` of a stage that is not known here.
fn from_number(meant: u64) -> Option<Timed> {
    let stages = StageName::ALL.iter().map(|&stage| Some(stage));
    std::iter::once(None)
        .chain(stages)
        .find(|&timed| number(timed) == meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_number_of_its_own() {
        for &stage in StageName::ALL {
            assert_eq!(from_number(number(Some(stage))), Some(Some(stage)), "{stage}");
        }
        assert_eq!(from_number(0), Some(None));
        assert_eq!(from_number(99), None);
    }

    #[test]
    fn a_stage_of_a_newer_program_is_left_out() {
        let mut latency = Latency::default();
        latency.add(None, Duration::from_millis(80));
        latency.add(Some(StageName::Tls), Duration::from_millis(30));
        let mut bytes = latency.encode();
        bytes.extend([99, 2, 5, 1]);
        assert_eq!(Latency::decode(&bytes), Some(latency));
        assert_eq!(Latency::decode(&bytes[..bytes.len() - 1]), None, "cut short");
        let stages = [(StageName::Connect, Duration::from_micros(12_345))];
        let mut bytes = encode_stages(&stages);
        bytes.extend([99, 1]);
        assert_eq!(decode_stages(&bytes).as_deref(), Some(&stages[..]));
    }
}
