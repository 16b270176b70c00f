//! The connection as a dialogue: commands out, replies in, and what is known of the other side.

mod heard;

use std::net::SocketAddr;
use std::time::Duration;

use parallax_model::evidence::ImapReply;
use parallax_model::text::from_wire;

use crate::handshake::Verified;
use crate::imap::limits::{DRIP_BYTES, FRAMES_PER_COMMAND, FRAMES_PER_LIST};
use crate::imap::namespace::Namespaces;
use crate::imap::redact::Concealed;
use crate::imap::{
    Capabilities, Command, Frame, Framer, LimitExceeded, Limits, Outgoing, StatusLine, Tag, Tags,
};
use crate::own::Own;
use crate::partner::Partner;
use crate::transcript::Transcript;

pub(crate) use heard::Heard;

/// What protects the connection.
#[derive(Debug)]
pub(crate) enum Channel {
    /// Nothing.
    Clear,
    /// TLS with a certificate that may be anybody's.
    Unverified,
    /// TLS with the host that was asked for.
    Verified(Verified),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Where it goes.
    pub(crate) peer: SocketAddr,
    /// What protects it.
    pub(crate) channel: Channel,
    /// What the server last said it can do.
    pub(crate) capabilities: Capabilities,
    /// Whether the server greeted.
    pub(crate) greeted: bool,
    /// Whether somebody is logged in.
    pub(crate) logged_in: bool,
    /// Messages in the mailbox selected.
    pub(crate) exists: Option<u64>,
    /// Where mailboxes live, as far as the server said.
    pub(crate) namespaces: Option<Namespaces>,
    /// Whether the server took the line of a PROXY header for a command.
    pub(crate) proxied: bool,
    /// The other session of a synchronisation.
    pub(crate) partner: Partner,
    /// What this session made on the server.
    pub(crate) own: Own,
    /// When everything must be over, from the start of the probe.
    pub(crate) deadline: Duration,
    /// The BYE that was said.
    pub(crate) bye: Option<ImapReply>,
    /// Bytes that the other side's kernel has acknowledged, as far as ours says.
    pub(crate) acknowledged: Option<u64>,
    /// What stood behind the last `+`.
    pub(crate) challenge: Vec<u8>,
    /// Whether a command that was smuggled in beside another was answered.
    pub(crate) smuggled_answered: bool,
    /// Mailbox data that came before a login, by its keyword.
    pub(crate) smuggled: Option<&'static str>,
    /// The first line that was no IMAP, since somebody last asked.
    pub(crate) garbled: Option<String>,
    framer: Framer,
    transcript: Transcript,
    tags: Tags,
    command: Option<Command>,
    asking: &'static str,
    asked_at: Duration,
    go_ahead: Option<Duration>,
    written_at: Duration,
    first_byte: Option<Duration>,
    drip: Option<(Duration, u64, u64)>,
    ended: bool,
    smuggled_tag: Option<Tag>,
    now: Duration,
}

impl Wire {
    pub(crate) fn new(peer: SocketAddr, seed: u64) -> Self {
        Self {
            peer,
            channel: Channel::Clear,
            capabilities: Capabilities::default(),
            greeted: false,
            logged_in: false,
            exists: None,
            namespaces: None,
            proxied: false,
            partner: Partner::default(),
            own: Own::default(),
            deadline: Duration::MAX,
            bye: None,
            acknowledged: None,
            challenge: Vec::new(),
            smuggled_answered: false,
            smuggled: None,
            smuggled_tag: None,
            garbled: None,
            framer: Framer::new(Limits::default()),
            transcript: Transcript::default(),
            tags: Tags::new((seed ^ (seed >> 32)) as u32),
            command: None,
            asking: "",
            asked_at: Duration::ZERO,
            go_ahead: None,
            written_at: Duration::ZERO,
            first_byte: None,
            drip: None,
            ended: false,
            now: Duration::ZERO,
        }
    }

