mod expecting;

use parallax_model::check::CheckResult;
use parallax_model::fault::{Fault, FaultKind, TcpFault};
use parallax_model::finding::Verdict;
use parallax_model::observation::{Attempt, Purpose, Reason, VantageOutcome};
use parallax_model::round::{Counts, RoundSummary};
use parallax_model::run::RunTarget;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Security};

use super::*;
use crate::measure::sample::{self, definition};

const CHECK: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

fn name(agent: &str) -> AgentName {
    agent.parse().unwrap()
}

fn record(together: bool) -> Arc<CheckRecord> {
    let mut definition = definition("imap-fra");
    definition.together = together;
    sample::record(CHECK, definition)
}

/// These have had the check all along.
fn expected(agents: &[&str]) -> Expected {
    let agents = agents.iter().map(|agent| name(agent));
    Expected::from([(CHECK, agents.collect())])
}

/// Rounds of one check, and a clock that only the test moves.
struct World {
    rounds: Rounds,
    record: Arc<CheckRecord>,
    began: Instant,
    wall: Timestamp,
    elapsed: Duration,
}

impl World {
    /// A second before a round begins; its agents are connected.
    fn new(together: bool, agents: &[&str]) -> Self {
        let record = record(together);
        let round = record.cadence().at("2026-12-01T12:00:00Z".parse().unwrap());
        let next = record.cadence().ends_at(round.number);
        let mut world = Self {
            rounds: Rounds::default(),
            record,
            began: Instant::now(),
            wall: next - SignedDuration::from_secs(1),
            elapsed: Duration::ZERO,
        };
        let expected = expected(agents);
        let now = world.now();
        let effects = world.rounds.checks([&world.record], expected, now);
        assert!(effects.is_empty());
        world
    }

    fn now(&self) -> Now {
        Now {
            instant: self.began + self.elapsed,
            wall: self.wall + self.elapsed,
        }
    }

    fn pass(&mut self, seconds: u64) -> Vec<RoundEffect> {
        self.elapsed += Duration::from_secs(seconds);
        self.rounds.tick(self.now())
    }

    /// The round that runs, or one before or after it.
    fn round(&self, later: i64) -> parallax_model::round::Round {
        let cadence = self.record.cadence();
        cadence.round(cadence.at(self.now().wall).number + later)
    }

    fn result(&mut self, agent: &str, later: i64, outcome: VantageOutcome) -> Vec<RoundEffect> {
        self.hears(later, seen(agent, outcome))
    }

    fn says(&mut self, observation: Observation) -> Vec<RoundEffect> {
        self.hears(0, observation)
    }

    fn hears(&mut self, later: i64, observation: Observation) -> Vec<RoundEffect> {
        let round = self.round(later);
        let fresh = Fresh {
            agent: observation.agent.clone(),
            received_at: self.now().wall,
            result: CheckResult {
                id: Uuid::now_v7(),
                check: CHECK,
                run_id: round.run_id,
                digest: 7,
                round_at: round.starts_at,
                started_at: round.starts_at,
                observation,
            },
        };
        self.rounds.result(fresh, self.now())
    }

    fn answer(&mut self, question: &ToDiagnose) -> Vec<RoundEffect> {
        self.rounds.concluded(Box::new(answer(question)), self.now())
    }
}

fn seen(agent: &str, outcome: VantageOutcome) -> Observation {
    if outcome == VantageOutcome::Refused {
        return Observation::unseen(name(agent), Labels::new(), outcome, Reason::Policy, "");
    }
    let connect = match outcome {
        VantageOutcome::Failed => {
            Outcome::Failed(Fault::new(FaultKind::Tcp(TcpFault::TimedOut), "no answer"))
        }
        _ => Outcome::Ok,
    };
    let stage = Stage::new(
        StageName::Connect,
        connect,
        Duration::ZERO,
        Duration::from_millis(20),
    );
    Observation {
        outcome,
        attempts: vec![Attempt {
            address: "192.0.2.1".parse().unwrap(),
            endpoint: Endpoint {
                port: 993,
                security: Security::Tls,
            },
            purpose: Purpose::Requested,
            experiment: None,
            stages: vec![stage],
            transcript: Vec::new(),
            by: None,
        }],
        reason: None,
        note: None,
        ..Observation::unseen(name(agent), Labels::new(), outcome, Reason::Offline, "")
    }
}

