//! Rounds of experiments as the document tells them, and the last good run beside them.

use parallax_model::experiment::ExperimentOutcome;
use parallax_model::path::{ControlFacts, NetworkFacts};
use parallax_model::run::{ChangeKind, RunRef};

use super::*;

/// One vantage point is well, one fails; the orders of the first round of experiments.
fn followed_up() -> (Bench, Vec<Order>) {
    let inquiry = Inquiry {
        follow_up: true,
        ..inquiry()
    };
    let mut bench = ask(inquiry, vec![participant("ams-1"), participant("fra-1")], vec![]);
    bench.report("fra-1", well("fra-1"));
    bench.report("ams-1", done("ams-1", vec![attempt(dropped())]));
    let orders = bench.orders().split_off(2);
    assert!(!orders.is_empty());
    (bench, orders)
}

/// What an agent reports that made each experiment of its order, all with one outcome.
fn made(order: &Order, outcome: Outcome) -> Observation {
    let attempts = order.experiments.iter().map(|experiment| Attempt {
        experiment: Some(experiment.kind),
        address: experiment.address,
        endpoint: experiment.endpoint,
        ..attempt(outcome.clone())
    });
    match done(order.agent.as_str(), attempts.collect()) {
        Report::Done(observation) => *observation,
        _ => unreachable!("it is done"),
    }
}

fn report(bench: &mut Bench, order: &Order, report: Report) {
    let effects = bench
        .runs
        .report(&order.agent, order.id, report, bench.start)
        .unwrap();
    bench.effects.extend(effects);
}

fn until_the_end(bench: &mut Bench) {
    while bench.runs.next_deadline().is_some() {
        bench.start += Duration::from_secs(10);
        bench.tick(Duration::ZERO);
    }
}

#[test]
fn every_experiment_is_told_with_its_round_and_its_reason() {
    let (mut bench, orders) = followed_up();
    let ordered: usize = orders.iter().map(|order| order.experiments.len()).sum();
    for order in &orders {
        // The host answers: what fails is the way to one port.
        let refused = Outcome::Failed(Fault::new(FaultKind::Tcp(TcpFault::ConnectionRefused), "refused"));
        report(&mut bench, order, Report::Done(Box::new(made(order, refused))));
    }
    until_the_end(&mut bench);
    let records = &bench.answer().experiments;
    let first: Vec<_> = records.iter().filter(|record| record.round == 1).collect();
    assert_eq!(first.len(), ordered);
    assert!(
        first
            .iter()
            .all(|record| record.outcome == ExperimentOutcome::Done)
    );
    let ill = first
        .iter()
        .find(|record| record.experiment.agent == name("ams-1"))
        .unwrap();
    assert!(!ill.because.is_empty());
}

#[test]
fn an_experiment_that_was_refused_or_not_answered_is_told_as_such_and_changes_nothing() {
    let (mut bench, orders) = followed_up();
    until_the_end(&mut bench);
    let records = &bench.answer().experiments;
    assert!(
        records
            .iter()
            .all(|record| record.outcome == ExperimentOutcome::Missing)
    );
    assert!(
        records.iter().all(|record| record.changed.is_none()),
        "{records:?}"
    );
    assert!(records.len() >= orders[0].experiments.len());

    let (mut bench, orders) = followed_up();
    let nothing = Observation {
        attempts: Vec::new(),
        ..made(&orders[0], Outcome::Ok)
    };
    report(&mut bench, &orders[0], Report::Done(Box::new(nothing)));
    for order in &orders[1..] {
        let refused = Report::Refused {
            reason: Reason::Policy,
            note: "no experiments".into(),
            rule: None,
        };
        report(&mut bench, order, refused);
    }
    until_the_end(&mut bench);
    let records = &bench.answer().experiments;
    let first = records.iter().filter(|record| record.round == 1);
    assert!(first.clone().count() > 0);
    assert!(
        first
            .clone()
            .all(|record| record.outcome == ExperimentOutcome::Refused)
    );
}

