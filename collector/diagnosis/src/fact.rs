//! What was seen, one fact a line, with the vantage point's name and the numbers.

use std::fmt::Write as _;
use std::net::IpAddr;

use parallax_model::evidence::{DnsQuery, Evidence};
use parallax_model::stage::Stage;

use crate::matrix::{Cell, CellId, Matrix};
use crate::symptom::{Local, Reach};
use crate::trouble::{Trouble, TroubleId, What};
use crate::words;

/// Most lines that one finding spells out about one thing.
pub(crate) const LINES: usize = 6;

/// The first lines, and how many more there are.
pub(crate) fn first(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.into_iter().collect();
    if lines.len() > LINES + 1 {
        let more = lines.len() - LINES;
        lines.truncate(LINES);
        lines.push(format!("and {more} more likewise"));
    }
    lines
}

/// How the connection of a requested attempt went.
pub(crate) fn reach(matrix: &Matrix, id: CellId) -> String {
    connection(matrix.name(id.vantage), matrix.cell(id))
}

/// How a connection went.
pub(crate) fn connection(name: &str, cell: &Cell) -> String {
    let socket = cell.socket();
    let took = cell.connect_time().map(words::time).unwrap_or_default();
    match cell.reach {
        Reach::Connected => format!("{name}: connected to {socket} in {took}"),
        Reach::Silent => format!("{name}: no answer from {socket} in {took}{}", syns(cell)),
        Reach::Reset => format!("{name}: {socket} answered with a reset after {took}"),
        Reach::Icmp(_) => icmp(name, cell, &took),
        Reach::Local(local) => here(name, cell, local, &took),
        Reach::Unclear | Reach::Untried => format!("{name}: {socket} was not reached"),
    }
}

/// The address that a connection was made from.
pub(crate) fn local(cell: &Cell) -> Option<IpAddr> {
    Some(cell.connect()?.local?.ip())
}

fn syns(cell: &Cell) -> String {
    let sent = cell
        .attempt
        .stages
        .first()
        .and_then(|stage| stage.tcp.as_ref())
        .map(|tcp| tcp.segs_out);
    match sent {
        Some(sent) if sent > 0 => format!(" ({} sent)", words::count(sent as usize, "SYN")),
        _ => String::new(),
    }
}

fn icmp(name: &str, cell: &Cell, took: &str) -> String {
    let socket = cell.socket();
    match cell.connect().and_then(|facts| facts.icmp.as_ref()) {
        Some(icmp) => format!(
            "{name}: {} answered for {socket} with ICMP type {} code {} ({}) after {took}",
            icmp.from,
            icmp.kind,
            icmp.code,
            words::quote(&icmp.name)
        ),
        None => format!(
            "{name}: connect to {socket} failed with {} after {took}, the ICMP error's sender is not known",
            errno(cell)
        ),
    }
}

fn here(name: &str, cell: &Cell, local: Local, took: &str) -> String {
    let socket = cell.socket();
    match local {
        Local::NoRoute | Local::Forbidden => {
            format!(
                "{name}: connect to {socket} failed with {} after {took}, nothing was sent",
                errno(cell)
            )
        }
        Local::Filter(own) => {
            format!(
                "{name}: the ICMP error for {socket} came from the agent's own address {own} after {took}"
            )
        }
        Local::Gateway(own) => format!(
            "{name}: its own address {own} reported the next hop to {socket} unreachable after {took}: no answer on the link"
        ),
    }
}

fn errno(cell: &Cell) -> String {
    cell.connect()
        .and_then(|facts| facts.errno.as_deref())
        .map_or_else(|| "an error".to_owned(), words::quote)
}

/// What a trouble is, in one line.
pub(crate) fn trouble(matrix: &Matrix, id: TroubleId) -> String {
    let trouble = &matrix.troubles[id];
    let name = matrix.name(trouble.vantage);
    let place = trouble.cell.map(|cell| matrix.cell(cell).socket().to_string());
    let stage = trouble.stage.map_or("the probe", |stage| stage.as_str());
    let at = place.map(|place| format!(" at {place}")).unwrap_or_default();
    match trouble.what {
        What::Missing | What::Refused => unseen(matrix, trouble),
        What::Nothing => format!("{name}: answered, but reports no attempt{at}"),
        What::Withheld(reason) => format!("{name}: login not tried{at}: {}", words::quote(reason)),
        What::Failed(fault) => format!(
            "{name}: {stage} failed{at}{}: {}{}",
            after(matrix, trouble),
            words::message(fault),
            said(matrix, trouble)
        ),
        What::Degraded(fault) => format!(
            "{name}: {stage} worked{at}{}, but: {}{}",
            after(matrix, trouble),
            words::message(fault),
            said(matrix, trouble)
        ),
    }
}

fn unseen(matrix: &Matrix, trouble: &Trouble) -> String {
    let seen = matrix.vantage(trouble.vantage).seen;
    let reason = seen.reason.map_or("no reason given", |reason| reason.as_str());
    let mut line = format!("{}: {reason}", seen.agent);
    if let Some(note) = &seen.note {
        let _ = write!(line, ": {}", words::quote(note));
    }
    line
}

fn after(matrix: &Matrix, trouble: &Trouble) -> String {
    stage(matrix, trouble)
        .map(|stage| format!(" after {}", words::time(stage.duration)))
        .unwrap_or_default()
}

fn said(matrix: &Matrix, trouble: &Trouble) -> String {
    stage(matrix, trouble)
        .and_then(|stage| stage.evidence.as_ref())
        .and_then(Evidence::reply)
        .map(|reply| format!("; the server said {}", words::reply(reply)))
        .unwrap_or_default()
}

/// The stage at which a trouble shows.
pub(crate) fn stage<'a>(matrix: &Matrix<'a>, trouble: &Trouble<'a>) -> Option<&'a Stage> {
    let name = trouble.stage?;
    match trouble.cell {
        Some(cell) => matrix.cell(cell).attempt.stage(name),
        None => matrix.vantage(trouble.vantage).seen.resolve.as_ref(),
    }
}

/// One question put to a resolver, and what came back.
pub(crate) fn query(name: &str, query: &DnsQuery) -> String {
    let came = match (&query.rcode, &query.fault) {
        (Some(rcode), _) if query.addresses.is_empty() => words::quote(rcode),
        (Some(_), _) => {
            let addresses: Vec<String> = query.addresses.iter().map(ToString::to_string).collect();
            words::list(&addresses)
        }
        (None, Some(fault)) => words::message(fault),
        (None, None) => "no answer".to_owned(),
    };
    format!(
        "{name}: {} of {} asked at {} over {}: {came} after {}",
        words::quote(&query.record_type),
        words::quote(&query.name),
        query.resolver,
        words::quote(&query.transport),
        words::time(query.duration)
    )
}
