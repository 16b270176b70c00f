//! A case file: what was asked, what each vantage point saw, what must follow.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use parallax_diagnosis::Question;
use parallax_model::evidence::{DnsQuery, Evidence, OtherAnswer, ResolveEvidence};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::{Fault, FaultKind};
use parallax_model::observation::{ClockFacts, Observation, Purpose, Reason, VantageOutcome};
use parallax_model::refusal::{PolicyMatter, PolicyRefusal};
use parallax_model::spec::Depth;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, IMAP_PORT, Security, Target};
use parallax_model::vantage::Labels;
use serde::Deserialize;

use super::attempt::{self, Setting};
use super::chain::ChainSpec;
use super::expect::Expected;
use super::path;

/// One case file. See `tests/cases/README.md` for the shorthand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub claim: String,
    #[serde(default = "default_target")]
    pub target: String,
    #[serde(default = "default_depth")]
    pub depth: String,
    #[serde(default)]
    pub login: bool,
    #[serde(default = "default_now")]
    pub now: Timestamp,
    #[serde(default)]
    pub chain: BTreeMap<String, ChainSpec>,
    pub vantage: BTreeMap<String, BTreeMap<String, toml::Value>>,
    /// What they saw when the target last worked.
    #[serde(default)]
    pub before: BTreeMap<String, BTreeMap<String, toml::Value>>,
    pub expect: Expected,
}

fn default_target() -> String {
    "imap.example.org".to_owned()
}

fn default_depth() -> String {
    "greeting".to_owned()
}

fn default_now() -> Timestamp {
    "2026-10-15T12:00:00Z".parse().expect("a time")
}

impl Case {
    /// What was asked.
    pub fn question(&self) -> Question {
        Question {
            target: Target::parse(&self.target, None).expect(&self.target),
            depth: Depth::known(&self.depth).expect(&self.depth),
            login: self.login,
            now: self.now,
        }
    }

    /// What the vantage points saw, in the order of their names.
    pub fn observations(&self) -> Vec<Observation> {
        let seen = self.vantage.iter().enumerate();
        seen.map(|(number, (name, seen))| self.observation(number, name, seen))
            .collect()
    }

    /// What they saw when the target last worked.
    pub fn before(&self) -> Vec<Observation> {
        let known = |name: &String| self.vantage.keys().position(|other| other == name);
        self.before
            .iter()
            .map(|(name, seen)| self.observation(known(name).expect(name), name, seen))
            .collect()
    }

    fn observation(&self, number: usize, name: &str, seen: &BTreeMap<String, toml::Value>) -> Observation {
        let agent = name.parse().expect(name);
        if let Some(unseen) = seen.get("unseen").and_then(toml::Value::as_str) {
            let rule = seen.get("rule").and_then(toml::Value::as_str);
            return self.unseen(agent, unseen, rule);
        }
        let number = u8::try_from(number + 1).expect("few vantage points");
        let setting = Setting {
            depth: Depth::known(&self.depth).expect(&self.depth),
            login: self.login,
            chains: &self.chain,
            local: [
                IpAddr::from([10, 200, number, 2]),
                IpAddr::from([0xfd00, 200, u16::from(number), 0, 0, 0, 0, 2]),
            ],
        };
        let mut attempts = Vec::new();
        for (key, value) in seen.iter().filter(|(key, _)| !path::is_one(key)) {
            if let Some((purpose, experiment, socket, endpoint)) = attempt_key(key) {
                let text = value.as_str().expect(key);
                attempts.push(attempt::build(
                    &setting, purpose, experiment, socket, endpoint, text,
                ));
            }
        }
        attempts.sort_by_key(|attempt| attempt.purpose == Purpose::FollowUp);
        let addresses = attempts
            .iter()
            .filter(|attempt| attempt.requested())
            .map(|attempt| attempt.address)
            .collect();
        let resolve = seen.get("resolve").and_then(toml::Value::as_str);
        let resolve = resolve_stage(&self.target, resolve, addresses);
        let clock = seen.get("clock_ms").map(|offset| ClockFacts {
            offset_ms: offset
                .as_float()
                .or(offset.as_integer().map(|whole| whole as f64))
                .expect("a number"),
            start_skew_ms: 0.0,
        });
        Observation {
            agent,
            labels: Labels::new(),
            outcome: Observation::conclude_outcome(Some(&resolve), &attempts),
            reason: None,
            note: None,
            refusal: None,
            left_out: Vec::new(),
            clock,
            resolve: Some(resolve),
            attempts,
            network: path::network(number, seen),
        }
    }

    fn unseen(
        &self,
        agent: parallax_model::vantage::AgentName,
        text: &str,
        rule: Option<&str>,
    ) -> Observation {
        let (words, note) = text.split_once(':').unwrap_or((text, ""));
        let (outcome, reason) = words.split_once(' ').expect("outcome and reason");
        let unseen = Observation::unseen(
            agent,
            Labels::new(),
            VantageOutcome::known(outcome).expect(outcome),
            Reason::known(reason).expect(reason),
            note.trim(),
        );
        Observation {
            refusal: rule.map(refusal),
            ..unseen
        }
    }
}

/// `port 25: allow *:143,993`.
fn refusal(text: &str) -> PolicyRefusal {
    let (asked, rule) = text.split_once(": ").expect("what was asked, and the rule");
    let (what, value) = asked.split_once(' ').expect("what, and the value");
    PolicyRefusal {
        what: PolicyMatter::known(what).expect(what),
        rule: rule.to_owned(),
        value: value.to_owned(),
        address: None,
        port: None,
    }
}

