//! Packets by connection, within bounds.

use std::collections::{HashMap, VecDeque};

use crate::capture::flow::Flow;
use crate::capture::packet::Packet;
use crate::capture::pcapng::size;

/// The beginning of a connection that is kept whatever comes, and the end of it; what is between goes when there is more.
const HEAD: usize = 128 << 10;
const TAIL: usize = 96 << 10;
/// What all connections of one order may take.
const ORDER: usize = 2 << 20;
/// What is kept of a connection until somebody says that it is the probe's: its first packets may be heard before. Most
/// that nobody claims are traces, and clients of the same server on this host.
const UNCLAIMED: usize = 8 << 10;
const STRANGERS: usize = 64;

/// Every packet that may be of use.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    kept: HashMap<Flow, Kept>,
    /// Those that nobody has claimed, oldest first.
    strangers: VecDeque<Flow>,
    taken: usize,
}

#[derive(Debug, Default)]
struct Kept {
    claimed: bool,
    head: Vec<Packet>,
    tail: VecDeque<Packet>,
    head_size: usize,
    tail_size: usize,
    dropped: u64,
}

/// What was on the shelf of one connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) packets: Vec<Packet>,
    /// Packets for which there was no room.
    pub(super) dropped: u64,
}

impl Shelf {
    /// Takes a packet in, if it is of a connection.
    pub(super) fn add(&mut self, packet: Packet) {
        let Some(flow) = Flow::of(&packet.bytes) else {
            return;
        };
        if !self.kept.contains_key(&flow) {
            self.strangers.push_back(flow);
        }
        let full = self.taken >= ORDER;
        let kept = self.kept.entry(flow).or_default();
        let before = kept.head_size + kept.tail_size;
        kept.add(packet, full);
        self.taken = self.taken + kept.head_size + kept.tail_size - before;
        self.forget_strangers();
    }

    /// This connection is the probe's.
    pub(super) fn claim(&mut self, flow: Flow) {
        self.strangers.retain(|stranger| *stranger != flow);
        self.kept.entry(flow).or_default().claimed = true;
    }

    /// Gives away what there is of a connection.
    pub(super) fn take(&mut self, flow: Flow) -> Taken {
        let Some(kept) = self.kept.remove(&flow) else {
            return Taken::default();
        };
        self.taken -= kept.head_size + kept.tail_size;
        let mut packets = kept.head;
        packets.extend(kept.tail);
        Taken {
            packets,
            dropped: kept.dropped,
        }
    }

    fn forget_strangers(&mut self) {
        while self.strangers.len() > STRANGERS {
            if let Some(kept) = self
                .strangers
                .pop_front()
                .and_then(|flow| self.kept.remove(&flow))
            {
                self.taken -= kept.head_size + kept.tail_size;
            }
        }
    }
}

impl Kept {
    fn add(&mut self, packet: Packet, full: bool) {
        let size = size(&packet);
        let head = if self.claimed { HEAD } else { UNCLAIMED };
        if self.head_size + size <= head && self.tail.is_empty() && !full {
            self.head_size += size;
            self.head.push(packet);
            return;
        }
        if !self.claimed || size > TAIL {
            self.dropped += 1;
            return;
        }
        // Where all is full, the end of this connection takes the room of its own middle.
        let room = if full { self.tail_size } else { TAIL };
        while self.tail_size + size > room {
            let Some(gone) = self.tail.pop_front() else {
                self.dropped += 1;
                return;
            };
            self.tail_size -= crate::capture::pcapng::size(&gone);
            self.dropped += 1;
        }
        self.tail_size += size;
        self.tail.push_back(packet);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::capture::flow::tests::segment4;

    fn packet(port: u16, number: u64, length: usize) -> Packet {
        let here = (Ipv4Addr::new(10, 1, 0, 2), port);
        let bytes = segment4(here, (Ipv4Addr::new(10, 9, 0, 10), 993), &vec![0; length]);
        Packet {
            at: Duration::from_secs(number),
            outgoing: true,
            length: bytes.len(),
            bytes,
        }
    }

    fn flow(port: u16) -> Flow {
        Flow::of(&packet(port, 0, 0).bytes).unwrap()
    }

    fn seconds(taken: &Taken) -> Vec<u64> {
        taken.packets.iter().map(|packet| packet.at.as_secs()).collect()
    }

    #[test]
    fn the_first_packets_are_there_although_they_came_before_the_claim() {
        let mut shelf = Shelf::default();
        shelf.add(packet(1, 0, 0));
        shelf.claim(flow(1));
        shelf.add(packet(1, 1, 100));
        shelf.add(packet(2, 2, 100));
        let taken = shelf.take(flow(1));
        assert_eq!((seconds(&taken), taken.dropped), (vec![0, 1], 0));
    }

    #[test]
    fn a_stranger_takes_no_room_from_the_probe() {
        let mut shelf = Shelf::default();
        for number in 0..10_000 {
            shelf.add(packet(9, number, 1400));
        }
        for port in 10_000..20_000 {
            shelf.add(packet(port, 0, 0));
        }
        assert!(shelf.taken < 64 << 10, "{}", shelf.taken);
        assert!(shelf.kept.len() <= STRANGERS);
        shelf.claim(flow(1));
        shelf.add(packet(1, 1, 1400));
        assert_eq!(shelf.take(flow(1)).packets.len(), 1);
    }

    #[test]
    fn of_a_long_connection_the_beginning_and_the_end_stay_and_the_rest_is_counted() {
        let mut shelf = Shelf::default();
        shelf.claim(flow(1));
        for number in 0..1000 {
            shelf.add(packet(1, number, 1400));
        }
        let taken = shelf.take(flow(1));
        let seconds = seconds(&taken);
        assert_eq!(seconds[..3], [0, 1, 2]);
        assert_eq!(seconds.last(), Some(&999));
        assert!(seconds.is_sorted());
        assert_eq!(seconds.len() as u64 + taken.dropped, 1000);
        let sizes: usize = taken.packets.iter().map(size).sum();
        assert!(sizes <= HEAD + TAIL && sizes > HEAD + TAIL - 3000, "{sizes}");
        assert_eq!(shelf.taken, 0);
    }

    #[test]
    fn all_connections_of_an_order_together_are_bounded_and_each_keeps_what_it_has() {
        let mut shelf = Shelf::default();
        for port in 1..=20 {
            shelf.claim(flow(port));
            for number in 0..200 {
                shelf.add(packet(port, number, 1400));
            }
        }
        assert!(shelf.taken <= ORDER + 2000, "{}", shelf.taken);
        let all: u64 = (1..=20)
            .map(|port| shelf.take(flow(port)))
            .map(|taken| taken.packets.len() as u64 + taken.dropped)
            .sum();
        assert_eq!(all, 4000, "what is not there is counted");
    }
}
