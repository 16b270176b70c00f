use parallax_model::credential::SealedSecret;
use parallax_model::experiment::ExperimentKind;
use parallax_model::signal::{Signal, SignalKind};

use super::*;

fn sealed() -> SealedSecret {
    SealedSecret {
        encapsulated_key: vec![1],
        ciphertext: vec![2],
    }
}

fn writing() -> Inquiry {
    let mut spec = ProbeSpec {
        depth: Depth::Sync,
        login: Some(LoginSpec {
            user: "probe".into(),
            mechanism: None,
        }),
        ..spec()
    };
    spec.options.sync_with = Some(name("nyc-1"));
    Inquiry {
        spec: Arc::new(spec),
        secrets: ["ams-1", "fra-1", "nyc-1"]
            .map(|agent| (name(agent), sealed()))
            .into(),
        ..inquiry()
    }
}

fn watcher(capabilities: Option<&[&str]>) -> Watcher {
    Watcher {
        agent: name("nyc-1"),
        capabilities: capabilities.map(|known| known.iter().map(|&word| word.to_owned()).collect()),
    }
}

const ABLE: &[&str] = &["probe", "credential:sealed2", "experiment:watch"];

fn written_by(writers: &[&str], watcher: Watcher) -> Bench {
    let cast = Cast {
        participants: writers.iter().map(|agent| participant(agent)).collect(),
        absent: Vec::new(),
        watcher: Some(watcher),
    };
    ask_cast(writing(), cast)
}

impl Bench {
    /// The orders to watch, by the agent that writes.
    fn watch_of(&self, writer: &str) -> Order {
        let orders = self.orders();
        let writing = orders
            .iter()
            .find(|order| order.agent.as_str() == writer && order.watches.is_none());
        let id = writing.unwrap().id;
        orders
            .into_iter()
            .find(|order| order.watches == Some(id))
            .unwrap()
    }

    fn of_order(&mut self, agent: &str, order: Uuid, report: Report) {
        let effects = self.runs.report(&name(agent), order, report, self.start).unwrap();
        self.effects.extend(effects);
    }

    /// What was passed on to an order.
    fn words_to(&self, order: Uuid) -> Vec<Word> {
        let passed = |effect: &Effect| match effect {
            Effect::PassOn { order: to, word, .. } if *to == order => Some((**word).clone()),
            _ => None,
        };
        self.effects.iter().filter_map(passed).collect()
    }
}

fn word(kind: SignalKind) -> Word {
    Word {
        signal: Signal {
            kind,
            subject: "box".into(),
            detail: String::new(),
        },
        attempt: "203.0.113.5:993".into(),
        at_us: 7,
        uncertainty_us: 3,
    }
}

fn said(kind: SignalKind) -> Report {
    Report::Said(Box::new(word(kind)))
}

fn watched(agent: &str) -> Report {
    let seen = Attempt {
        experiment: Some(ExperimentKind::Watch),
        ..attempt(dropped())
    };
    done(agent, vec![attempt(Outcome::Ok), seen])
}

#[test]
fn each_writer_has_an_order_to_watch_it_with_the_watchers_own_secret() {
    let bench = written_by(&["ams-1", "fra-1"], watcher(Some(ABLE)));
    assert_eq!(bench.orders().len(), 4);
    for writer in ["ams-1", "fra-1"] {
        let order = bench.watch_of(writer);
        assert_eq!(order.agent, name("nyc-1"));
        assert!(order.secret.is_some());
        assert_eq!(order.start_at, None, "it waits for a word and not for a time");
    }
}

#[test]
fn words_go_between_the_two_orders_and_only_in_their_direction() {
    let mut bench = written_by(&["ams-1", "fra-1"], watcher(Some(ABLE)));
    let (writing, watch) = (bench.order_of("ams-1"), bench.watch_of("ams-1").id);
    bench.of_order("ams-1", writing, said(SignalKind::Mailbox));
    bench.of_order("ams-1", writing, said(SignalKind::Seen));
    bench.of_order("nyc-1", watch, said(SignalKind::Watching));
    bench.of_order("nyc-1", watch, said(SignalKind::Changed));
    assert_eq!(bench.words_to(watch), [word(SignalKind::Mailbox)]);
    assert_eq!(bench.words_to(writing), [word(SignalKind::Watching)]);
    assert!(bench.words_to(bench.order_of("fra-1")).is_empty());
}

#[test]
fn an_agent_that_never_stops_talking_is_not_passed_on_for_ever() {
    let mut bench = written_by(&["ams-1"], watcher(Some(ABLE)));
    let (writing, watch) = (bench.order_of("ams-1"), bench.watch_of("ams-1").id);
    for _ in 0..2_000 {
        bench.of_order("ams-1", writing, said(SignalKind::Changed));
    }
    assert_eq!(bench.words_to(watch).len(), 512);
}

