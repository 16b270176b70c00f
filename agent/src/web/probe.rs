//! `/probe`: one probe for one scrape, with the names that blackbox exporters made known.

use std::net::IpAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use parallax_model::evidence::{Evidence, TlsEvidence};
use parallax_model::observation::{
    Attempt, AttemptOutcome, Observation, Purpose, Reason, VantageOutcome, address_hash,
};
use parallax_model::spec::ProbeSpec;
use parallax_model::stage::{Outcome, Stage};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::page::{Kind, Page};
use super::{Module, Room};
use crate::circuit::Asker;
use crate::order::{Order, Refusal};

/// What the scraper says that it waits.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// For the way of the answer.
const TO_ANSWER: Duration = Duration::from_millis(500);
/// For a probe whose time is over to say so, within the time of the page: what a silent target comes to.
const TO_SAY: Duration = Duration::from_millis(250);
/// A probe that has less says nothing.
const SHORTEST: Duration = Duration::from_millis(100);

/// Why there was no probe.
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Problem {
    fn usage(text: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self {
            status,
            text: text.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.reason {
            Reason::Policy => StatusCode::FORBIDDEN,
            Reason::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Reason::Unsupported | Reason::Offline | Reason::Deadline => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            text: refusal.note,
        }
    }
}

impl Room {
    pub(super) async fn probe(&self, request: &Request<Incoming>) -> Result<Page, Problem> {
        let asked = Asked::read(request.uri().query().unwrap_or_default())?;
        let module = match (&asked.module, self.modules.get(&asked.module)) {
            (_, Some(module)) => module.clone(),
            (name, None) if name.is_empty() => Module::default(),
            (name, None) => {
                return Err(Problem::usage(format!(
                    "this agent has no module {name:?}: add [modules.{}] to its configuration, or leave module= out",
                    name.escape_default()
                )));
            }
        };
        let time = time(module.timeout, request)?;
        let runner = &self.means.runner;
        let spec = module.spec(&asked.target, time - TO_SAY.min(time / 4), &runner.credentials);
        let order = order(spec.map_err(Problem::usage)?, module.credential);
        let _place = self.probes.try_acquire().map_err(|_| Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            text: "as many scrapes probe now as may".to_owned(),
        })?;
        let _permit = runner.admit(&order)?;
        let began = Instant::now();
        // What is written down for this agent alone is for nobody else to allow.
        let ran = timeout(time, runner.run_alone(&order, Ok(()))).await;
        let took = began.elapsed();
        match ran {
            Ok(Ok(ran)) => Ok(page(Some(&ran.observation), took, time)),
            Ok(Err(refusal)) => Err(refusal.into()),
            Err(_) => Ok(page(None, took, time)),
        }
    }
}

/// What the visitor says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    target: String,
    module: String,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "target" => asked.target = value.into_owned(),
                "module" => asked.module = value.into_owned(),
                _ => {}
            }
        }
        if asked.target.is_empty() {
            return Err(Problem::usage("target is missing: /probe?target=HOST[:PORT]"));
        }
        Ok(asked)
    }
}

/// What a probe has: as much as the module says, and is back before the scraper goes.
fn time(module: Duration, request: &Request<Incoming>) -> Result<Duration, Problem> {
    let Some(header) = request.headers().get(SCRAPE_TIMEOUT) else {
        return Ok(module);
    };
    let scrape = header
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| Problem::usage(format!("{SCRAPE_TIMEOUT} is not a number of seconds")))?;
    Ok(module.min(scrape.saturating_sub(TO_ANSWER)).max(SHORTEST))
}

fn order(spec: ProbeSpec, credential: Option<String>) -> Order {
    Order {
        id: format!("http-{}", Uuid::now_v7()),
        run_id: String::new(),
        budget: spec.timeout,
        spec,
        experiments: Vec::new(),
        secret: None,
        credential,
        client_identity: None,
        asker: Asker::Routine { once: None },
        watches: None,
        traceparent: String::new(),
        tracestate: String::new(),
    }
}

