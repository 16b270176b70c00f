//! Checks: one a line, one whole, and what would become of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_proto::v1;
use serde::Serialize;

use super::canvas::{Canvas, Tone, fact};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// A check, as the collector has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Check {
    check_id: String,
    /// Its name.
    pub(crate) name: String,
    version: u64,
    /// As it was typed.
    pub(crate) target: String,
    depth: String,
    every_ms: u32,
    together: bool,
    follow_up: bool,
    from: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    credential: String,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    runbook: String,
    alerts: Vec<String>,
    paused: bool,
    /// Not paused, and nothing will come of it.
    run_by_nobody: bool,
    changed_at: Timestamp,
    changed_by: String,
    agents: Vec<At>,
    last_round: Option<Round>,
}

/// A check at one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct At {
    agent: String,
    state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    last_result: Option<Timestamp>,
}

/// A round that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Round {
    pub(super) run_id: String,
    pub(super) started_at: Timestamp,
    pub(super) verdict: String,
    pub(super) summary: String,
    pub(super) ok: u32,
    pub(super) degraded: u32,
    pub(super) failed: u32,
    pub(super) missing: u32,
    pub(super) refused: u32,
    /// It was known too late to tell anybody.
    pub(super) late: bool,
    /// `ctl runs show` has it.
    pub(super) kept: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl TryFrom<v1::RoundSummary> for Round {
    type Error = jiff::Error;

    fn try_from(wire: v1::RoundSummary) -> Result<Self, jiff::Error> {
        Ok(Self {
            run_id: wire.run_id,
            started_at: Timestamp::from_microsecond(wire.started_at_us)?,
            verdict: wire.verdict,
            summary: wire.summary,
            ok: wire.ok,
            degraded: wire.degraded,
            failed: wire.failed,
            missing: wire.missing,
            refused: wire.refused,
            late: wire.late,
            kept: wire.kept,
        })
    }
}

impl TryFrom<v1::CheckInfo> for Check {
    type Error = jiff::Error;

    fn try_from(wire: v1::CheckInfo) -> Result<Self, jiff::Error> {
        let definition = wire.definition.unwrap_or_default();
        let spec = definition.spec.unwrap_or_default();
        let agents = wire.agents.into_iter().map(|at| {
            let last_result =
                (at.last_result_us != 0).then(|| Timestamp::from_microsecond(at.last_result_us));
            Ok::<_, jiff::Error>(At {
                agent: at.agent,
                state: at.state,
                note: at.note,
                last_result: last_result.transpose()?,
            })
        });
        Ok(Self {
            check_id: wire.check_id,
            name: definition.name,
            version: wire.version,
            target: spec.target.map(|target| target.input).unwrap_or_default(),
            depth: spec.depth,
            every_ms: definition.every_ms,
            together: definition.together,
            follow_up: definition.follow_up,
            from: definition.from,
            limit: definition.limit,
            credential: definition.credential,
            labels: definition.labels.into_iter().collect(),
            runbook: definition.runbook,
            alerts: rules(definition.rules.as_ref()),
            paused: wire.paused,
            run_by_nobody: wire.run_by_nobody,
            changed_at: Timestamp::from_microsecond(wire.changed_at_us)?,
            changed_by: wire.changed_by,
            agents: agents.collect::<Result<_, _>>()?,
            last_round: wire.last.map(Round::try_from).transpose()?,
        })
    }
}

/// When somebody is told, a rule a line.
fn rules(rules: Option<&v1::AlertRules>) -> Vec<String> {
    let Some(rules) = rules.filter(|rules| !rules.none) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    let bad = |word: &str, rule: &v1::FailRule| {
        let from = if rule.share > 0.0 {
            format!("{} of the vantage points that answer", words::percent(rule.share))
        } else {
            words::count(rule.vantages as usize, "vantage point")
        };
        format!(
            "{word} from {from} for {}; over after {} good",
            words::count(rule.rounds as usize, "round"),
            rule.recover_rounds
        )
    };
    said.extend(rules.failing.as_ref().map(|rule| bad("failing", rule)));
    said.extend(rules.degraded.as_ref().map(|rule| bad("degraded", rule)));
    for rule in &rules.latency {
        let above = (rule.above_ms > 0).then(|| format!("over {}", words::millis(rule.above_ms.into())));
        let usual =
            (rule.above_baseline > 0.0).then(|| format!("over {} times the usual", rule.above_baseline));
        let bounds: Vec<_> = above.into_iter().chain(usual).collect();
        said.push(format!(
            "{} {} for {}",
            words::quote(&rule.stage),
            bounds.join(" or "),
            words::count(rule.rounds as usize, "round")
        ));
    }
    if let Some(rule) = &rules.certificate {
        let days = (rule.days > 0).then(|| format!("{} days ({} critical)", rule.days, rule.critical_days));
        let left =
            (rule.lifetime_left > 0.0).then(|| format!("{} of its life", words::percent(rule.lifetime_left)));
        let bounds: Vec<_> = days.into_iter().chain(left).collect();
        if !bounds.is_empty() {
            said.push(format!("certificate with under {} left", bounds.join(" or ")));
        }
    }
    said
}