#[test]
fn what_the_watcher_saw_stands_in_the_writers_observation_under_the_watchers_name() {
    for watcher_first in [true, false] {
        let mut bench = written_by(&["ams-1"], watcher(Some(ABLE)));
        let (writing, watch) = (bench.order_of("ams-1"), bench.watch_of("ams-1").id);
        if watcher_first {
            bench.of_order("nyc-1", watch, watched("nyc-1"));
            bench.of_order("ams-1", writing, well("ams-1"));
        } else {
            bench.of_order("ams-1", writing, well("ams-1"));
            bench.of_order("nyc-1", watch, watched("nyc-1"));
        }
        assert_eq!(
            bench.answer().vantages.len(),
            1,
            "to watch is not to be a vantage point"
        );
        let seen = bench.vantage("ams-1");
        assert_eq!(seen.outcome, VantageOutcome::Ok);
        assert_eq!(seen.attempts.len(), 2);
        assert_eq!(seen.attempts[1].by, Some(name("nyc-1")));
        assert_eq!(seen.attempts[1].purpose, Purpose::FollowUp);
        assert_eq!(bench.ends(), [OrderEnd::Done, OrderEnd::Done]);
    }
}

#[test]
fn the_end_of_either_is_told_to_the_other() {
    let mut bench = written_by(&["ams-1", "fra-1"], watcher(Some(ABLE)));
    let (writing, watch) = (bench.order_of("ams-1"), bench.watch_of("ams-1").id);
    bench.of_order("ams-1", writing, well("ams-1"));
    assert_eq!(bench.words_to(watch), [Word::over()]);
    let effects = bench
        .runs
        .agent_lost(&name("nyc-1"), "the link was lost", bench.start);
    bench.effects.extend(effects);
    let told = bench.words_to(bench.order_of("fra-1"));
    assert_eq!(told, [Word::gone("nyc-1: the link was lost")]);
    bench.report("fra-1", well("fra-1"));
    assert_eq!(
        bench.answer().vantages.len(),
        2,
        "the watcher that was lost is no missing vantage point"
    );
}

#[test]
fn a_writer_whose_watcher_is_not_there_is_told_at_once() {
    let refuses = Report::Refused {
        reason: Reason::Policy,
        note: "its policy denies 203.0.113.0/24".into(),
        rule: None,
    };
    for (capabilities, why) in [
        (None, "nyc-1: not connected"),
        (Some(&["probe"][..]), "nyc-1: it does not know how to watch"),
        (Some(ABLE), "nyc-1 refuses: its policy denies 203.0.113.0/24"),
    ] {
        let mut bench = written_by(&["ams-1"], watcher(capabilities));
        if capabilities == Some(ABLE) {
            let watch = bench.watch_of("ams-1").id;
            bench.of_order("nyc-1", watch, refuses.clone());
        }
        let writing = bench.orders()[0].id;
        assert_eq!(bench.words_to(writing), [Word::gone(why)]);
        bench.of_order("ams-1", writing, well("ams-1"));
        assert_eq!(bench.vantage("ams-1").outcome, VantageOutcome::Ok);
    }
}

#[test]
fn one_that_writes_and_is_to_watch_itself_needs_no_second_order() {
    let bench = written_by(&["nyc-1", "ams-1"], watcher(Some(ABLE)));
    let orders = bench.orders();
    assert_eq!(orders.len(), 3);
    let watches: Vec<_> = orders.iter().filter_map(|order| order.watches).collect();
    assert_eq!(watches, [bench.order_of("ams-1")]);
}

#[test]
fn a_watcher_may_log_in_once_its_writer_has() {
    let mut bench = written_by(&["ams-1"], watcher(Some(ABLE)));
    let (writing, watch) = (bench.order_of("ams-1"), bench.watch_of("ams-1").id);
    bench.of_order("ams-1", writing, Report::LoginAsked);
    bench.of_order("nyc-1", watch, Report::LoginAsked);
    let answers = |bench: &Bench| -> Vec<Uuid> {
        let answered = |effect: &Effect| match effect {
            Effect::Answer { order, .. } => Some(*order),
            _ => None,
        };
        bench.effects.iter().filter_map(answered).collect()
    };
    assert_eq!(answers(&bench), [writing]);
    let stage = Stage::new(
        StageName::Authenticate,
        Outcome::Ok,
        Duration::ZERO,
        Duration::ZERO,
    );
    let ended = StageEnded {
        address: None,
        endpoint: None,
        stage,
    };
    bench.of_order("ams-1", writing, Report::Stage(Box::new(ended)));
    assert_eq!(answers(&bench), [writing, watch]);
}

#[test]
fn a_held_session_lengthens_the_run() {
    let mut spec = spec();
    spec.options.hold = Some(Duration::from_secs(600));
    let asked = Inquiry {
        spec: Arc::new(spec.clone()),
        ..inquiry()
    };
    let mut bench = ask(asked, vec![participant("ams-1")], vec![]);
    bench.report("ams-1", Report::Accepted);
    assert_eq!(bench.orders()[0].budget, Duration::from_secs(625));
    assert_eq!(longest(&spec, false), Duration::from_secs(625));
    let due = bench.start + Duration::from_secs(625);
    assert_eq!(bench.runs.next_deadline(), Some(due));
}
