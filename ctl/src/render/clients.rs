//! Which mail clients could work with what was seen.

use parallax_model::client::{ClientOutcome, ClientReport};

use super::canvas::{Canvas, Tone, columns, cut, wrap};
use super::{findings, words};

/// Longest name of a family.
const NAME: usize = 24;
const OUTCOME: usize = 8;
const GAP: usize = 2;

/// The families that could not work, in one line; nothing when all could.
pub(super) fn line(clients: &[ClientReport], canvas: Canvas) -> Vec<String> {
    let failing: Vec<_> = clients
        .iter()
        .filter(|client| client.outcome == ClientOutcome::Fails)
        .map(|client| words::quote(&client.client))
        .collect();
    if failing.is_empty() {
        return Vec::new();
    }
    let text = format!(
        "{} of {} families of mail clients would not work: {} (see -o wide)",
        failing.len(),
        clients.len(),
        failing.join(", ")
    );
    findings::labelled(0, "clients", Tone::Warning, &text, canvas)
}

/// Every family, what it could do, and why not everything.
pub(super) fn lines(clients: &[ClientReport], canvas: Canvas) -> Vec<String> {
    if clients.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = clients
        .iter()
        .map(|client| cut(&words::quote(&client.client), NAME))
        .collect();
    let width = names.iter().map(|name| columns(name)).max().unwrap_or_default();
    let start = 2 + width + GAP + OUTCOME + GAP;
    let room = canvas.width.map(|width| width.saturating_sub(start));
    let mut lines = vec!["mail clients".to_owned()];
    for (client, name) in clients.iter().zip(&names) {
        let pieces: Vec<_> = why(client).iter().flat_map(|reason| wrap(reason, room)).collect();
        let name = format!("{name}{}", " ".repeat(width - columns(name)));
        let outcome = canvas.paint(tone(client.outcome), &format!("{:<OUTCOME$}", client.outcome));
        let first = format!(
            "  {name}  {outcome}  {}",
            pieces.first().map_or("", String::as_str)
        );
        lines.push(first.trim_end().to_owned());
        lines.extend(
            pieces
                .iter()
                .skip(1)
                .map(|piece| format!("{}{piece}", " ".repeat(start))),
        );
    }
    lines
}

/// Why not everything, and where, a line each; safe to show.
pub(super) fn why(client: &ClientReport) -> Vec<String> {
    let mut reasons: Vec<_> = client.because.iter().map(|reason| words::safe(reason)).collect();
    if !client.affected.is_empty() {
        reasons.push(format!("only at {}", findings::names(&client.affected)));
    }
    reasons
}

const fn tone(outcome: ClientOutcome) -> Tone {
    match outcome {
        ClientOutcome::Works => Tone::Good,
        ClientOutcome::Degraded => Tone::Warning,
        ClientOutcome::Fails => Tone::Bad,
        ClientOutcome::Unknown => Tone::Faint,
    }
}