    /// The time from now on.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.now = now;
    }

    /// A tag for the next command.
    pub(crate) fn tag(&mut self) -> Tag {
        self.tags.next_tag()
    }

    /// Notes when a command of this tag is answered, which was sent beside the one that is waited for.
    pub(crate) fn listen_for(&mut self, smuggled: Tag) {
        self.smuggled_tag = Some(smuggled);
    }

    /// Makes a command the one that is waited for, and gives what to send first.
    pub(crate) fn ask(&mut self, mut command: Command) -> Outgoing {
        let replies = match command.name() {
            "LIST" => FRAMES_PER_LIST,
            _ => FRAMES_PER_COMMAND,
        };
        self.framer.begin_command(replies);
        self.transcript.conceal(command.concealed());
        self.asking = command.name();
        self.asked_at = self.now;
        self.go_ahead = None;
        self.first_byte = None;
        let part = command.next_part().unwrap_or_default();
        self.command = Some(command);
        part
    }

    /// The next part of the command, which the server now waits for.
    pub(crate) fn more(&mut self) -> Option<Outgoing> {
        let part = self.command.as_mut()?.next_part()?;
        self.go_ahead.get_or_insert(self.now);
        Some(part)
    }

    /// Everything that was to be sent is on its way.
    pub(crate) fn written(&mut self) {
        self.written_at = self.now;
    }

    /// The time now, from the start of the probe.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// How much of the probe's time is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.saturating_sub(self.now)
    }

    /// When the command was sent, from the start of the probe.
    pub(crate) fn asked_at(&self) -> Duration {
        self.asked_at
    }

    /// From the command to the server's leave to send the rest of it, where it had to give one.
    pub(crate) fn to_go_ahead(&self) -> Option<Duration> {
        self.go_ahead.map(|at| at.saturating_sub(self.asked_at))
    }

    /// From the last byte that was sent to now.
    pub(crate) fn since_written(&self) -> Duration {
        self.now.saturating_sub(self.written_at)
    }

    /// Masks these from now on.
    pub(crate) fn conceal(&mut self, concealed: &[Concealed]) {
        self.transcript.conceal(concealed);
    }

    /// Records what is sent.
    pub(crate) fn sent(&mut self, outgoing: &Outgoing) {
        self.transcript.client(self.now, outgoing);
    }

    /// The command that was sent last.
    pub(crate) fn asking(&self) -> &'static str {
        self.asking
    }

    /// Whether it was answered.
    pub(crate) fn answered(&self) -> bool {
        self.command.is_none()
    }

    /// From the command to the first byte of its answer.
    pub(crate) fn to_first_byte(&self) -> Option<Duration> {
        self.first_byte.map(|at| at.saturating_sub(self.asked_at))
    }

    /// From the command to now.
    pub(crate) fn since_asked(&self) -> Duration {
        self.now.saturating_sub(self.asked_at)
    }

    /// Takes bytes as they came.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.first_byte.get_or_insert(self.now);
        self.framer.push(bytes);
    }

    /// The next complete reply.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, LimitExceeded> {
        let frame = self.framer.next_frame()?;
        match &frame {
            Some(frame) => self.transcript.server(self.now, frame),
            None => self.watch(),
        }
        Ok(frame)
    }

    /// Whether the reply that is due brought too little in this time to be worth the wait.
    pub(crate) fn drips(&self, time: Duration) -> bool {
        self.drip.is_some_and(|(since, bytes, _)| {
            self.now.saturating_sub(since) >= time && self.framer.received() < bytes + DRIP_BYTES
        })
    }

    /// A status line as evidence, without what this session conceals.
    pub(crate) fn evidence(&self, line: &StatusLine<'_>) -> ImapReply {
        line.evidence(self.transcript.redactor())
    }

    /// A server's text as evidence, without what this session conceals: nothing keeps a server from repeating a
    /// secret anywhere.
    pub(crate) fn masked(&self, text: &[u8]) -> String {
        from_wire(&self.transcript.redactor().redact(text))
    }

    /// The same for several texts.
    pub(crate) fn masked_all(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.masked(text.as_bytes())).collect()
    }

    /// Records something that is worth knowing and no fault.
    pub(crate) fn note(&mut self, what: &str) {
        self.transcript.event(self.now, what);
    }

    /// The connection is over, or nothing that comes from it can be understood any more.
    pub(crate) fn end(&mut self) {
        self.transcript.unfinished(self.now, &self.framer);
        self.ended = true;
    }

    /// Whether [`end`](Self::end) was called.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether a command can still be answered.
    pub(crate) fn usable(&self) -> bool {
        self.greeted && !self.ended && self.bye.is_none() && self.command.is_none()
    }

    pub(crate) fn framer(&self) -> &Framer {
        &self.framer
    }

    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Starts the watch anew whenever a reply begins, or came on well.
    fn watch(&mut self) {
        let (bytes, frames) = (self.framer.received(), self.framer.frames());
        self.drip = match self.drip {
            _ if self.framer.unfinished().is_none() => None,
            Some((since, from, frame)) if frame == frames && bytes < from + DRIP_BYTES => {
                Some((since, from, frame))
            }
            _ => Some((self.now, bytes, frames)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::limits::DRIP_TIME;

    fn wire() -> Wire {
        Wire::new(SocketAddr::from(([192, 0, 2, 1], 993)), 0)
    }

    #[test]
    fn a_reply_that_drips_is_noticed_and_one_that_flows_is_not() {
        let time = DRIP_TIME;
        let mut wire = wire();
        for second in 0..25 {
            wire.tick(Duration::from_secs(second));
            wire.received(b"* ");
            assert_eq!(wire.next_frame(), Ok(None));
            assert_eq!(wire.drips(time), second >= 20, "{second}");
        }
        let mut wire = self::wire();
        for second in 0..60 {
            wire.tick(Duration::from_secs(second));
            wire.received(&[b'x'; 100]);
            assert_eq!(wire.next_frame(), Ok(None));
            assert!(!wire.drips(time), "{second}");
        }
    }
}
