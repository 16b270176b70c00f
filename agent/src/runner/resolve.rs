//! The name of a target becomes addresses, and what else DNS says of it where that was asked for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parallax_engine::resolve::{self, Asked, Other, Source};
use parallax_model::evidence::{DnsQuery, Evidence};
use parallax_model::spec::Examination;
use parallax_model::stage::Stage;
use parallax_model::target::Host;
use tokio::time::Instant;

use crate::driver::dns::Found;
use crate::runner::Probe;

impl Probe<'_> {
    /// All questions are put at once; the stage takes as long as the addresses do.
    pub(super) async fn resolve(&self) -> (Stage, Vec<IpAddr>) {
        let (stage, addresses) = self.compared_with(self.order.spec.options.resolver).await;
        self.reports.stage(None, stage.clone());
        (stage, addresses)
    }

    /// The same once more beside another resolver, for an experiment.
    pub(super) async fn ask_again(&self, resolver: Option<SocketAddr>) -> Option<Stage> {
        let (stage, _) = self.compared_with(Some(resolver?)).await;
        Some(stage)
    }

    async fn compared_with(&self, resolver: Option<SocketAddr>) -> (Stage, Vec<IpAddr>) {
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
        resolve::conclude(spec, asked, start, duration)
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
            (None, Host::Name(name)) => self.runner.files.look_up(name, spec.family, until).await,
            (given, _) => Found {
                source: given.unwrap_or(Source::Literal),
                queries: Vec::new(),
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

/// For all questions beside those for addresses.
const FURTHER: Duration = Duration::from_secs(4);
