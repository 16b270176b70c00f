//! `ctl alerts list|silence|silences|unsilence|test`

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_model::alert::{Alert, Silence};
use parallax_proto::v1;
use uuid::Uuid;

use crate::args::{AlertsArgs, AlertsCommand, AlertsListArgs, ListFormat, OutputArgs, SilenceWish};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::render::alerts::{Receiver, Shown};
use crate::render::words;
use crate::{console, render};

/// A receiver did not take the test.
const NOT_TOLD: u8 = 1;

pub(super) async fn run(args: AlertsArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    match args.command {
        None => {
            let output = args.output;
            list(&mut client, AlertsListArgs { all: false, output }).await
        }
        Some(AlertsCommand::List(args)) => list(&mut client, args).await,
        Some(AlertsCommand::Silence(wish)) => silence(&mut client, wish).await,
        Some(AlertsCommand::Silences(output)) => silences(&mut client, output).await,
        Some(AlertsCommand::Unsilence { id }) => unsilence(&mut client, id).await,
        Some(AlertsCommand::Test(output)) => test(&mut client, output).await,
    }
}

async fn list(client: &mut Client, args: AlertsListArgs) -> Result<u8, Trouble> {
    let request = v1::ListAlertsRequest { all: args.all };
    let answer = call(client.alerts.list_alerts(request)).await?;
    let alerts = answer.alerts.into_iter().map(Alert::try_from);
    let shown = Shown {
        alerts: alerts.collect::<Result<_, _>>()?,
        receivers: answer.receivers.into_iter().map(Receiver::from).collect(),
    };
    let text = match args.output.output.unwrap_or_default() {
        ListFormat::Table => render::alerts::table(&shown, Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&shown)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn silence(client: &mut Client, wish: SilenceWish) -> Result<u8, Trouble> {
    let mut matchers = BTreeMap::new();
    for (label, glob) in wish.matchers {
        if matchers.insert(label.clone(), glob).is_some() {
            return Err(Trouble::new(format!(
                "{label} is there twice: all labels must match"
            )));
        }
    }
    let now = Timestamp::now();
    let length = i64::try_from(wish.length.as_micros()).unwrap_or(i64::MAX);
    let request = v1::Silence {
        matchers: matchers.into_iter().collect(),
        ends_at_us: now.as_microsecond().saturating_add(length),
        comment: wish.why,
        ..v1::Silence::default()
    };
    let silence = Silence::try_from(call(client.alerts.add_silence(request)).await?)?;
    let (id, until) = (silence.id, words::moment(silence.ends_at));
    console::print(&format!(
        "silence {id} until {until}; `ctl alerts unsilence {id}` ends it\n"
    ))?;
    Ok(0)
}

async fn silences(client: &mut Client, output: OutputArgs) -> Result<u8, Trouble> {
    let answer = call(client.alerts.list_silences(v1::ListSilencesRequest {})).await?;
    let silences = answer.silences.into_iter().map(Silence::try_from);
    let silences: Vec<Silence> = silences.collect::<Result<_, _>>()?;
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => render::alerts::silences(&silences, console::canvas()),
        ListFormat::Json => render::json(&silences)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn unsilence(client: &mut Client, id: Uuid) -> Result<u8, Trouble> {
    let request = v1::EndSilenceRequest { id: id.to_string() };
    call(client.alerts.end_silence(request)).await?;
    console::print(&format!("silence {id} is over\n"))?;
    Ok(0)
}

async fn test(client: &mut Client, output: OutputArgs) -> Result<u8, Trouble> {
    let answer = client.alerts.test_receivers(v1::TestReceiversRequest {});
    let answer = call(answer).await?;
    let receivers: Vec<Receiver> = answer.receivers.into_iter().map(Receiver::from).collect();
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => render::alerts::tested(&receivers, console::canvas()),
        ListFormat::Json => render::json(&receivers)?,
    };
    console::print(&text)?;
    let all_told = receivers.iter().all(Receiver::is_well);
    Ok(if all_told { 0 } else { NOT_TOLD })
}
