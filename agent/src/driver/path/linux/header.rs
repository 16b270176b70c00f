//! What a router quotes of our segment.

/// The maximum segment size of a TCP header (RFC 9293 sections 3.1 and 3.2); routers that quote eight bytes show none.
pub(super) fn mss(header: &[u8]) -> Option<u16> {
    let words = usize::from(header.get(12)? >> 4);
    let mut options = header.get(20..words * 4)?;
    loop {
        match options {
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
            [1, rest @ ..] => options = rest,
            [0, ..] => return None,
            [_, length, ..] if *length >= 2 => options = options.get(usize::from(*length)..)?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_size_is_read_where_the_header_is_quoted_whole() {
        let mut header = vec![0; 20];
        header[12] = 0xa0;
        header.extend_from_slice(&[1, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 0x04, 0x57, 1, 1, 0]);
        assert_eq!(mss(&header), Some(1_111));
        assert_eq!(mss(&header[..8]), None);
        header[12] = 0x50;
        assert_eq!(mss(&header), None);
    }

    #[test]
    fn options_that_are_no_options_end_the_search() {
        let mut header = vec![0; 24];
        header[12] = 0x60;
        for options in [[9, 0, 0, 0], [9, 1, 2, 4], [2, 4, 0, 0], [9, 200, 0, 0]] {
            header[20..].copy_from_slice(&options);
            assert_eq!(mss(&header), (options[0] == 2).then_some(0));
        }
    }
}
