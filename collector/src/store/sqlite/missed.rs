//! Of whom nothing came when a round was closed: each is taken back when something does.

use std::collections::BTreeSet;

use crate::store::StoreError;

/// The numbers of agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Missed(BTreeSet<i64>);

impl Missed {
    /// As it stands in the database.
    pub(super) fn read(text: &str) -> Result<Self, StoreError> {
        let numbers = text.split_whitespace().map(str::parse);
        let missed = numbers.collect::<Result<_, _>>();
        Ok(Self(missed.map_err(|_| StoreError::Unreadable("round"))?))
    }

    pub(super) fn text(&self) -> String {
        let numbers: Vec<String> = self.0.iter().map(i64::to_string).collect();
        numbers.join(" ")
    }

    pub(super) fn add(&mut self, agent_no: i64) {
        self.0.insert(agent_no);
    }

    /// Something came of it; whether it was missed.
    pub(super) fn came(&mut self, agent_no: i64) -> bool {
        self.0.remove(&agent_no)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_it_was_written() {
        let mut missed = Missed::default();
        assert_eq!(missed.text(), "");
        missed.add(30);
        missed.add(4);
        assert_eq!(missed.text(), "4 30");
        assert_eq!(Missed::read("4 30").unwrap(), missed);
        assert!(missed.came(4));
        assert!(!missed.came(4), "once");
        assert_eq!(missed.iter().collect::<Vec<_>>(), [30]);
        assert!(Missed::read("4,30").is_err());
    }
}