/// Every check, and how its last round went.
pub(crate) fn table(checks: &[Check], now: Timestamp, canvas: Canvas) -> String {
    if checks.is_empty() {
        return "there is no check; see `ctl check add --help`\n".to_owned();
    }
    let in_one = grid(checks, now, Shape::OneLine);
    let grid = if canvas.fits(in_one.width()) {
        in_one
    } else {
        grid(checks, now, Shape::WithNotes)
    };
    text(&grid.lines(canvas))
}

/// How a check is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As long as it may be.
    OneLine,
    /// What is not well is said below.
    WithNotes,
}

fn grid(checks: &[Check], now: Timestamp, shape: Shape) -> Grid {
    const SHORT: [&str; 6] = ["NAME", "TARGET", "EVERY", "AGENTS", "ROUND", "VERDICT"];
    let mut grid = match shape {
        Shape::OneLine => Grid::headed(&[SHORT.as_slice(), &["SUMMARY"]].concat()),
        Shape::WithNotes => Grid::headed(&SHORT),
    };
    for check in checks {
        let running = check.agents.iter().filter(|at| at.state == "running").count();
        let last = check.last_round.as_ref();
        let (word, tone) = standing(check);
        let summary = match check.run_by_nobody {
            true => Some(nobody(check)),
            false => last.map(|round| words::beside_target(&round.summary, &check.target)),
        };
        let mut cells = vec![
            Cell::left(words::safe(&check.name), Tone::Strong),
            Cell::line(words::quote(&check.target), Tone::Plain),
            Cell::left(every(check.every_ms), Tone::Plain),
            Cell::left(format!("{running}/{}", check.agents.len()), Tone::Plain),
            Cell::left(
                last.map_or_else(|| "-".to_owned(), |round| ago(round.started_at, now)),
                Tone::Plain,
            ),
            Cell::left(word, tone),
        ];
        if shape == Shape::OneLine {
            cells.push(Cell::left(summary.unwrap_or_default(), Tone::Plain));
            grid.push(Row::Cells(cells));
            continue;
        }
        grid.push(Row::Cells(cells));
        let ill =
            check.run_by_nobody || last.is_some_and(|round| !check.paused && round.verdict != "healthy");
        if let Some(said) = summary.filter(|_| ill) {
            let empty = Cell::left("", Tone::Plain);
            grid.push(Row::Note(empty, Cell::left(said, Tone::Plain)));
        }
    }
    grid
}

fn standing(check: &Check) -> (String, Tone) {
    if check.paused {
        return ("paused".to_owned(), Tone::Faint);
    }
    if check.run_by_nobody {
        return ("not run".to_owned(), Tone::Warning);
    }
    match &check.last_round {
        None => ("-".to_owned(), Tone::Faint),
        Some(round) => (words::safe(&round.verdict), verdict_tone(&round.verdict)),
    }
}

/// Why nothing comes of it.
fn nobody(check: &Check) -> String {
    let of_them = match check.agents.as_slice() {
        [] => format!("no agent is {}", words::safe(&check.from.join(" or "))),
        [at] => format!("{} is {}", words::safe(&at.agent), words::safe(&at.state)),
        all => format!("none of {} can, or has it", words::count(all.len(), "agent")),
    };
    format!("nobody runs it: {of_them}")
}

pub(super) fn verdict_tone(verdict: &str) -> Tone {
    match verdict {
        "healthy" => Tone::Good,
        "down" => Tone::Bad,
        _ => Tone::Warning,
    }
}

