//! The events of a run, as the collector streams them.

use std::net::IpAddr;
use std::time::Duration;

use parallax_model::experiment::Experiment;
use parallax_model::observation::Observation;
use parallax_model::run::RunDocument;
use parallax_model::stage::Stage;
use parallax_model::target::{Endpoint, Security};
use parallax_model::vantage::{AgentName, Labels};
use parallax_proto::v1;
use serde::Serialize;
use uuid::Uuid;

use crate::exit::Trouble;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// The question was put.
    Started(Started),
    /// A stage ended at a vantage point.
    Stage(Box<VantageStage>),
    /// A vantage point is done, missing or refused.
    Observation(Box<Observation>),
    /// A round of experiments begins.
    FollowUp(FollowUp),
    /// So many of the events before were left out, for this reader was too slow.
    LiveLost(u64),
    /// The answer.
    Concluded(Box<RunDocument>),
}

/// The question was put.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Started {
    /// The run; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<Uuid>,
    /// Its trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    /// The agents asked.
    pub(crate) asked: Vec<Choice>,
    /// Known agents that are not asked.
    pub(crate) passed_over: Vec<Choice>,
    /// Until when an answer can come.
    #[serde(rename = "deadline_ms", serialize_with = "parallax_model::millis::serialize")]
    pub(crate) deadline: Duration,
}

/// Whether an agent is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Choice {
    /// The agent.
    pub(crate) agent: AgentName,
    /// Its labels.
    pub(crate) labels: Labels,
    /// Whether its link is up.
    pub(crate) connected: bool,
    /// Why it is asked, or not.
    pub(crate) why: String,
}

/// A stage that ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VantageStage {
    /// Where.
    pub(crate) agent: AgentName,
    /// At which endpoint; none for `resolve`.
    pub(crate) endpoint: Option<(IpAddr, Endpoint)>,
    /// What was seen.
    pub(crate) stage: Stage,
}

/// A round of experiments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FollowUp {
    /// 1 or 2.
    pub(crate) round: u32,
    /// What is asked.
    pub(crate) experiments: Vec<Experiment>,
}

impl News {
    /// Reads an event; none for one of a newer collector that this version does not know.
    pub(crate) fn read(event: v1::RunEvent) -> Result<Option<Self>, Trouble> {
        use v1::run_event::Event;
        Ok(match event.event {
            None => None,
            Some(Event::Started(started)) => Some(Self::Started(read_started(started)?)),
            Some(Event::Stage(report)) => Some(Self::Stage(Box::new(read_stage(report)?))),
            Some(Event::Observation(observation)) => {
                Some(Self::Observation(Box::new(observation.try_into()?)))
            }
            Some(Event::FollowUp(round)) => Some(Self::FollowUp(read_follow_up(round)?)),
            Some(Event::LiveLost(number)) => Some(Self::LiveLost(number)),
            Some(Event::Concluded(run)) => Some(Self::Concluded(Box::new(run.try_into()?))),
        })
    }

    /// The event as one line of JSON; none for the answer, which is the run document itself.
    pub(crate) fn json(&self) -> Result<Option<serde_json::Value>, serde_json::Error> {
        let (name, value) = match self {
            Self::Started(started) => ("started", serde_json::to_value(started)?),
            Self::Stage(report) => ("stage", serde_json::to_value(StageLine::from(&**report))?),
            Self::Observation(observation) => (
                "observation",
                serde_json::json!({ "observation": serde_json::to_value(observation)? }),
            ),
            Self::FollowUp(round) => ("follow_up", serde_json::to_value(round)?),
            Self::LiveLost(number) => ("live_lost", serde_json::json!({ "number": number })),
            Self::Concluded(_) => return Ok(None),
        };
        let mut line = serde_json::Map::from_iter([("event".to_owned(), name.into())]);
        if let serde_json::Value::Object(fields) = value {
            line.extend(fields);
        }
        Ok(Some(line.into()))
    }
}

#[derive(Serialize)]
struct StageLine<'a> {
    agent: &'a AgentName,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<Security>,
    stage: &'a Stage,
}

impl<'a> From<&'a VantageStage> for StageLine<'a> {
    fn from(report: &'a VantageStage) -> Self {
        Self {
            agent: &report.agent,
            address: report.endpoint.map(|(address, _)| address),
            port: report.endpoint.map(|(_, endpoint)| endpoint.port),
            security: report.endpoint.map(|(_, endpoint)| endpoint.security),
            stage: &report.stage,
        }
    }
}

fn read_started(started: v1::RunStarted) -> Result<Started, Trouble> {
    let choices = |choices: Vec<v1::Choice>| choices.into_iter().map(read_choice).collect::<Result<_, _>>();
    Ok(Started {
        run_id: Uuid::parse_str(&started.run_id).ok(),
        trace_id: Some(started.trace_id).filter(|id| !id.is_empty()),
        asked: choices(started.asked)?,
        passed_over: choices(started.passed_over)?,
        deadline: Duration::from_millis(started.deadline_ms.into()),
    })
}

fn read_choice(choice: v1::Choice) -> Result<Choice, Trouble> {
    Ok(Choice {
        agent: choice.agent.parse()?,
        labels: choice.labels.into_iter().collect(),
        connected: choice.connected,
        why: choice.why,
    })
}

fn read_stage(report: v1::VantageStage) -> Result<VantageStage, Trouble> {
    let endpoint = match (report.address.parse::<IpAddr>(), report.endpoint) {
        (Ok(address), Some(endpoint)) => Some((address, endpoint.try_into()?)),
        _ => None,
    };
    let stage = report
        .stage
        .ok_or_else(|| Trouble::new("the collector reported a stage without its facts"))?;
    Ok(VantageStage {
        agent: report.agent.parse()?,
        endpoint,
        stage: stage.try_into()?,
    })
}

fn read_follow_up(round: v1::FollowUp) -> Result<FollowUp, Trouble> {
    let experiments = round.experiments.into_iter().map(TryInto::try_into);
    Ok(FollowUp {
        round: round.round,
        experiments: experiments.collect::<Result<_, _>>()?,
    })
}
