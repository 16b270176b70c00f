//! What the server said, told apart.

use parallax_model::text::escape;

use super::Wire;
use crate::imap::{DataLine, Frame, Reply, Status, StatusLine};

/// Characters shown of a line that is no IMAP.
const GARBLED: usize = 64;

/// Mailbox data, which no server sends before a login: somebody on the way put it there.
const AFTER_LOGIN: [&str; 11] = [
    "EXISTS", "RECENT", "EXPUNGE", "VANISHED", "FETCH", "FLAGS", "LIST", "LSUB", "STATUS", "SEARCH",
    "ESEARCH",
];

/// One reply of the server, told apart.
#[derive(Debug)]
pub(crate) enum Heard<'f> {
    /// The tagged reply to the command that was sent.
    Reply(StatusLine<'f>),
    /// An untagged status line.
    Status(StatusLine<'f>),
    /// An untagged line of data.
    Data(&'f Frame, DataLine<'f>),
    /// The server waits for more of the command.
    Plus,
    /// Nothing that belongs here: no IMAP, or the reply to a command that was not sent.
    Strange,
}

impl Wire {
    /// Tells a reply apart, and remembers what it says of the connection.
    pub(crate) fn tell_apart<'f>(&mut self, frame: &'f Frame) -> Heard<'f> {
        match Reply::of(frame) {
            Reply::Tagged { tag, line } => {
                if self.command.as_ref().is_some_and(|command| command.tag().is(tag)) {
                    self.command = None;
                    Heard::Reply(line)
                } else {
                    self.smuggled_answered |= self
                        .smuggled_tag
                        .as_ref()
                        .is_some_and(|smuggled| smuggled.is(tag));
                    // Nobody tags a command so; a balancer's header has been answered (the PROXY protocol,
                    // version 1, begins with this word).
                    self.proxied |= tag == b"PROXY";
                    self.note("a reply to no command of this session, ignored");
                    Heard::Strange
                }
            }
            Reply::Status(line) => {
                if line.status == Status::Bye {
                    self.bye = Some(self.evidence(&line));
                }
                Heard::Status(line)
            }
            Reply::Data(line) => {
                self.check_data(&line);
                Heard::Data(frame, line)
            }
            Reply::Continuation(text) => {
                self.challenge = text.to_vec();
                Heard::Plus
            }
            Reply::Other => {
                self.note("no line of IMAP, ignored");
                // An empty line more than there should be misleads nobody.
                if !frame.content().is_empty() {
                    let line = frame.without_literals();
                    let shown = self.transcript.redactor().redact(&line);
                    self.garbled
                        .get_or_insert_with(|| escape(shown.trim_ascii_end(), GARBLED));
                }
                Heard::Strange
            }
        }
    }

    fn check_data(&mut self, line: &DataLine<'_>) {
        let logs_in = matches!(self.asking, "LOGIN" | "AUTHENTICATE");
        if self.logged_in || logs_in {
            return;
        }
        if let Some(keyword) = AFTER_LOGIN.into_iter().find(|keyword| line.is(keyword)) {
            self.note("mailbox data before a login");
            self.smuggled = Some(keyword);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::imap::Command;

    #[test]
    fn a_stale_tag_is_not_the_answer() {
        let mut wire = Wire::new(SocketAddr::from(([192, 0, 2, 1], 993)), 0);
        let tag = wire.tag();
        wire.ask(Command::noop(tag));
        wire.received(b"zzzz0001 NO stale\r\naaaa0001 OK done\r\n");
        let heard = |wire: &mut Wire| {
            let frame = wire.next_frame().expect("in limits").expect("a frame");
            format!("{:?}", wire.tell_apart(&frame))
        };
        assert_eq!(heard(&mut wire), "Strange");
        assert!(!wire.usable());
        assert!(heard(&mut wire).starts_with("Reply"));
    }
}
