//! `ctl runs [list|show ID|diff A B|bundle ID]`

mod bundle;
mod diff;
mod source;

use jiff::Timestamp;
use parallax_proto::v1::ListRunsRequest;

use self::source::Runs;
use crate::args::{ListFormat, RunFormat, RunSource, RunsArgs, RunsCommand, RunsListArgs};
use crate::client::Client;
use crate::config::Config;
use crate::exit::Trouble;
use crate::{console, render};

pub(super) async fn run(args: RunsArgs, config: &Config) -> Result<u8, Trouble> {
    match args.command {
        None => list(&args.list, config).await,
        Some(RunsCommand::List(args)) => list(&args, config).await,
        Some(RunsCommand::Show { id, output }) => show(id, output.unwrap_or_default(), config).await,
        Some(RunsCommand::Diff(args)) => diff::run(args, config).await,
        Some(RunsCommand::Bundle(args)) => bundle::run(args, config).await,
    }
}

async fn list(args: &RunsListArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    let wanted = ListRunsRequest {
        limit: args.limit,
        target: args.target.clone().map(Into::into),
        verdict: args
            .verdict
            .map(|verdict| verdict.to_string())
            .unwrap_or_default(),
        before_us: args.before.map(Timestamp::as_microsecond).unwrap_or_default(),
        check: args.check.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let all = wanted.target.is_none()
        && wanted.verdict.is_empty()
        && wanted.before_us == 0
        && wanted.check.is_empty();
    let runs = source::list(&mut client, wanted).await?;
    let text = match args.output.output.unwrap_or_default() {
        ListFormat::Table => render::runs::table(&runs, all, console::canvas()),
        ListFormat::Json => render::json(&runs)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn show(id: String, format: RunFormat, config: &Config) -> Result<u8, Trouble> {
    let document = Runs::new(config).get(&RunSource::Id(id), None).await?;
    console::print(&render::run(&document, format, console::canvas())?)?;
    Ok(0)
}
