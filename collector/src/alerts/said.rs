//! What an event comes to: collected, so that each thing is kept once.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::alert::{Alert, AlertState};

use super::case::{Case, Subject};
use super::change::{AlertChanges, KeptAlert, Notice};

/// What is to be kept and told.
#[derive(Debug, Default)]
pub(super) struct Said {
    alerts: BTreeMap<String, KeptAlert>,
    touched: BTreeSet<Subject>,
    notices: Vec<Notice>,
}

impl Said {
    /// The alert of a case is otherwise now. What is pending is kept with what the case remembers.
    pub(super) fn alert(&mut self, case: &Case) {
        let fired = case
            .alert
            .as_ref()
            .filter(|alert| alert.state != AlertState::Pending);
        if let Some(alert) = fired {
            self.keep(alert.clone(), case.told);
        }
    }

    /// An alert is over.
    pub(super) fn over(&mut self, alert: Alert) {
        self.keep(alert, false);
    }

    /// What a case remembers is otherwise now.
    pub(super) fn touched(&mut self, subject: &Subject) {
        self.touched.insert(subject.clone());
    }

    /// Everybody is to be told.
    pub(super) fn notice(&mut self, receivers: &[String], alert: &Alert) {
        self.notices.extend(receivers.iter().map(|receiver| Notice {
            receiver: receiver.clone(),
            alert: alert.clone(),
        }));
    }

    /// All of it.
    pub(super) fn into_changes(self, cases: &BTreeMap<Subject, Case>) -> AlertChanges {
        let memory = self.touched.into_iter().map(|subject| {
            let memory = cases.get(&subject).and_then(Case::to_memory);
            (subject.to_string(), memory)
        });
        AlertChanges {
            memory: memory.collect(),
            alerts: self.alerts.into_values().collect(),
            notices: self.notices,
        }
    }

    fn keep(&mut self, alert: Alert, told: bool) {
        let fingerprint = alert.fingerprint.clone();
        self.alerts.insert(fingerprint, KeptAlert { alert, told });
    }
}
