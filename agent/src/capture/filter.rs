//! What the kernel leaves out before anybody sees it (classic BPF; a packet begins with its IP header).

use std::collections::BTreeSet;
use std::net::IpAddr;

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
use socket2::SockFilter;

/// More addresses than a probe tries, and few enough that every jump over them fits its 8 bits.
pub(super) const ADDRESSES: usize = 24;

const LOAD_BYTE: u32 = BPF_LD | BPF_B | BPF_ABS;
const LOAD_WORD: u32 = BPF_LD | BPF_W | BPF_ABS;
const AND: u32 = BPF_ALU | BPF_AND | BPF_K;
const IF_EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
const RETURN: u32 = BPF_RET | BPF_K;
const WHOLE: u32 = u32::MAX;
const NOTHING: u32 = 0;

/// Where a header says what.
struct Header {
    /// Its first byte without the lower half.
    version: u32,
    /// Where the next protocol stands, and what of it is ICMP.
    protocol: u32,
    icmp: u32,
    /// The last word of the source, and of the destination.
    source: u32,
    destination: u32,
}

const IPV4: Header = Header {
    version: 0x40,
    protocol: 9,
    icmp: 1,
    source: 12,
    destination: 16,
};
const IPV6: Header = Header {
    version: 0x60,
    protocol: 6,
    icmp: 58,
    source: 20,
    destination: 36,
};

/// Lets through what comes from or goes to these addresses, and ICMP. Of an IPv6 address the last 32 bits are compared;
/// what is let through is looked at once more.
pub(super) fn program(addresses: &BTreeSet<IpAddr>) -> Vec<SockFilter> {
    let words = |v4: bool| {
        let of_family = addresses.iter().filter(move |address| address.is_ipv4() == v4);
        of_family.take(ADDRESSES).map(last_word).collect::<Vec<_>>()
    };
    let mut program = vec![op(LOAD_BYTE, 0), op(AND, 0xf0)];
    for (header, words) in [(IPV4, words(true)), (IPV6, words(false))] {
        let block = block(&header, &words);
        let over = u8::try_from(block.len()).unwrap_or(u8::MAX);
        program.push(branch(header.version, 0, over));
        program.extend(block);
    }
    program.push(op(RETURN, NOTHING));
    program
}

fn block(header: &Header, words: &[u32]) -> Vec<SockFilter> {
    let mut block = vec![
        op(LOAD_BYTE, header.protocol),
        branch(header.icmp, 0, 1),
        op(RETURN, WHOLE),
    ];
    for place in [header.source, header.destination] {
        block.push(op(LOAD_WORD, place));
        for &word in words {
            block.extend([branch(word, 0, 1), op(RETURN, WHOLE)]);
        }
    }
    block.push(op(RETURN, NOTHING));
    block
}

fn last_word(address: &IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => (v6.to_bits() & u128::from(u32::MAX)) as u32,
    }
}

const fn op(code: u32, value: u32) -> SockFilter {
    SockFilter::new(code as u16, 0, 0, value)
}

const fn branch(value: u32, equal: u8, other: u8) -> SockFilter {
    SockFilter::new(IF_EQUAL as u16, equal, other, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_program_has_no_jump_that_does_not_fit() {
        let addresses = (0..ADDRESSES as u32)
            .flat_map(|number| [IpAddr::V4(number.into()), IpAddr::V6(u128::from(number).into())]);
        let longest = program(&addresses.collect());
        assert_eq!(longest.len(), 2 + 2 * (1 + 6 + 4 * ADDRESSES) + 1);
        assert!(6 + 4 * ADDRESSES <= usize::from(u8::MAX));
    }
}
