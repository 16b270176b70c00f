//! `ctl runs diff A [B]`

use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;

use super::source::Runs;
use crate::args::{DiffArgs, DiffFormat, RunSource};
use crate::config::Config;
use crate::exit::Trouble;
use crate::render::changes::{self, Difference};
use crate::{console, render};

pub(super) async fn run(args: DiffArgs, config: &Config) -> Result<u8, Trouble> {
    let mut runs = Runs::new(config);
    let difference = match &args.second {
        None => since_the_last_good(&mut runs, &args.first).await?,
        Some(second) => {
            let (before, after) = both(&mut runs, &args.first, second).await?;
            between(&before, &after)?
        }
    };
    let text = match args.output.unwrap_or_default() {
        DiffFormat::Table => changes::table(&difference, console::canvas()),
        DiffFormat::Json => render::json(&difference)?,
        DiffFormat::Markdown => changes::markdown(&difference),
    };
    console::print(&text)?;
    Ok(u8::from(!difference.changes.is_empty()))
}

/// The run says itself what it was compared with; one that was compared with nothing is compared with the newest good
/// one that there is.
async fn since_the_last_good(runs: &mut Runs<'_>, source: &RunSource) -> Result<Difference, Trouble> {
    let after = runs.get(source, None).await?;
    if let Some(difference) = Difference::recorded(&after) {
        return Ok(difference);
    }
    let before = runs.last_good_before(&after).await?;
    between(&before, &after)
}

/// `last` is of the other one's target, whichever of the two it is.
async fn both(
    runs: &mut Runs<'_>,
    first: &RunSource,
    second: &RunSource,
) -> Result<(RunDocument, RunDocument), Trouble> {
    match (first, second) {
        (RunSource::Stdin, RunSource::Stdin) => {
            Err(Trouble::new("standard input holds one run only").hint("write a FILE for the other"))
        }
        (RunSource::Last, RunSource::Last) => Err(Trouble::new("A and B are the same run")
            .hint("`ctl runs diff last` compares it with the last good one")),
        (RunSource::Last, _) => {
            let after = runs.get(second, None).await?;
            Ok((runs.get(first, Some(&after)).await?, after))
        }
        _ => {
            let before = runs.get(first, None).await?;
            let after = runs.get(second, Some(&before)).await?;
            Ok((before, after))
        }
    }
}

fn between(before: &RunDocument, after: &RunDocument) -> Result<Difference, Trouble> {
    let is_in = |run: &RunDocument, agent: &AgentName| run.vantages.iter().any(|seen| seen.agent == *agent);
    let all = before
        .vantages
        .iter()
        .chain(&after.vantages)
        .map(|seen| &seen.agent);
    let (both, one): (Vec<_>, Vec<_>) = all.partition(|agent| is_in(before, agent) && is_in(after, agent));
    if both.is_empty() {
        return Err(Trouble::new("no vantage point was asked in both runs"));
    }
    let mut not_in_both: Vec<_> = one.into_iter().cloned().collect();
    not_in_both.sort();
    Ok(Difference {
        target: after.target.input.clone(),
        before: before.reference(),
        after: after.reference(),
        not_in_both,
        changes: parallax_collector::changes(&before.vantages, &after.vantages),
    })
}
