//! What is wrong, one a line, and how those who are told take it.

use jiff::Timestamp;
use parallax_model::alert::{Alert, AlertState, Silence};
use parallax_model::finding::Severity;
use parallax_proto::v1;
use serde::Serialize;

use super::canvas::{Canvas, Tone, wrap};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// What `ctl alerts` shows.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) receivers: Vec<Receiver>,
    /// Checks of which nothing comes, so that nothing can be wrong with them.
    #[serde(rename = "checks_run_by_nobody")]
    pub(crate) run_by_nobody: u32,
}

/// One who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Receiver {
    name: String,
    kind: String,
    sent: u64,
    failed: u64,
    waiting: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    problem: String,
}

impl From<v1::ReceiverState> for Receiver {
    fn from(wire: v1::ReceiverState) -> Self {
        Self {
            name: wire.name,
            kind: wire.kind,
            sent: wire.sent,
            failed: wire.failed,
            waiting: wire.waiting,
            problem: wire.problem,
        }
    }
}

impl Receiver {
    /// Whether it took what it was last sent.
    pub(crate) const fn is_well(&self) -> bool {
        self.problem.is_empty()
    }
}

/// What is wrong, and those who do not take what they are told.
pub(crate) fn table(shown: &Shown, now: Timestamp, canvas: Canvas) -> String {
    let mut lines = match (shown.alerts.is_empty(), shown.run_by_nobody) {
        (true, 0) => vec!["nothing is wrong".to_owned()],
        (true, _) => vec!["nothing is wrong with what is looked at".to_owned()],
        (false, _) => alerts(&shown.alerts, now, canvas),
    };
    let mut say = |tone, said: &str| {
        let said = wrap(said, canvas.width);
        lines.extend(said.iter().map(|line| canvas.paint(tone, line)));
    };
    if shown.run_by_nobody > 0 {
        let checks = words::count(shown.run_by_nobody as usize, "check");
        let are = if shown.run_by_nobody == 1 { "is" } else { "are" };
        say(
            Tone::Warning,
            &format!("{checks} {are} run by nobody, see `ctl check`"),
        );
    }
    if shown.receivers.is_empty() {
        say(
            Tone::Warning,
            "nobody is told: there is no [[alerting.receivers]] in the collector's configuration",
        );
    }
    for receiver in shown.receivers.iter().filter(|receiver| !receiver.is_well()) {
        say(Tone::Bad, &not_told(receiver));
    }
    text(&lines)
}

/// An alert a line; on a terminal, what it says in lines below.
fn alerts(alerts: &[Alert], now: Timestamp, canvas: Canvas) -> Vec<String> {
    const SHORT: [&str; 6] = ["STATE", "SEVERITY", "ALERT", "ABOUT", "SINCE", "FOR"];
    let in_lines = canvas.width.is_some();
    let mut grid = if in_lines {
        Grid::headed(&SHORT)
    } else {
        Grid::headed(&[SHORT.as_slice(), &["SUMMARY"]].concat())
    };
    for alert in alerts {
        let (state, tone) = state(alert);
        let about = alert.labels.get("probe").map(String::as_str);
        let about = alert.check.as_ref().map(|check| check.as_str()).or(about);
        let name = match alert.labels.get("stage") {
            Some(stage) => format!("{} ({stage})", alert.name),
            None => alert.name.clone(),
        };
        let mut cells = vec![
            Cell::left(state, tone),
            Cell::left(alert.severity.as_str(), severity(alert)),
            Cell::prose(words::safe(&name), Tone::Strong),
            Cell::prose(words::safe(about.unwrap_or("-")), Tone::Plain),
            Cell::left(words::moment(first(alert)), Tone::Plain),
            Cell::left(length(alert, now), Tone::Plain),
        ];
        let said = summary(alert);
        if in_lines {
            grid.push(Row::Cells(cells));
            for said in said {
                let empty = Cell::left("", Tone::Plain);
                grid.push(Row::Note(empty, Cell::left(said, Tone::Plain)));
            }
        } else {
            cells.push(Cell::left(said.join("; "), Tone::Plain));
            grid.push(Row::Cells(cells));
        }
    }
    grid.lines(canvas)
}

