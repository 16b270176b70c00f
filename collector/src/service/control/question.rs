//! A question from the wire, read and found sound, or refused in one line.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_model::credential::SealedSecret;
use parallax_model::selector::Selector;
use parallax_model::spec::{Depth, ProbeSpec};
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use tonic::Status;

use super::name;

/// Bounds on the time of a probe.
const TIMEOUT_AT_LEAST: Duration = Duration::from_millis(100);
const TIMEOUT_AT_MOST: Duration = Duration::from_secs(600);

/// A question, read and found sound.
pub(super) struct Question {
    pub(super) spec: ProbeSpec,
    pub(super) selector: Selector,
    pub(super) limit: Option<usize>,
    pub(super) follow_up: bool,
    pub(super) secrets: BTreeMap<AgentName, SealedSecret>,
    pub(super) dry_run: bool,
}

impl Question {
    pub(super) fn read(request: v1::RunProbeRequest) -> Result<Self, Status> {
        let spec = request
            .spec
            .ok_or_else(|| Status::invalid_argument("spec: missing"))?;
        let spec =
            ProbeSpec::try_from(spec).map_err(|error| Status::invalid_argument(format!("spec: {error}")))?;
        check(&spec)?;
        let selector = Selector::parse_any(&request.from)
            .map_err(|error| Status::invalid_argument(format!("from: {error}")))?;
        let secrets = request
            .secrets
            .into_iter()
            .map(|(agent, secret)| {
                let sealed = SealedSecret::try_from(secret)
                    .map_err(|error| Status::invalid_argument(format!("secrets: {error}")))?;
                Ok((name("secrets", &agent)?, sealed))
            })
            .collect::<Result<_, Status>>()?;
        Ok(Self {
            spec,
            selector,
            limit: usize::try_from(request.limit).ok().filter(|&limit| limit > 0),
            follow_up: request.follow_up,
            secrets,
            dry_run: request.dry_run,
        })
    }
}

fn check(spec: &ProbeSpec) -> Result<(), Status> {
    let invalid = |problem: String| Err(Status::invalid_argument(problem));
    if spec.target.endpoints.is_empty() {
        return invalid("spec: target.endpoints: at least one is needed".to_owned());
    }
    if spec.timeout < TIMEOUT_AT_LEAST || spec.timeout > TIMEOUT_AT_MOST {
        let (least, most) = (TIMEOUT_AT_LEAST.as_millis(), TIMEOUT_AT_MOST.as_secs());
        return invalid(format!(
            "spec: timeout_ms: a probe has from {least} ms to {most} s"
        ));
    }
    if spec.depth as u8 >= Depth::Login as u8 && spec.login.is_none() {
        return invalid(format!(
            "spec: login: the depth {} needs a user and a secret",
            spec.depth
        ));
    }
    if let Some(address) = spec
        .addresses
        .iter()
        .find(|&&address| !spec.family.admits(address))
    {
        return invalid(format!(
            "spec: addresses: {address} is not of the family {}",
            spec.family
        ));
    }
    Ok(())
}
