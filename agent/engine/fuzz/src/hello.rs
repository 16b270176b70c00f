//! A server's first flight in clear, whole and in pieces: the first byte says how large the pieces are.

use parallax_engine::certificate::CERTIFICATES;
use parallax_engine::hello::{Flight, HANDSHAKE_BYTES, Progress, alert};

use super::is_plain;

/// What is learnt does not depend on the pieces, is no more than came, and can be shown as it is.
pub fn run(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else {
        return;
    };
    let stream = &stream[..stream.len().min(HANDSHAKE_BYTES as usize)];
    let (whole, end) = flight(stream, stream.len().max(1));
    let (pieces, same_end) = flight(stream, usize::from(*piece).max(1));
    assert_eq!(end, same_end, "the pieces matter");
    assert_eq!(learnt(&whole), learnt(&pieces), "the pieces matter");
    assert_eq!(whole.chain(), pieces.chain());

    assert!(whole.first_bytes().len() <= 64 && stream.starts_with(whole.first_bytes()));
    assert!(whole.received() <= stream.len() as u64);
    assert!(whole.chain().len() <= CERTIFICATES);
    assert!(whole.chain().iter().map(Vec::len).sum::<usize>() <= stream.len());
    assert_eq!(whole.done(), end == Progress::Done);
    if whole.done() || whole.modern() {
        assert!(whole.version().is_some() && whole.cipher_suite().is_some());
    }
    assert!(learnt(&whole).iter().flatten().all(|name| is_name(name)));
    if let Progress::Broken(how) = end {
        assert!(is_plain(&how) && how.len() < 256, "{how:?}");
    }
    assert!(
        alert::last_in(stream)
            .map(alert::name)
            .iter()
            .all(|name| is_name(name))
    );
}

fn flight(stream: &[u8], piece: usize) -> (Flight, Progress) {
    let mut flight = Flight::default();
    let mut progress = Progress::More;
    for piece in stream.chunks(piece) {
        let next = flight.push(piece);
        if progress != Progress::More {
            assert_eq!(next, progress, "what is over stays over");
        }
        progress = next;
    }
    (flight, progress)
}

/// Version, suite, group and alert.
fn learnt(flight: &Flight) -> [Option<String>; 4] {
    [
        flight.version(),
        flight.cipher_suite().map(str::to_owned),
        flight.group().map(str::to_owned),
        flight.alert(),
    ]
}

fn is_name(name: &str) -> bool {
    name.len() < 64 && !name.is_empty() && name.chars().all(|character| character.is_ascii_graphic())
}
