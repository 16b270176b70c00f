//! The page of one run: what an alert leads to. All of it is in `ctl runs show`.

use std::fmt::Write as _;

use parallax_model::finding::Finding;
use parallax_model::observation::{Attempt, Observation};
use parallax_model::run::RunDocument;

use super::page::{self, Cell};

/// The page as HTML; `trace` is where its trace is shown.
pub(super) fn render(run: &RunDocument, trace: Option<&str>) -> String {
    let mut page = page::begin(&format!("Run {}", run.run_id));
    let mut facts = vec![
        ("verdict", Cell::Text(run.verdict.to_string())),
        ("summary", Cell::Text(run.summary.clone())),
        ("target", Cell::Text(run.target.input.clone())),
        ("started", Cell::Text(page::time(run.started_at))),
        ("took", Cell::Text(format!("{:.1} s", run.duration.as_secs_f64()))),
    ];
    if let Some(check) = &run.check {
        facts.push(("check", Cell::Text(check.name.to_string())));
    }
    if let Some(id) = &run.trace_id {
        let cell = match trace {
            Some(url) => Cell::link(url, id),
            None => Cell::Text(id.clone()),
        };
        facts.push(("trace", cell));
    }
    facts.push(("all of it", Cell::Text(format!("ctl runs show {}", run.run_id))));
    let facts = facts
        .into_iter()
        .map(|(name, cell)| vec![Cell::Text(name.to_owned()), cell])
        .collect();
    page::table(&mut page, "Answer", &["", ""], facts);
    for finding in &run.findings {
        tell(&mut page, finding);
    }
    let seen = run.vantages.iter().map(vantage).collect();
    page::table(
        &mut page,
        "Vantage points",
        &["agent", "outcome", "stage", "what"],
        seen,
    );
    page::end(page)
}

fn tell(page: &mut String, finding: &Finding) {
    // Writing to a String never fails.
    let _ = write!(page, "<h2>{}</h2>", page::html(&finding.summary));
    let parts = [("seen", &finding.because), ("to do", &finding.next_steps)];
    for (name, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        let _ = write!(page, "<p>{name}:</p><ul>");
        for line in lines {
            let _ = write!(page, "<li>{}</li>", page::html(line));
        }
        page.push_str("</ul>");
    }
}

fn vantage(seen: &Observation) -> Vec<Cell> {
    let resolve = seen.resolve.as_ref().filter(|stage| stage.failed());
    let failed = resolve.or_else(|| seen.requested().find_map(Attempt::failed_stage));
    let (stage, what) = match failed.and_then(|stage| Some((stage.name, stage.outcome.fault()?))) {
        Some((stage, fault)) => (stage.to_string(), fault.message.clone()),
        None => (String::new(), seen.note.clone().unwrap_or_default()),
    };
    [
        seen.agent.to_string(),
        seen.outcome.as_str().to_owned(),
        stage,
        what,
    ]
    .map(Cell::Text)
    .into()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parallax_model::fault::{Fault, FaultKind, TcpFault};
    use parallax_model::finding::Verdict;
    use parallax_model::run::{RUN_SCHEMA, RunTarget};
    use parallax_model::stage::Outcome;
    use std::time::Duration;
    use uuid::Uuid;

    use super::*;
    use crate::tests::fake::{observation, spec};

    #[test]
    fn it_leads_to_the_trace_and_a_servers_text_stays_text() {
        let fault = Fault::new(FaultKind::Tcp(TcpFault::TimedOut), "no <b>answer</b>");
        let spec = spec();
        let run = RunDocument {
            schema: RUN_SCHEMA.to_owned(),
            run_id: Uuid::from_u128(7),
            trace_id: Some("0af7".to_owned()),
            target: RunTarget::from(&spec.target),
            depth: spec.depth,
            started_at: Timestamp::UNIX_EPOCH,
            duration: Duration::from_millis(1234),
            vantages: vec![observation("fra-1", Outcome::Failed(fault))],
            verdict: Verdict::Down,
            summary: "down \"from\" 1 & no more".to_owned(),
            findings: Vec::new(),
            clients: Vec::new(),
            experiments: Vec::new(),
            compared_with: None,
            changes: Vec::new(),
            captures: Vec::new(),
            check: None,
        };
        let page = render(&run, Some("https://t.example/?a=1&b='0af7"));
        assert!(
            page.contains("<a href=\"https://t.example/?a=1&amp;b=&#39;0af7\">0af7</a>"),
            "{page}"
        );
        assert!(
            page.contains("<td>fra-1</td><td>failed</td><td>connect</td>"),
            "{page}"
        );
        assert!(page.contains("no &lt;b&gt;answer&lt;/b&gt;"), "{page}");
        assert!(page.contains("down &quot;from&quot; 1 &amp; no more"), "{page}");
        assert!(page.contains("ctl runs show 00000000-0000-0000-0000-000000000007"));
        let unlinked = render(&run, None);
        assert!(unlinked.contains("<td>0af7</td>") && !unlinked.contains("href"));
    }
}
