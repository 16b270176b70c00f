//! `ctl check add|apply|list|show|pause|resume|remove|history`

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;

use jiff::Timestamp;
use parallax_model::selector::Selector;
use parallax_proto::v1;

use crate::args::{
    AddCheck, ApplyChecks, CheckArgs, CheckCommand, CheckHistory, HistoryFormat, ListFormat, OutputArgs,
};
use crate::check::{Wish, file};
use crate::client::{Client, call, refused};
use crate::config::Config;
use crate::exit::Trouble;
use crate::render::checks::Check;
use crate::render::history::{History, Outcome};
use crate::render::{checks, history, words};
use crate::{console, render};

/// With --dry-run something would change, or it was not confirmed.
const NOT_DONE: u8 = 1;

pub(super) async fn run(args: CheckArgs, config: &Config) -> Result<u8, Trouble> {
    match args.command {
        None => list(config, args.output).await,
        Some(CheckCommand::List(output)) => list(config, output).await,
        Some(CheckCommand::Add(wish)) => add(config, *wish).await,
        Some(CheckCommand::Apply(apply)) => apply_file(config, apply).await,
        Some(CheckCommand::Show { name, output }) => show(config, name, output).await,
        Some(CheckCommand::Pause { name }) => pause(config, name, true).await,
        Some(CheckCommand::Resume { name }) => pause(config, name, false).await,
        Some(CheckCommand::Remove { name }) => remove(config, name).await,
        Some(CheckCommand::History(asked)) => history(config, asked).await,
    }
}

/// Whether the file that is named holds checks.
pub(super) fn check_file(args: &CheckArgs, config: &Config) -> Result<u8, Trouble> {
    if let Some(CheckCommand::Apply(apply)) = &args.command {
        definitions(config, &apply.file)?;
    }
    Ok(0)
}

async fn add(config: &Config, wish: AddCheck) -> Result<u8, Trouble> {
    let definition = Wish::from(wish).definition(&config.ca_file)?;
    let mut client = Client::dial(config).await?;
    let request = v1::ApplyChecksRequest {
        checks: vec![definition],
        only_new: true,
        ..v1::ApplyChecksRequest::default()
    };
    let done = call(client.checks.apply_checks(request)).await?;
    console::print(&checks::changes(&done.changes, console::canvas()))?;
    Ok(0)
}

async fn apply_file(config: &Config, apply: ApplyChecks) -> Result<u8, Trouble> {
    let definitions = definitions(config, &apply.file)?;
    if apply.prune && definitions.is_empty() {
        return Err(Trouble::new(format!(
            "{} has no [[check]]: with --prune that would remove every check",
            apply.file.display()
        ))
        .hint("remove them one by one with `ctl check remove`, if that is meant"));
    }
    let mut client = Client::dial(config).await?;
    let request = v1::ApplyChecksRequest {
        checks: definitions,
        prune: apply.prune,
        dry_run: true,
        only_new: false,
    };
    let planned = call(client.checks.apply_checks(request.clone())).await;
    let planned = planned
        .map_err(|trouble| trouble.at(&apply.file.display().to_string()))?
        .changes;
    console::print(&checks::changes(&planned, console::canvas()))?;
    let same = planned.iter().all(|change| change.what == "unchanged");
    if same || apply.dry_run {
        return Ok(if same { 0 } else { NOT_DONE });
    }
    if !apply.yes && !confirmed(&apply.file)? {
        console::complain("nothing was changed\n");
        return Ok(NOT_DONE);
    }
    let request = v1::ApplyChecksRequest {
        dry_run: false,
        ..request
    };
    let done = call(client.checks.apply_checks(request)).await?.changes;
    let changed = done.iter().filter(|change| change.what != "unchanged").count();
    console::print(&format!("done: {}\n", words::count(changed, "change")))?;
    Ok(0)
}

fn definitions(config: &Config, path: &Path) -> Result<Vec<v1::CheckDefinition>, Trouble> {
    let name = path.display().to_string();
    let (text, folder) = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        (text, Path::new("."))
    } else {
        let text = std::fs::read_to_string(path).map_err(|error| Trouble::new(format!("{name}: {error}")))?;
        (text, path.parent().unwrap_or(Path::new(".")))
    };
    file::read(&text, &name, folder)?
        .into_iter()
        .map(|wish| {
            let place = format!("{name}: check {}", wish.name);
            wish.definition(&config.ca_file)
                .map_err(|trouble| trouble.at(&place))
        })
        .collect()
}

