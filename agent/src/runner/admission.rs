//! What the policy and the room of this agent let through, before anything is touched and once the addresses are known.

use std::collections::BTreeSet;
use std::net::IpAddr;

use parallax_engine::plan::Plan;
use parallax_model::experiment::{Experiment, ExperimentKind};
use parallax_model::observation::Reason;
use parallax_model::refusal::PolicyRefusal;
use parallax_model::spec::{CaptureChoice, Depth, Examination, PathChoice, ProbeSpec};
use parallax_model::target::Host;
use tokio::time::Instant;

use crate::order::{Order, Refusal};
use crate::policy::{Forbidden, Policy};
use crate::runner::attempts::Errand;
use crate::runner::{ADDRESSES, Permit, Probe, Runner, joined};

/// What a probe is to do, and what the policy keeps from it.
pub(super) struct Errands {
    pub(super) made: Vec<Errand>,
    pub(super) left_out: Vec<PolicyRefusal>,
    pub(super) note: Option<String>,
}

impl Runner {
    /// Takes an order in, or says why not. What the policy says of addresses shows only when they are known.
    pub(crate) fn admit(&self, order: &Order) -> Result<Permit, Refusal> {
        let target = &order.spec.target;
        let policy = self.policy.now();
        for endpoint in &target.endpoints {
            policy.admits_target(&target.host, endpoint.port)?;
        }
        if order.experiments.is_empty() {
            policy.admits_depth(depth_asked(&order.spec))?;
        }
        if logs_in(order) {
            policy.admits_login(order.credential.as_deref())?;
        }
        self.admits_credential(order)?;
        let permit = self.room_for(order, &policy)?;
        self.policy.count(targets(order), Instant::now().into_std())?;
        Ok(permit)
    }

    fn room_for(&self, order: &Order, policy: &Policy) -> Result<Permit, Refusal> {
        let room = if order.experiments.is_empty() {
            &self.permits
        } else {
            &self.experiments
        };
        policy.admits_beside(self.probes.saturating_sub(room.available_permits()))?;
        let full = |_| {
            Refusal::new(
                Reason::Overload,
                "this agent runs as many probes as it may already",
            )
        };
        let permit = room.clone().try_acquire_owned().map_err(full)?;
        Ok(Permit { _permit: permit })
    }
}

impl Probe<'_> {
    /// One errand for each address and endpoint that the policy allows, and what is left out.
    pub(super) fn errands(&self, addresses: &[IpAddr]) -> Result<Errands, Refusal> {
        let target = &self.order.spec.target;
        let policy = self.runner.policy.now();
        let mut made = Vec::new();
        let mut forbidden = Vec::new();
        for &address in addresses.iter().take(ADDRESSES) {
            for &endpoint in &target.endpoints {
                match policy.admits(&self.host_at(address), address, endpoint.port) {
                    Ok(()) => made.push(Errand::requested(address, endpoint, &self.order.spec)),
                    Err(not) => forbidden.push(not),
                }
            }
        }
        if made.is_empty()
            && let Some(first) = forbidden.first()
        {
            return Err(first.clone().into());
        }
        forbidden.extend(self.beside(&policy));
        let tried = (addresses.len() > ADDRESSES)
            .then(|| format!("{ADDRESSES} of {} addresses tried", addresses.len()));
        Ok(Errands {
            made,
            note: joined(words(&forbidden).into_iter().chain(tried)),
            left_out: rules(&forbidden),
        })
    }

    /// What was asked for beside the attempts, and is forbidden. What nobody insists on is left out in silence.
    fn beside(&self, policy: &Policy) -> Vec<Forbidden> {
        let options = &self.order.spec.options;
        let trace = (options.path == PathChoice::Always).then(|| policy.admits_trace());
        let capture = (options.capture == CaptureChoice::Always).then(|| policy.admits_capture());
        let asked = [trace, capture];
        asked.into_iter().flatten().filter_map(Result::err).collect()
    }

    /// Whether an experiment goes no further than the policy lets probes go.
    pub(super) fn admits_reach(&self, experiment: &Experiment) -> Result<(), Forbidden> {
        let kind = experiment.kind;
        let reach = match kind {
            ExperimentKind::HelloLadder => Depth::Tls,
            _ if kind.is_path() => Depth::Connect,
            _ => Plan::depth_of(kind, &self.order.spec),
        };
        self.runner.policy.now().admits_depth(reach)
    }
}

/// Captures have their remark already.
fn words(forbidden: &[Forbidden]) -> Vec<String> {
    use parallax_model::refusal::PolicyMatter::Capture;
    let told = forbidden.iter().filter(|one| one.refusal().what != Capture);
    told.map(ToString::to_string).collect()
}

fn rules(forbidden: &[Forbidden]) -> Vec<PolicyRefusal> {
    forbidden.iter().map(|one| one.refusal().clone()).collect()
}

/// How far an order goes, what is examined beside the probe included.
fn depth_asked(spec: &ProbeSpec) -> Depth {
    let shakes_hands = |examination: &Examination| match examination {
        Examination::Srv | Examination::Tlsa => false,
        Examination::Resumption | Examination::StarttlsInjection | Examination::LegacyTls => true,
    };
    if spec.options.examine.iter().any(shakes_hands) {
        spec.depth.max(Depth::Tls)
    } else {
        spec.depth
    }
}

/// Whether a secret would leave the agent. Experiments log in with none, whatever the order brings, but show a client
/// certificate.
fn logs_in(order: &Order) -> bool {
    let login = order.spec.login.is_some() || order.secret.is_some() || order.credential.is_some();
    order.client_identity.is_some() || login && order.experiments.is_empty()
}

/// What an order is counted for: the host as it is asked for, and where the order brings the addresses, these.
fn targets(order: &Order) -> BTreeSet<String> {
    let brought = order.experiments.iter().map(|one| one.address);
    let mut targets: BTreeSet<String> = brought
        .chain(order.spec.addresses.iter().copied())
        .map(|address| address.to_canonical().to_string())
        .collect();
    if targets.is_empty() {
        targets.insert(match &order.spec.target.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_canonical().to_string(),
        });
    }
    targets
}
