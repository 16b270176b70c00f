//! Packets that agents recorded: taken where they were asked for, and within bounds.

use std::collections::BTreeMap;

use parallax_model::capture::{Capture, CaptureRecord};
use parallax_model::spec::CaptureChoice;
use parallax_model::vantage::AgentName;
use uuid::Uuid;

use super::Run;
use crate::runs::Effect;
use crate::store::KeptCapture;

/// The most that one capture, all of one order, and all of one run may take. An agent keeps to less of itself.
const OF_ATTEMPT: usize = 512 << 10;
const OF_ORDER: usize = 3 << 20;
const OF_RUN: usize = 64 << 20;

/// What was taken so far.
#[derive(Debug, Default)]
pub(super) struct Captures {
    listed: Vec<CaptureRecord>,
    bytes: usize,
    bytes_by_order: BTreeMap<Uuid, usize>,
}

impl Captures {
    /// All of them, in the order in which they came.
    pub(super) fn all(&self) -> Vec<CaptureRecord> {
        self.listed.clone()
    }

    /// Its place in the list, if there is room for it.
    fn take(&mut self, agent: &AgentName, order: Uuid, capture: &Capture) -> Option<u32> {
        let size = capture.pcapng.len();
        let of_order = self.bytes_by_order.entry(order).or_default();
        if size > OF_ATTEMPT || *of_order + size > OF_ORDER || self.bytes + size > OF_RUN {
            return None;
        }
        let number = u32::try_from(self.listed.len()).ok()?;
        *of_order += size;
        self.bytes += size;
        self.listed.push(CaptureRecord {
            agent: agent.clone(),
            facts: capture.facts.clone(),
            bytes: size as u64,
        });
        Some(number)
    }
}

impl Run {
    /// An agent has recorded packets. Nobody asked for them, or there is no room: they are not taken.
    pub(super) fn captured(&mut self, agent: &AgentName, order: Uuid, capture: Capture) -> Option<Effect> {
        if self.inquiry.spec.options.capture == CaptureChoice::Never {
            return None;
        }
        let number = self.captures.take(agent, order, &capture)?;
        Some(Effect::Keep {
            run: self.inquiry.run_id,
            kept: Box::new(KeptCapture {
                number,
                agent: agent.clone(),
                capture,
            }),
        })
    }
}
