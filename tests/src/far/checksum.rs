//! Checksums that a host left to its network card, for packets that never meet one.

const TCP: u8 = 6;
const UDP: u8 = 17;
const ETHERNET: usize = 14;

/// Writes the checksum of the TCP or UDP packet in an Ethernet frame; other frames stay as they are.
pub(super) fn complete(frame: &mut [u8]) {
    let Some((addresses, protocol, payload)) = parts(frame) else {
        return;
    };
    let at = payload.start
        + match protocol {
            TCP => 16,
            UDP => 6,
            _ => return,
        };
    if frame.len() < at + 2 {
        return;
    }
    frame[at..at + 2].fill(0);
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let pseudo = [&frame[addresses], &length, &[0, 0, 0, protocol]].concat();
    let sum = match fold(sum(&pseudo) + sum(&frame[payload])) {
        // In UDP this says that there is none.
        0 => u16::MAX,
        sum => sum,
    };
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

type Part = std::ops::Range<usize>;

/// Where both addresses are, the protocol, and where its packet is.
fn parts(frame: &[u8]) -> Option<(Part, u8, Part)> {
    let ip = frame.get(ETHERNET..)?;
    let length = |at: usize| Some(usize::from(u16::from_be_bytes([*ip.get(at)?, *ip.get(at + 1)?])));
    let (header, total, protocol, addresses) = match (frame[12], frame[13]) {
        (0x08, 0x00) => {
            let is_part = *ip.get(6)? & 0x3f != 0 || *ip.get(7)? != 0;
            let header = usize::from(*ip.first()? & 0x0f) * 4;
            (!is_part).then_some((header, length(2)?, *ip.get(9)?, 12..20))?
        }
        (0x86, 0xdd) => (40, 40 + length(4)?, *ip.get(6)?, 8..40),
        _ => return None,
    };
    let moved = |part: Part| part.start + ETHERNET..part.end + ETHERNET;
    (header <= total && total <= ip.len()).then(|| (moved(addresses), protocol, moved(header..total)))
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN of 192.0.2.1:1025 to 192.0.2.2:993 with its true checksum.
    fn syn() -> Vec<u8> {
        let mut frame = vec![0; ETHERNET];
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame.extend([
            0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, TCP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        ]);
        frame.extend([
            4, 1, 3, 0xe1, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0,
        ]);
        frame
    }

    #[test]
    fn a_packet_with_its_checksum_sums_to_nothing() {
        let mut frame = syn();
        complete(&mut frame);
        let (addresses, protocol, payload) = parts(&frame).expect("a packet");
        let pseudo = [&frame[addresses], &[0, 0, 0, 20, 0, 0, 0, protocol]].concat();
        assert_eq!(fold(sum(&pseudo) + sum(&frame[payload])), 0);
    }

    #[test]
    fn what_is_no_whole_packet_stays_as_it_is() {
        for length in 0..ETHERNET + 40 {
            let mut frame = syn();
            frame.truncate(length);
            let before = frame.clone();
            if length >= ETHERNET {
                complete(&mut frame);
            }
            assert_eq!(frame, before);
        }
    }
}
