//! What was seen, stage by stage: the middle of `-o wide`.

use jiff::Timestamp;
use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{
    ConnectEvidence, DnsQuery, Evidence, FetchEvidence, ListEvidence, ResolveEvidence, SelectEvidence,
    TcpInfo, TlsEvidence,
};
use parallax_model::observation::{Attempt, Observation, Speaker};
use parallax_model::run::RunDocument;
use parallax_model::stage::{Outcome, Stage};

use super::canvas::{Canvas, Tone, wrap};
use super::{stages, words};

/// Lines of a dialogue that are shown; the document has all.
const DIALOGUE: usize = 12;
const LABEL: usize = 12;

/// Every vantage point with what it saw, a blank line between them.
pub(crate) fn lines(document: &RunDocument, canvas: Canvas) -> Vec<String> {
    let mut page = Page {
        canvas,
        lines: Vec::new(),
    };
    for (at, vantage) in document.vantages.iter().enumerate() {
        if at > 0 {
            page.lines.push(String::new());
        }
        page.vantage(vantage, document.started_at);
    }
    page.lines
}

struct Page {
    canvas: Canvas,
    lines: Vec<String>,
}

impl Page {
    fn vantage(&mut self, vantage: &Observation, now: Timestamp) {
        let name = self.canvas.paint(Tone::Strong, vantage.agent.as_str());
        self.lines.push(
            format!("{name}  {}", words::labels(&vantage.labels))
                .trim_end()
                .to_owned(),
        );
        if !vantage.answered() {
            self.fact(2, "", &stages::unseen(vantage));
            return;
        }
        if let Some(clock) = &vantage.clock {
            let text = format!(
                "{} beside the collector's, began {} late",
                words::offset(clock.offset_ms),
                words::time(parallax_model::millis::to_duration(clock.start_skew_ms))
            );
            self.fact(2, "clock", &text);
        }
        if let Some(stage) = &vantage.resolve {
            self.stage(2, stage, now);
        }
        for attempt in &vantage.attempts {
            self.attempt(attempt, now);
        }
    }

    fn attempt(&mut self, attempt: &Attempt, now: Timestamp) {
        let mut heading = format!(
            "{} {}",
            words::endpoint(attempt.address, attempt.endpoint.port),
            attempt.endpoint.security
        );
        if let Some(kind) = attempt.experiment {
            heading.push_str(&format!(", asked again: {kind}"));
        }
        self.lines.push(format!("  {heading}"));
        for stage in &attempt.stages {
            self.stage(4, stage, now);
        }
        self.dialogue(attempt);
    }

    fn stage(&mut self, indent: usize, stage: &Stage, now: Timestamp) {
        let name = stage.name.as_str();
        let head = match &stage.outcome {
            Outcome::NotReached => return,
            Outcome::Skipped(reason) => {
                self.fact(indent, name, &format!("skipped: {}", words::safe(reason)));
                return;
            }
            Outcome::Ok => words::time(stage.duration),
            Outcome::Degraded(fault) | Outcome::Failed(fault) => format!(
                "{} after {}: {}",
                stage.outcome.as_str(),
                words::time(stage.duration),
                words::quote(&fault.message)
            ),
        };
        let facts = stage.evidence.as_ref().map(summary).unwrap_or_default();
        let text = if facts.is_empty() {
            head
        } else {
            format!("{head}; {facts}")
        };
        self.fact(indent, name, &text);
        if let Some(raw) = stage.outcome.fault().and_then(|fault| fault.raw.as_deref()) {
            self.fact(indent, "", &format!("raw: {}", words::quote(raw)));
        }
        match &stage.evidence {
            Some(Evidence::Resolve(facts)) => self.queries(indent, &facts.queries),
            Some(Evidence::Tls(facts)) => self.chain(indent, facts, now),
            Some(Evidence::Starttls(facts)) => {
                if let Some(tls) = &facts.tls {
                    self.fact(indent, "", &handshake(tls));
                    self.chain(indent, tls, now);
                }
            }
            _ => {}
        }
        if let Some(tcp) = &stage.tcp
            && stage.outcome.fault().is_some()
        {
            self.fact(indent, "", &kernel(tcp));
        }
    }

