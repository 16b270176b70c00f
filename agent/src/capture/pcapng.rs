//! Packets as a file that other programs open (draft-ietf-opsawg-pcapng).

use crate::capture::packet::Packet;
use crate::driver::tls::Disclosed;

/// What the packets of one attempt may take in the file.
const ATTEMPT: usize = 256 << 10;

/// Types of blocks.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const SECRETS: u32 = 10;

/// Options, by the block that they stand in.
const END: u16 = 0;
const SECTION_PROGRAM: u16 = 4;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;
const STATISTICS_DROPPED: u16 = 5;
const STATISTICS_LOST: u16 = 7;

/// Packets that begin with an IP header of either version.
const RAW_IP: u16 = 101;
/// Times are in units of 10^-9 s.
const NANOSECONDS: u8 = 9;
/// The format of NSS key logs, as TLS libraries write them.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Which way a packet went.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// A packet's block around its bytes, with padding.
const AROUND_PACKET: usize = 4 * 11 + 3;

/// Packets that are not in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Losses {
    /// The attempt's, for which the agent had no room.
    pub(super) dropped: u64,
    /// Anybody's, for which the kernel had none.
    pub(super) lost: u64,
}

/// What a packet takes in a file, at most.
pub(super) fn size(packet: &Packet) -> usize {
    packet.bytes.len() + AROUND_PACKET
}

/// Lets the last ones go for which there is no room; says how many.
pub(super) fn keep_within_bounds(packets: &mut Vec<Packet>) -> u64 {
    let mut taken = 0;
    let fit = packets.iter().take_while(|packet| {
        taken += size(packet);
        taken <= ATTEMPT
    });
    let fit = fit.count();
    let gone = packets.len() - fit;
    packets.truncate(fit);
    gone as u64
}

/// The file. What decrypts a packet stands before it, since readers go through the file once.
pub(super) fn file(packets: &[Packet], disclosed: &[Disclosed], losses: Losses) -> Vec<u8> {
    let mut file = Vec::new();
    section(&mut file);
    interface(&mut file);
    for disclosed in disclosed {
        secrets(&mut file, disclosed);
    }
    for packet in packets {
        enhanced(&mut file, packet);
    }
    let last = packets.last().map(nanoseconds).unwrap_or_default();
    statistics(&mut file, last, losses);
    file
}

fn section(file: &mut Vec<u8>) {
    let mut body = Vec::new();
    body.extend(0x1a2b_3c4d_u32.to_le_bytes());
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // Of a length that is not said.
    body.extend((-1_i64).to_le_bytes());
    let program = concat!("parallax-agent ", env!("CARGO_PKG_VERSION"));
    option(&mut body, SECTION_PROGRAM, program.as_bytes());
    option(&mut body, END, &[]);
    block(file, SECTION, &body);
}

fn interface(file: &mut Vec<u8>) {
    let mut body = Vec::new();
    body.extend(RAW_IP.to_le_bytes());
    body.extend([0; 2]);
    // No limit to a packet's length.
    body.extend(0_u32.to_le_bytes());
    option(&mut body, INTERFACE_RESOLUTION, &[NANOSECONDS]);
    option(&mut body, END, &[]);
    block(file, INTERFACE, &body);
}

fn secrets(file: &mut Vec<u8>, disclosed: &Disclosed) {
    let lines = disclosed.lines();
    if lines.is_empty() {
        return;
    }
    let mut body = Vec::new();
    body.extend(TLS_KEY_LOG.to_le_bytes());
    body.extend((lines.len() as u32).to_le_bytes());
    padded(&mut body, lines.as_bytes());
    block(file, SECRETS, &body);
}

fn enhanced(file: &mut Vec<u8>, packet: &Packet) {
    let mut body = Vec::new();
    body.extend(0_u32.to_le_bytes());
    time(&mut body, nanoseconds(packet));
    body.extend((packet.bytes.len() as u32).to_le_bytes());
    body.extend(u32::try_from(packet.length).unwrap_or(u32::MAX).to_le_bytes());
    padded(&mut body, &packet.bytes);
    let direction = if packet.outgoing { OUTBOUND } else { INBOUND };
    option(&mut body, PACKET_FLAGS, &direction.to_le_bytes());
    option(&mut body, END, &[]);
    block(file, PACKET, &body);
}

fn statistics(file: &mut Vec<u8>, at: u64, losses: Losses) {
    let mut body = Vec::new();
    body.extend(0_u32.to_le_bytes());
    time(&mut body, at);
    option(&mut body, STATISTICS_DROPPED, &losses.dropped.to_le_bytes());
    option(&mut body, STATISTICS_LOST, &losses.lost.to_le_bytes());
    option(&mut body, END, &[]);
    block(file, STATISTICS, &body);
}