/// One check, a fact a line, and the agents that run it.
pub(crate) fn details(check: &Check, now: Timestamp, canvas: Canvas) -> String {
    let together = if check.together {
        "all vantage points at once"
    } else {
        "starts spread over the interval"
    };
    let some = |text: &str| (!text.is_empty()).then(|| words::safe(text));
    let limit = (check.limit > 0).then(|| format!(", at most {}", check.limit));
    let facts = [
        ("name", Some(words::safe(&check.name))),
        (
            "state",
            Some(match (check.paused, check.run_by_nobody) {
                (true, _) => "paused".to_owned(),
                (false, true) => nobody(check),
                (false, false) => "on".to_owned(),
            }),
        ),
        ("target", Some(words::safe(&check.target))),
        ("depth", Some(words::quote(&check.depth))),
        ("every", Some(format!("{}, {together}", every(check.every_ms)))),
        (
            "from",
            Some(words::safe(&check.from.join(" or ")) + &limit.unwrap_or_default()),
        ),
        ("credential", some(&check.credential)),
        ("labels", some(&words::labels(&check.labels))),
        ("runbook", some(&check.runbook)),
        (
            "changed",
            Some(format!(
                "{}, version {}, by {}",
                words::moment(check.changed_at),
                check.version,
                words::safe(&check.changed_by)
            )),
        ),
        (
            "round",
            check.last_round.as_ref().map(|round| in_words(round, now)),
        ),
        (
            "summary",
            check.last_round.as_ref().map(|round| words::safe(&round.summary)),
        ),
    ];
    let line = |name: &str, said: &str| fact(name, 11, said, canvas);
    let mut lines: Vec<_> = facts
        .into_iter()
        .filter_map(|(name, said)| said.map(|said| line(name, &said)))
        .flatten()
        .collect();
    if check.alerts.is_empty() {
        lines.extend(line("alerts", "none"));
    }
    let alerts = check.alerts.iter().enumerate();
    lines.extend(alerts.flat_map(|(number, rule)| line(if number == 0 { "alerts" } else { "" }, rule)));
    if !check.agents.is_empty() {
        lines.push(String::new());
        lines.extend(agents(&check.agents, now).lines(canvas));
    }
    text(&lines)
}

fn agents(agents: &[At], now: Timestamp) -> Grid {
    let mut grid = Grid::headed(&["AGENT", "STATE", "LAST RESULT", "NOTE"]);
    for at in agents {
        let tone = match at.state.as_str() {
            "running" => Tone::Good,
            "sent" => Tone::Plain,
            _ => Tone::Warning,
        };
        grid.push(Row::Cells(vec![
            Cell::left(words::safe(&at.agent), Tone::Strong),
            Cell::left(words::safe(&at.state), tone),
            Cell::left(
                at.last_result
                    .map_or_else(|| "-".to_owned(), |seen| ago(seen, now)),
                Tone::Plain,
            ),
            Cell::prose(words::safe(&at.note), Tone::Plain),
        ]));
    }
    grid
}

/// "partial, 20 s ago: 3 ok, 1 failed; ctl runs show ID".
fn in_words(round: &Round, now: Timestamp) -> String {
    let run = if round.kept {
        format!("; ctl runs show {}", words::safe(&round.run_id))
    } else {
        String::new()
    };
    format!(
        "{}, {}: {}{run}",
        words::safe(&round.verdict),
        ago(round.started_at, now),
        tally(round)
    )
}

/// "3 ok, 1 failed".
pub(super) fn tally(round: &Round) -> String {
    let parts = [
        (round.ok, "ok"),
        (round.degraded, "degraded"),
        (round.failed, "failed"),
        (round.missing, "missing"),
        (round.refused, "refused"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        return "no vantage point".to_owned();
    }
    parts.join(", ")
}

pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", words::span((now.as_second() - at.as_second()).max(0)))
}

/// `90s`, `5m`, `1h`, as it is typed.
fn every(millis: u32) -> String {
    match (millis, millis / 1000) {
        (millis, _) if millis % 1000 != 0 => format!("{millis}ms"),
        (_, seconds) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (_, seconds) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (_, seconds) => format!("{seconds}s"),
    }
}

