//! What was done, one entry a line.

use parallax_model::audit::AuditEntry;

use super::canvas::{Canvas, Tone};
use super::grid::{Cell, Grid, Row};
use super::{text, words};

/// The entries given, newest first.
pub(crate) fn table(entries: &[AuditEntry], canvas: Canvas) -> String {
    if entries.is_empty() {
        return "nothing of this kind is in the audit log\n".to_owned();
    }
    let mut grid = Grid::headed(&[
        "ID", "AT", "WHO", "FROM", "CALL", "RESULT", "TOOK", "SUBJECT", "DETAIL",
    ]);
    for entry in entries {
        let took = match entry.took_us {
            0 => "-".to_owned(),
            _ => words::time(entry.took()),
        };
        grid.push(Row::Cells(vec![
            Cell::right(entry.id.to_string(), Tone::Faint),
            Cell::left(words::moment(entry.at), Tone::Plain),
            Cell::left(who(entry), Tone::Strong),
            Cell::left(words::safe(&entry.peer), Tone::Plain),
            Cell::left(words::safe(&entry.call), Tone::Plain),
            Cell::left(words::safe(&entry.result), tone(&entry.result)),
            Cell::right(took, Tone::Plain),
            Cell::left(words::safe(&entry.subject), Tone::Plain),
            Cell::left(words::safe(&entry.detail), Tone::Plain),
        ]));
    }
    text(&grid.lines(canvas))
}

/// A log that is what was written.
pub(crate) fn whole(number: usize, newest: Option<&AuditEntry>) -> String {
    match newest {
        None => "the audit log is empty\n".to_owned(),
        Some(newest) => format!(
            "the audit log is what was written: {} up to {}, hash {}\n",
            if number == 1 {
                "1 entry".to_owned()
            } else {
                format!("{number} entries")
            },
            newest.id,
            hex::encode(&newest.hash)
        ),
    }
}

fn who(entry: &AuditEntry) -> String {
    if entry.actor.is_empty() {
        return "-".to_owned();
    }
    format!("{}/{}", words::safe(&entry.role), words::safe(&entry.actor))
}

fn tone(result: &str) -> Tone {
    match result {
        "refused" | "failed" => Tone::Bad,
        "begun" => Tone::Faint,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_entry_says_who_did_what_from_where_with_what_result() {
        let mut entry = AuditEntry {
            id: 7,
            at: Timestamp::from_second(1_700_000_000).expect("a time"),
            actor: "ada".into(),
            role: "operator".into(),
            peer: "192.0.2.1:4000".into(),
            call: "RunProbe".into(),
            subject: "imap.example.org from all\u{1b}[2J".into(),
            run_id: String::new(),
            result: "healthy".into(),
            detail: String::new(),
            took_us: 1_500_000,
            previous: Vec::new(),
            hash: Vec::new(),
        };
        entry.hash = entry.digest().to_vec();
        let line = table(std::slice::from_ref(&entry), Canvas::PLAIN);
        for word in ["operator/ada", "192.0.2.1:4000", "RunProbe", "healthy", "1.50 s"] {
            assert!(line.contains(word), "{word} in {line}");
        }
        assert!(!line.contains('\u{1b}'), "{line}");
        let said = whole(7, Some(&entry));
        assert!(said.contains("7 entries up to 7, hash "), "{said}");
    }
}
