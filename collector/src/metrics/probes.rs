//! What checks see, as series: the families that blackbox exporters have, and our own.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use parallax_model::observation::{Family as AddressFamily, address_hash};
use parallax_model::run::AgentSummary;
use parallax_model::stage::StageName;
use parallax_model::target::Security;
use parallax_model::vantage::AgentName;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::{self, LabelSet, with};
use super::latest::{Latest, Seen, answered, works};
use super::summary::Summary;
use crate::rounds::{RoundOutcome, VantagePart};
use crate::store::CheckRecord;

/// Upper ends of the buckets, seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Ways to fail that are told apart; of those that come later only the stage is.
const REASONS: usize = 1000;

type Times = Family<LabelSet, HistogramWithExemplars<LabelSet>, fn() -> HistogramWithExemplars<LabelSet>>;

/// Everything that rounds, checks and agents come to.
#[derive(Debug, Clone)]
pub(super) struct Probes {
    scene: Arc<Mutex<Scene>>,
    probes: Family<LabelSet, Counter>,
    failures: Family<LabelSet, Counter>,
    stage_duration: Times,
    duration: Times,
}

#[derive(Debug, Default)]
struct Scene {
    latest: Latest,
    checks: Vec<Arc<CheckRecord>>,
    agents: Vec<AgentSummary>,
    success: Summary,
    reasons: BTreeSet<LabelSet>,
}

impl Probes {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let times: fn() -> _ = || HistogramWithExemplars::new(BUCKETS.into_iter());
        let probes = Self {
            scene: Arc::default(),
            probes: Family::default(),
            failures: Family::default(),
            stage_duration: Family::new_with_constructor(times),
            duration: Family::new_with_constructor(times),
        };
        registry.register(
            "parallax_probes",
            "Probes of checks that were answered; probe is the agent's name here and everywhere",
            probes.probes.clone(),
        );
        registry.register(
            "parallax_probe_failures",
            "Probes of checks that failed, by the first stage that did and the fault",
            probes.failures.clone(),
        );
        registry.register(
            "parallax_stage_duration_seconds",
            "How long the stages of checks took that worked",
            probes.stage_duration.clone(),
        );
        registry.register(
            "probe_all_duration_seconds",
            "How long the probes of checks took that worked",
            probes.duration.clone(),
        );
        registry.register_collector(Box::new(probes.clone()));
        probes
    }

    /// A round is over. One that came late says nothing about now.
    pub(super) fn round(&self, outcome: &RoundOutcome, now: Instant) {
        if outcome.late {
            return;
        }
        let mut scene = self.scene();
        scene.latest.note(outcome, now);
        for part in outcome.vantages.iter().filter(|part| answered(part)) {
            self.count(&mut scene, outcome, part);
        }
    }

    /// The checks that are there and do not rest, and the agents that are known, as the page is asked for.
    pub(super) fn set_scene(&self, checks: Vec<Arc<CheckRecord>>, agents: Vec<AgentSummary>) {
        let mut scene = self.scene();
        let ids = checks.iter().map(|check| check.id).collect();
        scene.latest.keep_checks(&ids);
        scene.checks = checks;
        scene.agents = agents;
    }

    pub(super) fn forget_agent(&self, agent: &AgentName) {
        self.scene().latest.forget_agent(agent);
    }

    /// What no registry has a type for, as its page would show it.
    pub(super) fn summaries(&self) -> String {
        self.scene().success.text(
            "probe_all_success",
            "How often the probes of checks worked, of how many",
        )
    }

    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, scene: &mut Scene, outcome: &RoundOutcome, part: &VantagePart) {
        let target = outcome.check.definition.spec.target.host.to_string();
        let base = vec![
            ("check", outcome.check.definition.name.to_string()),
            ("target", target.clone()),
            ("probe", part.agent.to_string()),
        ];
        let result = if works(part) { "success" } else { "failure" };
        scene.success.observe(base.clone(), works(part));
        self.probes
            .get_or_create(&with(base.clone(), "result", result))
            .inc();
        if let Some((stage, fault)) = part.failed.filter(|_| !works(part)) {
            let base = with(base.clone(), "stage", stage.as_str());
            let named = with(base.clone(), "reason", fault.as_str());
            let has_room = scene.reasons.len() < REASONS;
            let labels = if scene.reasons.contains(&named) || has_room && scene.reasons.insert(named.clone())
            {
                named
            } else {
                with(base, "reason", "other")
            };
            self.failures.get_or_create(&labels).inc();
        }
        let trace = || outcome.trace_id().map(|trace| vec![("trace_id", trace)]);
        // Said with it, since a page is read, and sent, many times.
        let now = Some(SystemTime::now());
        for (stage, duration) in &part.stages {
            let labels = vec![("target", target.clone()), ("stage", stage.as_str().to_owned())];
            self.stage_duration
                .get_or_create(&labels)
                .observe(duration.as_secs_f64(), trace(), now);
        }
        if works(part) {
            self.duration
                .get_or_create(&base)
                .observe(part.total.as_secs_f64(), trace(), now);
        }
    }
}

