//! The stages of an attempt as they end, each with its time.

use std::time::Duration;

use parallax_model::evidence::{Evidence, TcpInfo};
use parallax_model::stage::{Outcome, Stage, StageName};

/// What has become of each stage so far, and the one that runs.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    ended: Vec<Stage>,
    running: Option<(StageName, Duration)>,
    tcp: Option<TcpInfo>,
}

impl Timeline {
    /// A stage begins.
    pub(crate) fn begin(&mut self, name: StageName, now: Duration) {
        self.running = Some((name, now));
    }

    /// The running stage begins only now: what went before was waiting for somebody else than the server.
    pub(crate) fn begin_again(&mut self, now: Duration) {
        if let Some((_, start)) = &mut self.running {
            *start = now;
        }
    }

    /// The stage that runs.
    pub(crate) fn running(&self) -> Option<StageName> {
        self.running.map(|(name, _)| name)
    }

    /// How long the running stage has taken so far.
    pub(crate) fn elapsed(&self, now: Duration) -> Duration {
        self.running
            .map_or(Duration::ZERO, |(_, start)| now.saturating_sub(start))
    }

    /// The kernel's latest account of the connection.
    pub(crate) fn connection(&mut self, tcp: TcpInfo) {
        self.tcp = Some(tcp);
    }

    /// The running stage ends. What was left out or not reached has neither duration nor facts.
    pub(crate) fn end(
        &mut self,
        outcome: Outcome,
        evidence: Option<Evidence>,
        now: Duration,
    ) -> Option<Stage> {
        let (name, start) = self.running.take()?;
        let mut stage = Stage::new(name, outcome, start, Duration::ZERO);
        if !matches!(stage.outcome, Outcome::Skipped(_) | Outcome::NotReached) {
            stage.duration = now.saturating_sub(start);
            stage.evidence = evidence;
            stage.tcp.clone_from(&self.tcp);
        }
        self.ended.push(stage.clone());
        Some(stage)
    }

    /// Whether a stage failed.
    pub(crate) fn failed(&self) -> bool {
        self.ended.iter().any(Stage::failed)
    }

    /// The stages that ended, in order.
    pub(crate) fn ended(&self) -> &[Stage] {
        &self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_keeps_the_latest_account_of_its_connection() {
        let mut timeline = Timeline::default();
        timeline.begin(StageName::Greeting, Duration::from_secs(1));
        timeline.connection(TcpInfo::default());
        timeline.connection(TcpInfo {
            segs_in: 7,
            ..TcpInfo::default()
        });
        let stage = timeline
            .end(Outcome::Ok, None, Duration::from_secs(3))
            .expect("a stage");
        assert_eq!(stage.duration, Duration::from_secs(2));
        assert_eq!(stage.tcp.expect("an account").segs_in, 7);
        assert_eq!(timeline.running(), None);
    }

    #[test]
    fn a_stage_that_was_left_out_took_no_time() {
        let mut timeline = Timeline::default();
        timeline.begin(StageName::Id, Duration::from_secs(1));
        timeline.connection(TcpInfo::default());
        let stage = timeline
            .end(Outcome::NotReached, None, Duration::from_secs(3))
            .expect("a stage");
        assert_eq!((stage.duration, stage.tcp), (Duration::ZERO, None));
    }
}
