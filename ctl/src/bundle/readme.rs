//! What is in the archive, for whoever opens it.

use parallax_model::run::RunDocument;

use crate::render::words;

/// What each file is, where it is there.
const FILES: [(&str, &str); 8] = [
    (
        "run.json",
        "the run document; `ctl schema run` prints its JSON Schema",
    ),
    ("run.md", "the same for a ticket"),
    (
        "findings.txt",
        "verdict, findings, and all that was seen, stage by stage",
    ),
    (
        "changes.txt",
        "what is otherwise than in the last good run of the same target",
    ),
    (
        "reproduce.sh",
        "the next steps; every line is a comment: read it, then paste it where it says",
    ),
    (
        "paths/",
        "the way to the target from each vantage point, hop by hop",
    ),
    (
        "transcripts/",
        "the dialogues of attempts in which something was not ok",
    ),
    (
        "captures/",
        "the packets of attempts, numbered as their dialogues are; open them with Wireshark or tcpdump -r",
    ),
];

const PACKETS: &str = "
The captures are of the probes' own connections alone. What decrypts them is in them, before the packets: of sessions
that could not carry a login all, of sessions that could the TLS 1.3 handshake and nothing behind it. Under
`captures` in run.json stands which is which.
";

/// The text. `listing` has the path of every other file.
pub(super) fn text(document: &RunDocument, listing: &[String]) -> String {
    let mut text = format!(
        "{} is {}, {}\n{}\n\nrun {}\n\n",
        words::quote(&document.target.host),
        document.verdict,
        words::moment(document.started_at),
        words::safe(&document.summary),
        document.run_id
    );
    for (file, what) in FILES {
        if listing
            .iter()
            .any(|path| path == file || (file.ends_with('/') && path.starts_with(file)))
        {
            text.push_str(&format!("{file:<14}{what}\n"));
        }
    }
    text.push_str(
        "\nSecrets were masked before anything was recorded: no password, token or key is in here. Names of hosts,\n\
         addresses and what servers said are. What a server said is escaped in every file but run.json, where it is\n\
         a JSON string.\n",
    );
    if listing.iter().any(|path| path.starts_with("captures/")) {
        text.push_str(PACKETS);
    }
    text
}
