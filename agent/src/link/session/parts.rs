//! A change of the checks that comes in parts, put together again.

use parallax_proto::v1;
use prost::Message as _;

/// What may wait for its last part, in bytes: no collector has more checks.
const MOST: usize = 128 << 20;

/// What has come so far.
#[derive(Default)]
pub(super) struct Parts {
    whole: Option<v1::ChecksUpdate>,
    size: usize,
}

impl Parts {
    /// Takes a part; the change, once it is whole. One without its beginning is nothing: all of it comes again.
    pub(super) fn take(&mut self, part: v1::ChecksUpdate) -> Option<v1::ChecksUpdate> {
        let (size, more) = (part.encoded_len(), part.more);
        let before = self.whole.take();
        let (whole, size) = match before {
            _ if part.part == 0 => (v1::ChecksUpdate { more: false, ..part }, size),
            Some(before) if before.part + 1 == part.part && self.size + size <= MOST => {
                let set = [before.set, part.set].concat();
                let whole = v1::ChecksUpdate {
                    set,
                    part: part.part,
                    ..before
                };
                (whole, self.size + size)
            }
            Some(_) | None => {
                tracing::warn!(
                    part = part.part,
                    "a part of a change of the checks is missing, or it is too large"
                );
                return None;
            }
        };
        if more {
            self.whole = Some(whole);
            self.size = size;
            return None;
        }
        Some(v1::ChecksUpdate { part: 0, ..whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(part: u32, more: bool) -> v1::ChecksUpdate {
        v1::ChecksUpdate {
            full: part == 0,
            set: vec![v1::CheckAssignment {
                name: part.to_string(),
                ..v1::CheckAssignment::default()
            }],
            sum: 7,
            part,
            more,
            ..v1::ChecksUpdate::default()
        }
    }

    fn names(whole: Option<v1::ChecksUpdate>) -> Option<Vec<String>> {
        let whole = whole?;
        assert!(whole.full && whole.sum == 7 && whole.part == 0 && !whole.more);
        Some(whole.set.into_iter().map(|one| one.name).collect())
    }

    #[test]
    fn a_change_counts_once_its_last_part_is_there() {
        let mut parts = Parts::default();
        assert_eq!(names(parts.take(part(0, false))).unwrap(), ["0"]);
        assert_eq!(names(parts.take(part(0, true))), None);
        assert_eq!(names(parts.take(part(1, true))), None);
        assert_eq!(names(parts.take(part(2, false))).unwrap(), ["0", "1", "2"]);
    }

    #[test]
    fn one_that_lacks_a_part_counts_not_at_all_and_the_next_does() {
        let mut parts = Parts::default();
        for (number, more) in [(0, true), (2, true), (3, false), (1, false)] {
            assert_eq!(names(parts.take(part(number, more))), None, "{number}");
        }
        assert_eq!(names(parts.take(part(0, true))), None);
        assert_eq!(names(parts.take(part(0, true))), None, "it begins anew");
        assert_eq!(names(parts.take(part(1, false))).unwrap(), ["0", "1"]);
    }

    #[test]
    fn what_never_ends_does_not_fill_the_memory() {
        let mut parts = Parts::default();
        for number in 0..140 {
            let mut large = part(number, true);
            large.set[0].credential = "x".repeat(1 << 20);
            parts.take(large);
        }
        assert!(parts.whole.is_none());
    }
}
