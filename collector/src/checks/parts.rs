//! An update of an agent's checks in parts, none larger than a message may be.

use parallax_proto::v1;
use prost::Message as _;

/// What a part may come to before another begins, in bytes. Messages of 4 MiB are read, and no check is larger than
/// [`CHECK_AT_MOST`].
const PART: usize = 1 << 20;

/// How large a check may be, in bytes, as it is written.
pub(crate) const CHECK_AT_MOST: usize = 256 << 10;

/// How large the trust anchors of a credential may be, in bytes: each check that logs in with it has them.
pub(crate) const ANCHORS_AT_MOST: usize = 64 << 10;

/// How large all of them may be: as much as an operator's list of them, and an agent that repeats them all, can hold.
pub(crate) const CHECKS_AT_MOST: usize = 32 << 20;

/// The whole, or its parts in order.
pub(crate) fn parts(update: v1::ChecksUpdate) -> Vec<v1::ChecksUpdate> {
    let v1::ChecksUpdate {
        full,
        set,
        removed,
        sum,
        ..
    } = update;
    let mut parts = vec![v1::ChecksUpdate {
        full,
        removed,
        sum,
        ..v1::ChecksUpdate::default()
    }];
    let mut size = 0;
    for (one, part) in set.into_iter().map(|one| (one.encoded_len(), one)) {
        if size > 0 && size + one > PART {
            size = 0;
            parts.push(v1::ChecksUpdate {
                sum,
                part: u32::try_from(parts.len()).unwrap_or(u32::MAX),
                ..v1::ChecksUpdate::default()
            });
        }
        size += one;
        if let Some(last) = parts.last_mut() {
            last.set.push(part);
        }
    }
    let last = parts.len() - 1;
    for part in &mut parts[..last] {
        part.more = true;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(bytes: usize) -> v1::CheckAssignment {
        v1::CheckAssignment {
            spec: Some(v1::ProbeSpec {
                anchors_der: vec![vec![0; bytes]],
                ..v1::ProbeSpec::default()
            }),
            ..v1::CheckAssignment::default()
        }
    }

    #[test]
    fn what_fits_is_one_message_and_the_rest_comes_in_order() {
        let update = |count, bytes| v1::ChecksUpdate {
            full: true,
            removed: vec![vec![1; 16]],
            set: vec![assignment(bytes); count],
            sum: 7,
            ..v1::ChecksUpdate::default()
        };
        assert_eq!(parts(update(1000, 100)), [update(1000, 100)]);
        assert_eq!(parts(update(0, 0)).len(), 1, "that there is nothing is said");
        let all = parts(update(128, CHECK_AT_MOST));
        assert!(all.iter().all(|part| part.encoded_len() < 2 << 20));
        assert_eq!(all.iter().map(|part| part.set.len()).sum::<usize>(), 128);
        for (number, part) in (0..).zip(&all) {
            let is_last = number as usize + 1 == all.len();
            assert_eq!((part.part, part.more, part.sum), (number, !is_last, 7));
            assert_eq!((part.full, part.removed.is_empty()), (number == 0, number != 0));
        }
    }
}