#[test]
fn what_an_experiment_shows_of_the_network_is_added_too() {
    let (mut bench, orders) = followed_up();
    let order = orders.iter().find(|order| order.agent == name("ams-1")).unwrap();
    let control = ControlFacts {
        target: "mon.example.org:7143".into(),
        rtt: Some(Duration::from_millis(1)),
        fault: None,
    };
    let seen = Observation {
        network: NetworkFacts {
            control: Some(control.clone()),
            ..NetworkFacts::default()
        },
        ..made(order, dropped())
    };
    report(&mut bench, order, Report::Done(Box::new(seen)));
    until_the_end(&mut bench);
    assert_eq!(bench.vantage("ams-1").network.control, Some(control));
}

fn good(agent: &str) -> LastGood {
    let Report::Done(seen) = well(agent) else {
        unreachable!("it is done")
    };
    LastGood {
        runs: vec![(run_of(7), vec![*seen])],
    }
}

fn run_of(id: u128) -> RunRef {
    RunRef {
        run_id: Uuid::from_u128(id),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn a_run_is_compared_with_the_last_good_one_of_those_who_were_asked() {
    let mut before = good("nyc-1");
    let (_, others) = good("fra-1").runs.remove(0);
    before.runs.push((run_of(3), others));
    let run = answered_beside(before).answer().clone();
    assert_eq!(run.compared_with, Some(run_of(3)));
    assert_eq!(run.changes.len(), 1);
}

fn answered_beside(before: LastGood) -> Bench {
    let inquiry = Inquiry {
        before: Some(before),
        ..inquiry()
    };
    let mut bench = ask(inquiry, vec![participant("fra-1")], vec![]);
    bench.report("fra-1", done("fra-1", vec![attempt(dropped())]));
    bench
}

#[test]
fn a_run_says_what_is_otherwise_than_when_the_target_last_worked() {
    let bench = answered_beside(good("fra-1"));
    let run = bench.answer();
    assert_eq!(run.compared_with.unwrap().run_id, Uuid::from_u128(7));
    let [change] = run.changes.as_slice() else {
        panic!("{:?}", run.changes)
    };
    assert_eq!(
        (change.what, change.before.as_str()),
        (ChangeKind::Outcome, "993/tls ok")
    );
}

#[test]
fn a_good_run_of_other_vantage_points_only_is_compared_with_nothing() {
    let bench = answered_beside(good("nyc-1"));
    assert_eq!(bench.answer().compared_with, None);
    assert!(bench.answer().changes.is_empty());
}

/// The way to the target, as far as it answers.
fn network(hops: &[&str]) -> NetworkFacts {
    let hop = |(ttl, address): (usize, &&str)| {
        let reply = if *address == "*" { "none" } else { "time_exceeded" };
        let addresses: Vec<&str> = Some(*address).filter(|&one| one != "*").into_iter().collect();
        serde_json::json!({ "ttl": ttl + 1, "addresses": addresses, "reply": reply })
    };
    let path = serde_json::json!({
        "address": "203.0.113.5", "port": 993, "protocol": "tcp", "payload": "syn", "reached": false, "ended": "silent",
        "start_ms": 0.0, "duration_ms": 1.0, "hops": hops.iter().enumerate().map(hop).collect::<Vec<_>>(),
    });
    NetworkFacts {
        paths: vec![serde_json::from_value(path).unwrap()],
        ..NetworkFacts::default()
    }
}

#[test]
fn the_diagnosis_knows_the_last_good_run() {
    let mut before = good("fra-1");
    before.runs[0].1[0].network = network(&["10.1.0.1", "10.0.1.1", "10.0.9.2"]);
    let inquiry = Inquiry {
        before: Some(before),
        ..inquiry()
    };
    let mut bench = ask(inquiry, vec![participant("fra-1")], vec![]);
    let Report::Done(seen) = done("fra-1", vec![attempt(dropped())]) else {
        unreachable!("it is done")
    };
    let seen = Observation {
        network: network(&["10.1.0.1", "10.0.1.1", "*"]),
        ..*seen
    };
    bench.report("fra-1", Report::Done(Box::new(seen)));
    let location = &bench.answer().findings[0].location;
    assert_eq!(location.before, Some("10.0.9.2".parse().unwrap()));
}
