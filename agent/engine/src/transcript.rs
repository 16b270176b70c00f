//! The record of one attempt: what was said, by whom, and when.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use parallax_model::observation::{Speaker as ModelSpeaker, TranscriptLine};
use parallax_model::text::{escape, from_wire};

use crate::imap::Framer;
use crate::imap::frame::Frame;
use crate::imap::outgoing::Outgoing;
use crate::imap::redact::{Concealed, Redactor};

/// Entries kept from the beginning; a probe up to `logout` has about forty.
pub const HEAD: usize = 64;

/// Entries kept from the end, where things went wrong.
pub const TAIL: usize = 64;

/// Bytes kept of one entry.
pub const ENTRY: usize = 512;

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// This probe.
    Client,
    /// The server.
    Server,
    /// Nobody: something happened, such as a handshake or the end of the connection.
    Event,
}

impl Speaker {
    const fn mark(self) -> &'static str {
        match self {
            Self::Client => "C:",
            Self::Server => "S:",
            Self::Event => "--",
        }
    }
}

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Since the attempt began.
    pub at: Duration,
    /// Who said it.
    pub speaker: Speaker,
    /// What was said: secrets masked, literals replaced by their sizes, cut after [`ENTRY`] bytes. Untrusted:
    /// escape it where it is shown, as [`Display`](fmt::Display) does.
    pub bytes: Vec<u8>,
    /// How many bytes the cut left out.
    pub left_out: usize,
}

/// The record of one attempt. It holds at most [`HEAD`] and [`TAIL`] entries, whatever a server sends, never a
/// secret of [`conceal`](Self::conceal), and never what was in a literal.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    redactor: Redactor,
    head: Vec<Entry>,
    tail: VecDeque<Entry>,
    left_out: u64,
}

impl Transcript {
    /// Masks these from now on, also where the server repeats them.
    pub fn conceal(&mut self, concealed: &[Concealed]) {
        for concealed in concealed {
            self.redactor.conceal(concealed.clone());
        }
    }

    /// What masks secrets here, for server text that goes elsewhere: into a fault or into evidence.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Records what was sent, in the form that may be shown.
    pub fn client(&mut self, at: Duration, outgoing: &Outgoing) {
        self.record(at, Speaker::Client, line(outgoing.shown()));
    }

    /// Records a complete reply.
    pub fn server(&mut self, at: Duration, frame: &Frame) {
        self.record(at, Speaker::Server, line(&frame.without_literals()));
    }

    /// Records what came of a reply that never became complete, if anything did.
    pub fn unfinished(&mut self, at: Duration, framer: &Framer) {
        if framer.unfinished().is_some() {
            self.record(at, Speaker::Server, &framer.partial_without_literals());
        }
    }

    /// Records that something happened.
    pub fn event(&mut self, at: Duration, what: &str) {
        self.record(at, Speaker::Event, what.as_bytes());
    }

    /// The entries kept, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.head.iter().chain(&self.tail)
    }

    /// What was said, by either side, as the run document has it.
    pub fn lines(&self) -> Vec<TranscriptLine> {
        self.entries().filter_map(Entry::line).collect()
    }

    /// How many entries between head and tail were not kept.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn record(&mut self, at: Duration, speaker: Speaker, bytes: &[u8]) {
        let masked = self.redactor.redact(bytes);
        let kept = &masked[..masked.len().min(ENTRY)];
        let entry = Entry {
            at,
            speaker,
            bytes: kept.to_vec(),
            left_out: masked.len() - kept.len(),
        };
        if self.head.len() < HEAD {
            self.head.push(entry);
            return;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
            self.left_out += 1;
        }
        self.tail.push_back(entry);
    }
}