/// What would become, or became, of checks.
pub(crate) fn changes(changes: &[v1::CheckChange], canvas: Canvas) -> String {
    let mut lines = Vec::new();
    for change in changes {
        let (sign, tone) = match change.what.as_str() {
            "added" => ("+", Tone::Good),
            "removed" => ("-", Tone::Bad),
            "changed" => ("~", Tone::Warning),
            _ => continue,
        };
        let asked = match change.asked.len() {
            0 if change.what == "removed" => String::new(),
            agents => format!(", at {}", words::count(agents, "agent")),
        };
        lines.push(canvas.paint(tone, &format!("{sign} {}{asked}", words::safe(&change.name))));
        lines.extend(unrun(change).map(|said| canvas.paint(Tone::Warning, &format!("    {said}"))));
        for field in &change.fields {
            let side = |text: &str| match text {
                "" => "none".to_owned(),
                text => words::safe(text),
            };
            lines.push(format!(
                "    {}: {} -> {}",
                words::safe(&field.field),
                side(&field.before),
                side(&field.after)
            ));
        }
    }
    let unchanged = changes.iter().filter(|change| change.what == "unchanged").count();
    if unchanged > 0 {
        lines.push(format!("{} unchanged", words::count(unchanged, "check")));
    }
    text(&lines)
}