fn answer(question: &ToDiagnose) -> RunDocument {
    RunDocument {
        schema: String::new(),
        run_id: question.run_id,
        trace_id: None,
        target: RunTarget::from(&question.check.definition.spec.target),
        depth: question.check.definition.spec.depth,
        started_at: question.starts_at,
        duration: Duration::ZERO,
        vantages: question.seen.clone(),
        verdict: Verdict::Partial,
        summary: "diagnosed".into(),
        findings: Vec::new(),
        clients: Vec::new(),
        experiments: Vec::new(),
        compared_with: None,
        changes: Vec::new(),
        captures: Vec::new(),
        check: None,
    }
}

fn closed(effects: Vec<RoundEffect>) -> Vec<ClosedRound> {
    effects
        .into_iter()
        .map(|effect| match effect {
            RoundEffect::Close(closed) => *closed,
            RoundEffect::Diagnose(question) => panic!("a question: {question:?}"),
            RoundEffect::SetBack(to) => panic!("set back to {to}"),
        })
        .collect()
}

fn question(effects: Vec<RoundEffect>) -> ToDiagnose {
    let [RoundEffect::Diagnose(question)] = <[_; 1]>::try_from(effects).unwrap() else {
        panic!("no question")
    };
    *question
}

fn missing(closed: &ClosedRound) -> Vec<&str> {
    let parts = closed.outcome.vantages.iter();
    parts
        .filter(|part| part.outcome == VantageOutcome::Missing)
        .map(|part| part.agent.as_str())
        .collect()
}

use VantageOutcome::{Failed, Ok as Well, Refused};

#[test]
fn a_round_closes_when_all_reported() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    assert!(world.pass(2).is_empty());
    assert!(world.result("fra-1", 0, Well).is_empty());
    let closed = closed(world.result("nyc-1", 0, Well));
    let outcome = &closed[0].outcome;
    assert_eq!(outcome.run_id, world.round(0).run_id);
    assert_eq!((outcome.verdict, outcome.late), (Verdict::Healthy, false));
    assert_eq!(outcome.vantages.len(), 2);
}

#[test]
fn who_is_away_is_missing_and_not_waited_for() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    let now = world.now();
    world.rounds.agent(&name("nyc-1"), false, now);
    world.pass(2);
    assert!(
        world.result("fra-1", 0, Well).is_empty(),
        "its link may come back"
    );
    let question = question(world.pass(9));
    let closed = closed(world.answer(&question));
    assert_eq!(missing(&closed[0]), ["nyc-1"]);
}

#[test]
fn who_is_there_and_says_nothing_is_missing_at_the_end() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    world.result("fra-1", 0, Well);
    assert!(world.pass(20).is_empty());
    let question = question(world.pass(5));
    assert_eq!(missing(&closed(world.answer(&question))[0]), ["nyc-1"]);
}

#[test]
fn a_silent_round_is_a_round_too() {
    let mut world = World::new(true, &["fra-1"]);
    world.pass(2);
    let question = question(world.pass(26));
    assert!(question.seen.iter().all(|seen| !seen.answered()));
}

#[test]
fn rounds_of_a_check_close_in_order() {
    let mut world = World::new(false, &["fra-1", "nyc-1"]);
    world.pass(2);
    world.result("fra-1", 0, Well);
    world.pass(60);
    world.result("fra-1", 0, Well);
    assert!(
        world.result("nyc-1", 0, Well).is_empty(),
        "the one before is waited for"
    );
    let first = question(world.pass(24));
    assert_eq!(first.run_id, world.round(-1).run_id);
    let closed = closed(world.answer(&first));
    let runs: Vec<_> = closed.iter().map(|closed| closed.outcome.run_id).collect();
    assert_eq!(runs, [world.round(-1).run_id, world.round(0).run_id]);
}

