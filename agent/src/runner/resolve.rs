//! The name of a target becomes addresses, and what else DNS says of it where that was asked for.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parallax_engine::resolve::{self, Asked, Other, Source};
use parallax_model::evidence::{DnsQuery, Evidence};
use parallax_model::refusal::PolicyRefusal;
use parallax_model::spec::{Examination, FamilyChoice};
use parallax_model::stage::Stage;
use parallax_model::target::Host;
use tokio::time::Instant;

use crate::driver::dns::{Found, Seconds};
use crate::policy::Forbidden;
use crate::runner::Probe;

/// What the name of a target came to.
pub(super) struct Resolved {
    pub(super) stage: Stage,
    pub(super) addresses: Vec<IpAddr>,
    /// Why the resolver that the order names was not asked.
    pub(super) left_out: Option<Forbidden>,
    /// What may still come after the answers.
    seconds: Seconds,
}

impl Resolved {
    /// Why the resolver that the order names was not asked, in words.
    pub(super) fn words(&self) -> Option<String> {
        self.left_out.as_ref().map(ToString::to_string)
    }

    /// And by which rule.
    pub(super) fn rules(&self) -> impl Iterator<Item = PolicyRefusal> {
        self.left_out.iter().map(|forbidden| forbidden.refusal().clone())
    }

    /// The stage with what came after the answers. That is waited for where something failed: whoever forges answers
    /// leads astray.
    pub(super) async fn at_last(mut self, failed: bool) -> Stage {
        if let Some(Evidence::Resolve(facts)) = &mut self.stage.evidence {
            self.seconds.add_to(&mut facts.queries, failed).await;
        }
        self.stage
    }
}

