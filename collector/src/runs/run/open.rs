//! The orders of a run that have not ended.

use std::collections::BTreeMap;
use std::time::Instant;

use parallax_model::vantage::AgentName;
use uuid::Uuid;

/// An order that has not ended.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// Whose it is.
    pub(super) agent: AgentName,
    /// The round of experiments; 0 for the probe itself.
    pub(super) round: u32,
    /// When it has expired.
    pub(super) until: Instant,
    /// The same while the agent has not said that it has it.
    pub(super) accept_by: Instant,
    pub(super) accepted: bool,
}

impl Open {
    fn expires(&self) -> Instant {
        if self.accepted { self.until } else { self.accept_by }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct OpenOrders(BTreeMap<Uuid, Open>);

impl OpenOrders {
    pub(super) fn insert(&mut self, order: Uuid, open: Open) {
        self.0.insert(order, open);
    }

    /// Whether there was such an order.
    pub(super) fn remove(&mut self, order: Uuid) -> bool {
        self.0.remove(&order).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn holder(&self, order: Uuid) -> Option<&AgentName> {
        self.0.get(&order).map(|open| &open.agent)
    }

    /// The round that an order is of.
    pub(super) fn round(&self, order: Uuid) -> u32 {
        self.0.get(&order).map_or(0, |open| open.round)
    }

    pub(super) fn of(&self, agent: &AgentName) -> Vec<Uuid> {
        let its = self.0.iter().filter(|(_, open)| open.agent == *agent);
        its.map(|(&order, _)| order).collect()
    }

    /// What an agent says of an order says that it has it.
    pub(super) fn accepted(&mut self, order: Uuid) {
        if let Some(open) = self.0.get_mut(&order) {
            open.accepted = true;
        }
    }

    /// When the next one expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(Open::expires).min()
    }

    /// Those that have expired, each with when it did.
    pub(super) fn late(&self, now: Instant) -> Vec<(Uuid, Open)> {
        let late = self.0.iter().filter(|(_, open)| open.expires() <= now);
        late.map(|(&order, open)| {
            let until = open.expires();
            (
                order,
                Open {
                    until,
                    ..open.clone()
                },
            )
        })
        .collect()
    }

    pub(super) fn all(self) -> impl Iterator<Item = (Uuid, Open)> {
        self.0.into_iter()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Uuid, &Open)> {
        self.0.iter().map(|(&order, open)| (order, open))
    }
}
