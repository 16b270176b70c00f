//! Checks and alerts on the status page, what is not well first.

use std::sync::Arc;

use parallax_model::alert::{Alert, AlertState};
use parallax_model::finding::Verdict;
use parallax_model::round::RoundSummary;

use super::page::{self, Cell};
use crate::store::CheckRecord;

/// Rows of each table; `ctl check` and `ctl alerts` have all of them.
const ROWS: usize = 200;

/// A check, and its last round that was judged.
pub(super) struct Watched {
    pub(super) check: Arc<CheckRecord>,
    pub(super) last: Option<RoundSummary>,
}

impl Watched {
    /// What is down stands above what is well, and what rests below.
    fn rank(&self) -> u8 {
        match &self.last {
            _ if self.check.paused => 4,
            Some(round) => match round.verdict {
                Verdict::Down => 0,
                Verdict::Partial => 1,
                Verdict::Inconclusive => 2,
                Verdict::Healthy => 3,
            },
            None => 3,
        }
    }

    fn row(&self) -> Vec<Cell> {
        let of = &self.check.definition;
        let (since, verdict, summary) = match &self.last {
            Some(round) => (
                page::time(round.started_at),
                round.verdict.to_string(),
                round.summary.clone(),
            ),
            None => Default::default(),
        };
        let verdict = if self.check.paused {
            "paused".to_owned()
        } else {
            verdict
        };
        [
            of.name.to_string(),
            of.spec.target.input.clone(),
            verdict,
            since,
            summary,
        ]
        .map(Cell::Text)
        .into()
    }
}

/// Each check with its last round.
pub(super) fn checks(page: &mut String, mut watched: Vec<Watched>) {
    watched.sort_by(|one, other| {
        let key = |watched: &Watched| (watched.rank(), watched.check.definition.name.clone());
        key(one).cmp(&key(other))
    });
    let rows = watched.iter().take(ROWS).map(Watched::row).collect();
    page::table(
        page,
        "Checks",
        &["name", "target", "verdict", "last round", "summary"],
        rows,
    );
    more(page, watched.len(), "ctl check");
}

/// What fires, and what is about to.
pub(super) fn alerts(page: &mut String, mut alerts: Vec<Alert>) {
    alerts.retain(|alert| alert.state != AlertState::Resolved);
    let pending = |alert: &Alert| alert.state == AlertState::Pending;
    alerts.sort_by_key(|alert| (pending(alert), alert.fired_at.unwrap_or(alert.since)));
    let rows = alerts.iter().take(ROWS).map(alert_row).collect();
    page::table(
        page,
        "Alerts",
        &["state", "since", "severity", "alert", "about", "summary", "run"],
        rows,
    );
    more(page, alerts.len(), "ctl alerts");
}

fn alert_row(alert: &Alert) -> Vec<Cell> {
    let state = match (alert.state, &alert.silenced_by) {
        (AlertState::Firing, Some(_)) => "firing, held",
        (AlertState::Firing, None) => "firing",
        (AlertState::Pending, _) => "pending",
        (AlertState::Resolved, _) => "resolved",
    };
    let about = alert.check.as_ref().map(ToString::to_string);
    let about = about.or_else(|| alert.labels.get("probe").cloned());
    let mut row: Vec<Cell> = [
        state.to_owned(),
        page::time(alert.fired_at.unwrap_or(alert.since)),
        alert.severity.as_str().to_owned(),
        alert.name.clone(),
        about.unwrap_or_default(),
        alert.summary.clone(),
    ]
    .map(Cell::Text)
    .into();
    row.push(match alert.run_id {
        Some(run) => Cell::link(&format!("runs/{run}"), &run.to_string()),
        None => Cell::Text(String::new()),
    });
    row
}

fn more(page: &mut String, number: usize, command: &str) {
    if number > ROWS {
        page.push_str(&format!("<p>And {} more: {command}</p>", number - ROWS));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parallax_model::finding::Severity;
    use parallax_model::round::Counts;
    use uuid::Uuid;

    use super::*;
    use crate::measure::sample;

    fn watched(number: u32, verdict: Verdict) -> Watched {
        Watched {
            check: Arc::new(CheckRecord {
                id: Uuid::from_u128(number.into()),
                no: number.into(),
                version: 1,
                definition: sample::check(number.into()),
                paused: false,
                cleared: String::new(),
                changed_at: Timestamp::UNIX_EPOCH,
                changed_by: String::new(),
            }),
            last: Some(RoundSummary {
                run_id: Uuid::nil(),
                started_at: Timestamp::UNIX_EPOCH,
                verdict,
                summary: "it <b>works</b>".into(),
                counts: Counts::default(),
                late: false,
                kept: false,
            }),
        }
    }

    fn alert(state: AlertState) -> Alert {
        Alert {
            fingerprint: "0".into(),
            name: "ImapTargetFailing".into(),
            check: Some("imap-fra".parse().unwrap()),
            state,
            severity: Severity::Critical,
            summary: "down & <out>".into(),
            labels: [("secret".to_owned(), "label".to_owned())].into(),
            annotations: [("note".to_owned(), "annotation".to_owned())].into(),
            since: Timestamp::UNIX_EPOCH,
            fired_at: None,
            resolved_at: None,
            run_id: Some(Uuid::from_u128(7)),
            trace_id: None,
            flapping: false,
            silenced_by: None,
        }
    }

    #[test]
    fn what_is_down_stands_above_what_is_well_and_text_stays_text() {
        let mut page = String::new();
        checks(
            &mut page,
            vec![watched(0, Verdict::Healthy), watched(1, Verdict::Down)],
        );
        let at = |word: &str| page.find(word).unwrap_or_else(|| panic!("{word}: {page}"));
        assert!(at("imap-1") < at("imap-0"), "{page}");
        assert!(page.contains("it &lt;b&gt;works&lt;/b&gt;") && page.contains("1970-01-01 00:00:00 UTC"));
    }

    #[test]
    fn an_alert_leads_to_its_run_and_what_is_over_is_not_shown() {
        let mut page = String::new();
        let all = [AlertState::Pending, AlertState::Resolved, AlertState::Firing];
        alerts(&mut page, all.map(alert).into());
        assert_eq!(page.matches("<tr>").count(), 3, "{page}");
        assert!(
            page.find("<td>firing</td>") < page.find("<td>pending</td>"),
            "{page}"
        );
        assert!(
            page.contains("<a href=\"runs/00000000-0000-0000-0000-000000000007\">"),
            "{page}"
        );
        assert!(page.contains("down &amp; &lt;out&gt;"), "{page}");
        assert!(!page.contains("annotation"), "{page}");
    }

    #[test]
    fn a_table_is_bounded() {
        let mut page = String::new();
        let many = (0..203).map(|number| watched(number, Verdict::Healthy));
        checks(&mut page, many.collect());
        assert_eq!(page.matches("<tr>").count(), ROWS + 1);
        assert!(page.ends_with("<p>And 3 more: ctl check</p>"), "{page}");
    }
}