    fn queries(&mut self, indent: usize, queries: &[DnsQuery]) {
        for query in queries {
            let mut text = format!(
                "{} {} from {} over {}: {} in {}",
                query.record_type,
                words::quote(&query.name),
                query.resolver,
                query.transport,
                query.rcode.as_deref().unwrap_or("no answer"),
                words::time(query.duration)
            );
            if !query.cname_chain.is_empty() {
                let chain: Vec<_> = query.cname_chain.iter().map(|name| words::quote(name)).collect();
                text.push_str(&format!(", by way of {}", chain.join(" > ")));
            }
            if let Some(ttl) = query.ttl_s {
                text.push_str(&format!(", ttl {ttl} s"));
            }
            self.fact(indent, "", &text);
        }
    }

    fn chain(&mut self, indent: usize, facts: &TlsEvidence, now: Timestamp) {
        for (at, certificate) in facts.chain.iter().enumerate() {
            let label = if at == 0 { "certificate" } else { "" };
            self.fact(indent, label, &certificate_line(certificate, now));
        }
        for fault in &facts.certificate_faults {
            self.fact(indent, "", &format!("fault: {}", words::quote(&fault.message)));
        }
    }

    fn dialogue(&mut self, attempt: &Attempt) {
        let left_out = attempt.transcript.len().saturating_sub(DIALOGUE);
        for (at, line) in attempt.transcript.iter().skip(left_out).enumerate() {
            let speaker = match line.speaker {
                Speaker::Client => "C:",
                Speaker::Server => "S:",
            };
            let label = if at == 0 { "dialogue" } else { "" };
            let text = format!(
                "{speaker} {} (at {})",
                words::quote(&line.text),
                words::time(line.at)
            );
            self.fact(4, label, &text);
        }
    }

    fn fact(&mut self, indent: usize, label: &str, text: &str) {
        let start = indent + LABEL + 1;
        let room = self.canvas.width.map(|width| width.saturating_sub(start));
        for (at, piece) in wrap(text, room).iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let space = " ".repeat((LABEL + 1).saturating_sub(label.len()));
            let label = self.canvas.paint(Tone::Faint, label);
            self.lines
                .push(format!("{}{label}{space}{piece}", " ".repeat(indent)));
        }
    }
}

fn summary(evidence: &Evidence) -> String {
    let said = evidence.reply().map(words::reply);
    let facts = match evidence {
        Evidence::Resolve(facts) => resolved(facts),
        Evidence::Connect(facts) => connected(facts),
        Evidence::Tls(facts) => handshake(facts),
        Evidence::Greeting(facts) => facts
            .service
            .as_ref()
            .map(|service| format!("speaks {}", words::quote(service)))
            .unwrap_or_default(),
        Evidence::Capability(facts) => words::quote(&facts.capabilities.join(" ")),
        Evidence::Starttls(facts) => words::quote(&facts.capabilities.join(" ")),
        Evidence::Id(facts) => {
            let fields: Vec<_> = facts
                .server
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            words::quote(&fields.join(", "))
        }
        Evidence::Authenticate(facts) => format!("by {}", words::quote(&facts.mechanism)),
        Evidence::Namespace(facts) => format!(
            "{} personal, {} of others, {} shared",
            facts.personal.len(),
            facts.other_users.len(),
            facts.shared.len()
        ),
        Evidence::List(facts) => listed(facts),
        Evidence::Select(facts) => selected(facts),
        Evidence::Fetch(facts) => fetched(facts),
        Evidence::Append(_)
        | Evidence::Sync(_)
        | Evidence::Idle(_)
        | Evidence::Hold(_)
        | Evidence::Command(_) => String::new(),
    };
    let parts: Vec<_> = [Some(facts), said]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("; ")
}

fn resolved(facts: &ResolveEvidence) -> String {
    let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() {
        return String::new();
    }
    format!("{} ({})", addresses.join(", "), words::quote(&facts.source))
}

