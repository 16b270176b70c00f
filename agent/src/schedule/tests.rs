use jiff::SignedDuration;
use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, ProbeOptions, ProbeSpec};
use parallax_model::target::Target;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn wall() -> Timestamp {
    "2026-12-01T02:00:00.25Z".parse().unwrap()
}

fn anchor() -> Anchor {
    Anchor {
        // Far from the start of the monotonic clock: there are instants before it.
        at: Instant::now() + MINUTE * 60 * 48,
        wall: wall(),
    }
}

fn assignment(check: u128, every: Duration) -> Arc<Assignment> {
    Arc::new(Assignment {
        check: Uuid::from_u128(check),
        digest: 1,
        name: format!("check-{check}").parse().unwrap(),
        version: 1,
        spec: ProbeSpec {
            target: Target::parse("imap.example.org", None).unwrap(),
            depth: Depth::Greeting,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions::default(),
        },
        every,
        together: false,
        secret: None,
        credential: None,
        login_cleared: false,
        login_rejected: None,
        login_retry: None,
    })
}

fn schedule(assignments: &[Arc<Assignment>]) -> (Schedule, Instant) {
    let anchor = anchor();
    let mut schedule = Schedule::new("fra-1".parse().unwrap(), anchor, BTreeMap::new());
    schedule.set(assignments, anchor.at);
    (schedule, anchor.at)
}

/// Lets the time pass; each round that begins is over at once.
fn pass(schedule: &mut Schedule, until: Instant) -> Vec<Due> {
    let mut all = Vec::new();
    while let Some(next) = schedule.next()
        && next <= until
    {
        let due = schedule.due(next);
        assert!(!due.is_empty(), "what is due next is due then");
        for one in &due {
            schedule.done(one.assignment.check);
        }
        all.extend(due);
    }
    all
}

fn numbers(due: &[Due]) -> Vec<i64> {
    due.iter().map(|due| due.round.number).collect()
}

#[test]
fn starts_of_many_checks_are_spread_and_never_pile_up() {
    let checks: Vec<_> = (0..600)
        .map(|_| assignment(Uuid::now_v7().as_u128(), MINUTE))
        .collect();
    let (mut schedule, began) = schedule(&checks);
    let mut a_second = [0; 60];
    for due in pass(&mut schedule, began + MINUTE) {
        let second = due.planned.duration_since(began).as_secs();
        a_second[usize::try_from(second).unwrap()] += 1;
    }
    // Ten on average; a Poisson process has thirty with a chance of 1 in 10^7.
    assert!(a_second.iter().all(|starts| *starts <= 30), "{a_second:?}");
    assert!(
        (590..=610).contains(&a_second.iter().sum::<i32>()),
        "{a_second:?}"
    );
}

#[test]
fn a_round_is_left_out_while_the_one_before_runs_and_is_counted() {
    let (mut schedule, _) = schedule(&[assignment(1, SECOND)]);
    let planned = schedule.next().unwrap();
    let first = schedule.due(planned);
    assert_eq!(first[0].skipped, None);
    let second = schedule.due(planned + SECOND);
    assert_eq!(second[0].skipped, Some(Skip::NotDone));
    schedule.done(first[0].assignment.check);
    let third = schedule.due(planned + SECOND * 2);
    assert_eq!(third[0].skipped, None);
    let first = first[0].round.number;
    assert_eq!(second[0].round.number, first + 1);
    assert_eq!(third[0].round.number, first + 2);
    assert_eq!((schedule.state().started, schedule.state().skipped), (2, 1));
}

#[test]
fn a_simulated_day_of_seconds_has_no_drift() {
    let (mut schedule, began) = schedule(&[assignment(1, SECOND)]);
    let day = pass(&mut schedule, began + MINUTE * 60 * 24);
    assert_eq!(day.len(), 86_400);
    assert!(day.iter().all(|due| due.skipped.is_none()));
    let first = day[0].planned;
    for (second, due) in (0_u32..).zip(&day) {
        assert_eq!(due.planned, first + SECOND * second);
        assert_eq!(due.round.number, day[0].round.number + i64::from(second));
    }
}

#[test]
fn a_clock_set_back_repeats_no_round_and_one_set_forward_counts_what_it_jumped_over() {
    let (mut schedule, began) = schedule(&[assignment(1, SECOND * 10)]);
    let before = numbers(&pass(&mut schedule, began + MINUTE * 5));
    let at = began + MINUTE * 5;
    let set = |by: i64| Anchor {
        at,
        wall: anchor().wall + SignedDuration::from_mins(5 + by),
    };
    schedule.anchored(set(-2));
    assert_eq!(schedule.due(at + MINUTE).len(), 0, "these rounds were already");
    assert!(schedule.next().unwrap() > at + MINUTE + SECOND * 50);
    let after = numbers(&pass(&mut schedule, at + MINUTE * 3));
    assert_eq!(after[0], before.last().unwrap() + 1);
    assert_eq!(schedule.state().skipped, 0);
    schedule.anchored(Anchor {
        at: at + MINUTE * 3,
        wall: set(5).wall,
    });
    let jumped = pass(&mut schedule, at + MINUTE * 4);
    assert!(jumped.iter().all(|due| due.skipped.is_none()));
    let state = schedule.state();
    assert_eq!(state.clock_jumps, 2);
    assert_eq!(
        jumped[0].round.number - after.last().unwrap() - 1,
        i64::try_from(state.skipped).unwrap()
    );
    assert!((22..=25).contains(&state.skipped), "{}", state.skipped);
}

