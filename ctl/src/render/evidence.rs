//! What was seen, stage by stage: the middle of `-o wide`.

mod dialogue;
mod follow_up;
mod mailbox;
mod network;
mod sync;
mod tls;

use parallax_model::evidence::{Evidence, ImapReply, TcpInfo};
use parallax_model::experiment::ExperimentKind;
use parallax_model::observation::{Attempt, Observation, Speaker};
use parallax_model::run::RunDocument;
use parallax_model::stage::{Outcome, Stage, StageName};

use super::canvas::{Canvas, Tone, wrap};
use super::{paths, stages, words};

/// Lines of a dialogue that are shown; the document has all.
const DIALOGUE: usize = 12;
const LABEL: usize = 12;

/// Every vantage point with what it saw, a blank line between them.
pub(super) fn lines(document: &RunDocument, canvas: Canvas) -> Vec<String> {
    let mut page = Page {
        canvas,
        certificates: tls::Certificates::judged_at(document.started_at),
        lines: Vec::new(),
    };
    for (at, vantage) in document.vantages.iter().enumerate() {
        if at > 0 {
            page.lines.push(String::new());
        }
        page.vantage(vantage);
    }
    page.lines
}

/// What a stage's facts say.
#[derive(Debug, Default)]
struct Told {
    /// Behind the time, in the stage's own line.
    beside: Vec<String>,
    /// In lines of their own below it, each with its label.
    below: Vec<(&'static str, String)>,
}

impl Told {
    fn beside(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.beside.push(text);
        }
    }

    fn below(&mut self, text: impl Into<String>) {
        self.below.push(("", text.into()));
    }
}

struct Page {
    canvas: Canvas,
    certificates: tls::Certificates,
    lines: Vec<String>,
}

impl Page {
    fn vantage(&mut self, vantage: &Observation) {
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
                words::millis(clock.start_skew_ms)
            );
            self.fact(2, "clock", &text);
        }
        if let Some(stage) = &vantage.resolve {
            self.stage(2, stage);
        }
        let is_rung = |attempt: &&Attempt| attempt.experiment == Some(ExperimentKind::Hold);
        for attempt in vantage.attempts.iter().filter(|attempt| !is_rung(attempt)) {
            self.attempt(attempt);
        }
        for path in &vantage.network.paths {
            self.lines.push(format!("  {}", paths::heading(path)));
            let hops = path.hops.iter().map(|hop| format!("    {}", paths::hop(hop)));
            self.lines.extend(hops);
        }
        for ladder in follow_up::ladders(vantage) {
            self.lines.push(format!("  {}", ladder.heading));
            for rung in &ladder.rungs {
                self.fact(4, &rung.label, &rung.text);
            }
            if let Some(conclusion) = &ladder.conclusion {
                self.fact(4, "", conclusion);
            }
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let mut heading = place(attempt);
        if let Some(kind) = attempt.experiment {
            heading.push_str(&format!(", {}", follow_up::heading(kind, attempt.by.as_ref())));
        }
        self.lines.push(format!("  {heading}"));
        for stage in &attempt.stages {
            self.stage(4, stage);
        }
        self.dialogue(attempt);
    }

    fn stage(&mut self, indent: usize, stage: &Stage) {
        let name = stage.name.as_str();
        let mut head = match &stage.outcome {
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
        let told = stage.evidence.as_ref().map(|evidence| self.told(stage, evidence));
        let told = told.unwrap_or_default();
        for part in &told.beside {
            head.push_str("; ");
            head.push_str(part);
        }
        self.fact(indent, name, &head);
        if let Some(raw) = stage.outcome.fault().and_then(|fault| fault.raw.as_deref()) {
            self.fact(indent, "", &format!("raw: {}", words::quote(raw)));
        }
        for (label, text) in &told.below {
            self.fact(indent, label, text);
        }
        if let Some(tcp) = stage.tcp.as_ref().filter(|tcp| is_telling(stage, tcp)) {
            self.fact(indent, "", &network::kernel(tcp));
        }
    }

    fn told(&mut self, stage: &Stage, evidence: &Evidence) -> Told {
        let mut told = Told::default();
        match evidence {
            Evidence::Resolve(facts) => network::resolved(facts, &mut told),
            Evidence::Connect(facts) => network::connected(facts, &mut told),
            Evidence::Tls(facts) => tls::handshake(facts, &mut self.certificates, &mut told),
            Evidence::Greeting(facts) => dialogue::greeted(facts, &mut told),
            Evidence::Capability(facts) => dialogue::capable(facts, &mut told),
            Evidence::Starttls(facts) => dialogue::upgraded(facts, &mut self.certificates, &mut told),
            Evidence::Id(facts) => dialogue::identified(facts, &mut told),
            Evidence::Authenticate(facts) => dialogue::logged_in(facts, &mut told),
            Evidence::Namespace(facts) => mailbox::namespaces(facts, &mut told),
            Evidence::List(facts) => mailbox::listed(facts, &mut told),
            Evidence::Select(facts) => mailbox::opened(facts, &mut told),
            Evidence::Fetch(facts) => mailbox::fetched(facts, &mut told),
            Evidence::Append(facts) => sync::appended(facts, &mut told),
            Evidence::Sync(facts) => sync::synchronised(facts, &mut told),
            Evidence::Idle(facts) => sync::idled(facts, &mut told),
            Evidence::Hold(facts) => sync::held(facts, &mut told),
            Evidence::Command(facts) => {
                if let Some(bye) = &facts.bye {
                    told.beside(words::reply(bye));
                }
            }
        }
        if let Some(reply) = evidence.reply() {
            told.beside(words::reply(reply));
            if wants_explaining(stage, reply) {
                explain(reply, &mut told);
            }
        }
        told
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
            self.lines.push(
                format!("{}{label}{space}{piece}", " ".repeat(indent))
                    .trim_end()
                    .to_owned(),
            );
        }
    }
}

/// `10.9.0.10:993 tls`.
fn place(attempt: &Attempt) -> String {
    format!(
        "{} {}",
        words::endpoint(attempt.address, attempt.endpoint.port),
        attempt.endpoint.security
    )
}

/// An answer that is as it should be means what it says; an alert is for somebody to read.
fn wants_explaining(stage: &Stage, reply: &ImapReply) -> bool {
    let well = matches!(reply.status.as_str(), "OK" | "PREAUTH");
    let alert = reply
        .code
        .as_deref()
        .is_some_and(|code| code.eq_ignore_ascii_case("ALERT"));
    !well || alert || stage.outcome.fault().is_some()
}

/// What the server's answer means and what to do, where that is known.
fn explain(reply: &ImapReply, told: &mut Told) {
    if let Some(cause) = &reply.cause {
        let source = reply
            .source
            .as_deref()
            .map(|source| format!(" ({})", words::safe(source)));
        told.below(format!(
            "means: {}{}",
            words::safe(cause),
            source.unwrap_or_default()
        ));
    }
    if let Some(step) = &reply.next_step {
        told.below(format!("next: {}", words::safe(step)));
    }
}

/// The kernel's account is shown where it may say why: a fault, or a segment that had to be sent again.
fn is_telling(stage: &Stage, tcp: &TcpInfo) -> bool {
    let sent_again = stage.name == StageName::Logout && tcp.total_retransmits > 0;
    stage.outcome.fault().is_some() || sent_again
}
