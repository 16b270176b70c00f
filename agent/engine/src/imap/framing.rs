//! Cuts a stream of bytes into frames, under limits.

use std::mem;

use super::assembly::Assembly;
use super::frame::Frame;
use super::limits::{LimitExceeded, LimitKind, Limits};

/// How many of the session's first bytes are kept, to tell which protocol answers.
pub const FIRST_BYTES: usize = 64;

/// Cuts a server's bytes into [`Frame`]s.
///
/// Every byte is looked at once and copied at most twice, however small the pieces are in which it arrives, and
/// no memory is set aside for a size that a server merely declares. Once a limit is passed the framer stays
/// there: nothing behind that point can be framed.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    input: Vec<u8>,
    cursor: usize,
    current: Assembly,
    first: Vec<u8>,
    received: u64,
    scanned: u64,
    frames: u64,
    replies: u32,
    replies_allowed: u32,
    overfed: bool,
    exceeded: Option<LimitExceeded>,
}

/// What of a frame has arrived when no more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// Bytes of the frame so far.
    pub bytes: usize,
    /// When it broke off inside a literal: the size declared and the bytes that came.
    pub literal: Option<(usize, usize)>,
}

impl Framer {
    /// A framer for a new session, whose first frame is the greeting.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            input: Vec::new(),
            cursor: 0,
            current: Assembly::default(),
            first: Vec::with_capacity(FIRST_BYTES),
            received: 0,
            scanned: 0,
            frames: 0,
            replies: 0,
            replies_allowed: limits.frames_per_command,
            overfed: false,
            exceeded: None,
        }
    }

    /// Takes bytes as they were read. What goes beyond the session's limit is dropped, and
    /// [`next_frame`](Self::next_frame) says so once it has returned the frames before it.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.exceeded.is_some() {
            return;
        }
        let room = usize::try_from(self.limits.session - self.received).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(room)];
        self.overfed |= taken.len() < bytes.len();
        self.received += taken.len() as u64;
        let missing = (FIRST_BYTES - self.first.len()).min(taken.len());
        self.first.extend_from_slice(&taken[..missing]);
        self.input.extend_from_slice(taken);
    }

    /// The next complete frame; `None` when more bytes are needed.
    ///
    /// # Errors
    /// The limit that the server passed. It is returned again by every later call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, LimitExceeded> {
        if let Some(exceeded) = self.exceeded {
            return Err(exceeded);
        }
        let next = self.advance();
        if let Err(exceeded) = next {
            self.exceeded = Some(exceeded);
        }
        next
    }

    /// Starts the count of replies for a new command, of which the server may send `replies`.
    pub fn begin_command(&mut self, replies: u32) {
        self.replies = 0;
        self.replies_allowed = replies;
    }

    /// Bytes received and not yet returned in a frame. Zero is what STARTTLS needs: anything left behind came in
    /// clear and must not be read as if it had come through TLS (RFC 9051 section 6.2.1).
    pub fn buffered(&self) -> usize {
        self.input.len() - self.cursor + self.current.bytes().len()
    }

    /// Whether nothing is left behind, see [`buffered`](Self::buffered).
    pub fn is_empty(&self) -> bool {
        self.buffered() == 0
    }

    /// What has arrived of the next frame, for evidence when the connection ends or a limit is passed.
    pub fn partial(&self) -> &[u8] {
        self.current.bytes()
    }

    /// The same with literals replaced by their sizes, as [`Frame::without_literals`] does.
    pub fn partial_without_literals(&self) -> Vec<u8> {
        self.current.without_literals()
    }

    /// The bytes received and not yet looked at. With [`partial`](Self::partial) before them they are what
    /// [`buffered`](Self::buffered) counts.
    pub fn unread(&self) -> &[u8] {
        &self.input[self.cursor..]
    }

    /// How far the next frame has come; `None` when none has begun.
    pub fn unfinished(&self) -> Option<Unfinished> {
        let bytes = self.current.bytes().len();
        (bytes > 0).then(|| Unfinished {
            bytes,
            literal: self.current.literal_progress(),
        })
    }

    /// The first bytes of the session, at most [`FIRST_BYTES`].
    pub fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// Bytes received in this session.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes looked at in this session; never more than [`received`](Self::received).
    pub fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Frames returned in this session.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    fn advance(&mut self) -> Result<Option<Frame>, LimitExceeded> {
        while self.cursor < self.input.len() {
            if self.current.in_literal() {
                let left = &self.input[self.cursor..];
                let taken = self.current.take_literal(left);
                self.consume(taken);
                continue;
            }
            let byte = self.input[self.cursor];
            self.consume(1);
            if self.current.step(byte, &self.limits, self.frames == 0)? {
                return self.complete().map(Some);
            }
        }
        self.input.clear();
        self.cursor = 0;
        if self.overfed {
            return Err(LimitExceeded {
                kind: LimitKind::Session,
                limit: self.limits.session,
            });
        }
        Ok(None)
    }

    fn consume(&mut self, bytes: usize) {
        self.cursor += bytes;
        self.scanned += bytes as u64;
    }

    fn complete(&mut self) -> Result<Frame, LimitExceeded> {
        if self.replies >= self.replies_allowed {
            return Err(LimitExceeded {
                kind: LimitKind::Frames,
                limit: self.replies_allowed.into(),
            });
        }
        self.replies += 1;
        self.frames += 1;
        let offset = self.scanned - self.current.bytes().len() as u64;
        Ok(mem::take(&mut self.current).into_frame(offset))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> (Vec<Frame>, Option<LimitKind>) {
        let mut framer = Framer::new(Limits::default());
        framer.push(bytes);
        drain(&mut framer)
    }

    fn drain(framer: &mut Framer) -> (Vec<Frame>, Option<LimitKind>) {
        let mut frames = Vec::new();
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, None),
                Err(exceeded) => return (frames, Some(exceeded.kind)),
            }
        }
    }

    fn only(bytes: &[u8]) -> Frame {
        let (mut frames, exceeded) = frames(bytes);
        assert_eq!((frames.len(), exceeded), (1, None), "{}", bytes.escape_ascii());
        frames.remove(0)
    }

    #[test]
    fn lines_become_frames_with_their_place_in_the_session() {
        let (frames, exceeded) = frames(b"* OK hi\r\n* 3 EXISTS\r\na1 OK done\r\n* half");
        assert_eq!(exceeded, None);
        let seen: Vec<_> = frames
            .iter()
            .map(|frame| (frame.offset(), frame.content()))
            .collect();
        assert_eq!(
            seen,
            [(0, &b"* OK hi"[..]), (9, b"* 3 EXISTS"), (21, b"a1 OK done")]
        );
    }

    #[test]
    fn a_bare_lf_ends_a_line_and_is_flagged() {
        assert!(only(b"* OK hi\n").bare_lf());
        assert!(!only(b"* OK hi\r\n").bare_lf());
        assert_eq!(only(b"* OK a\rb\r\n").content(), b"* OK a\rb");
    }

    #[test]
    fn every_form_of_literal_belongs_to_its_frame() {
        for header in ["{4}", "{4+}", "~{4}"] {
            let bytes = format!("* 1 FETCH (BODY[] {header}\r\n)\r\n(\"\r\n");
            let frame = only(bytes.as_bytes());
            assert_eq!(frame.bytes(), bytes.as_bytes());
            assert_eq!(&frame.bytes()[frame.literals()[0].clone()], b")\r\n(");
        }
        assert_eq!(only(b"* LIST () \"/\" {0}\r\n\r\n").literals().len(), 1);
    }

    #[test]
    fn a_size_in_quotes_or_in_text_is_no_literal() {
        assert_eq!(only(b"* LIST () \"/\" \"a{3}\r\n").literals(), []);
        assert_eq!(only(b"* OK come back in {3}\r\n").literals(), []);
        assert_eq!(only(b"a1 NO \"quoted {3}\r\n").literals(), []);
        assert_eq!(only(b"+ send {3}\r\n").literals(), []);
        assert_eq!(only(b"* LIST () \"/\" {3} \r\n").literals(), []);
        assert_eq!(only(b"* LIST () \"/\" {}\r\n").literals(), []);
        assert_eq!(only(b"* LIST () \"/\" \"a\\\"{3}\"\r\n").literals(), []);
    }

    #[test]
    fn a_quote_inside_an_atom_opens_nothing() {
        let frame = only(b"* LIST () \"/\" it\"s {2}\r\nab\r\n");
        assert_eq!(frame.literals().len(), 1);
    }

    #[test]
    fn parentheses_count_outside_quotes_literals_and_text() {
        assert_eq!(only(b"* X (((\"((((\" {4}\r\n(((( )))\r\n").nesting(), 3);
        let deep = "(".repeat(17);
        assert_eq!(
            frames(format!("* X {deep}").as_bytes()).1,
            Some(LimitKind::Nesting)
        );
        assert_eq!(frames(format!("* X \"{deep}\"\r\n").as_bytes()).1, None);
        assert_eq!(frames(format!("* OK {deep}\r\n").as_bytes()).1, None);
        assert_eq!(
            frames(format!("* OKAY {deep}\r\n").as_bytes()).1,
            Some(LimitKind::Nesting)
        );
    }

    #[test]
    fn each_limit_is_told_by_its_name() {
        let line = |length: usize| [b"* OK hi\r\n* X ".to_vec(), vec![b'a'; length]].concat();
        assert_eq!(frames(&line(64 * 1024)).1, Some(LimitKind::Line));
        assert_eq!(frames(&line(64 * 1024 - 4)).1, None);
        assert_eq!(frames(&vec![b'a'; 8 * 1024 + 1]).1, Some(LimitKind::Greeting));
        assert_eq!(frames(b"* X {262145}\r\n").1, Some(LimitKind::Literal));
        assert_eq!(frames(b"* X {00000000001}\r\n").1, Some(LimitKind::SizeField));
        assert_eq!(
            frames(b"* X {99999999999999999999999}\r\n").1,
            Some(LimitKind::SizeField)
        );
        assert_eq!(
            frames("{1}\r\na".repeat(9).as_bytes()).1,
            Some(LimitKind::Literals)
        );
        let twice = [
            b"{200000}\r\n".to_vec(),
            vec![b'a'; 200_000],
            b"{200000}\r\n".to_vec(),
        ]
        .concat();
        assert_eq!(frames(&twice).1, Some(LimitKind::Frame));
    }

    #[test]
    fn a_command_gets_so_many_replies_and_the_next_one_again() {
        let mut framer = Framer::new(Limits::default());
        framer.begin_command(2);
        framer.push(b"* 1 EXISTS\r\n* 2 EXISTS\r\n");
        assert_eq!(drain(&mut framer).1, None);
        framer.begin_command(1);
        framer.push(b"* 3 EXISTS\r\n* 4 EXISTS\r\n");
        let (frames, exceeded) = drain(&mut framer);
        assert_eq!((frames.len(), exceeded), (1, Some(LimitKind::Frames)));
    }

    #[test]
    fn the_session_has_an_end_and_the_frames_before_it_are_kept() {
        let mut framer = Framer::new(Limits {
            session: 20,
            ..Limits::default()
        });
        framer.push(b"* OK a\r\n* OK b\r\n* OK c\r\n");
        let (frames, exceeded) = drain(&mut framer);
        assert_eq!((frames.len(), exceeded), (2, Some(LimitKind::Session)));
        assert_eq!(framer.received(), 20);
    }

    #[test]
    fn what_is_left_behind_starttls_is_seen() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"a1 OK begin TLS now\r\n* CAPABILITY IMAP4rev1\r\n");
        assert!(framer.next_frame().unwrap().is_some());
        assert_eq!((framer.buffered(), framer.is_empty()), (24, false));
        assert_eq!(framer.unread(), b"* CAPABILITY IMAP4rev1\r\n");
    }

    #[test]
    fn a_frame_that_breaks_off_says_how_far_it_came() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"* 1 FETCH (BODY[] {100}\r\nabc");
        assert_eq!(framer.next_frame(), Ok(None));
        assert_eq!(
            framer.unfinished(),
            Some(Unfinished {
                bytes: 28,
                literal: Some((100, 3))
            })
        );
        assert_eq!(framer.first_bytes(), framer.partial());
        assert_eq!(
            framer.partial_without_literals(),
            b"* 1 FETCH (BODY[] {100}\r\n<3 of 100 bytes>"
        );
    }

    #[test]
    fn a_declared_size_sets_no_memory_aside() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"* 1 FETCH (BODY[] {262144}\r\n");
        assert_eq!(framer.next_frame(), Ok(None));
        assert!(framer.current.capacity() < 1024);
    }
}