fn connected(facts: &ConnectEvidence) -> String {
    let mut said = facts
        .local
        .map(|local| format!("{local} to {}", facts.peer))
        .unwrap_or_default();
    if let Some(errno) = &facts.errno {
        said.push_str(&format!(" {}", words::quote(errno)));
    }
    if let Some(icmp) = &facts.icmp {
        said.push_str(&format!(
            ", ICMP {} ({}/{}) from {}",
            words::quote(&icmp.name),
            icmp.kind,
            icmp.code,
            icmp.from
        ));
    }
    said.trim().to_owned()
}

fn handshake(facts: &TlsEvidence) -> String {
    let named = [&facts.version, &facts.cipher_suite, &facts.group]
        .into_iter()
        .flatten()
        .map(|name| words::quote(name));
    let mut parts: Vec<_> = named.collect();
    if let Some(alert) = &facts.alert {
        parts.push(format!("alert {}", words::quote(alert)));
    }
    if facts.verified {
        let stores: Vec<_> = facts.trusted_by.iter().map(|store| words::quote(store)).collect();
        parts.push(format!("trusted by {}", stores.join(", ")));
    } else if facts.chain.is_empty() {
        parts.push(format!("{} bytes received, no certificate", facts.bytes_received));
    } else {
        parts.push("not verified".to_owned());
    }
    parts.join(", ")
}

fn certificate_line(facts: &CertificateFacts, now: Timestamp) -> String {
    let seconds = facts.not_after.as_second() - now.as_second();
    let end = if seconds < 0 {
        format!("ended {} ago", words::span(seconds))
    } else {
        format!("{} left", words::span(seconds))
    };
    let mut said = format!(
        "{} by {}, {} to {} ({end}), {}",
        words::quote(&facts.subject),
        words::quote(&facts.issuer),
        words::day(facts.not_before),
        words::day(facts.not_after),
        words::quote(&facts.key)
    );
    let names: Vec<_> = facts
        .dns_names
        .iter()
        .chain(&facts.ip_addresses)
        .map(|name| words::quote(name))
        .collect();
    if !names.is_empty() {
        said.push_str(&format!(", for {}", names.join(" ")));
    }
    said
}

fn listed(facts: &ListEvidence) -> String {
    let roles: Vec<_> = facts.roles.keys().map(|role| words::quote(role)).collect();
    let noun = if facts.mailboxes == 1 {
        "mailbox"
    } else {
        "mailboxes"
    };
    let mut said = format!("{} {noun}", facts.mailboxes);
    if !roles.is_empty() {
        said.push_str(&format!(", roles {}", roles.join(" ")));
    }
    said
}

fn selected(facts: &SelectEvidence) -> String {
    let numbers = [
        ("messages", facts.exists),
        ("uidvalidity", facts.uid_validity),
        ("uidnext", facts.uid_next),
        ("highestmodseq", facts.highest_modseq),
    ];
    let said: Vec<_> = numbers
        .into_iter()
        .filter_map(|(name, number)| number.map(|number| format!("{name} {number}")))
        .collect();
    said.join(", ")
}

fn fetched(facts: &FetchEvidence) -> String {
    let Some(uid) = facts.uid else {
        return "no message to read".to_owned();
    };
    let mut said = format!("uid {uid}, {} bytes of headers", facts.literal_bytes);
    if let Some(millis) = facts.first_byte_ms {
        let wait = words::time(parallax_model::millis::to_duration(millis));
        said.push_str(&format!(", the first after {wait}"));
    }
    said
}

fn kernel(tcp: &TcpInfo) -> String {
    format!(
        "kernel: {}, rtt {}, {} retransmits, {} segments out, {} in, {} bytes acknowledged, {} received, pmtu {}",
        words::quote(&tcp.state),
        words::time(tcp.rtt),
        tcp.total_retransmits,
        tcp.segs_out,
        tcp.segs_in,
        tcp.bytes_acked,
        tcp.bytes_received,
        tcp.pmtu
    )
}