/// When it fired, or began to be pending.
fn first(alert: &Alert) -> Timestamp {
    alert.fired_at.unwrap_or(alert.since)
}

/// "5 min"; of what is over, how long it was and since when it is over.
fn length(alert: &Alert, now: Timestamp) -> String {
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs().max(0);
    match alert.resolved_at {
        None => words::span(seconds(first(alert), now)),
        Some(over) => format!(
            "{}, over {} ago",
            words::span(seconds(first(alert), over)),
            words::span(seconds(over, now))
        ),
    }
}

fn state(alert: &Alert) -> (&'static str, Tone) {
    match (alert.state, &alert.silenced_by) {
        (AlertState::Firing, Some(_)) => ("held", Tone::Faint),
        (AlertState::Firing, None) => ("firing", Tone::Bad),
        (AlertState::Pending, _) => ("pending", Tone::Warning),
        (AlertState::Resolved, _) => ("resolved", Tone::Faint),
    }
}

fn severity(alert: &Alert) -> Tone {
    match alert.severity {
        Severity::Critical if alert.state == AlertState::Firing => Tone::Bad,
        Severity::Critical | Severity::Warning | Severity::Info => Tone::Plain,
    }
}

/// What it says; then where to see more, and why nobody is told.
fn summary(alert: &Alert) -> Vec<String> {
    let run = alert.run_id.map(|run| format!("ctl runs show {run}"));
    let flapping = alert
        .flapping
        .then(|| "flapping: told once until it is steady".to_owned());
    let held = alert.silenced_by.as_ref();
    let held = held.map(|held| format!("held by {}", words::safe(held)));
    let more: Vec<_> = [run, flapping, held].into_iter().flatten().collect();
    let mut said = vec![words::safe(&alert.summary)];
    if !more.is_empty() {
        said.push(more.join("; "));
    }
    said
}

fn not_told(receiver: &Receiver) -> String {
    let (name, problem) = (words::safe(&receiver.name), words::safe(&receiver.problem));
    let waiting = words::count(usize::try_from(receiver.waiting).unwrap_or(usize::MAX), "notice");
    format!("receiver {name} is not told, {waiting} waiting: {problem}")
}

/// Silences that are not over.
pub(crate) fn silences(silences: &[Silence], canvas: Canvas) -> String {
    if silences.is_empty() {
        return "nothing is silenced\n".to_owned();
    }
    let mut grid = Grid::headed(&["ID", "WHAT", "FROM", "UNTIL", "BY", "WHY"]);
    for silence in silences {
        let by = silence.created_by.rsplit_once('/').map_or("-", |(_, name)| name);
        grid.push(Row::Cells(vec![
            Cell::id(silence.id.to_string(), Tone::Strong),
            Cell::prose(words::labels(&silence.matchers), Tone::Plain),
            Cell::left(words::moment(silence.starts_at), Tone::Plain),
            Cell::left(words::moment(silence.ends_at), Tone::Plain),
            Cell::left(words::safe(by), Tone::Plain),
            Cell::prose(words::safe(&silence.comment), Tone::Plain),
        ]));
    }
    text(&grid.lines(canvas))
}

