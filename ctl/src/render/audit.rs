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
    let in_one = grid(entries, Shape::OneLine);
    let grid = if canvas.fits(in_one.width()) {
        in_one
    } else {
        grid(entries, Shape::WithNotes)
    };
    text(&grid.lines(canvas))
}

/// How an entry is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As long as it may be.
    OneLine,
    /// From where, what of and why in lines below.
    WithNotes,
}

fn grid(entries: &[AuditEntry], shape: Shape) -> Grid {
    const SHORT: [&str; 6] = ["ID", "AT", "WHO", "CALL", "RESULT", "TOOK"];
    const BELOW: [&str; 3] = ["FROM", "SUBJECT", "DETAIL"];
    let mut grid = match shape {
        Shape::OneLine => Grid::headed(&[SHORT.as_slice(), &BELOW].concat()),
        Shape::WithNotes => Grid::headed(&SHORT),
    };
    for entry in entries {
        let took = match entry.took_us {
            0 => "-".to_owned(),
            _ => words::time(entry.took()),
        };
        let mut cells = vec![
            Cell::right(entry.id.to_string(), Tone::Faint),
            Cell::left(words::moment(entry.at), Tone::Plain),
            Cell::prose(who(entry), Tone::Strong),
            Cell::prose(words::safe(&entry.call), Tone::Plain),
            Cell::prose(words::safe(&entry.result), tone(&entry.result)),
            Cell::right(took, Tone::Plain),
        ];
        let below = [&entry.peer, &entry.subject, &entry.detail].map(|said| words::safe(said));
        match shape {
            Shape::OneLine => {
                cells.extend(below.map(|said| Cell::left(said, Tone::Plain)));
                grid.push(Row::Cells(cells));
            }
            Shape::WithNotes => {
                grid.push(Row::Cells(cells));
                let [peer, subject, detail] = below;
                let from = Some(peer).filter(|peer| !peer.is_empty());
                let said = from.map(|peer| format!("from {peer}")).into_iter();
                let said: Vec<_> = said
                    .chain([subject, detail])
                    .filter(|said| !said.is_empty())
                    .collect();
                if !said.is_empty() {
                    let empty = Cell::left("", Tone::Plain);
                    grid.push(Row::Note(empty, Cell::left(said.join(": "), Tone::Plain)));
                }
            }
        }
    }
    grid
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
        let narrow = Canvas {
            width: Some(70),
            colour: false,
        };
        let narrow = table(std::slice::from_ref(&entry), narrow);
        assert_eq!(
            narrow.lines().skip(1).collect::<Vec<_>>(),
            [
                " 7  2023-11-14 22:13:20 UTC  operator/ada  RunProbe  healthy  1.50 s",
                "    from 192.0.2.1:4000: imap.example.org from all\\x1b[2J"
            ]
        );
        let said = whole(7, Some(&entry));
        assert!(said.contains("7 entries up to 7, hash "), "{said}");
    }
}