#[test]
fn a_backlog_is_stored_and_wakes_nobody() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    for before in 1..4 {
        assert!(world.result("fra-1", -before, Failed).is_empty());
    }
    world.result("fra-1", 0, Well);
    assert_eq!(
        closed(world.result("nyc-1", 0, Well)).len(),
        1,
        "it delays no round"
    );
    let effects = world.pass(11);
    assert_eq!(effects.len(), 3);
    for effect in effects {
        let RoundEffect::Diagnose(question) = effect else {
            panic!("plain")
        };
        assert!(question.late && !question.follow_up);
        let closed = closed(world.answer(&question));
        assert!(closed[0].outcome.late && !closed[0].outcome.new_trouble);
        assert!(closed[0].run.is_none());
    }
}

#[test]
fn experiments_are_for_new_trouble_only() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    let mut looked_into = Vec::new();
    for _ in 0..12 {
        world.result("fra-1", 0, Failed);
        let question = question(world.result("nyc-1", 0, Well));
        looked_into.push(question.follow_up);
        closed(world.answer(&question));
        world.pass(60);
    }
    let expected: Vec<bool> = (0..12).map(|round| round % 10 == 0).collect();
    assert_eq!(looked_into, expected);
    world.result("fra-1", 0, Failed);
    assert!(
        question(world.result("nyc-1", 0, Failed)).follow_up,
        "somebody else too"
    );
}

/// What an agent says that is still at the round before.
fn left_out(agent: &str) -> Observation {
    let (refused, overload) = (VantageOutcome::Refused, Reason::Overload);
    Observation::unseen(
        name(agent),
        Labels::new(),
        refused,
        overload,
        "the round before still ran",
    )
}

#[test]
fn who_is_still_at_the_round_before_makes_no_round_worse() {
    let mut world = World::new(true, &["ams-1", "fra-1"]);
    world.pass(2);
    assert!(world.says(left_out("ams-1")).is_empty());
    let round = &closed(world.result("fra-1", 0, Well))[0];
    assert_eq!(round.outcome.verdict, Verdict::Healthy);
    let said = "works from 1 of 2 vantage points; 1 left the round out";
    assert!(round.outcome.summary.ends_with(said), "{}", round.outcome.summary);
    assert_eq!(round.observations.len(), 1);
    assert_eq!(round.outcome.vantages.len(), 2, "it is counted");
}

#[test]
fn what_fails_for_long_is_no_news_after_a_round_that_was_left_out() {
    let mut world = World::new(true, &["ams-1", "fra-1"]);
    world.pass(2);
    let both_fail = |world: &mut World| {
        assert!(world.result("ams-1", 0, Failed).is_empty());
        question(world.result("fra-1", 0, Failed))
    };
    let first = both_fail(&mut world);
    assert!(first.follow_up);
    assert!(closed(world.answer(&first))[0].outcome.new_trouble);
    world.pass(60);
    // One is still at it: the other is the answer, and it is no news.
    assert!(world.says(left_out("ams-1")).is_empty());
    let second = question(world.result("fra-1", 0, Failed));
    assert_eq!(second.seen.len(), 1);
    assert!(!second.follow_up);
    closed(world.answer(&second));
    world.pass(60);
    // Both are: nobody can say how it is, and nothing is forgotten.
    assert!(world.says(left_out("ams-1")).is_empty());
    let third = question(world.says(left_out("fra-1")));
    assert_eq!((third.seen.len(), third.follow_up), (2, false));
    let nothing = &closed(world.answer(&third))[0];
    assert!(nothing.run.is_none() && !nothing.outcome.new_trouble);
    world.pass(60);
    let fourth = both_fail(&mut world);
    assert!(!fourth.follow_up);
    closed(world.answer(&fourth));
    world.pass(60);
    // One works again; of the other, which failed, nothing is known.
    assert!(world.says(left_out("ams-1")).is_empty());
    let fifth = &closed(world.result("fra-1", 0, Well))[0];
    assert!(fifth.run.is_none(), "it is not over");
    world.pass(60);
    assert!(world.result("fra-1", 0, Well).is_empty());
    let sixth = question(world.result("ams-1", 0, Failed));
    assert!(!sixth.follow_up);
    closed(world.answer(&sixth));
    world.pass(60);
    assert!(world.result("fra-1", 0, Well).is_empty());
    let over = &closed(world.result("ams-1", 0, Well))[0];
    assert!(over.run.is_some(), "now it is");
}

