//! `ctl audit`

use std::collections::BTreeSet;

use jiff::Timestamp;
use parallax_model::audit::AuditEntry;
use parallax_proto::v1;

use crate::args::{AuditArgs, ListFormat};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::{console, render};

/// As many as the collector gives at once.
const PAGE: u32 = 1000;

/// The log is not what was written.
const BROKEN: u8 = 1;

pub(super) async fn run(args: &AuditArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    if args.verify {
        return verify(&mut client).await;
    }
    let since = args.since.map(|since| Timestamp::now() - since);
    let request = v1::ListAuditRequest {
        limit: args.limit,
        before_id: 0,
        actor: args.actor.clone().map(String::from).unwrap_or_default(),
        call: args.call.clone().unwrap_or_default(),
        since_us: since.map_or(0, Timestamp::as_microsecond),
        run_id: args.run.map(|run| run.to_string()).unwrap_or_default(),
    };
    let entries = page(&mut client, request).await?;
    if let Some(asked) = args.call.as_deref().filter(|_| entries.is_empty()) {
        known_call(&mut client, asked).await?;
    }
    let text = match args.output.output.unwrap_or_default() {
        ListFormat::Table => render::audit::table(&entries, console::canvas()),
        ListFormat::Json => render::json(&entries)?,
    };
    console::print(&text)?;
    Ok(0)
}

/// That there are entries of such a call, if none of the kind that was asked for.
async fn known_call(client: &mut Client, asked: &str) -> Result<(), Trouble> {
    let request = v1::ListAuditRequest {
        limit: PAGE,
        ..v1::ListAuditRequest::default()
    };
    let entries = page(client, request.clone()).await?;
    let calls: BTreeSet<String> = entries.into_iter().map(|entry| entry.call).collect();
    let of_it = v1::ListAuditRequest {
        call: asked.to_owned(),
        limit: 1,
        ..request
    };
    if calls.contains(asked) || !page(client, of_it).await?.is_empty() {
        return Ok(());
    }
    let calls: Vec<_> = calls.into_iter().collect();
    Err(
        Trouble::new(format!("no call {asked} is in the audit log")).hint(format!(
            "the calls of its latest entries are {}",
            calls.join(", ")
        )),
    )
}

/// Reads the log from its end to its beginning, each page against the one after it.
async fn verify(client: &mut Client) -> Result<u8, Trouble> {
    let mut number = 0;
    let mut newest: Option<AuditEntry> = None;
    let mut later: Option<AuditEntry> = None;
    loop {
        let request = v1::ListAuditRequest {
            limit: PAGE,
            before_id: later.as_ref().map_or(0, |entry| entry.id),
            ..v1::ListAuditRequest::default()
        };
        let mut entries = page(client, request).await?;
        entries.reverse();
        number += entries.len();
        let last = entries.len() < PAGE as usize;
        newest = newest.or_else(|| entries.last().cloned());
        // The oldest of the page before closes this one.
        entries.extend(later.take());
        if let Err(broken) = AuditEntry::verify(&entries, last.then_some(&[])) {
            console::print(&format!("the audit log is broken: {broken}\n"))?;
            return Ok(BROKEN);
        }
        later = entries.into_iter().next();
        if last {
            break;
        }
    }
    console::print(&render::audit::whole(number, newest.as_ref()))?;
    Ok(0)
}

async fn page(client: &mut Client, request: v1::ListAuditRequest) -> Result<Vec<AuditEntry>, Trouble> {
    let answer = call(client.access.list_audit(request)).await?;
    let entries = answer.entries.into_iter().map(AuditEntry::try_from);
    Ok(entries.collect::<Result<_, _>>()?)
}