impl Entry {
    /// The entry as a line of the run document; what merely happened is none.
    fn line(&self) -> Option<TranscriptLine> {
        let speaker = match self.speaker {
            Speaker::Client => ModelSpeaker::Client,
            Speaker::Server => ModelSpeaker::Server,
            Speaker::Event => return None,
        };
        let mut text = from_wire(&self.bytes);
        if self.left_out > 0 {
            text.push_str(&format!("…(+{})", self.left_out));
        }
        Some(TranscriptLine {
            at: self.at,
            speaker,
            text,
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.at.as_secs_f64() * 1e3;
        write!(
            f,
            "@+{millis:.3}ms {} {}",
            self.speaker.mark(),
            escape(&self.bytes, ENTRY)
        )?;
        if self.left_out > 0 {
            write!(f, "…(+{})", self.left_out)
        } else {
            Ok(())
        }
    }
}

/// One entry a line, escaped; safe to print.
impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.head {
            writeln!(f, "{entry}")?;
        }
        if self.left_out > 0 {
            writeln!(f, "-- {} entries left out", self.left_out)?;
        }
        for entry in &self.tail {
            writeln!(f, "{entry}")?;
        }
        Ok(())
    }
}

fn line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::handshake::Verified;
    use crate::imap::command::Literals;
    use crate::imap::{Command, Limits, Tags};
    use parallax_model::credential::{Credential, Secret};

    fn server(transcript: &mut Transcript, line: &[u8]) {
        let mut framer = Framer::new(Limits::default());
        framer.push(line);
        while let Some(frame) = framer.next_frame().unwrap() {
            transcript.server(Duration::from_millis(12), &frame);
        }
        transcript.unfinished(Duration::from_millis(13), &framer);
    }

    #[test]
    fn a_dialogue_is_recorded_without_its_secrets() {
        let credential = Credential {
            user: "probe".into(),
            secret: Secret::new("hunter2".into()),
        };
        let mut login = Command::login(
            &Verified::for_a_test(),
            Tags::new(0).next_tag(),
            &credential,
            Literals::Synchronising,
        )
        .unwrap();
        let mut transcript = Transcript::default();
        server(&mut transcript, b"* OK \x1b[2Jready\r\n");
        transcript.conceal(login.concealed());
        transcript.client(Duration::from_micros(12_345), &login.next_part().unwrap());
        server(
            &mut transcript,
            b"aaaa0001 BAD what is LOGIN \"probe\" \"hunter2\"\r\n",
        );
        transcript.event(Duration::from_millis(14), "the server closed the connection");
        assert_eq!(
            transcript.to_string(),
            "@+12.000ms S: * OK \\x1b[2Jready\n\
             @+12.345ms C: aaaa0001 LOGIN <user> <password>\n\
             @+12.000ms S: aaaa0001 BAD what is LOGIN \"<user>\" \"<password>\"\n\
             @+14.000ms -- the server closed the connection\n"
        );
    }

    #[test]
    fn mail_is_never_recorded() {
        let mut transcript = Transcript::default();
        server(
            &mut transcript,
            b"* 1 FETCH (BODY[] {6}\r\nsecret)\r\n* 2 FETCH (BODY[] {9}\r\nsecret",
        );
        let shown = transcript.to_string();
        assert!(
            !shown.contains("secret") && shown.contains("<6 of 9 bytes>"),
            "{shown}"
        );
    }

    #[test]
    fn the_beginning_and_the_end_of_a_flood_are_kept() {
        let mut transcript = Transcript::default();
        for number in 0..5_000 {
            transcript.event(Duration::ZERO, &format!("event {number}"));
        }
        assert_eq!(
            (transcript.entries().count(), transcript.left_out()),
            (HEAD + TAIL, 5_000 - 128)
        );
        assert_eq!(transcript.entries().last().unwrap().bytes, b"event 4999");
        server(
            &mut transcript,
            &[&b"* OK "[..], &[b'x'; 8_000], b"\r\n"].concat(),
        );
        assert!(transcript.to_string().ends_with("xxx…(+7493)\n"));
    }
}