#[test]
fn of_trouble_that_lasts_not_every_round_is_kept_whole() {
    let mut world = World::new(true, &["fra-1"]);
    world.pass(2);
    let mut kept = 0;
    for _ in 0..40 {
        let question = question(world.result("fra-1", 0, Failed));
        let closed = closed(world.answer(&question));
        kept += usize::from(closed[0].run.is_some());
        world.pass(60);
    }
    assert_eq!(kept, 13, "ten, then each tenth");
    let healthy = closed(world.result("fra-1", 0, Well));
    assert!(
        healthy[0].is_first && healthy[0].run.is_some(),
        "what it is like without"
    );
}

#[test]
fn what_every_agent_refuses_is_a_run_when_it_is_news_and_not_again() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    let mut round = |outcomes: [VantageOutcome; 2]| {
        let [fra, nyc] = outcomes;
        world.result("fra-1", 0, fra);
        let asked = question(world.result("nyc-1", 0, nyc));
        let kept = closed(world.answer(&asked)).remove(0).run.is_some();
        world.pass(60);
        (kept, asked.follow_up)
    };
    assert_eq!(round([Refused; 2]), (true, false), "nobody is asked for more");
    for _ in 0..25 {
        assert_eq!(round([Refused; 2]), (false, false));
    }
    assert_eq!(round([Refused, Failed]), (true, true));
    assert_eq!(round([Refused; 2]), (true, false), "it is otherwise again");
    assert_eq!(round([Refused; 2]), (false, false));
}

#[test]
fn a_removed_agent_is_not_expected_at_once() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    world.result("fra-1", 0, Well);
    let now = world.now();
    let closed = closed(world.rounds.removed(&name("nyc-1"), now));
    assert_eq!(closed[0].outcome.vantages.len(), 1);
}

#[test]
fn a_clock_that_jumps_ahead_begins_nothing_that_is_over() {
    let mut world = World::new(true, &["fra-1"]);
    world.wall += SignedDuration::from_hours(2);
    let effects = world.pass(0);
    assert!(effects.len() <= 2, "{}", effects.len());
    world.wall -= SignedDuration::from_hours(4);
    world.pass(0);
    world.pass(60);
    assert!(world.rounds.next_deadline(world.now()).is_some());
}

/// What a round comes to that fails at its only agent: judged in its time.
fn fails_in_time(world: &mut World) {
    let question = question(world.result("fra-1", 0, Failed));
    assert_eq!(question.run_id, world.round(0).run_id);
    assert!(!question.late);
    let closed = closed(world.answer(&question));
    assert!(!closed[0].outcome.late);
}

#[test]
fn a_clock_that_is_set_back_by_hours_leaves_no_round_unjudged() {
    let mut world = World::new(true, &["fra-1"]);
    world.pass(2);
    for _ in 0..3 {
        closed(world.result("fra-1", 0, Well));
        world.pass(60);
    }
    // The round that is under way goes on by the clock that nobody sets.
    let under_way = world.round(0);
    world.wall -= SignedDuration::from_hours(3);
    assert!(
        world.rounds.next_deadline(world.now()).unwrap() <= world.now().instant + Duration::from_secs(60)
    );
    assert!(matches!(world.pass(1)[..], [RoundEffect::SetBack(_)]), "once");
    let missing = question(world.pass(26));
    assert_eq!((missing.run_id, missing.late), (under_way.run_id, false));
    closed(world.answer(&missing));
    assert!(world.pass(33).is_empty());
    for _ in 0..4 {
        fails_in_time(&mut world);
        assert!(world.pass(60).is_empty(), "it is said once");
    }
    // Who says nothing is missed, too.
    let silent = question(world.pass(26));
    assert!(silent.seen.iter().all(|seen| !seen.answered()) && !silent.late);
    closed(world.answer(&silent));
    world.wall += SignedDuration::from_hours(3);
    world.pass(60);
    world.pass(60);
    world.pass(30);
    let rounds = world.rounds.checks[&CHECK].live.len();
    assert!(rounds <= 1, "{rounds}");
}

