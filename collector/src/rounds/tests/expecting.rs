//! Who is missing from a round, and who is only waited for.

use super::*;

impl World {
    /// The check goes to these; of each, how long ago it said that it has it.
    fn goes_to(&mut self, agents: &[(&str, Option<i64>)]) -> Vec<RoundEffect> {
        let now = self.now();
        let since = agents.iter().filter_map(|(agent, ago)| {
            let since = now.wall - SignedDuration::from_secs((*ago)?);
            Some((name(agent), since))
        });
        let expecting = Expecting {
            all: agents.iter().map(|(agent, _)| name(agent)).collect(),
            since: since.collect(),
        };
        let expected = Expected::from([(CHECK, expecting)]);
        let record = Arc::clone(&self.record);
        self.rounds.checks([&record], expected, now)
    }

    /// The check is changed.
    fn changes(&mut self, change: impl FnOnce(&mut CheckRecord)) {
        let mut record = CheckRecord::clone(&self.record);
        change(&mut record);
        self.record = Arc::new(record);
    }
}

#[test]
fn who_came_to_the_check_after_the_start_is_waited_for_and_not_missing() {
    let mut world = World::new(true, &[]);
    world.pass(5);
    world.goes_to(&[("fra-1", Some(3)), ("nyc-1", None)]);
    assert!(
        world.result("fra-1", 0, Well).is_empty(),
        "the other may have come in time"
    );
    world.goes_to(&[("fra-1", Some(3)), ("nyc-1", Some(0))]);
    let first = closed(world.pass(25));
    assert_eq!(first[0].outcome.vantages.len(), 1);
    assert_eq!(first[0].outcome.verdict, Verdict::Healthy);

    world.pass(31);
    world.result("fra-1", 0, Well);
    let second = question(world.pass(25));
    assert_eq!(missing(&closed(world.answer(&second))[0]), ["nyc-1"]);
}

#[test]
fn what_who_came_late_saw_counts() {
    let mut world = World::new(true, &[]);
    world.pass(5);
    world.goes_to(&[("fra-1", Some(1)), ("nyc-1", None)]);
    world.result("fra-1", 0, Well);
    let question = question(world.result("nyc-1", 0, Failed));
    assert_eq!(question.seen.len(), 2);
}

#[test]
fn a_round_that_nobody_had_the_check_for_is_none() {
    let mut world = World::new(true, &[]);
    world.goes_to(&[("fra-1", None)]);
    assert!(world.pass(59).is_empty());
    world.goes_to(&[("fra-1", Some(0))]);
    assert_eq!(
        closed(world.result("fra-1", 0, Well)).len(),
        1,
        "but for who looked"
    );
}

#[test]
fn a_check_that_is_paused_is_missed_by_nobody() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    world.result("fra-1", 0, Well);
    world.changes(|record| record.paused = true);
    let round = closed(world.goes_to(&[]));
    assert_eq!(round[0].outcome.vantages.len(), 1);
    assert!(world.pass(120).is_empty());
}

#[test]
fn rounds_of_the_rhythm_before_are_missed_by_nobody() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    world.result("fra-1", 0, Well);
    world.changes(|record| record.definition.every = Duration::from_secs(3600));
    let round = closed(world.goes_to(&[("fra-1", None), ("nyc-1", None)]));
    assert_eq!(round[0].outcome.vantages.len(), 1);
}