fn nanoseconds(packet: &Packet) -> u64 {
    u64::try_from(packet.at.as_nanos()).unwrap_or(u64::MAX)
}

/// The upper half first, whatever the order of bytes.
fn time(body: &mut Vec<u8>, nanoseconds: u64) {
    body.extend(((nanoseconds >> 32) as u32).to_le_bytes());
    body.extend((nanoseconds as u32).to_le_bytes());
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    padded(body, value);
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Its length stands at both ends, so that a file can be read backwards. Every body is a multiple of 4 bytes long.
fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_le_bytes();
    file.extend(kind.to_le_bytes());
    file.extend(length);
    file.extend(body);
    file.extend(length);
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// Kind and body of each block, with what must hold of any.
    pub(crate) fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let (kind, length) = (word(file), word(&file[4..]) as usize);
            assert!(length.is_multiple_of(4) && length >= 12, "{length}");
            assert_eq!(
                word(&file[length - 4..]) as usize,
                length,
                "the length stands at both ends"
            );
            blocks.push((kind, file[8..length - 4].to_vec()));
            file = &file[length..];
        }
        blocks
    }

    /// Code and value of each option.
    fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let half = |bytes: &[u8]| u16::from_le_bytes(bytes[..2].try_into().unwrap());
        let mut options = Vec::new();
        while !bytes.is_empty() {
            let (code, length) = (half(bytes), usize::from(half(&bytes[2..])));
            options.push((code, bytes[4..4 + length].to_vec()));
            bytes = &bytes[4 + length.next_multiple_of(4)..];
        }
        assert_eq!(options.pop(), Some((END, Vec::new())), "options have an end");
        options
    }

    fn packet(outgoing: bool, bytes: &[u8]) -> Packet {
        Packet {
            at: Duration::new(1_700_000_000, 123_456_789),
            outgoing,
            bytes: bytes.to_vec(),
            length: bytes.len() + 1,
        }
    }

    const NO_LOSSES: Losses = Losses { dropped: 0, lost: 0 };

    #[test]
    fn a_file_begins_with_a_section_and_one_interface_of_raw_ip_in_nanoseconds() {
        let blocks = blocks(&file(&[], &[], NO_LOSSES));
        let kinds: Vec<_> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [SECTION, INTERFACE, STATISTICS]);
        let section = &blocks[0].1;
        assert_eq!(section[..8], [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
        assert_eq!(section[8..16], [0xff; 8]);
        let program = options(&section[16..]);
        assert!(program[0].1.starts_with(b"parallax-agent "), "{program:?}");
        let interface = &blocks[1].1;
        assert_eq!(interface[..8], [101, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(options(&interface[8..]), [(9, vec![9])]);
    }

    #[test]
    fn a_packet_has_its_time_its_lengths_and_its_direction_whatever_its_padding() {
        for length in 0..5 {
            let bytes = vec![0x45; length];
            let blocks = blocks(&file(&[packet(true, &bytes)], &[], NO_LOSSES));
            let (kind, body) = &blocks[2];
            assert_eq!(*kind, PACKET);
            let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
            let time = u64::from(word(4)) << 32 | u64::from(word(8));
            assert_eq!((word(0), time), (0, 1_700_000_000_123_456_789));
            assert_eq!((word(12) as usize, word(16) as usize), (length, length + 1));
            assert_eq!(body[20..20 + length], bytes);
            let behind = 20 + length.next_multiple_of(4);
            assert_eq!(options(&body[behind..]), [(2, vec![2, 0, 0, 0])]);
        }
    }

    #[test]
    fn what_is_missing_is_counted_in_the_file() {
        let losses = Losses {
            dropped: 7,
            lost: 300,
        };
        let blocks = blocks(&file(&[packet(false, b"E")], &[], losses));
        let (kind, body) = blocks.last().unwrap();
        assert_eq!(*kind, STATISTICS);
        let expected = [
            (5, 7_u64.to_le_bytes().to_vec()),
            (7, 300_u64.to_le_bytes().to_vec()),
        ];
        assert_eq!(options(&body[12..]), expected);
    }

    #[test]
    fn a_file_is_bounded_and_what_was_left_out_is_counted() {
        let mut packets = vec![packet(true, &[0x45; 1400]); 400];
        let gone = keep_within_bounds(&mut packets);
        assert_eq!(packets.len() as u64 + gone, 400);
        assert!(gone > 0 && !packets.is_empty());
        assert!(file(&packets, &[], NO_LOSSES).len() < ATTEMPT + 512);
    }
}