#[test]
fn a_clock_set_back_by_hours_does_not_blind_a_check() {
    let (mut schedule, began) = schedule(&[assignment(1, SECOND * 10)]);
    pass(&mut schedule, began + MINUTE);
    let at = began + MINUTE;
    schedule.anchored(Anchor {
        at,
        wall: anchor().wall - SignedDuration::from_hours(2),
    });
    assert!((5..=7).contains(&pass(&mut schedule, at + MINUTE).len()));
    // The same when the hours were lost between two processes.
    let anchor = Anchor { at, wall: wall() };
    let check = assignment(1, SECOND);
    let last = BTreeMap::from([(check.check, wall() + SignedDuration::from_hours(2))]);
    let mut restarted = Schedule::new("fra-1".parse().unwrap(), anchor, last);
    restarted.set(&[check], at);
    assert!(restarted.next().unwrap() <= at + SECOND);
}

#[test]
fn a_small_correction_of_the_clock_loses_no_round() {
    let (mut schedule, began) = schedule(&[assignment(1, SECOND)]);
    let mut all = numbers(&pass(&mut schedule, began + SECOND * 3));
    schedule.anchored(Anchor {
        at: began + SECOND * 3,
        wall: wall() + SignedDuration::from_millis(3400),
    });
    all.extend(numbers(&pass(&mut schedule, began + SECOND * 6)));
    assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1), "{all:?}");
    assert_eq!(schedule.state().skipped, 0);
}

#[test]
fn an_unchanged_assignment_keeps_its_place() {
    let (kept, gone) = (assignment(1, SECOND * 10), assignment(2, SECOND * 10));
    let (mut schedule, began) = schedule(&[kept.clone(), gone]);
    let other = assignment(3, SECOND * 10);
    let mut twin = self::schedule(std::slice::from_ref(&kept));
    for _ in 0..20 {
        schedule.set(&[kept.clone(), other.clone()], began + SECOND * 9);
    }
    let due = pass(&mut schedule, began + MINUTE);
    let of_kept: Vec<_> = due
        .into_iter()
        .filter(|due| due.assignment.check == kept.check)
        .collect();
    assert_eq!(
        numbers(&of_kept),
        numbers(&pass(&mut twin.0, twin.1 + MINUTE)),
        "as if nothing had been set"
    );
}

#[test]
fn a_check_that_runs_while_it_is_changed_is_not_begun_twice() {
    let (mut schedule, _) = schedule(&[assignment(1, SECOND)]);
    let planned = schedule.next().unwrap();
    let running = schedule.due(planned);
    let (check, last) = (running[0].assignment.check, running[0].round.starts_at);
    schedule.set(&[assignment(1, SECOND * 2)], planned);
    let planned = schedule.next().unwrap();
    let next = schedule.due(planned);
    assert_eq!(next[0].skipped, Some(Skip::NotDone));
    assert!(
        next[0].round.starts_at > last,
        "in the numbers of its new interval"
    );
    schedule.done(check);
    assert_eq!(schedule.due(planned + SECOND * 2)[0].skipped, None);
}

#[test]
fn a_process_that_was_held_up_begins_the_newest_round_only() {
    let (mut schedule, _) = schedule(&[assignment(1, SECOND)]);
    let planned = schedule.next().unwrap();
    schedule.due(planned);
    schedule.done(Uuid::from_u128(1));
    let due = schedule.due(planned + MINUTE + SECOND / 4);
    let (newest, late) = due.split_last().unwrap();
    assert_eq!(newest.skipped, None);
    assert_eq!(newest.round.number, late.last().unwrap().round.number + 1);
    assert!(late.iter().all(|due| due.skipped == Some(Skip::TooLate)));
    assert_eq!(due.len(), usize::try_from(TOLD).unwrap());
    let state = schedule.state();
    assert_eq!((state.started, state.skipped), (2, 59), "each round is counted");
    assert_eq!(state.latest_us, 250_000);
}

#[test]
fn a_restart_within_a_round_does_not_begin_it_again() {
    let check = assignment(1, MINUTE);
    let (mut schedule, _) = schedule(std::slice::from_ref(&check));
    let planned = schedule.next().unwrap();
    let first = schedule.due(planned)[0].round;
    let wall = schedule.anchor().wall_at(planned) + SignedDuration::from_secs(1);
    let anchor = Anchor { at: planned, wall };
    let mut restarted = Schedule::new("fra-1".parse().unwrap(), anchor, schedule.last());
    restarted.set(&[check], planned);
    let next = pass(&mut restarted, planned + MINUTE * 2);
    assert_eq!(numbers(&next), [first.number + 1, first.number + 2]);
}
