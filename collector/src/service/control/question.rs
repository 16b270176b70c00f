//! A question from the wire, read and found sound, or refused in one line.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parallax_model::credential::SealedSecret;
use parallax_model::selector::Selector;
use parallax_model::spec::{Depth, LONGEST_HOLD, PathChoice, ProbeSpec};
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use tonic::Status;

use super::name;
use crate::runs::OwnCredential;

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
    /// What agents are to log in with by themselves instead.
    pub(super) own_credential: Option<OwnCredential>,
    pub(super) client_identities: BTreeMap<AgentName, SealedSecret>,
    pub(super) dry_run: bool,
    /// The credential to log in with, by name.
    pub(super) credential: Option<String>,
    /// Whether a secret that was turned down is to be tried once more.
    pub(super) retry_login: bool,
}

impl Question {
    pub(super) fn read(request: v1::RunProbeRequest) -> Result<Self, Status> {
        let spec = request
            .spec
            .ok_or_else(|| Status::invalid_argument("spec: missing"))?;
        let mut spec =
            ProbeSpec::try_from(spec).map_err(|error| Status::invalid_argument(format!("spec: {error}")))?;
        check(&spec)?;
        check_login(&spec)?;
        // A trace of what fails is a question of the diagnosis' own.
        if !request.follow_up && spec.options.path == PathChoice::Auto {
            spec.options.path = PathChoice::Never;
        }
        let selector = Selector::parse_any(&request.from)
            .map_err(|error| Status::invalid_argument(format!("from: {error}")))?;
        Ok(Self {
            spec,
            selector,
            limit: usize::try_from(request.limit).ok().filter(|&limit| limit > 0),
            follow_up: request.follow_up,
            secrets: sealed("secrets", request.secrets)?,
            own_credential: None,
            client_identities: sealed("client_identities", request.client_identities)?,
            dry_run: request.dry_run,
            credential: (!request.credential.is_empty()).then_some(request.credential),
            retry_login: request.retry_login,
        })
    }

    /// What is asked, for the audit log.
    pub(super) fn in_words(&self) -> String {
        let login = self.spec.login.as_ref();
        let user = login
            .map(|login| format!(" as {}", login.user))
            .unwrap_or_default();
        format!("{} from {}{user}", self.spec.target.input, self.selector)
    }
}

/// Secrets by the agent that each is sealed to.
fn sealed(
    field: &str,
    secrets: HashMap<String, v1::SealedSecret>,
) -> Result<BTreeMap<AgentName, SealedSecret>, Status> {
    let read = |(agent, secret): (String, v1::SealedSecret)| {
        let sealed = SealedSecret::try_from(secret)
            .map_err(|error| Status::invalid_argument(format!("{field}: {error}")))?;
        Ok((name(field, &agent)?, sealed))
    };
    secrets.into_iter().map(read).collect()
}

fn check_login(spec: &ProbeSpec) -> Result<(), Status> {
    if spec.depth >= Depth::Login && spec.login.is_none() {
        return Err(Status::invalid_argument(format!(
            "spec: login: the depth {} needs a user and a secret",
            spec.depth
        )));
    }
    Ok(())
}

/// Whether a probe makes sense, whoever logs in.
pub(in crate::service) fn check(spec: &ProbeSpec) -> Result<(), Status> {
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
    check_options(spec).map_err(|problem| Status::invalid_argument(format!("spec: options: {problem}")))
}

fn check_options(spec: &ProbeSpec) -> Result<(), String> {
    let depth = spec.depth;
    if let Some(hold) = spec.options.hold {
        if hold > LONGEST_HOLD {
            let longest = LONGEST_HOLD.as_secs() / 60;
            return Err(format!(
                "hold_ms: a session is held for {longest} minutes at most"
            ));
        }
        if depth < Depth::Greeting {
            return Err(format!("hold_ms: the depth {depth} has no session to hold"));
        }
    }
    if spec.options.sync_with.is_some() && depth != Depth::Sync {
        return Err(format!(
            "sync_with: the depth {depth} writes nothing that could be watched"
        ));
    }
    Ok(())
}