#[test]
fn a_clock_that_is_set_back_by_a_minute_is_waited_for() {
    let mut world = World::new(true, &["fra-1"]);
    world.pass(2);
    closed(world.result("fra-1", 0, Well));
    let before = world.round(0);
    world.wall -= SignedDuration::from_secs(60);
    assert!(world.pass(0).is_empty());
    assert!(world.pass(60).is_empty(), "no agent repeats it");
    assert_eq!(world.round(0), before);
    world.pass(60);
    fails_in_time(&mut world);
}

#[test]
fn a_clock_that_was_set_back_before_the_start_is_no_other() {
    let mut world = World::new(true, &["fra-1"]);
    let ahead = world
        .record
        .cadence()
        .at(world.now().wall + SignedDuration::from_hours(3));
    let last = parallax_model::round::RoundSummary {
        run_id: ahead.run_id,
        started_at: ahead.starts_at,
        verdict: Verdict::Healthy,
        summary: String::new(),
        counts: parallax_model::round::Counts::default(),
        late: false,
        kept: false,
    };
    let restored = Restored {
        last: Some(last),
        good: None,
        newest: None,
    };
    world.rounds = Rounds::restored(
        [Arc::clone(&world.record)],
        [(CHECK, restored)].into(),
        world.now(),
    );
    let expected = expected(&["fra-1"]);
    let now = world.now();
    let effects = world.rounds.checks([&world.record], expected, now);
    assert!(matches!(effects[..], [RoundEffect::SetBack(_)]), "{effects:?}");
    world.pass(2);
    fails_in_time(&mut world);
}

#[test]
fn a_result_that_comes_again_after_its_round_is_late() {
    let mut world = World::new(true, &["fra-1"]);
    world.pass(2);
    assert_eq!(closed(world.result("fra-1", 0, Well)).len(), 1);
    assert!(world.result("nyc-1", 0, Failed).is_empty());
    let question = question(world.pass(11));
    assert!(question.late);
}

#[test]
fn what_is_open_weighs_no_more_than_it_may() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    let mut late = 0;
    for before in 1..600 {
        late += world.result("fra-1", -before, Well).len();
    }
    assert!(late >= 599 - BACKLOG_OPEN_AT_MOST);
    let weight: usize = world.rounds.checks[&CHECK]
        .backlog
        .values()
        .map(|round| round.weight)
        .sum();
    assert_eq!(world.rounds.weight, weight);
}

#[test]
fn what_was_wrong_before_a_restart_is_no_news_after_it() {
    let mut world = World::new(true, &["fra-1", "nyc-1"]);
    world.pass(2);
    world.result("fra-1", 0, Failed);
    let asked = question(world.result("nyc-1", 0, Well));
    let run = closed(world.answer(&asked)).remove(0).run.unwrap();
    let last = RoundSummary {
        run_id: run.run_id,
        started_at: run.started_at,
        verdict: run.verdict,
        summary: run.summary.clone(),
        counts: Counts::default(),
        late: false,
        kept: true,
    };
    let after = |newest: Option<&RunDocument>, fra, nyc| {
        let restored = Restored {
            last: Some(last.clone()),
            good: None,
            newest: newest.cloned(),
        };
        let mut world = World::new(true, &["fra-1", "nyc-1"]);
        let (record, now) = (Arc::clone(&world.record), world.now());
        world.rounds = Rounds::restored([record], [(CHECK, restored)].into(), now);
        let expected = expected(&["fra-1", "nyc-1"]);
        world.rounds.checks([&world.record], expected, now);
        world.pass(62);
        world.result("fra-1", 0, fra);
        let asked = question(world.result("nyc-1", 0, nyc));
        let news = closed(world.answer(&asked)).remove(0).outcome.new_trouble;
        assert_eq!(asked.follow_up, news, "what is no news is not looked into again");
        news
    };
    assert!(!after(Some(&run), Failed, Well), "the same as before");
    assert!(after(Some(&run), Failed, Failed), "at one more");
    assert!(after(Some(&run), Well, Failed), "at another");
    assert!(after(None, Failed, Well), "nothing of it is kept");
    let healthy = RunDocument {
        verdict: Verdict::Healthy,
        ..*run.clone()
    };
    assert!(after(Some(&healthy), Failed, Well), "it was well in between");
}
