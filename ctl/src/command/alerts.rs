//! `ctl alerts list|silence|silences|unsilence|test`

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parallax_model::alert::{Alert, Silence};
use parallax_proto::v1;

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
        None => list(&mut client, args.list).await,
        Some(AlertsCommand::List(args)) => list(&mut client, args).await,
        Some(AlertsCommand::Silence(wish)) => silence(&mut client, wish).await,
        Some(AlertsCommand::Silences(output)) => silences(&mut client, output).await,
        Some(AlertsCommand::Unsilence { id }) => unsilence(&mut client, &id).await,
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
        run_by_nobody: client.status().await?.checks_run_by_nobody,
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
    if let Some(warning) = unknown_labels(client, &matchers).await? {
        console::complain(&warning);
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
        "silence {id} until {until}\n`ctl alerts unsilence {id}` ends it\n"
    ))?;
    Ok(0)
}

/// Labels that every alert of a kind has; what a check's own labels are, the checks know.
const LABELS: [&str; 8] = [
    "alertname",
    "severity",
    "check",
    "target",
    "port",
    "security",
    "probe",
    "stage",
];

/// That a label is neither one of all alerts nor of any check: nothing has it, and nothing is silenced.
async fn unknown_labels(
    client: &mut Client,
    matchers: &BTreeMap<String, String>,
) -> Result<Option<String>, Trouble> {
    if matchers.keys().all(|label| LABELS.contains(&label.as_str())) {
        return Ok(None);
    }
    let all = v1::ListChecksRequest { name: String::new() };
    let checks = call(client.checks.list_checks(all)).await?.checks;
    let own = checks.into_iter().filter_map(|check| check.definition);
    // As the collector spells them in alerts.
    let own: BTreeSet<String> = own
        .flat_map(|check| check.labels.into_keys())
        .map(|label| label.replace(['.', '-'], "_"))
        .collect();
    Ok(not_had(matchers, &own))
}

fn not_had(matchers: &BTreeMap<String, String>, own: &BTreeSet<String>) -> Option<String> {
    let unknown = |label: &&String| !LABELS.contains(&label.as_str()) && !own.contains(*label);
    let unknown: Vec<_> = matchers
        .keys()
        .filter(unknown)
        .map(|label| words::safe(label))
        .collect();
    let own = own.iter().map(|label| words::safe(label));
    let known: Vec<_> = LABELS.iter().map(|&label| label.to_owned()).chain(own).collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "warning: no alert has the label {} now, so this silences nothing; labels are {}\n",
            unknown.join(", "),
            known.join(", ")
        )
    })
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

async fn unsilence(client: &mut Client, begins: &str) -> Result<u8, Trouble> {
    let known = call(client.alerts.list_silences(v1::ListSilencesRequest {})).await?;
    let known = known.silences.into_iter().map(|silence| silence.id);
    let meant: Vec<String> = known.filter(|id| id.starts_with(begins)).collect();
    let id = match meant.as_slice() {
        [id] => id,
        [] => {
            return Err(
                Trouble::new(format!("there is no silence {begins}")).hint("see `ctl alerts silences`")
            );
        }
        _ => {
            let several = Trouble::new(format!("more than one silence begins with {begins}"));
            return Err(several.hint("write more of its ID"));
        }
    };
    let id = words::safe(id);
    let request = v1::EndSilenceRequest { id: id.clone() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_no_alert_can_have_is_warned_of() {
        let own = BTreeSet::from(["team".to_owned()]);
        let wish = |label: &str| BTreeMap::from([(label.to_owned(), "imap".to_owned())]);
        assert_eq!(not_had(&wish("check"), &own), None);
        assert_eq!(not_had(&wish("team"), &own), None);
        let said = not_had(&wish("chek"), &own).expect("a warning");
        assert!(
            said.contains("label chek") && said.contains("check, target") && said.contains("team"),
            "{said}"
        );
    }
}