impl Collector for Probes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let scene = self.scene();
        let now = Instant::now();
        let seen: Vec<_> = scene.latest.alive(now).collect();
        for family in SEEN {
            family.encode(&mut encoder, seen.iter().flat_map(|&seen| (family.series)(seen)))?;
        }
        let mut targets = [Vec::new(), Vec::new(), Vec::new()];
        for check in &scene.checks {
            let base = labels::target(check);
            for (state, count) in scene.latest.agents(check.id, now) {
                targets[0].push((with(base.clone(), "state", state), whole(count)));
            }
            if let Some(up) = scene.latest.is_up(check.id, now) {
                targets[1].push((base.clone(), flag(up)));
            }
            targets[2].push((base, 1.0));
        }
        for (family, series) in TARGETS.iter().zip(targets) {
            gauges(&mut encoder, family.0, family.1, series)?;
        }
        for (name, help, value) in AGENTS {
            let series = scene
                .agents
                .iter()
                .filter_map(|agent| Some((labels::agent(&agent.name), value(agent)?)));
            gauges(&mut encoder, name, help, series)?;
        }
        agent_infos(&mut encoder, &scene.agents)?;
        dropped(&mut encoder, &scene.agents)
    }
}

/// A family of gauges with its series.
struct Gauges {
    name: &'static str,
    help: &'static str,
    series: fn(&Seen) -> Vec<(LabelSet, f64)>,
}

impl Gauges {
    fn encode(
        &self,
        encoder: &mut DescriptorEncoder,
        series: impl Iterator<Item = (LabelSet, f64)>,
    ) -> Result<(), fmt::Error> {
        gauges(encoder, self.name, self.help, series)
    }
}

const SEEN: &[Gauges] = &[
    Gauges {
        name: "probe_success",
        help: "Whether the target can be used from there",
        series: |seen| one(seen, Some(flag(works(&seen.part)))),
    },
    Gauges {
        name: "probe_duration_seconds",
        help: "How long the last probe took",
        series: |seen| one(seen, Some(seen.part.total.as_secs_f64())),
    },
    Gauges {
        name: "probe_timeout_seconds",
        help: "How long a probe may take",
        series: |seen| one(seen, Some(seen.check.definition.spec.timeout.as_secs_f64())),
    },
    Gauges {
        name: "probe_dns_lookup_time_seconds",
        help: "How long it took until the name was addresses",
        series: |seen| one(seen, took(&seen.part, StageName::Resolve)),
    },
    Gauges {
        name: "probe_ip_protocol",
        help: "4 or 6",
        series: |seen| {
            let family = seen.part.address.map(|address| match AddressFamily::of(address) {
                AddressFamily::Ipv4 => 4.0,
                AddressFamily::Ipv6 => 6.0,
            });
            one(seen, family)
        },
    },
    Gauges {
        name: "probe_ip_addr_hash",
        help: "Changes when the address does",
        series: |seen| {
            let hash = seen.part.address.map(|address| f64::from(address_hash(address)));
            one(seen, hash)
        },
    },
    Gauges {
        name: "probe_ssl_earliest_cert_expiry",
        help: "When the server's certificate ends, seconds since 1970",
        series: |seen| {
            let ends = seen.part.certificate.as_ref().map(|leaf| leaf.not_after);
            one(seen, ends.map(seconds))
        },
    },
    Gauges {
        name: "probe_ssl_last_chain_expiry_timestamp_seconds",
        help: "When the first certificate of a verified chain ends, seconds since 1970",
        series: |seen| {
            let leaf = seen.part.certificate.as_ref().filter(|_| seen.part.verified);
            one(seen, leaf.map(|leaf| seconds(leaf.chain_not_after)))
        },
    },
    Gauges {
        name: "probe_ssl_last_chain_info",
        help: "The server's certificate",
        series: certificate,
    },
    Gauges {
        name: "probe_tls_version_info",
        help: "The version of TLS",
        series: |seen| tls(seen, "version", |(version, _)| version),
    },
    Gauges {
        name: "probe_tls_cipher_info",
        help: "The cipher suite",
        series: |seen| tls(seen, "cipher", |(_, cipher)| cipher),
    },
    Gauges {
        name: "probe_imap_duration_seconds",
        help: "How long each stage took that worked",
        series: |seen| {
            let stages = seen.part.stages.iter();
            stages
                .map(|(stage, took)| {
                    (
                        with(labels::probe(seen), "phase", stage.as_str()),
                        took.as_secs_f64(),
                    )
                })
                .collect()
        },
    },
    Gauges {
        name: "probe_imap_ssl",
        help: "Whether the connection is asked to be under TLS",
        series: |seen| {
            let endpoints = &seen.check.definition.spec.target.endpoints;
            let all = endpoints
                .iter()
                .all(|endpoint| endpoint.security != Security::Plaintext);
            one(seen, Some(flag(all)))
        },
    },
];