/// `10.9.0.10:993`, `10.9.0.10:143/plaintext`, `control_port 10.9.0.10:7`.
fn attempt_key(key: &str) -> Option<(Purpose, Option<ExperimentKind>, SocketAddr, Endpoint)> {
    let (purpose, experiment, place) = match key.split_once(' ') {
        Some((kind, place)) => (Purpose::FollowUp, Some(ExperimentKind::known(kind)?), place),
        None => (Purpose::Requested, None, key),
    };
    let (socket, security) = place.split_once('/').map_or((place, None), |(socket, security)| {
        (socket, Some(Security::known(security).expect(security)))
    });
    // A ladder of holds goes to one place several times: `hold 10.9.0.10:993#2`.
    let socket = socket.split('#').next()?;
    let socket: SocketAddr = socket.parse().ok()?;
    let by_port = match (experiment, socket.port()) {
        (Some(ExperimentKind::ControlPort), _) => Security::Plaintext,
        (_, IMAP_PORT) => Security::Starttls,
        _ => Security::Tls,
    };
    let endpoint = Endpoint {
        port: socket.port(),
        security: security.unwrap_or(by_port),
    };
    Some((purpose, experiment, socket, endpoint))
}

/// `9.9.9.9:10.9.0.66` or `9.9.9.9:nxdomain`.
fn other_answer(text: &str) -> OtherAnswer {
    let (resolver, said) = text.split_once(':').expect("resolver:answer");
    let address: Option<IpAddr> = said.parse().ok();
    OtherAnswer {
        resolver: SocketAddr::new(resolver.parse().expect(resolver), 53),
        addresses: address.into_iter().collect(),
        agrees: false,
        fault: address
            .is_none()
            .then(|| Fault::new(FaultKind::from_names("dns", said), said.to_owned())),
    }
}

/// `dns ADDRESS... second=ADDRESS other=RESOLVER:ANSWER @RESOLVER`, `answers_differ ADDRESS @RESOLVER other=RESOLVER:ANSWER`, `aaaa_timeout`, a fault's name with `@RESOLVER`; by default what the attempts went to.
fn resolve_stage(target: &str, text: Option<&str>, addresses: Vec<IpAddr>) -> Stage {
    let text = text.unwrap_or("dns");
    let resolver = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix('@'))
        .unwrap_or("10.0.53.2");
    let resolver = SocketAddr::new(resolver.parse().expect("a resolver"), 53);
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !word.starts_with('@'))
        .collect();
    let other = words
        .iter()
        .find_map(|word| word.strip_prefix("other="))
        .map(other_answer);
    let second: Vec<IpAddr> = words
        .iter()
        .filter_map(|word| word.strip_prefix("second="))
        .map(|address| address.parse().expect(address))
        .collect();
    let named: Vec<IpAddr> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let addresses = if named.is_empty() { addresses } else { named };
    let took = Duration::from_millis(8);
    let query = |record_type: &str, rcode: Option<&str>, found: Vec<IpAddr>, fault: Option<Fault>| DnsQuery {
        records: Vec::new(),
        dnssec: None,
        name: target.to_owned(),
        record_type: record_type.to_owned(),
        resolver,
        transport: "udp".to_owned(),
        rcode: rcode.map(str::to_owned),
        addresses: found,
        cname_chain: Vec::new(),
        second_answer: second
            .iter()
            .copied()
            .filter(|address| address.is_ipv4() == (record_type == "A"))
            .collect(),
        ttl_s: Some(300),
        duration: took,
        fault,
    };
    let of_family = |v4: bool| {
        addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv4() == v4)
            .collect()
    };
    let (outcome, queries) = match words.first().copied() {
        Some("dns") => (
            Outcome::Ok,
            vec![
                query("A", Some("NOERROR"), of_family(true), None),
                query("AAAA", Some("NOERROR"), of_family(false), None),
            ],
        ),
        Some("answers_differ") => (
            Outcome::Degraded(Fault::new(
                FaultKind::from_names("dns", "answers_differ"),
                "another resolver gives other addresses",
            )),
            vec![
                query("A", Some("NOERROR"), of_family(true), None),
                query("AAAA", Some("NOERROR"), of_family(false), None),
            ],
        ),
        Some("aaaa_timeout") => {
            let fault = Fault::new(FaultKind::from_names("dns", "timeout"), "no answer to AAAA");
            (
                Outcome::Degraded(fault.clone()),
                vec![
                    query("A", Some("NOERROR"), of_family(true), None),
                    query("AAAA", None, Vec::new(), Some(fault)),
                ],
            )
        }
        Some(kind) => {
            let fault = Fault::new(FaultKind::from_names("dns", kind), format!("{target}: {kind}"));
            let rcode = match kind {
                "nxdomain" => Some("NXDOMAIN"),
                "servfail" | "bogus" => Some("SERVFAIL"),
                "refused" => Some("REFUSED"),
                "no_address" => Some("NOERROR"),
                _ => None,
            };
            (
                Outcome::Failed(fault.clone()),
                vec![
                    query("A", rcode, Vec::new(), Some(fault.clone())),
                    query("AAAA", rcode, Vec::new(), Some(fault)),
                ],
            )
        }
        None => panic!("resolve is empty"),
    };
    let failed = matches!(outcome, Outcome::Failed(_));
    let mut stage = Stage::new(StageName::Resolve, outcome, Duration::ZERO, took);
    let literal = target.parse::<IpAddr>().is_ok();
    stage.evidence = Some(Evidence::Resolve(ResolveEvidence {
        other,
        services: Vec::new(),
        tlsa: Vec::new(),
        source: if literal { "literal" } else { "dns" }.to_owned(),
        addresses: if failed { Vec::new() } else { addresses.clone() },
        queries: if literal { Vec::new() } else { queries },
    }));
    stage
}