fn confirmed(file: &Path) -> Result<bool, Trouble> {
    let unseen = !io::stdin().is_terminal() || file == Path::new("-");
    if unseen {
        return Err(
            Trouble::new("nobody is there to confirm this").hint("add --yes, or --dry-run to see it only")
        );
    }
    console::complain("make it so? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn list(config: &Config, output: OutputArgs) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    let all = known(&mut client, String::new()).await?;
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => checks::table(&all, Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&all)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn show(config: &Config, name: String, output: OutputArgs) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    for check in known(&mut client, name).await? {
        let text = match output.output.unwrap_or_default() {
            ListFormat::Table => checks::details(&check, Timestamp::now(), console::canvas()),
            ListFormat::Json => render::json(&check)?,
        };
        console::print(&text)?;
    }
    Ok(0)
}

async fn known(client: &mut Client, name: String) -> Result<Vec<Check>, Trouble> {
    let answer = call(client.checks.list_checks(v1::ListChecksRequest { name })).await?;
    let all = answer.checks.into_iter().map(Check::try_from);
    Ok(all.collect::<Result<_, _>>()?)
}

async fn pause(config: &Config, name: String, paused: bool) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    let request = v1::PauseCheckRequest {
        name: name.clone(),
        paused,
    };
    call(client.checks.pause_check(request)).await?;
    let word = if paused { "paused" } else { "resumed" };
    console::print(&format!("{word} {}\n", words::safe(&name)))?;
    Ok(0)
}

async fn remove(config: &Config, name: String) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    call(
        client
            .checks
            .remove_check(v1::RemoveCheckRequest { name: name.clone() }),
    )
    .await?;
    console::print(&format!("removed {}\n", words::safe(&name)))?;
    Ok(0)
}

async fn history(config: &Config, asked: CheckHistory) -> Result<u8, Trouble> {
    match asked.until {
        Some(until) if until <= asked.since => return Err(Trouble::new("--until is not after --since")),
        None if asked.since > Timestamp::now() => {
            return Err(
                Trouble::new("--since lies in the future").hint("give a time that is past, such as 24h")
            );
        }
        _ => {}
    }
    let selector = Selector::parse_any(&asked.from)?;
    let request = v1::CheckHistoryRequest {
        name: asked.name,
        since_us: asked.since.as_microsecond(),
        until_us: asked.until.map(Timestamp::as_microsecond).unwrap_or_default(),
        step: asked.step.unwrap_or_default().to_owned(),
        from: selector.to_texts(),
        limit: asked.limit,
    };
    let format = asked.output.unwrap_or_default();
    let mut client = Client::dial(config).await?;
    if asked.results {
        return results(&mut client, request, &selector, format).await;
    }
    let name = request.name.clone();
    let history = History::try_from(call(client.checks.check_history(request)).await?)?;
    if history.shows_nobody() {
        client.somebody(&selector).await?;
    }
    let text = match format {
        HistoryFormat::Table => {
            // A check that was removed has a history still, and no target.
            let check = known(&mut client, name)
                .await
                .ok()
                .and_then(|all| all.into_iter().next());
            let target = check.as_ref().map(|check| check.target.as_str());
            history.table(target, Timestamp::now(), console::canvas())
        }
        HistoryFormat::Json => render::json(&history)?,
        HistoryFormat::Jsonl => history.json_lines()?,
    };
    console::print(&text)?;
    Ok(0)
}

/// Results are printed as they come where each is a line of its own.
async fn results(
    client: &mut Client,
    request: v1::CheckHistoryRequest,
    selector: &Selector,
    format: HistoryFormat,
) -> Result<u8, Trouble> {
    let mut stream = call(client.checks.check_results(request)).await?;
    let mut all = Vec::new();
    let mut any = false;
    while let Some(result) = stream.message().await.map_err(|status| refused(&status))? {
        let outcome = Outcome::try_from(result)?;
        any = true;
        if format == HistoryFormat::Jsonl {
            console::print(&render::json_line(&outcome)?)?;
        } else {
            all.push(outcome);
        }
    }
    if !any {
        client.somebody(selector).await?;
    }
    match format {
        HistoryFormat::Table => console::print(&history::outcomes(&all, console::canvas()))?,
        HistoryFormat::Json => console::print(&render::json(&all)?)?,
        HistoryFormat::Jsonl => {}
    }
    Ok(0)
}