/// How each receiver took a test.
pub(crate) fn tested(receivers: &[Receiver], canvas: Canvas) -> String {
    if receivers.is_empty() {
        return "there is no receiver: see [[alerting.receivers]] of the collector's configuration\n"
            .to_owned();
    }
    let mut grid = Grid::headed(&["RECEIVER", "KIND", "TEST"]);
    for receiver in receivers {
        let (answer, tone) = match receiver.is_well() {
            true => ("taken".to_owned(), Tone::Good),
            false => (words::safe(&receiver.problem), Tone::Bad),
        };
        grid.push(Row::Cells(vec![
            Cell::left(words::safe(&receiver.name), Tone::Strong),
            Cell::left(words::safe(&receiver.kind), Tone::Plain),
            Cell::prose(answer, tone),
        ]));
    }
    text(&grid.lines(canvas))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + 60 * minute).expect("a time")
    }

    fn alert() -> Alert {
        Alert {
            fingerprint: "0123456789abcdef".into(),
            name: "ImapTargetFailing".into(),
            check: Some("imap-fra".parse().expect("a name")),
            state: AlertState::Firing,
            severity: Severity::Critical,
            summary: "down from 2 of 3\u{1b}[2J".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            since: at(0),
            fired_at: Some(at(1)),
            resolved_at: None,
            run_id: None,
            trace_id: None,
            flapping: false,
            silenced_by: None,
        }
    }

    fn receiver(problem: &str) -> Receiver {
        Receiver {
            name: "on-call".into(),
            kind: "alertmanager".into(),
            sent: 0,
            failed: 0,
            waiting: 2,
            problem: problem.into(),
        }
    }

    #[test]
    fn an_alert_says_what_how_long_and_why_nobody_is_told() {
        let held = Alert {
            silenced_by: Some("maintenance until 2026-12-05T22:00:00Z".into()),
            ..alert()
        };
        let shown = Shown {
            alerts: vec![alert(), held],
            receivers: vec![receiver("connection refused")],
            run_by_nobody: 0,
        };
        let said = table(&shown, at(6), Canvas::PLAIN);
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines[1]
                .starts_with("firing  critical  ImapTargetFailing  imap-fra  2023-11-14 22:14:20 UTC  5 min"),
            "{said}"
        );
        assert!(
            lines[2].starts_with("held") && lines[2].contains("maintenance until"),
            "{said}"
        );
        assert_eq!(
            lines[3],
            "receiver on-call is not told, 2 notices waiting: connection refused"
        );
        assert!(!said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn on_a_terminal_what_an_alert_says_stands_below_it() {
        let shown = Shown {
            alerts: vec![Alert {
                state: AlertState::Resolved,
                resolved_at: Some(at(5)),
                run_id: Some(uuid::Uuid::nil()),
                summary:
                    "imap.example.org cannot be reached from any of the vantage points that were asked, "
                        .repeat(2),
                ..alert()
            }],
            receivers: vec![receiver(&"connection refused, ".repeat(8))],
            run_by_nobody: 0,
        };
        let terminal = Canvas {
            width: Some(100),
            colour: false,
        };
        let said = table(&shown, at(60), terminal);
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{said}");
        assert!(
            lines[1].ends_with("22:14:20 UTC  4 min, over 55 min ago"),
            "{said}"
        );
        assert!(
            lines[2].starts_with("          imap.example.org cannot"),
            "{said}"
        );
        assert!(said.contains("\n          ctl runs show 00000000-"), "{said}");
    }

    #[test]
    fn what_nobody_looks_at_is_not_well() {
        let shown = |run_by_nobody| Shown {
            alerts: Vec::new(),
            receivers: Vec::new(),
            run_by_nobody,
        };
        let said = table(&shown(1), at(0), Canvas::PLAIN);
        assert!(
            said.starts_with(
                "nothing is wrong with what is looked at\n1 check is run by nobody, see `ctl check`\n"
            ),
            "{said}"
        );
        let said = table(&shown(2), at(0), Canvas::PLAIN);
        assert!(said.contains("2 checks are run by nobody"), "{said}");
    }

    #[test]
    fn that_nobody_is_told_is_said() {
        let shown = Shown {
            alerts: Vec::new(),
            receivers: Vec::new(),
            run_by_nobody: 0,
        };
        let said = table(&shown, at(0), Canvas::PLAIN);
        assert!(said.starts_with("nothing is wrong\nnobody is told"), "{said}");
        assert!(tested(&[receiver("")], Canvas::PLAIN).contains("taken"));
        assert!(tested(&[receiver("401")], Canvas::PLAIN).contains("401"));
    }
}
