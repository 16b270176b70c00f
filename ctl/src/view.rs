//! A run folded from its events.

mod news;

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::observation::Observation;
use parallax_model::run::RunDocument;
use parallax_model::stage::Stage;
use parallax_model::target::Endpoint;
use parallax_model::vantage::AgentName;

#[cfg(test)]
pub(crate) use news::VantageStage;
pub(crate) use news::{Choice, FollowUp, News, Started};

/// What is known of a run so far.
#[derive(Debug, Default)]
pub(crate) struct RunView {
    started: Option<Started>,
    vantages: BTreeMap<AgentName, VantageView>,
    follow_up: Option<FollowUp>,
    live_lost: u64,
    document: Option<RunDocument>,
}

/// What is known of one vantage point so far.
#[derive(Debug, Default)]
pub(crate) struct VantageView {
    /// Stages that have ended, in the order of their reports.
    pub(crate) stages: Vec<SeenStage>,
    /// What it saw, once it is done, missing or refused.
    pub(crate) observation: Option<Observation>,
}

/// A stage that has ended.
#[derive(Debug)]
pub(crate) struct SeenStage {
    /// Where; `resolve` stands before every endpoint.
    pub(crate) endpoint: Option<(IpAddr, Endpoint)>,
    /// What.
    pub(crate) stage: Stage,
}

impl RunView {
    /// Takes one more event in.
    pub(crate) fn fold(&mut self, news: &News) {
        match news {
            News::Started(started) => {
                for choice in &started.asked {
                    self.vantages.entry(choice.agent.clone()).or_default();
                }
                self.started = Some(started.clone());
            }
            News::Stage(report) => self
                .vantages
                .entry(report.agent.clone())
                .or_default()
                .stages
                .push(SeenStage {
                    endpoint: report.endpoint,
                    stage: report.stage.clone(),
                }),
            News::Observation(observation) => {
                let vantage = self.vantages.entry(observation.agent.clone()).or_default();
                vantage.observation = Some((**observation).clone());
            }
            News::FollowUp(round) => self.follow_up = Some(round.clone()),
            News::LiveLost(number) => self.live_lost += number,
            News::Concluded(document) => self.document = Some((**document).clone()),
        }
    }

    /// How it began, once it has.
    pub(crate) const fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// Every vantage point that was asked or heard of, by name.
    pub(crate) fn vantages(&self) -> impl Iterator<Item = (&AgentName, &VantageView)> {
        self.vantages.iter()
    }

    /// The latest round of experiments.
    pub(crate) const fn follow_up(&self) -> Option<&FollowUp> {
        self.follow_up.as_ref()
    }

    /// What was lost of the events on the way, if anything was.
    pub(crate) fn lost(&self) -> Option<String> {
        let lost = self.live_lost;
        (lost > 0).then(|| {
            format!("note: {lost} live stages lost, for this reader was too slow; the answer lacks nothing\n")
        })
    }

    /// The answer, once it is there.
    pub(crate) fn into_document(self) -> Option<RunDocument> {
        self.document
    }
}

impl VantageView {
    /// Whether nothing more is expected of it in this round.
    pub(crate) const fn done(&self) -> bool {
        self.observation.is_some()
    }

    /// The stage that ended last.
    pub(crate) fn latest(&self) -> Option<&SeenStage> {
        self.stages.last()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parallax_model::observation::{Reason, VantageOutcome};
    use parallax_model::stage::{Outcome, StageName};
    use parallax_model::vantage::Labels;

    use super::*;

    fn name(text: &str) -> AgentName {
        text.parse().unwrap()
    }

    fn started(names: &[&str]) -> News {
        let asked = names.iter().map(|text| Choice {
            agent: name(text),
            labels: Labels::new(),
            connected: true,
            why: "matches all".into(),
        });
        News::Started(Started {
            run_id: None,
            trace_id: None,
            asked: asked.collect(),
            passed_over: Vec::new(),
            deadline: Duration::from_secs(25),
        })
    }

    #[test]
    fn what_was_lost_on_the_way_is_a_note_and_nothing_lost_is_none() {
        let mut view = RunView::default();
        assert_eq!(view.lost(), None);
        let event = parallax_proto::v1::run_event::Event::LiveLost(7);
        let news = News::read(parallax_proto::v1::RunEvent { event: Some(event) });
        let news = news.unwrap().unwrap();
        view.fold(&news);
        assert!(view.lost().unwrap().starts_with("note: 7 live stages lost"));
        let line = news.json().unwrap().unwrap();
        assert_eq!(line, serde_json::json!({ "event": "live_lost", "number": 7 }));
    }

    #[test]
    fn a_vantage_point_is_waited_for_until_it_is_done_or_given_up() {
        let mut view = RunView::default();
        view.fold(&started(&["ams", "fra"]));
        view.fold(&News::Stage(Box::new(VantageStage {
            agent: name("ams"),
            endpoint: None,
            stage: Stage::new(
                StageName::Resolve,
                Outcome::Ok,
                Duration::ZERO,
                Duration::from_millis(2),
            ),
        })));
        view.fold(&News::Observation(Box::new(Observation::unseen(
            name("fra"),
            Labels::new(),
            VantageOutcome::Missing,
            Reason::Deadline,
            "no answer",
        ))));
        let done: Vec<_> = view
            .vantages()
            .map(|(name, vantage)| (name.as_str(), vantage.done()))
            .collect();
        assert_eq!(done, [("ams", false), ("fra", true)]);
        assert!(view.into_document().is_none());
    }
}
