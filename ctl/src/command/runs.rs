//! `ctl runs [list|show ID]`

use parallax_model::run::{RunDocument, RunSummary};
use parallax_proto::v1;

use crate::args::{ListFormat, RunFormat, RunsArgs, RunsCommand, RunsListArgs};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::{console, render};

pub(super) async fn run(args: RunsArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    match args.command {
        None => list(&mut client, &args.list).await,
        Some(RunsCommand::List(args)) => list(&mut client, &args).await,
        Some(RunsCommand::Show { id, output }) => show(&mut client, id, output.unwrap_or_default()).await,
    }
}

async fn list(client: &mut Client, args: &RunsListArgs) -> Result<u8, Trouble> {
    let request = v1::ListRunsRequest { limit: args.limit };
    let answer = call(client.control.list_runs(request)).await?;
    let runs: Vec<RunSummary> = answer
        .runs
        .into_iter()
        .map(TryInto::try_into)
        .collect::<Result<_, _>>()?;
    let text = match args.output.output.unwrap_or_default() {
        ListFormat::Table => render::runs::table(&runs, console::canvas()),
        ListFormat::Json => render::json(&runs)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn show(client: &mut Client, id: String, format: RunFormat) -> Result<u8, Trouble> {
    let run = call(client.control.get_run(v1::GetRunRequest { run_id: id })).await?;
    let document = RunDocument::try_from(run)?;
    console::print(&render::run(&document, format, console::canvas())?)?;
    Ok(0)
}
