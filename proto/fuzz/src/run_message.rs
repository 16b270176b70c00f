//! The messages that a run is made of, as a peer sends them: the first byte says which.

use std::fmt::Debug;

use parallax_model::finding::Finding;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::run::{AgentSummary, RunDocument};
use parallax_model::spec::ProbeSpec;
use parallax_model::stage::Stage;
use parallax_proto::convert::WireError;
use parallax_proto::v1;
use prost::Message;

use super::run_document::write;

/// What is read can be sent and is read again as the same, and a run can be written as JSON; what is refused is
/// refused in one short line that can be shown.
pub fn run(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else {
        return;
    };
    match which % 7 {
        0 => document(bytes),
        1 => drop(there_and_back::<v1::Observation, Observation>(bytes)),
        2 => drop(there_and_back::<v1::Attempt, Attempt>(bytes)),
        3 => drop(there_and_back::<v1::Stage, Stage>(bytes)),
        4 => drop(there_and_back::<v1::Finding, Finding>(bytes)),
        5 => drop(there_and_back::<v1::ProbeSpec, ProbeSpec>(bytes)),
        _ => drop(there_and_back::<v1::Agent, AgentSummary>(bytes)),
    }
}

fn document(bytes: &[u8]) {
    let Some(run) = there_and_back::<v1::Run, RunDocument>(bytes) else {
        return;
    };
    let written = write(&run);
    match serde_json::from_str::<RunDocument>(&written) {
        Ok(again) => assert_eq!(write(&again), written),
        Err(error) => panic!("{error}: {written}"),
    }
}

fn there_and_back<W, M>(bytes: &[u8]) -> Option<M>
where
    W: Message + Default + for<'m> From<&'m M>,
    M: TryFrom<W, Error = WireError> + PartialEq + Debug,
{
    match M::try_from(W::decode(bytes).ok()?) {
        Ok(value) => {
            let sent = W::from(&value).encode_to_vec();
            let again = W::decode(sent.as_slice()).map(M::try_from);
            assert_eq!(again, Ok(Ok(value)));
            again.ok()?.ok()
        }
        Err(error) => {
            let line = error.to_string();
            assert!(
                !line.chars().any(char::is_control) && line.len() < 1024,
                "{line:?}"
            );
            None
        }
    }
}
