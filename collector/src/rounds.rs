//! Rounds of checks: what all vantage points saw in one.

mod outcome;

pub(crate) use outcome::{LeafFacts, RoundOutcome, VantagePart};
