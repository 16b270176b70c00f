//! What a probe does on request beside its depth: examinations after it, and a ladder of held sessions.

use std::time::Duration;

use parallax_model::experiment::ExperimentKind;
use parallax_model::spec::Examination;
use parallax_model::target::Security;

use crate::runner::Probe;
use crate::runner::attempts::{Errand, Job};

/// The rungs of a ladder, in tenths of the time for which the main session is held: whatever ends idle connections on
/// the way does so between the last that lived and the first that did not.
const RUNGS: [u32; 5] = [1, 2, 4, 6, 8];
/// Ladders of one probe; a path is the same for all addresses of a site more often than not, and held connections are
/// somebody's memory.
const LADDERS: usize = 4;

impl Probe<'_> {
    /// The examinations asked for, at each of the places that the probe goes to. None of them logs in.
    pub(super) fn examinations(&self, requested: &[Errand]) -> Vec<Job> {
        let options = &self.order.spec.options;
        let mut jobs = Vec::new();
        for errand in requested {
            for &examination in &options.examine {
                if let Some(kind) = experiment(examination, errand.endpoint().security) {
                    jobs.push(Job::alone(self.follow_up(kind, errand)));
                }
            }
        }
        jobs
    }

    /// Sessions that nobody logs in to, each held for a part of the time, begun together with the main one.
    pub(super) fn ladders(&self, requested: &[Errand]) -> Vec<Job> {
        let Some(hold) = self.order.spec.options.hold else {
            return Vec::new();
        };
        let rungs = |errand| {
            RUNGS.map(|tenths| {
                let rung = self.follow_up(ExperimentKind::Hold, errand);
                Job::alone(rung.held_for(part(hold, tenths)))
            })
        };
        requested.iter().take(LADDERS).flat_map(rungs).collect()
    }

    fn follow_up(&self, kind: ExperimentKind, errand: &Errand) -> Errand {
        Errand::follow_up(kind, errand.address(), errand.endpoint(), &self.order.spec)
    }
}

/// The connection that an examination takes, where the endpoint has anything to examine.
const fn experiment(examination: Examination, security: Security) -> Option<ExperimentKind> {
    match (examination, security) {
        (Examination::Srv | Examination::Tlsa, _) => None,
        (Examination::StarttlsInjection, Security::Starttls) => Some(ExperimentKind::StarttlsInjection),
        (Examination::Resumption, Security::Tls) => Some(ExperimentKind::Resumption),
        (Examination::LegacyTls, Security::Tls | Security::Starttls) => Some(ExperimentKind::RawHello),
        (Examination::StarttlsInjection | Examination::Resumption | Examination::LegacyTls, _) => None,
    }
}

fn part(hold: Duration, tenths: u32) -> Duration {
    hold / 10 * tenths
}
