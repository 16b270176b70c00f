//! One result as it lies on disk.

/// Length, CRC-32, sequence and time before the result itself, all little-endian.
pub(super) const HEAD: usize = 24;
/// A longer one is no record: its length was not written by this program.
pub(super) const LONGEST: usize = 1 << 20;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Its place in the chain.
    pub(super) sequence: u64,
    /// When it was made on this host's wall clock, in microseconds since the Unix epoch.
    pub(super) made_at_us: i64,
    /// The result.
    pub(super) payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes that it takes.
    pub(super) const fn size(&self) -> usize {
        HEAD + self.payload.len()
    }

    /// As it is written. The payload is at most [`LONGEST`] bytes long.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes();
        let mut bytes = Vec::with_capacity(self.size());
        bytes.extend(length);
        bytes.extend([0; 4]);
        bytes.extend(self.sequence.to_le_bytes());
        bytes.extend(self.made_at_us.to_le_bytes());
        bytes.extend(self.payload);
        let sum = sum(&bytes).to_le_bytes();
        bytes[4..8].copy_from_slice(&sum);
        bytes
    }
}

/// The record at the beginning of these bytes; none where there is no whole and sound one.
pub(super) fn read(bytes: &[u8]) -> Option<Record<'_>> {
    let length = u32::from_le_bytes(array(bytes, 0)?) as usize;
    let whole = bytes.get(..HEAD + length.min(LONGEST + 1))?;
    if length > LONGEST || u32::from_le_bytes(array(bytes, 4)?) != sum(whole) {
        return None;
    }
    Some(Record {
        sequence: u64::from_le_bytes(array(bytes, 8)?),
        made_at_us: made_at_us(bytes)?,
        payload: &whole[HEAD..],
    })
}

/// When the record was made, of its head alone.
pub(super) fn made_at_us(head: &[u8]) -> Option<i64> {
    array(head, 16).map(i64::from_le_bytes)
}

/// Of all but the sum itself.
fn sum(whole: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&whole[..4]);
    hasher.update(&whole[8..]);
    hasher.finalize()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Record<'_> {
        Record {
            sequence: 7,
            made_at_us: -5,
            payload,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for payload in [&b""[..], b"a result", &[9; LONGEST]] {
            let mut bytes = record(payload).to_bytes();
            bytes.extend(b"the next one");
            assert_eq!(read(&bytes), Some(record(payload)));
        }
    }

    #[test]
    fn no_part_of_a_record_is_a_record_and_no_bit_may_be_another() {
        let bytes = record(b"a result").to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), None, "cut at {end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&wrong), None, "bit {bit}");
        }
        assert_eq!(read(&[0; 512]), None, "zeros are what a lost write leaves");
    }
}