const TARGETS: [(&str, &str); 3] = [
    (
        "parallax_target_agents",
        "Vantage points of a check, by how it stands with them; stale is who was not heard for three intervals",
    ),
    (
        "parallax_target_up",
        "Whether the target can be used, as the last round was judged; absent when nobody can say",
    ),
    (
        "parallax_target_info",
        "A check that is there and does not rest, whoever reports",
    ),
];

type OfAgent = fn(&AgentSummary) -> Option<f64>;

const AGENTS: [(&str, &str, OfAgent); 3] = [
    (
        "parallax_agent_last_seen_timestamp_seconds",
        "When an agent was last heard of, seconds since 1970",
        |agent| agent.last_seen.map(seconds),
    ),
    (
        "parallax_agent_spool_waiting",
        "Results that wait at an agent, as it says itself",
        |agent| agent.spool.map(|spool| real(spool.waiting)),
    ),
    (
        "parallax_agent_spool_bytes",
        "What they take on its disk",
        |agent| agent.spool.map(|spool| real(spool.bytes)),
    ),
];

fn gauges(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (LabelSet, f64)>,
) -> Result<(), fmt::Error> {
    let mut series = series.into_iter().peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn agent_infos(encoder: &mut DescriptorEncoder, agents: &[AgentSummary]) -> Result<(), fmt::Error> {
    let series = agents.iter().map(|agent| {
        let labels = with(
            labels::agent(&agent.name),
            "region",
            labels::region(&agent.labels),
        );
        (with(labels, "version", &agent.version), 1.0)
    });
    gauges(encoder, "parallax_agent_info", "An agent that is known", series)
}

fn dropped(encoder: &mut DescriptorEncoder, agents: &[AgentSummary]) -> Result<(), fmt::Error> {
    let mut series = agents
        .iter()
        .filter_map(|agent| Some((&agent.name, agent.spool?.dropped)))
        .peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(
        "parallax_agent_results_dropped",
        "Results that an agent had no room for, as it says itself",
        None,
        MetricType::Counter,
    )?;
    for (name, dropped) in series {
        let labels = labels::agent(name);
        let mut one = family.encode_family(&labels)?;
        one.encode_counter::<LabelSet, _, u64>(&dropped, None)?;
    }
    Ok(())
}

fn one(seen: &Seen, value: Option<f64>) -> Vec<(LabelSet, f64)> {
    value
        .map(|value| (labels::probe(seen), value))
        .into_iter()
        .collect()
}

fn certificate(seen: &Seen) -> Vec<(LabelSet, f64)> {
    let Some(leaf) = &seen.part.certificate else {
        return Vec::new();
    };
    let mut labels = labels::probe(seen);
    labels.extend([
        ("fingerprint_sha256", leaf.sha256.clone()),
        ("issuer", leaf.issuer.clone()),
        ("subject", leaf.subject.clone()),
        ("subjectalternative", leaf.names.join(",")),
        ("serialnumber", leaf.serial.clone()),
    ]);
    vec![(labels, 1.0)]
}

fn tls(seen: &Seen, label: &'static str, of: fn(&(String, String)) -> &String) -> Vec<(LabelSet, f64)> {
    let value = seen.part.tls.as_ref().map(of);
    value
        .map(|value| (with(labels::probe(seen), label, value), 1.0))
        .into_iter()
        .collect()
}

fn took(part: &VantagePart, stage: StageName) -> Option<f64> {
    let found = part.stages.iter().find(|(name, _)| *name == stage);
    found.map(|(_, duration): &(_, Duration)| duration.as_secs_f64())
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn seconds(at: jiff::Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn whole(count: usize) -> f64 {
    real(u64::try_from(count).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a count that people read")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