impl Probe<'_> {
    /// All questions are put at once; the stage takes as long as the addresses do.
    pub(super) async fn resolve(&self) -> Resolved {
        let asked = self.order.spec.options.resolver;
        let (resolver, left_out) = match asked.map(|resolver| self.may_ask(resolver)) {
            Some(Err(forbidden)) => (None, Some(forbidden)),
            None | Some(Ok(())) => (asked, None),
        };
        self.look_up_own().await;
        let resolved = Resolved {
            left_out,
            ..self.compared_with(resolver).await
        };
        self.reports.stage(None, Box::new(resolved.stage.clone()));
        resolved
    }

    /// The same once more beside another resolver, for an experiment.
    pub(super) async fn ask_again(&self, resolver: Option<SocketAddr>) -> Option<Stage> {
        let resolved = self.compared_with(Some(resolver?)).await;
        Some(resolved.at_last(true).await)
    }

    /// Whether the policy lets this agent ask a resolver that the order names.
    pub(super) fn may_ask(&self, resolver: SocketAddr) -> Result<(), Forbidden> {
        let own = self.runner.files.configuration().resolvers;
        self.runner.policy.now().admits_resolver(resolver, &own)
    }

    /// As whom the policy knows an address: by the host's name where a look-up of this agent's own led there, and by
    /// itself where only the order says so.
    pub(super) fn host_at(&self, address: IpAddr) -> Cow<'_, Host> {
        let host = &self.order.spec.target.host;
        match host {
            Host::Name(name)
                if self.runner.policy.now().goes_by_name(host)
                    && !self.runner.seen.has(name, address, Instant::now()) =>
            {
                Cow::Owned(Host::Address(address))
            }
            _ => Cow::Borrowed(host),
        }
    }

    /// Looks the host up where the policy knows it by its name and the order brings the addresses.
    pub(super) async fn look_up_own(&self) {
        let spec = &self.order.spec;
        let brought: Vec<IpAddr> = self.order.experiments.iter().map(|one| one.address).collect();
        let brought = brought.iter().chain(&spec.addresses);
        let Host::Name(name) = &spec.target.host else {
            return;
        };
        if !self.runner.policy.now().goes_by_name(&spec.target.host)
            || brought
                .into_iter()
                .all(|&address| self.runner.seen.has(name, address, Instant::now()))
        {
            return;
        }
        let until = self.around.began + self.deadline.min(OWN);
        let found = self.runner.files.look_up(name, FamilyChoice::Any, until).await;
        self.remember(name, &found);
    }

    fn remember(&self, name: &str, found: &Found) {
        let addresses: Vec<IpAddr> = match &found.source {
            Source::Hosts(addresses) => addresses.clone(),
            Source::Dns => {
                let queries = found.queries.iter();
                queries.flat_map(|query| query.addresses.clone()).collect()
            }
            Source::Forced | Source::Literal => return,
        };
        self.runner.seen.keep(name, addresses, Instant::now());
    }

    async fn compared_with(&self, resolver: Option<SocketAddr>) -> Resolved {
        let spec = &self.order.spec;
        let began = self.around.began;
        let start = began.elapsed();
        let until = began + self.deadline;
        let addresses = async {
            let found = self.look_up(until).await;
            (found, began.elapsed().saturating_sub(start))
        };
        let ((found, duration), other, further) = tokio::join!(
            addresses,
            self.ask_other(resolver, until),
            self.ask_further(until)
        );
        let asked = Asked {
            source: found.source,
            queries: found.queries,
            other,
            further,
        };
        let (stage, addresses) = resolve::conclude(spec, asked, start, duration);
        Resolved {
            stage,
            addresses,
            left_out: None,
            seconds: found.seconds,
        }
    }

    /// What is worth a word of where the mail domain says that its services are.
    pub(super) fn remarks(&self, resolve: &Stage) -> Vec<String> {
        match &resolve.evidence {
            Some(Evidence::Resolve(facts)) => resolve::remarks(&self.order.spec.target, &facts.services),
            _ => Vec::new(),
        }
    }

    async fn look_up(&self, until: Instant) -> Found {
        let spec = &self.order.spec;
        match (Source::given(spec), &spec.target.host) {
            (None, Host::Name(name)) => {
                let found = self.runner.files.look_up(name, spec.family, until).await;
                self.remember(name, &found);
                found
            }
            (given, _) => Found {
                source: given.unwrap_or(Source::Literal),
                queries: Vec::new(),
                seconds: Seconds::default(),
            },
        }
    }

    async fn ask_other(&self, resolver: Option<SocketAddr>, until: Instant) -> Option<Other> {
        let spec = &self.order.spec;
        let (resolver, Host::Name(name), None) = (resolver?, &spec.target.host, Source::given(spec)) else {
            return None;
        };
        let files = &self.runner.files;
        let queries = files.look_up_at(resolver, name, spec.family, until).await;
        Some(Other { resolver, queries })
    }

    async fn ask_further(&self, until: Instant) -> Vec<DnsQuery> {
        let (target, options) = (&self.order.spec.target, &self.order.spec.options);
        let Host::Name(name) = &target.host else {
            return Vec::new();
        };
        let configuration = self.runner.files.configuration();
        // A resolver that is silent to these must not use up the time of the probe.
        let until = until.min(Instant::now() + FURTHER);
        let services = async {
            if options.examines(Examination::Srv) {
                configuration.services(name, until).await
            } else {
                Vec::new()
            }
        };
        let associations = async {
            if options.examines(Examination::Tlsa) {
                let mut ports: Vec<u16> = target.endpoints.iter().map(|endpoint| endpoint.port).collect();
                ports.dedup();
                configuration.associations(name, &ports, until).await
            } else {
                Vec::new()
            }
        };
        let (mut queries, associations) = tokio::join!(services, associations);
        queries.extend(associations);
        queries
    }
}

/// For a look-up whose answer only the policy needs.
const OWN: Duration = Duration::from_secs(3);
/// For all questions beside those for addresses.
const FURTHER: Duration = Duration::from_secs(4);
