//! made = stored + waiting + dropped, whatever happens in whatever order.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use parallax_model::check::Chain;
use proptest::prelude::*;
use uuid::Uuid;

use crate::spool::SpoolLimits;
use crate::spool::disk::Disk;
use crate::spool::tests::scratch;

const LIMITS: SpoolLimits = SpoolLimits {
    max_bytes: 256 << 10,
    max_age: Duration::from_secs(3600),
};

#[derive(Debug, Clone)]
enum Step {
    /// So many results of a size are made.
    Make(bool, u8, u16),
    /// A batch is sent and stored; whether its acknowledgement comes.
    Send { failures: bool, answered: bool },
    /// A batch is sent and lost with the link.
    Lose(bool),
    /// The link is lost and comes back.
    Reconnect,
    /// The agent is killed, its results written and not synced.
    Kill(u8),
    /// The collector has nothing of it, the agent stays.
    Tidy,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), 1..40_u8, 8..6000_u16).prop_map(|(failures, count, size)| Step::Make(failures, count, size)),
        4 => (any::<bool>(), prop::bool::weighted(0.7)).prop_map(|(failures, answered)| Step::Send { failures, answered }),
        1 => any::<bool>().prop_map(Step::Lose),
        2 => Just(Step::Reconnect),
        2 => (0..5_u8).prop_map(Step::Kill),
        1 => Just(Step::Tidy),
    ];
    prop::collection::vec(step, 1..80)
}

/// A collector that keeps one mark for each chain of an epoch, and every result once.
#[derive(Default)]
struct Collector {
    marks: BTreeMap<(Uuid, bool), u64>,
    stored: BTreeMap<(Uuid, bool), Vec<u64>>,
}

impl Collector {
    fn store(&mut self, epoch: Uuid, failures: bool, batch: &[(u64, Vec<u8>)]) -> u64 {
        let mark = self.marks.entry((epoch, failures)).or_default();
        let stored = self.stored.entry((epoch, failures)).or_default();
        for (sequence, payload) in batch {
            if *sequence > *mark {
                *mark = *sequence;
                stored.push(u64::from_le_bytes(payload[..8].try_into().unwrap()));
            }
        }
        *mark
    }

    fn marks(&self, epoch: Uuid) -> [u64; 2] {
        [true, false].map(|failures| self.marks.get(&(epoch, failures)).copied().unwrap_or_default())
    }
}

struct Bench<'a> {
    dir: &'a Path,
    disk: Disk,
    collector: Collector,
    positions: [u64; 2],
    made: u64,
    hoped_for: Vec<u64>,
}

fn chain(failures: bool) -> Chain {
    if failures {
        Chain::Failures
    } else {
        Chain::Successes
    }
}

impl Bench<'_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Make(failures, count, size) => {
                for _ in 0..*count {
                    self.make(*failures, usize::from(*size));
                }
                self.disk.sync();
            }
            Step::Send { failures, answered } => {
                let batch = self.read(*failures);
                let epoch = self.disk.epoch();
                let mark = self.collector.store(epoch, *failures, &batch);
                if *answered {
                    self.disk.kept(epoch, chain(*failures), mark);
                }
            }
            Step::Lose(failures) => {
                self.read(*failures);
                self.reconnect();
            }
            Step::Reconnect => self.reconnect(),
            Step::Kill(unsynced) => {
                for _ in 0..*unsynced {
                    self.make(true, 100);
                }
                self.restart();
                self.reconnect();
            }
            Step::Tidy => self.disk.flush(),
        }
    }

    fn make(&mut self, failures: bool, size: usize) {
        self.made += 1;
        let mut payload = vec![0; size];
        payload[..8].copy_from_slice(&self.made.to_le_bytes());
        self.disk.append(chain(failures), &payload, 0);
        self.hoped_for.push(self.made);
    }

    fn read(&mut self, failures: bool) -> Vec<(u64, Vec<u8>)> {
        let position = &mut self.positions[usize::from(!failures)];
        let batch = self.disk.read_after(chain(failures), *position, 20_000);
        *position = batch.last().map_or(*position, |(last, _)| *last);
        batch
    }

    fn restart(&mut self) {
        let elsewhere = scratch();
        drop(std::mem::replace(
            &mut self.disk,
            Disk::open(elsewhere.path(), LIMITS).unwrap(),
        ));
        self.disk = Disk::open(self.dir, LIMITS).unwrap();
    }

    fn reconnect(&mut self) {
        let epoch = self.disk.epoch();
        let is_new = self.disk.resume(epoch, self.collector.marks(epoch));
        assert!(!is_new, "the collector has nothing that was not sent");
        self.positions = self.disk.through();
        self.balance();
    }

    /// Nothing is on its way: every result is in one place.
    fn balance(&self) {
        let stored: usize = self.collector.stored.values().map(Vec::len).sum();
        let state = self.disk.state();
        assert_eq!(state.made, self.made);
        assert_eq!(
            state.made,
            stored as u64 + state.waiting + state.dropped,
            "{state:?}, stored {stored}"
        );
        assert!(state.bytes <= LIMITS.max_bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn made_is_stored_plus_waiting_plus_dropped(steps in steps()) {
        let dir = scratch();
        let mut bench = Bench {
            dir: dir.path(),
            disk: Disk::open(dir.path(), LIMITS).unwrap(),
            collector: Collector::default(),
            positions: [0; 2],
            made: 0,
            hoped_for: Vec::new(),
        };
        for step in &steps {
            bench.step(step);
        }
        bench.reconnect();
        for failures in [true, false] {
            while let batch = bench.read(failures) && !batch.is_empty() {
                let epoch = bench.disk.epoch();
                let mark = bench.collector.store(epoch, failures, &batch);
                bench.disk.kept(epoch, chain(failures), mark);
            }
        }
        bench.balance();
        prop_assert_eq!(bench.disk.state().waiting, 0);
        let mut stored: Vec<u64> = bench.collector.stored.values().flatten().copied().collect();
        let count = stored.len();
        stored.sort_unstable();
        stored.dedup();
        prop_assert_eq!(stored.len(), count, "nothing is stored twice");
        prop_assert!(stored.iter().all(|number| bench.hoped_for.contains(number)));
    }
}