fn page(seen: Option<&Observation>, took: Duration, time: Duration) -> Page {
    let mut page = Page::default();
    let works =
        seen.is_some_and(|seen| matches!(seen.outcome, VantageOutcome::Ok | VantageOutcome::Degraded));
    page.gauge(
        "probe_success",
        "Whether the target did all that was asked of it.",
        flag(works),
    );
    page.gauge(
        "probe_duration_seconds",
        "How long the probe took.",
        took.as_secs_f64(),
    );
    page.gauge(
        "probe_timeout_seconds",
        "How long it could have taken.",
        time.as_secs_f64(),
    );
    let Some(seen) = seen else {
        return page;
    };
    if let Some(resolve) = &seen.resolve {
        let lookup = resolve.duration.as_secs_f64();
        page.gauge(
            "probe_dns_lookup_time_seconds",
            "How long the name took to be resolved.",
            lookup,
        );
    }
    let attempt = telling(seen);
    if let Some(attempt) = attempt {
        of_address(&mut page, attempt.address);
        let secure = tls(attempt).is_some_and(|tls| tls.version.is_some());
        page.gauge(
            "probe_imap_ssl",
            "Whether the session was encrypted.",
            flag(secure),
        );
    }
    let stages = attempt
        .map(|attempt| attempt.stages.as_slice())
        .unwrap_or_default();
    phases(&mut page, seen.resolve.iter().chain(stages));
    if let Some(tls) = attempt.and_then(tls) {
        of_tls(&mut page, tls);
    }
    page
}

/// The attempt that says most: the first that failed, or where it works the first that did.
fn telling(seen: &Observation) -> Option<&Attempt> {
    let asked = || {
        seen.attempts
            .iter()
            .filter(|attempt| attempt.purpose == Purpose::Requested)
    };
    let works = seen.outcome != VantageOutcome::Failed;
    let says = |attempt: &&Attempt| (attempt.outcome() != AttemptOutcome::Failed) == works;
    asked().find(says).or_else(|| asked().next())
}

fn of_address(page: &mut Page, address: IpAddr) {
    let protocol = if address.is_ipv4() { 4.0 } else { 6.0 };
    page.gauge("probe_ip_protocol", "IP version that was used: 4 or 6.", protocol);
    page.gauge(
        "probe_ip_addr_hash",
        "Changes when the address does.",
        f64::from(address_hash(address)),
    );
}

fn phases<'a>(page: &mut Page, stages: impl Iterator<Item = &'a Stage>) {
    const NAME: &str = "probe_imap_duration_seconds";
    page.family(NAME, Kind::Gauge, "How long each stage took.");
    let mut failed = None;
    for stage in stages {
        match &stage.outcome {
            Outcome::Skipped(_) | Outcome::NotReached => continue,
            Outcome::Failed(fault) => failed = Some((stage.name, fault)),
            Outcome::Ok | Outcome::Degraded(_) => {}
        }
        page.sample(
            NAME,
            &[("phase", stage.name.as_str())],
            stage.duration.as_secs_f64(),
        );
    }
    if let Some((stage, fault)) = failed {
        const WHY: &str = "parallax_probe_failure_info";
        page.family(WHY, Kind::Gauge, "What failed, and how.");
        let labels = [("stage", stage.as_str()), ("reason", fault.kind.as_str())];
        page.sample(WHY, &labels, 1.0);
    }
}

fn tls(attempt: &Attempt) -> Option<&TlsEvidence> {
    attempt.stages.iter().find_map(|stage| match &stage.evidence {
        Some(Evidence::Tls(tls)) => Some(&**tls),
        Some(Evidence::Starttls(starttls)) => starttls.tls.as_ref(),
        _ => None,
    })
}

fn of_tls(page: &mut Page, tls: &TlsEvidence) {
    let ends = || {
        tls.chain
            .iter()
            .map(|certificate| certificate.not_after.as_second())
    };
    if let Some(first) = ends().min() {
        page.gauge(
            "probe_ssl_earliest_cert_expiry",
            "When the first certificate ends, in Unix time.",
            first as f64,
        );
        if tls.verified {
            page.gauge(
                "probe_ssl_last_chain_expiry_timestamp_seconds",
                "When the chain that was verified ends, in Unix time.",
                first as f64,
            );
        }
    }
    if let Some(leaf) = tls.chain.first() {
        const CHAIN: &str = "probe_ssl_last_chain_info";
        page.family(CHAIN, Kind::Gauge, "The server's certificate.");
        let names = leaf.dns_names.join(",");
        let labels = [
            ("fingerprint_sha256", leaf.sha256.as_str()),
            ("subject", &leaf.subject),
            ("issuer", &leaf.issuer),
            ("subjectalternative", &names),
            ("serialnumber", &leaf.serial),
        ];
        page.sample(CHAIN, &labels, 1.0);
    }
    let facts = [
        (
            "probe_tls_version_info",
            "version",
            "The version of TLS.",
            &tls.version,
        ),
        (
            "probe_tls_cipher_info",
            "cipher",
            "The cipher suite.",
            &tls.cipher_suite,
        ),
    ];
    for (name, label, help, fact) in facts {
        if let Some(fact) = fact {
            page.family(name, Kind::Gauge, help);
            page.sample(name, &[(label, fact)], 1.0);
        }
    }
}

const fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}
