//! Which stages an attempt has.

use parallax_model::experiment::ExperimentKind;
use parallax_model::spec::{Depth, ProbeSpec};
use parallax_model::stage::StageName;
use parallax_model::target::{Endpoint, Security};

/// The stages of one attempt, in the order in which they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    stages: Vec<StageName>,
}

impl Plan {
    /// What the operator asked of an endpoint: every stage of the depth that the endpoint's security has.
    pub fn requested(spec: &ProbeSpec, endpoint: Endpoint) -> Self {
        let plan = Self::to(spec.depth, endpoint);
        match spec.options.hold {
            Some(_) => plan.held(),
            None => plan,
        }
    }

    /// What a follow-up does. It never logs in: a secret is tried once, in the attempt that was asked for. Only a
    /// session that watches another one must, and it has asked for its login itself.
    pub fn follow_up(kind: ExperimentKind, spec: &ProbeSpec, endpoint: Endpoint) -> Self {
        let plan = Self::to(Self::depth_of(kind, spec), endpoint);
        match kind {
            ExperimentKind::Watch => plan.without(&[
                StageName::Namespace,
                StageName::List,
                StageName::Fetch,
                StageName::Append,
                StageName::Sync,
            ]),
            ExperimentKind::Hold => plan.held(),
            _ => plan,
        }
    }

    /// How far the attempt of a follow-up goes.
    pub fn depth_of(kind: ExperimentKind, spec: &ProbeSpec) -> Depth {
        match kind {
            ExperimentKind::ControlPort | ExperimentKind::ControlTarget => Depth::Connect,
            ExperimentKind::RawHello | ExperimentKind::Resumption | ExperimentKind::StarttlsInjection => {
                Depth::Tls
            }
            ExperimentKind::Watch => Depth::Sync,
            _ if kind.varies_tls() => Depth::Tls,
            _ => spec.depth.min(Depth::Greeting),
        }
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[StageName] {
        &self.stages
    }

    /// Whether a stage is among them.
    pub fn has(&self, stage: StageName) -> bool {
        self.stages.contains(&stage)
    }

    /// With the session kept open before it says goodbye, where it comes that far.
    fn held(mut self) -> Self {
        if let Some(at) = self.stages.iter().position(|stage| *stage == StageName::Logout) {
            self.stages.insert(at, StageName::Hold);
        }
        self
    }

    fn without(mut self, left_out: &[StageName]) -> Self {
        self.stages.retain(|stage| !left_out.contains(stage));
        self
    }

    fn to(depth: Depth, endpoint: Endpoint) -> Self {
        let on_this_endpoint = |stage| match (stage, endpoint.security) {
            (StageName::Resolve | StageName::Hold, _) => false,
            (StageName::Tls, security) => security == Security::Tls,
            (StageName::Starttls, security) => security == Security::Starttls,
            _ => true,
        };
        // With STARTTLS the way to the handshake leads through the greeting.
        let on_the_way = |stage| {
            depth == Depth::Tls
                && endpoint.security == Security::Starttls
                && matches!(
                    stage,
                    StageName::Greeting | StageName::Capability | StageName::Starttls
                )
        };
        let asked = |stage| depth.includes(stage) || on_the_way(stage);
        Self {
            stages: StageName::ALL
                .iter()
                .copied()
                .filter(|&stage| asked(stage) && on_this_endpoint(stage))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StageName::{
        Append, Authenticate, Capability, Connect, Fetch, Greeting, Hold, Id, Idle, List, Logout, Namespace,
        Select, Starttls, Sync, Tls,
    };
    use parallax_model::spec::{DEFAULT_TIMEOUT, FamilyChoice, ProbeOptions};
    use parallax_model::target::Target;

    fn spec(target: &str, depth: Depth) -> ProbeSpec {
        ProbeSpec {
            target: Target::parse(target, None).expect("a target"),
            depth,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions::default(),
        }
    }

    fn requested(target: &str, depth: Depth) -> Vec<StageName> {
        let spec = spec(target, depth);
        Plan::requested(&spec, spec.target.endpoints[0]).stages().to_vec()
    }

    #[test]
    fn a_stage_that_the_endpoint_does_not_have_is_not_in_the_list() {
        let tls = [Connect, Tls, Greeting, Capability, Id, Logout];
        assert_eq!(requested("h", Depth::Greeting), tls);
        let starttls = [Connect, Greeting, Capability, Starttls, Id, Logout];
        assert_eq!(requested("imap://h", Depth::Greeting), starttls);
        assert_eq!(
            requested("imap://h", Depth::Tls),
            [Connect, Greeting, Capability, Starttls]
        );
    }

    #[test]
    fn a_mailbox_is_read_between_login_and_logout() {
        let all = requested("h", Depth::Mailbox);
        assert_eq!(all[5..], [Authenticate, Namespace, List, Select, Fetch, Logout]);
    }

    #[test]
    fn writing_comes_behind_reading_and_a_hold_before_the_goodbye() {
        let sync = requested("h", Depth::Sync);
        assert_eq!(sync[9..], [Fetch, Append, Sync, Idle, Logout]);
        let mut spec = spec("h", Depth::Greeting);
        spec.options.hold = Some(DEFAULT_TIMEOUT);
        let endpoint = spec.target.endpoints[0];
        assert_eq!(Plan::requested(&spec, endpoint).stages()[4..], [Id, Hold, Logout]);
        let ladder = Plan::follow_up(ExperimentKind::Hold, &spec, endpoint);
        assert!(ladder.has(Hold) && !ladder.has(Authenticate));
        assert!(!Plan::follow_up(ExperimentKind::Repeat, &spec, endpoint).has(Hold));
    }

    #[test]
    fn a_watcher_logs_in_and_opens_the_mailbox_and_nothing_else() {
        let spec = spec("h", Depth::Sync);
        let watch = Plan::follow_up(ExperimentKind::Watch, &spec, spec.target.endpoints[0]);
        assert_eq!(watch.stages()[4..], [Id, Authenticate, Select, Idle, Logout]);
    }

    #[test]
    fn a_follow_up_never_logs_in() {
        let spec = spec("h", Depth::Mailbox);
        let endpoint = spec.target.endpoints[0];
        let repeat = Plan::follow_up(ExperimentKind::Repeat, &spec, endpoint);
        assert!(repeat.has(Id) && repeat.has(Logout) && !repeat.has(Authenticate));
        let control = Plan::follow_up(ExperimentKind::ControlPort, &spec, endpoint);
        assert_eq!(control.stages(), [Connect]);
    }
}
