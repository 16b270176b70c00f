//! What came of a check over time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_proto::v1;
use serde::Serialize;

use super::canvas::{Canvas, Tone};
use super::checks::{Round, tally, verdict_tone};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// Rounds that stand below a table of hours or days.
const ROUNDS_BELOW: usize = 10;
/// The step of time that is a round.
const ROUND: &str = "round";
/// What stands for the whole probe among the stages.
const TOTAL: &str = "total";

/// A history, as it is printed for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct History {
    step: String,
    rows: Vec<Span>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rounds: Vec<Round>,
}

/// What one vantage point saw in one step of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Span {
    at: Timestamp,
    agent: String,
    /// Results that are there, and those that are missing.
    expected: u64,
    ok: u64,
    degraded: u64,
    failed: u64,
    refused: u64,
    /// Of those that were expected and are not refused, the part that worked: what is not there did not.
    availability: Option<f64>,
    stages: BTreeMap<String, Latency>,
    certificate: Option<Certificate>,
}

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Latency {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Certificate {
    sha256: String,
    not_after: Timestamp,
}

/// One result, as it is printed for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Outcome {
    id: String,
    agent: String,
    run_id: String,
    started_at: Timestamp,
    outcome: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    stage: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fault: String,
    total_ms: f64,
}

impl TryFrom<v1::StoredResult> for Outcome {
    type Error = jiff::Error;

    fn try_from(wire: v1::StoredResult) -> Result<Self, jiff::Error> {
        Ok(Self {
            id: wire.id,
            agent: wire.agent,
            run_id: wire.run_id,
            started_at: Timestamp::from_microsecond(wire.started_at_us)?,
            outcome: wire.outcome,
            stage: wire.stage,
            fault: wire.fault,
            total_ms: millis(wire.total_us),
        })
    }
}

impl TryFrom<v1::CheckHistoryResponse> for History {
    type Error = jiff::Error;

