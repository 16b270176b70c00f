//! A stream, whole and in pieces: the first byte says how large the pieces are.

use std::time::Duration;

use parallax_engine::imap::limits::{FRAME, LITERALS_PER_FRAME, NESTING};
use parallax_engine::imap::{Frame, Framer, LimitExceeded, Limits, Reply};
use parallax_engine::transcript::{ENTRY, Transcript};

/// The frames do not depend on the pieces, keep the limits, and are all that the stream had.
pub fn run(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else {
        return;
    };
    let whole = frames(stream, stream.len().max(1));
    let pieces = frames(stream, usize::from(*piece).max(1));
    assert_eq!(whole, pieces, "the pieces matter");
    let mut transcript = Transcript::default();
    let mut at = 0;
    for frame in &whole.0 {
        assert_eq!(frame.offset(), at);
        at += frame.bytes().len() as u64;
        assert!(frame.bytes().len() <= FRAME);
        assert!(frame.literals().len() <= LITERALS_PER_FRAME);
        let status = matches!(
            Reply::of(frame),
            Reply::Status(_) | Reply::Tagged { .. } | Reply::Continuation(_)
        );
        assert!(status || frame.nesting() <= NESTING);
        transcript.server(Duration::ZERO, frame);
    }
    assert!(transcript.entries().all(|entry| entry.bytes.len() <= ENTRY));
    let harmless = |character: char| character == '\n' || !character.is_control();
    assert!(transcript.to_string().chars().all(harmless));
}

fn frames(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<LimitExceeded>) {
    let mut framer = Framer::new(Limits::default());
    let mut frames = Vec::new();
    for piece in stream.chunks(piece) {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(exceeded) => {
                    assert_eq!(framer.next_frame(), Err(exceeded));
                    return (frames, Some(exceeded));
                }
            }
        }
        assert!(framer.scanned() <= framer.received());
    }
    let left = framer.partial().len() + framer.unread().len();
    assert_eq!(left, framer.buffered());
    let _ = framer.partial_without_literals();
    (frames, None)
}