/// That nobody runs it, and why.
fn unrun(change: &v1::CheckChange) -> Option<String> {
    if change.what == "removed" {
        return None;
    }
    let unknown: Vec<_> = change.unknown.iter().map(|name| words::safe(name)).collect();
    let unknown = match unknown.is_empty() {
        true => "no agent matches".to_owned(),
        false => format!("there is no agent {}", unknown.join(" or ")),
    };
    if change.asked.is_empty() {
        return Some(format!("nobody runs it: {unknown}"));
    }
    if !change.asked.iter().any(|agent| agent.connected) {
        return Some("nobody runs it before one of them connects".to_owned());
    }
    (!change.unknown.is_empty()).then_some(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        let wire = v1::CheckInfo {
            check_id: "0".into(),
            version: 3,
            definition: Some(v1::CheckDefinition {
                name: "imap".into(),
                every_ms: 90_000,
                from: vec!["region=eu".into(), "nyc-1".into()],
                rules: Some(v1::AlertRules {
                    failing: Some(v1::FailRule {
                        vantages: 2,
                        rounds: 3,
                        recover_rounds: 2,
                        ..v1::FailRule::default()
                    }),
                    latency: vec![v1::LatencyRule {
                        stage: "connect".into(),
                        above_ms: 500,
                        above_baseline: 3.0,
                        rounds: 5,
                    }],
                    certificate: Some(v1::CertificateRule {
                        days: 14,
                        critical_days: 3,
                        lifetime_left: 0.1,
                    }),
                    ..v1::AlertRules::default()
                }),
                ..v1::CheckDefinition::default()
            }),
            agents: vec![
                v1::CheckAgent {
                    agent: "fra-1".into(),
                    state: "running".into(),
                    last_result_us: 3_590_000_000,
                    ..v1::CheckAgent::default()
                },
                v1::CheckAgent {
                    agent: "nyc-1".into(),
                    state: "unable".into(),
                    note: "not sealed to it".into(),
                    ..v1::CheckAgent::default()
                },
            ],
            last: Some(v1::RoundSummary {
                run_id: "01".into(),
                started_at_us: 3_540_000_000,
                verdict: "partial".into(),
                summary: "nyc-1 can't\x1b reach it".into(),
                ok: 1,
                failed: 1,
                kept: true,
                ..v1::RoundSummary::default()
            }),
            ..v1::CheckInfo::default()
        };
        Check::try_from(wire).expect("reads")
    }

    fn now() -> Timestamp {
        Timestamp::from_second(3600).expect("a time")
    }

    #[test]
    fn a_check_is_a_line_with_its_last_round() {
        let shown = table(&[check()], now(), Canvas::PLAIN);
        let line = shown.lines().nth(1).expect("a line");
        for part in ["imap", "90s", "1/2", "60 s ago", "partial", "can't\\x1b reach it"] {
            assert!(line.contains(part), "{part}\n{line}");
        }
    }

    #[test]
    fn on_a_narrow_terminal_what_is_not_well_stands_below() {
        let narrow = Canvas {
            width: Some(60),
            colour: false,
        };
        let healthy = Check {
            last_round: check().last_round.map(|round| Round {
                verdict: "healthy".into(),
                ..round
            }),
            ..check()
        };
        let shown = table(&[check(), healthy], now(), narrow);
        let lines: Vec<_> = shown.lines().skip(1).collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(
            lines[0].ends_with("partial") && lines[2].ends_with("healthy"),
            "{shown}"
        );
        assert_eq!(lines[1], "      nyc-1 can't\\x1b reach it", "{shown}");
    }

    #[test]
    fn one_check_is_told_whole() {
        let shown = details(&check(), now(), Canvas::PLAIN);
        for part in [
            "region=eu or nyc-1",
            "partial, 60 s ago: 1 ok, 1 failed; ctl runs show 01",
            "failing from 2 vantage points for 3 rounds; over after 2 good",
            "connect over 500 ms or over 3 times the usual for 5 rounds",
            "certificate with under 14 days (3 critical) or 10% of its life left",
            "unable",
            "not sealed to it",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
    }

    #[test]
    fn why_an_agent_does_not_run_it_fits_the_terminal() {
        let note = "the secret was rejected for fra-1 on 2026-12-01T09:34:00Z and is not sent again; put it right, or: \
                    ctl credential retry probe";
        let agents = check().agents.into_iter().map(|at| At {
            note: note.into(),
            state: "refused".into(),
            ..at
        });
        let refused = Check {
            agents: agents.collect(),
            ..check()
        };
        let terminal = Canvas {
            width: Some(100),
            colour: false,
        };
        let shown = details(&refused, now(), terminal);
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        let words: Vec<_> = shown.split_whitespace().collect();
        assert!(words.join(" ").contains("retry probe"), "{shown}");
    }

    #[test]
    fn a_change_is_told_field_by_field() {
        let change = |name: &str, what: &str| v1::CheckChange {
            name: name.into(),
            what: what.into(),
            ..v1::CheckChange::default()
        };
        let mut changed = change("b", "changed");
        changed.asked = vec![v1::Choice {
            connected: true,
            ..v1::Choice::default()
        }];
        changed.fields = vec![v1::FieldChange {
            field: "every".into(),
            before: "60s".into(),
            after: String::new(),
        }];
        let all = [
            change("a", "added"),
            changed,
            change("c", "removed"),
            change("d", "unchanged"),
        ];
        assert_eq!(
            changes(&all, Canvas::PLAIN),
            "+ a, at 0 agents\n    nobody runs it: no agent matches\n~ b, at 1 agent\n    every: 60s -> none\n- c\n\
             1 check unchanged\n"
        );
    }

    #[test]
    fn who_does_not_run_it_is_said() {
        let said = |connected: &[bool], unknown: &[&str]| {
            let change = v1::CheckChange {
                name: "a".into(),
                what: "added".into(),
                asked: connected
                    .iter()
                    .map(|&connected| v1::Choice {
                        connected,
                        ..v1::Choice::default()
                    })
                    .collect(),
                unknown: unknown.iter().map(|&name| name.to_owned()).collect(),
                ..v1::CheckChange::default()
            };
            changes(&[change], Canvas::PLAIN)
        };
        assert_eq!(
            said(&[], &["tokyo"]),
            "+ a, at 0 agents\n    nobody runs it: there is no agent tokyo\n"
        );
        assert_eq!(
            said(&[false], &[]),
            "+ a, at 1 agent\n    nobody runs it before one of them connects\n"
        );
        assert_eq!(
            said(&[true, false], &["tokyo", "oslo"]),
            "+ a, at 2 agents\n    there is no agent tokyo or oslo\n"
        );
        assert_eq!(said(&[true], &[]), "+ a, at 1 agent\n");
    }

    #[test]
    fn a_check_that_nobody_runs_is_not_as_well_as_it_was() {
        let idle = Check {
            run_by_nobody: true,
            agents: Vec::new(),
            last_round: check().last_round.map(|round| Round {
                verdict: "healthy".into(),
                ..round
            }),
            ..check()
        };
        let narrow = Canvas {
            width: Some(60),
            colour: false,
        };
        for canvas in [Canvas::PLAIN, narrow] {
            let shown = table(std::slice::from_ref(&idle), now(), canvas);
            assert!(!shown.contains("healthy"), "{shown}");
            assert!(
                shown.contains("not run") && shown.contains("nobody runs it: no agent is region=eu or nyc-1"),
                "{shown}"
            );
        }
        let shown = details(&idle, now(), Canvas::PLAIN);
        assert!(
            shown.contains("state       nobody runs it: no agent is"),
            "{shown}"
        );
        let alone = Check {
            agents: check().agents.into_iter().skip(1).collect(),
            ..idle
        };
        let shown = table(&[alone], now(), Canvas::PLAIN);
        assert!(shown.contains("nobody runs it: nyc-1 is unable"), "{shown}");
    }
}
