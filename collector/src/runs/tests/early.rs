//! Experiments while probes still wait for what will not come.

use parallax_model::fault::TlsFault;

use super::*;

fn both() -> Bench {
    let inquiry = Inquiry {
        follow_up: true,
        ..inquiry()
    };
    let mut bench = ask(inquiry, vec![participant("ams-1"), participant("fra-1")], vec![]);
    bench.report("ams-1", Report::Accepted);
    bench.report("fra-1", Report::Accepted);
    bench
}

fn overdue(agent: &str) -> Report {
    match done(agent, vec![attempt(dropped())]) {
        Report::Done(so_far) => Report::Overdue(so_far),
        _ => unreachable!("it is done"),
    }
}

fn of_order(bench: &mut Bench, order: &Order, report: Report) {
    let effects = bench
        .runs
        .report(&order.agent, order.id, report, bench.start)
        .unwrap();
    bench.effects.extend(effects);
}

/// What comes of an order for experiments at an agent that reaches what it asks.
fn made(order: &Order) -> Report {
    let attempts = order.experiments.iter().map(|experiment| Attempt {
        experiment: Some(experiment.kind),
        address: experiment.address,
        endpoint: experiment.endpoint,
        ..attempt(Outcome::Ok)
    });
    done(order.agent.as_str(), attempts.collect())
}

#[test]
fn what_is_overdue_is_asked_about_before_it_has_failed() {
    let mut bench = both();
    let first = bench.orders();
    bench.report("fra-1", well("fra-1"));
    assert_eq!(bench.orders().len(), 2);
    bench.report("ams-1", overdue("ams-1"));
    let experiments = bench.orders().split_off(2);
    assert!(!experiments.is_empty());
    for order in &experiments {
        of_order(&mut bench, order, made(order));
    }
    assert!(bench.answers().is_empty(), "the probe is still open");
    let probe = first.iter().find(|order| order.agent == name("ams-1")).unwrap();
    of_order(&mut bench, probe, done("ams-1", vec![attempt(dropped())]));
    let run = bench.answer();
    assert!(run.experiments.iter().all(|record| record.round <= 2));
    let ams = bench.vantage("ams-1");
    assert_eq!(ams.outcome, VantageOutcome::Failed);
    let asked_for = |attempt: &&Attempt| attempt.experiment.is_none();
    assert_eq!(ams.attempts.iter().filter(asked_for).count(), 1);
    assert!(ams.attempts.len() > 1, "what was asked meanwhile is there too");
}

#[test]
fn nothing_is_asked_while_a_probe_still_gets_on() {
    let mut bench = both();
    bench.report("ams-1", overdue("ams-1"));
    assert_eq!(bench.orders().len(), 2);
    bench.report("fra-1", well("fra-1"));
    assert!(bench.orders().len() > 2);
}

#[test]
fn what_was_overdue_and_came_all_the_same_is_well() {
    let mut bench = both();
    let probe = bench.order_of("ams-1");
    bench.report("fra-1", well("fra-1"));
    bench.report("ams-1", overdue("ams-1"));
    let experiments = bench.orders().split_off(2);
    let effects = bench
        .runs
        .report(&name("ams-1"), probe, well("ams-1"), bench.start);
    bench.effects.extend(effects.unwrap());
    for order in &experiments {
        of_order(&mut bench, order, made(order));
    }
    assert_eq!(bench.answer().verdict, Verdict::Healthy);
}

#[test]
fn an_experiment_that_is_refused_meanwhile_says_nothing_of_the_probe() {
    let mut bench = both();
    let probe = bench.order_of("ams-1");
    bench.report("fra-1", well("fra-1"));
    bench.report("ams-1", overdue("ams-1"));
    for order in &bench.orders().split_off(2) {
        let refused = Report::Refused {
            reason: Reason::Policy,
            note: "no experiments".into(),
            rule: None,
        };
        of_order(&mut bench, order, refused);
    }
    let late = attempt(Outcome::Failed(Fault::new(
        FaultKind::Tls(TlsFault::TimedOut),
        "no answer",
    )));
    let effects = bench
        .runs
        .report(&name("ams-1"), probe, done("ams-1", vec![late]), bench.start);
    bench.effects.extend(effects.unwrap());
    bench.tick(Duration::from_secs(60));
    assert_eq!(bench.vantage("ams-1").outcome, VantageOutcome::Failed);
}

#[test]
fn an_agent_that_does_not_even_take_its_order_is_not_waited_for() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    bench.report("fra-1", Report::Accepted);
    bench.tick(Duration::from_secs(5));
    bench.report("fra-1", well("fra-1"));
    let ams = bench.vantage("ams-1");
    assert_eq!(
        (ams.outcome, ams.reason),
        (VantageOutcome::Missing, Some(Reason::Deadline))
    );
    assert_eq!(
        ams.note.as_deref(),
        Some("connected, but the order was not taken within 5 s")
    );
}