    fn try_from(wire: v1::CheckHistoryResponse) -> Result<Self, jiff::Error> {
        let rows = wire.rows.into_iter().map(Span::try_from);
        let rounds = wire.rounds.into_iter().map(Round::try_from);
        Ok(Self {
            step: wire.step,
            rows: rows.collect::<Result<_, _>>()?,
            rounds: rounds.collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<v1::HistoryRow> for Span {
    type Error = jiff::Error;

    fn try_from(wire: v1::HistoryRow) -> Result<Self, jiff::Error> {
        let certificate = (!wire.certificate_sha256.is_empty()).then(|| {
            Ok::<_, jiff::Error>(Certificate {
                not_after: Timestamp::from_second(wire.certificate_not_after_s)?,
                sha256: wire.certificate_sha256,
            })
        });
        let stages = wire.stages.into_iter().map(|stage| {
            let latency = Latency {
                p50_ms: millis(stage.p50_us),
                p95_ms: millis(stage.p95_us),
                p99_ms: millis(stage.p99_us),
                count: stage.count,
            };
            (stage.stage, latency)
        });
        let works = wire.ok + wire.degraded;
        let asked = wire
            .expected
            .max(works + wire.failed)
            .saturating_sub(wire.refused);
        Ok(Self {
            at: Timestamp::from_microsecond(wire.at_us)?,
            agent: wire.agent,
            expected: wire.expected,
            ok: wire.ok,
            degraded: wire.degraded,
            failed: wire.failed,
            refused: wire.refused,
            availability: (asked > 0).then(|| works as f64 / asked as f64),
            stages: stages.collect(),
            certificate: certificate.transpose()?,
        })
    }
}

impl Span {
    /// Results that should be there and are not.
    const fn missing(&self) -> u64 {
        self.expected
            .saturating_sub(self.ok + self.degraded + self.failed + self.refused)
    }
}

impl History {
    /// Whether no vantage point is shown by itself.
    pub(crate) const fn shows_nobody(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row a line, for programs.
    pub(crate) fn json_lines(&self) -> Result<String, serde_json::Error> {
        let rows = self.rows.iter().map(super::json_line);
        let rounds = self.rounds.iter().map(super::json_line);
        rows.chain(rounds).collect()
    }

    /// For a person: rounds one by one, or vantage points by the hour or day.
    /// The target, where it is known, need not be named in each.
    pub(crate) fn table(&self, target: Option<&str>, now: Timestamp, canvas: Canvas) -> String {
        if self.step == ROUND && !self.rounds.is_empty() {
            return rounds(&self.rounds, target, canvas);
        }
        if self.rows.is_empty() {
            return "nothing came of it in this time\n".to_owned();
        }
        let mut grid = Grid::headed(&[
            "TIME",
            "AGENT",
            "WORKS",
            "OK",
            "DEGRADED",
            "FAILED",
            "MISSING",
            "P50",
            "P95",
            "P99",
            "CERTIFICATE",
        ]);
        for span in &self.rows {
            grid.push(Row::Cells(cells(span, &self.step, now)));
        }
        text(&grid.lines(canvas)) + &self.not_well(target, canvas)
    }

    /// Below hours and days, the newest rounds in which not all was well.
    fn not_well(&self, target: Option<&str>, canvas: Canvas) -> String {
        let newest = &self.rounds[self.rounds.len().saturating_sub(ROUNDS_BELOW)..];
        if newest.is_empty() {
            return String::new();
        }
        let more = match self.rounds.len() - newest.len() {
            0 => String::new(),
            more => format!("and {more} before; see --step round\n"),
        };
        format!(
            "\nnot all was well, last:\n{}{more}",
            rounds(newest, target, canvas)
        )
    }
}

fn cells(span: &Span, step: &str, now: Timestamp) -> Vec<Cell> {
    let total = span.stages.get(TOTAL);
    let time = |pick: fn(&Latency) -> f64| {
        Cell::right(
            total.map_or_else(|| "-".to_owned(), |latency| words::millis(pick(latency))),
            Tone::Plain,
        )
    };
    let count = |number: u64, tone| match number {
        0 => Cell::right("-", Tone::Faint),
        number => Cell::right(number.to_string(), tone),
    };
    let at = match step {
        "day" => words::day(span.at),
        "hour" => words::hour(span.at),
        _ => words::moment(span.at),
    };
    vec![
        Cell::left(at, Tone::Plain),
        Cell::left(words::safe(&span.agent), Tone::Strong),
        availability(span),
        count(span.ok, Tone::Plain),
        count(span.degraded, Tone::Warning),
        count(span.failed, Tone::Bad),
        count(span.missing(), Tone::Warning),
        time(|latency| latency.p50_ms),
        time(|latency| latency.p95_ms),
        time(|latency| latency.p99_ms),
        Cell::line(
            span.certificate
                .as_ref()
                .map_or_else(|| "-".to_owned(), |certificate| left(certificate, now)),
            Tone::Plain,
        ),
    ]
}

fn availability(span: &Span) -> Cell {
    match span.availability {
        None => Cell::right("-", Tone::Faint),
        Some(part) if part >= 1.0 => Cell::right("100%", Tone::Good),
        // Cut, not rounded: what failed once is not a hundred percent.
        Some(part) => Cell::right(share(part), if part >= 0.99 { Tone::Warning } else { Tone::Bad }),
    }
}

/// "99.99%", "50%": cut to a hundredth, and without zeros that say nothing.
fn share(part: f64) -> String {
    let hundredths = format!("{:.2}", (part * 10_000.0).floor() / 100.0);
    format!("{}%", hundredths.trim_end_matches('0').trim_end_matches('.'))
}

fn left(certificate: &Certificate, now: Timestamp) -> String {
    let seconds = certificate.not_after.as_second() - now.as_second();
    let sha256 = words::safe(words::beginning(&certificate.sha256, 8).as_str());
    if seconds < 0 {
        return format!("over for {} ({sha256})", words::span(seconds));
    }
    format!("{} left ({sha256})", words::span(seconds))
}

fn rounds(rounds: &[Round], target: Option<&str>, canvas: Canvas) -> String {
    let mut grid = Grid::headed(&["STARTED", "VERDICT", "VANTAGE POINTS", "RUN", "SUMMARY"]);
    for round in rounds {
        let verdict = if round.late {
            format!("{} (late)", words::safe(&round.verdict))
        } else {
            words::safe(&round.verdict)
        };
        let run = if round.kept { round.run_id.as_str() } else { "-" };
        let summary = words::beside_target(&round.summary, target.unwrap_or_default());
        grid.push(Row::Cells(vec![
            Cell::left(words::moment(round.started_at), Tone::Plain),
            Cell::left(verdict, verdict_tone(&round.verdict)),
            Cell::prose(tally(round), Tone::Plain),
            Cell::id(words::safe(run), Tone::Plain),
            Cell::line(summary, Tone::Plain),
        ]));
    }
    text(&grid.lines(canvas))
}

/// Single results, for a person.
pub(crate) fn outcomes(outcomes: &[Outcome], canvas: Canvas) -> String {
    if outcomes.is_empty() {
        return "nothing came of it in this time\n".to_owned();
    }
    let mut grid = Grid::headed(&["STARTED", "AGENT", "OUTCOME", "TOOK", "FAULT", "RUN"]);
    for outcome in outcomes {
        let tone = match outcome.outcome.as_str() {
            "ok" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Warning,
        };
        let fault = if outcome.fault.is_empty() {
            String::new()
        } else {
            format!(
                "{} at {}",
                words::safe(&outcome.fault),
                words::safe(&outcome.stage)
            )
        };
        grid.push(Row::Cells(vec![
            Cell::left(words::moment(outcome.started_at), Tone::Plain),
            Cell::left(words::safe(&outcome.agent), Tone::Strong),
            Cell::left(words::safe(&outcome.outcome), tone),
            Cell::right(words::millis(outcome.total_ms), Tone::Plain),
            Cell::prose(fault, Tone::Plain),
            Cell::id(words::safe(&outcome.run_id), Tone::Faint),
        ]));
    }
    text(&grid.lines(canvas))
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(row: v1::HistoryRow) -> History {
        let wire = v1::CheckHistoryResponse {
            step: "hour".into(),
            rows: vec![row],
            ..v1::CheckHistoryResponse::default()
        };
        History::try_from(wire).expect("reads")
    }

    fn row() -> v1::HistoryRow {
        v1::HistoryRow {
            agent: "fra-1".into(),
            ok: 57,
            failed: 1,
            expected: 60,
            stages: vec![v1::StageLatency {
                stage: TOTAL.into(),
                p50_us: 41_800,
                p95_us: 95_000,
                p99_us: 120_000,
                count: 58,
            }],
            certificate_sha256: "ab3d78acc2453ccb".into(),
            certificate_not_after_s: 10 * 86_400,
            ..v1::HistoryRow::default()
        }
    }

    #[test]
    fn an_hour_is_a_line() {
        let shown = history(row()).table(None, Timestamp::UNIX_EPOCH, Canvas::PLAIN);
        let line: Vec<_> = shown.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(
            line.join(" "),
            "1970-01-01 00:00 UTC fra-1 95% 57 - 1 2 42 ms 95 ms 120 ms 10 days left (ab3d78ac…)"
        );
    }

    #[test]
    fn a_gap_is_not_a_hundred_percent() {
        let gap = v1::HistoryRow {
            ok: 57,
            failed: 0,
            ..row()
        };
        let shown = history(gap).table(None, Timestamp::UNIX_EPOCH, Canvas::PLAIN);
        assert!(shown.contains(" 95% "), "{shown}");
        let whole = v1::HistoryRow {
            ok: 99_999,
            failed: 1,
            expected: 100_000,
            ..row()
        };
        let shown = history(whole).table(None, Timestamp::UNIX_EPOCH, Canvas::PLAIN);
        assert!(shown.contains("99.99%"), "{shown}");
    }

    #[test]
    fn what_an_agent_refused_says_nothing_of_the_target() {
        let refused = v1::HistoryRow {
            ok: 0,
            failed: 0,
            refused: 60,
            ..row()
        };
        assert_eq!(history(refused).rows[0].availability, None);
    }
}
