//! Agents, one a line.

use jiff::Timestamp;
use parallax_model::run::{AgentState, AgentSummary, Rejected};

use super::canvas::{Canvas, Tone, fact, wrap};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// Seconds.
const DAY: i64 = 24 * 3600;

/// Every agent that the collector knows.
pub(crate) fn table(agents: &[AgentSummary], now: Timestamp, canvas: Canvas) -> String {
    if agents.is_empty() {
        return "no agent has joined yet; make a token with `ctl token create --role agent` and start one\n"
            .to_owned();
    }
    let mut grid = Grid::headed(&[
        "NAME", "STATE", "SEEN", "RTT", "CLOCK", "PROBES", "EXPIRES", "VERSION", "LABELS",
    ]);
    for agent in agents {
        grid.push(Row::Cells(cells(agent, now)));
    }
    let mut lines = grid.lines(canvas);
    for agent in agents {
        if let Some(rejected) = agent.rejected.as_ref().filter(|rejected| is_news(rejected, now)) {
            let note = format!("note: {}: {}", agent.name, conflict(rejected, now));
            lines.extend(wrap(&note, canvas.width));
        }
    }
    text(&lines)
}

/// Whether somebody wanted the name within the last day.
fn is_news(rejected: &Rejected, now: Timestamp) -> bool {
    now.as_second() - rejected.at.as_second() < DAY
}

/// One agent, a fact a line.
pub(crate) fn details(agent: &AgentSummary, key: Option<String>, now: Timestamp, canvas: Canvas) -> String {
    let mut facts = vec![
        ("name", agent.name.to_string()),
        ("state", state(agent).0.to_owned()),
        ("labels", words::labels(&agent.labels)),
        ("version", words::quote(&agent.version)),
        ("seen", seen(agent, now)),
        ("probes", agent.probes_in_flight.to_string()),
    ];
    let known = [
        ("peer", agent.peer.as_deref().map(words::quote)),
        ("rtt", agent.rtt_ms.map(rtt)),
        ("clock", agent.clock_offset_ms.map(words::offset)),
        ("key", key),
        ("expires", agent.certificate_ends.map(|ends| expires(ends, now))),
        (
            "conflict",
            agent.rejected.as_ref().map(|rejected| conflict(rejected, now)),
        ),
    ];
    facts.extend(
        known
            .into_iter()
            .filter_map(|(name, fact)| fact.map(|fact| (name, fact))),
    );
    let lines: Vec<_> = facts
        .iter()
        .flat_map(|(name, said)| fact(name, 9, said, canvas))
        .collect();
    text(&lines)
}

fn cells(agent: &AgentSummary, now: Timestamp) -> Vec<Cell> {
    let (state, tone) = state(agent);
    let dash = || "-".to_owned();
    vec![
        Cell::left(agent.name.to_string(), Tone::Strong),
        Cell::left(state, tone),
        Cell::left(seen(agent, now), Tone::Plain),
        Cell::right(agent.rtt_ms.map_or_else(dash, rtt), Tone::Plain),
        Cell::right(
            agent.clock_offset_ms.map_or_else(dash, words::offset),
            Tone::Plain,
        ),
        Cell::right(agent.probes_in_flight.to_string(), Tone::Plain),
        Cell::left(
            agent
                .certificate_ends
                .map_or_else(dash, |ends| expires(ends, now)),
            Tone::Plain,
        ),
        Cell::left(words::quote(&agent.version), Tone::Plain),
        Cell::prose(words::labels(&agent.labels), Tone::Plain),
    ]
}

const fn state(agent: &AgentSummary) -> (&'static str, Tone) {
    match agent.state {
        AgentState::Connected => ("connected", Tone::Good),
        AgentState::Lost => ("lost", Tone::Bad),
        AgentState::Expired => ("expired", Tone::Bad),
        AgentState::Conflict => ("conflict", Tone::Bad),
    }
}

fn expires(ends: Timestamp, now: Timestamp) -> String {
    let left = ends.as_second() - now.as_second();
    if left > 0 {
        format!("in {}", words::span(left))
    } else {
        format!("{} ago", words::span(-left))
    }
}

/// Who wants the name too.
fn conflict(rejected: &Rejected, now: Timestamp) -> String {
    let ago = words::span((now.as_second() - rejected.at.as_second()).max(0));
    format!(
        "somebody at {}, turned away {}, last {ago} ago: {}",
        words::quote(&rejected.peer),
        words::times(u32::try_from(rejected.count).unwrap_or(u32::MAX)),
        words::quote(&rejected.why)
    )
}

fn seen(agent: &AgentSummary, now: Timestamp) -> String {
    agent.last_seen.map_or_else(
        || "never".to_owned(),
        |seen| format!("{} ago", words::span((now.as_second() - seen.as_second()).max(0))),
    )
}

fn rtt(millis: f64) -> String {
    words::time(parallax_model::millis::to_duration(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_join_is_a_note_below_an_agent_that_stays_connected() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let agent = |text: &str| -> AgentSummary {
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
        };
        let fra = r#"{"name": "fra-1", "labels": {}, "connected": true, "version": "1", "probes_in_flight": 0,
            "state": "connected", "rejected": {"peer": "10.1.0.2:9", "at": "2026-11-24T11:57:00Z", "count": 1,
            "why": "the agent fra-1 is connected"}}"#;
        let old = fra.replace("fra-1", "ams-1").replace("11-24T11", "11-23T11");
        let shown = table(&[agent(fra), agent(&old)], now, Canvas::PLAIN);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert!(lines[1].starts_with("fra-1  connected"), "{shown}");
        let expected = "note: fra-1: somebody at 10.1.0.2:9, turned away once, last 3 min ago: ";
        assert!(lines[3].starts_with(expected), "{shown}");
    }
}
