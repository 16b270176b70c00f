//! What operators are told, on the wire.

use parallax_model::run::RunDocument;
use parallax_proto::v1;
use parallax_proto::v1::run_event::Event;
use uuid::Uuid;

use crate::agents::Choice;
use crate::hub::{AgentView, Started};
use crate::runs::Happening;

/// One line of `ctl agents`.
pub(super) fn agent(view: AgentView) -> v1::Agent {
    v1::Agent {
        capabilities: view.capabilities.into_iter().collect(),
        sealing_proof: view.sealing_proof.map(|proof| (*proof).clone().into()),
        ..view.summary.into()
    }
}

/// How a run begins; `in_full` also names the agents that were never meant.
pub(super) fn started(
    run_id: Uuid,
    trace_id: Option<String>,
    started: Started,
    in_full: bool,
) -> v1::RunEvent {
    let selection = started.selection;
    let others = if in_full { selection.others } else { Vec::new() };
    let passed_over = selection.absent.into_iter().chain(selection.beyond).chain(others);
    event(Event::Started(v1::RunStarted {
        run_id: run_id.to_string(),
        trace_id: trace_id.unwrap_or_default(),
        asked: selection.asked.into_iter().map(choice).collect(),
        passed_over: passed_over.map(choice).collect(),
        deadline_ms: u32::try_from(started.longest.as_millis()).unwrap_or(u32::MAX),
    }))
}

/// What happens meanwhile.
pub(super) fn happening(happening: Happening) -> v1::RunEvent {
    event(match happening {
        Happening::Stage { agent, ended } => Event::Stage(v1::VantageStage {
            agent: agent.into(),
            address: ended
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            endpoint: ended.endpoint.map(Into::into),
            stage: Some(ended.stage.into()),
        }),
        Happening::Observation(observation) => Event::Observation((*observation).into()),
        Happening::FollowUp { round, experiments } => Event::FollowUp(v1::FollowUp {
            round,
            experiments: experiments.into_iter().map(Into::into).collect(),
        }),
    })
}

/// The answer.
pub(super) fn concluded(document: RunDocument) -> v1::RunEvent {
    event(Event::Concluded(document.into()))
}

/// What the caller was too slow for.
pub(super) const fn live_lost(number: u64) -> v1::RunEvent {
    event(Event::LiveLost(number))
}

fn choice(choice: Choice) -> v1::Choice {
    v1::Choice {
        agent: choice.agent.into(),
        labels: choice.labels.into_iter().collect(),
        connected: choice.connected,
        why: choice.why,
    }
}

const fn event(event: Event) -> v1::RunEvent {
    v1::RunEvent { event: Some(event) }
}
