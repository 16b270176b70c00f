use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_model::credential::SealedSecret;
use parallax_model::fault::{AuthFault, Fault, FaultKind, TcpFault};
use parallax_model::finding::{FindingKind, Verdict};
use parallax_model::observation::{Attempt, Purpose, VantageOutcome};
use parallax_model::spec::{Depth, FamilyChoice, LoginSpec, ProbeOptions, ProbeSpec};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::Target;
use parallax_model::vantage::Labels;

use super::*;
use crate::agents::Choice;

mod captures;
mod early;
mod rounds;
mod watch;

const RUN: Uuid = Uuid::from_u128(1);

struct Bench {
    runs: Runs,
    start: Instant,
    effects: Vec<Effect>,
}

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn spec() -> ProbeSpec {
    ProbeSpec {
        target: Target::parse("imap.example.org", None).unwrap(),
        depth: Depth::Connect,
        family: FamilyChoice::Any,
        addresses: Vec::new(),
        timeout: Duration::from_secs(20),
        login: None,
        anchors: Vec::new(),
        options: ProbeOptions::default(),
    }
}

fn inquiry() -> Inquiry {
    Inquiry {
        run_id: RUN,
        trace_id: None,
        spec: Arc::new(spec()),
        follow_up: false,
        secrets: BTreeMap::new(),
        own_credential: None,
        client_identities: BTreeMap::new(),
        before: None,
        past: LoginPast::default(),
        started_at: Timestamp::UNIX_EPOCH,
        check: None,
    }
}

fn choice(agent: &str, connected: bool) -> Choice {
    Choice {
        agent: name(agent),
        labels: Labels::new(),
        connected,
        why: "not connected".into(),
    }
}

fn participant(agent: &str) -> Participant {
    Participant {
        choice: choice(agent, true),
        capabilities: ["probe", "credential:sealed2", "experiment:control_port"]
            .map(str::to_owned)
            .into(),
        rtt: Some(Duration::from_millis(30)),
        source: None,
    }
}

fn ask(inquiry: Inquiry, participants: Vec<Participant>, absent: Vec<Choice>) -> Bench {
    let cast = Cast {
        participants,
        absent,
        watcher: None,
    };
    ask_cast(inquiry, cast)
}

fn ask_cast(inquiry: Inquiry, cast: Cast) -> Bench {
    let (mut runs, start) = (Runs::default(), Instant::now());
    let effects = runs.start(inquiry, cast, start);
    Bench { runs, start, effects }
}

impl Bench {
    fn orders(&self) -> Vec<Order> {
        let sent = |effect: &Effect| match effect {
            Effect::Send(order) => Some((**order).clone()),
            _ => None,
        };
        self.effects.iter().filter_map(sent).collect()
    }

    fn order_of(&self, agent: &str) -> Uuid {
        let orders = self.orders();
        let order = orders.iter().rev().find(|order| order.agent.as_str() == agent);
        order.unwrap().id
    }

    fn report(&mut self, agent: &str, report: Report) {
        let order = self.order_of(agent);
        let effects = self.runs.report(&name(agent), order, report, self.start).unwrap();
        self.effects.extend(effects);
    }

    fn tick(&mut self, after: Duration) {
        let effects = self.runs.tick(self.start + after);
        self.effects.extend(effects);
    }

    fn answers(&self) -> Vec<&RunDocument> {
        let effects = self.effects.iter();
        effects
            .filter_map(|effect| match effect {
                Effect::Concluded(run) => Some(&**run),
                _ => None,
            })
            .collect()
    }

    fn answer(&self) -> &RunDocument {
        let concluded = self.answers();
        let [run] = concluded.as_slice() else {
            panic!("{} answers", concluded.len())
        };
        run
    }

    fn vantage(&self, agent: &str) -> &Observation {
        self.answer()
            .vantages
            .iter()
            .find(|seen| seen.agent.as_str() == agent)
            .unwrap()
    }

    fn ends(&self) -> Vec<OrderEnd> {
        let end = |effect: &Effect| match effect {
            Effect::Ended { end, .. } => Some(*end),
            _ => None,
        };
        self.effects.iter().filter_map(end).collect()
    }
}

fn attempt(outcome: Outcome) -> Attempt {
    Attempt {
        by: None,
        address: "203.0.113.5".parse().unwrap(),
        endpoint: spec().target.endpoints[0],
        purpose: Purpose::Requested,
        experiment: None,
        stages: vec![Stage::new(
            StageName::Connect,
            outcome,
            Duration::ZERO,
            Duration::from_millis(1),
        )],
        transcript: Vec::new(),
    }
}

fn done(agent: &str, attempts: Vec<Attempt>) -> Report {
    Report::Done(Box::new(Observation {
        agent: name(agent),
        labels: Labels::new(),
        outcome: Observation::conclude_outcome(None, &attempts),
        reason: None,
        note: None,
        refusal: None,
        left_out: Vec::new(),
        clock: None,
        resolve: None,
        attempts,
        network: parallax_model::path::NetworkFacts::default(),
    }))
}

fn well(agent: &str) -> Report {
    done(agent, vec![attempt(Outcome::Ok)])
}

fn dropped() -> Outcome {
    Outcome::Failed(Fault::new(FaultKind::Tcp(TcpFault::TimedOut), "no answer"))
}

#[test]
fn an_answer_from_every_agent_ends_the_run() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    bench.report("ams-1", Report::Accepted);
    bench.report("ams-1", well("ams-1"));
    bench.report("fra-1", well("fra-1"));
    assert_eq!(bench.answer().verdict, Verdict::Healthy);
    assert_eq!(bench.ends(), [OrderEnd::Done, OrderEnd::Done]);
    assert_eq!(bench.runs.next_deadline(), None);
}

#[test]
fn agents_begin_together_and_one_alone_begins_at_once() {
    let bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    let together = bench.start + Duration::from_millis(50);
    assert!(
        bench
            .orders()
            .iter()
            .all(|order| order.start_at == Some(together))
    );
    let bench = ask(inquiry(), vec![participant("ams-1")], vec![]);
    assert_eq!(bench.orders()[0].start_at, None);
}

#[test]
fn an_agent_that_is_away_is_missing_from_the_start() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1")],
        vec![choice("fra-1", false)],
    );
    bench.report("ams-1", well("ams-1"));
    let missing = bench.vantage("fra-1");
    assert_eq!(
        (missing.outcome, missing.reason),
        (VantageOutcome::Missing, Some(Reason::Offline))
    );
    assert_eq!(missing.note.as_deref(), Some("not connected"));
}

#[test]
fn a_lost_agent_is_missing_at_once_and_its_late_answer_is_rejected() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    let order = bench.order_of("fra-1");
    let effects = bench
        .runs
        .agent_lost(&name("fra-1"), "the link was lost", bench.start);
    bench.effects.extend(effects);
    assert_eq!(bench.ends(), [OrderEnd::Lost]);
    let late = bench
        .runs
        .report(&name("fra-1"), order, well("fra-1"), bench.start);
    assert_eq!(late, Err(Rejection::NotOpen));
    bench.report("ams-1", well("ams-1"));
    assert_eq!(bench.vantage("fra-1").reason, Some(Reason::Offline));
}

#[test]
fn a_silent_agent_is_missing_at_the_deadline_and_told_to_stop() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    bench.report("fra-1", Report::Accepted);
    bench.report("ams-1", well("ams-1"));
    bench.tick(Duration::from_secs(24));
    assert!(bench.ends().len() == 1);
    bench.tick(Duration::from_secs(25));
    assert_eq!(bench.ends(), [OrderEnd::Done, OrderEnd::Expired]);
    assert!(
        bench
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Cancel { .. }))
    );
    let missing = bench.vantage("fra-1");
    assert_eq!(missing.reason, Some(Reason::Deadline));
    assert_eq!(
        missing.note.as_deref(),
        Some("connected, but no answer within 25 s")
    );
}

#[test]
fn an_agent_answers_only_for_itself() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    let order = bench.order_of("fra-1");
    let foreign = bench
        .runs
        .report(&name("ams-1"), order, well("fra-1"), bench.start);
    assert_eq!(foreign, Err(Rejection::NotYours));
    bench.report("fra-1", well("ams-1"));
    bench.report("ams-1", well("ams-1"));
    assert_eq!(
        bench.answer().vantages.len(),
        2,
        "whatever name stands in the observation"
    );
}

#[test]
fn an_order_ends_once() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    bench.report("fra-1", well("fra-1"));
    let again = bench.runs.report(
        &name("fra-1"),
        bench.order_of("fra-1"),
        well("fra-1"),
        bench.start,
    );
    assert_eq!(again, Err(Rejection::NotOpen));
    assert_eq!(bench.ends(), [OrderEnd::Done]);
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let mut bench = ask(inquiry(), vec![participant("fra-1")], vec![]);
    let refused = Report::Refused {
        reason: Reason::Policy,
        note: "policy denies 127.0.0.0/8".into(),
        rule: None,
    };
    bench.report("fra-1", refused);
    assert_eq!(bench.ends(), [OrderEnd::Refused]);
    assert_eq!(bench.vantage("fra-1").outcome, VantageOutcome::Refused);
}

#[test]
fn an_agent_without_the_capability_is_not_asked() {
    let mut unable = participant("fra-1");
    unable.capabilities.clear();
    let bench = ask(inquiry(), vec![unable], vec![]);
    assert!(bench.orders().is_empty());
    assert_eq!(bench.vantage("fra-1").reason, Some(Reason::Unsupported));
}

#[test]
fn agents_that_keep_the_credential_are_told_its_name_and_the_others_are_unable() {
    let spec = ProbeSpec {
        login: Some(LoginSpec {
            user: "anna".into(),
            mechanism: None,
        }),
        ..spec()
    };
    let inquiry = Inquiry {
        spec: Arc::new(spec),
        own_credential: Some(OwnCredential {
            name: "probe".into(),
            agents: [name("fra-1")].into(),
        }),
        ..inquiry()
    };
    let mut bench = ask(inquiry, vec![participant("ams-1"), participant("fra-1")], vec![]);
    let orders = bench.orders();
    let [order] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    assert_eq!(order.agent, name("fra-1"));
    assert_eq!(
        (order.credential.as_deref(), &order.secret),
        (Some("probe"), &None)
    );
    let refused = Report::Refused {
        reason: Reason::Policy,
        note: "for another host".into(),
        rule: None,
    };
    bench.report("fra-1", refused);
    let unable = bench.vantage("ams-1");
    assert_eq!(unable.reason, Some(Reason::Unsupported));
    let note = unable.note.as_deref().unwrap();
    assert!(
        note.starts_with("this agent keeps no credential probe for anna at"),
        "{note}"
    );
}

#[test]
fn a_caller_that_goes_away_takes_its_orders_along() {
    let mut bench = ask(
        inquiry(),
        vec![participant("ams-1"), participant("fra-1")],
        vec![],
    );
    let effects = bench.runs.abandon(RUN);
    let cancelled = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Cancel { .. }))
        .count();
    assert_eq!(cancelled, 2);
    bench.effects.extend(effects);
    assert_eq!(bench.ends(), [OrderEnd::Expired, OrderEnd::Expired]);
    assert_eq!(bench.runs.next_deadline(), None);
}

#[test]
fn no_agent_at_all_is_an_answer_too() {
    let bench = ask(inquiry(), vec![], vec![]);
    assert_eq!(bench.answer().verdict, Verdict::Inconclusive);
}

#[test]
fn a_vantage_point_that_fails_alone_is_followed_up_and_the_answer_waits() {
    let inquiry = Inquiry {
        follow_up: true,
        ..inquiry()
    };
    let mut bench = ask(inquiry, vec![participant("ams-1"), participant("fra-1")], vec![]);
    bench.report("fra-1", well("fra-1"));
    bench.report("ams-1", done("ams-1", vec![attempt(dropped())]));
    let follow_ups: Vec<Order> = bench.orders().split_off(2);
    assert!(!follow_ups.is_empty());
    assert!(
        follow_ups
            .iter()
            .all(|order| !order.experiments.is_empty() && order.secret.is_none())
    );
    let mut rounds = 0;
    while bench.runs.next_deadline().is_some() {
        rounds += 1;
        bench.start += Duration::from_secs(8);
        bench.tick(Duration::ZERO);
    }
    assert!(
        rounds <= 2,
        "an experiment without an answer is not asked again: {rounds}"
    );
    assert_eq!(
        bench.vantage("ams-1").outcome,
        VantageOutcome::Failed,
        "what was seen before still holds"
    );
    assert_eq!(bench.answer().verdict, Verdict::Partial);
}

#[test]
fn what_an_experiment_shows_is_added_to_what_was_seen() {
    let inquiry = Inquiry {
        follow_up: true,
        ..inquiry()
    };
    let mut bench = ask(inquiry, vec![participant("ams-1"), participant("fra-1")], vec![]);
    bench.report("fra-1", well("fra-1"));
    bench.report("ams-1", done("ams-1", vec![attempt(dropped())]));
    while let Some(order) = bench
        .orders()
        .into_iter()
        .find(|order| bench.runs.orders.contains_key(&order.id))
    {
        let made = order
            .experiments
            .iter()
            .map(|experiment| Attempt {
                experiment: Some(experiment.kind),
                endpoint: experiment.endpoint,
                ..attempt(dropped())
            })
            .collect();
        let agent = order.agent.clone();
        let effects = bench
            .runs
            .report(&agent, order.id, done(agent.as_str(), made), bench.start)
            .unwrap();
        bench.effects.extend(effects);
    }
    let seen = bench.vantage("ams-1");
    assert!(seen.attempts.len() > 1);
    assert!(
        seen.attempts[1..]
            .iter()
            .all(|attempt| attempt.purpose == Purpose::FollowUp)
    );
    assert!(
        bench
            .answer()
            .findings
            .iter()
            .any(|finding| finding.kind != FindingKind::Inconclusive)
    );
}

/// A login, and its secret as it is sealed to an agent.
fn login() -> (LoginSpec, SealedSecret) {
    let login = LoginSpec {
        user: "probe".into(),
        mechanism: None,
    };
    let sealed = SealedSecret {
        encapsulated_key: vec![1],
        ciphertext: vec![2],
    };
    (login, sealed)
}

#[test]
fn a_rejected_secret_is_tried_by_one_agent_of_the_run() {
    let (login, sealed) = login();
    let agents = ["ams-1", "fra-1", "nyc-1"];
    let inquiry = Inquiry {
        spec: Arc::new(ProbeSpec {
            depth: Depth::Login,
            login: Some(login),
            ..spec()
        }),
        secrets: agents[..2]
            .iter()
            .map(|agent| (name(agent), sealed.clone()))
            .collect(),
        ..inquiry()
    };
    let mut bench = ask(inquiry, agents.map(participant).into(), vec![]);
    assert_eq!(bench.orders().len(), 2, "nyc-1 has no secret and is refused");
    bench.report("ams-1", Report::LoginAsked);
    bench.report("fra-1", Report::LoginAsked);
    let fault = Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "NO");
    let stage = Stage::new(
        StageName::Authenticate,
        Outcome::Failed(fault),
        Duration::ZERO,
        Duration::ZERO,
    );
    let ended = StageEnded {
        address: None,
        endpoint: None,
        stage,
    };
    bench.report("ams-1", Report::Stage(Box::new(ended)));
    let answers: Vec<(&str, &LoginAnswer)> = bench
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Answer { agent, answer, .. } => Some((agent.as_str(), answer)),
            _ => None,
        })
        .collect();
    let reason = "the same secret was rejected for ams-1 a moment ago".to_owned();
    assert_eq!(
        answers,
        [
            ("ams-1", &LoginAnswer::Granted),
            ("fra-1", &LoginAnswer::Withheld(reason))
        ]
    );
}

/// Whoever saw it turned down need not be asked: of a kept secret it is known which one it was.
#[test]
fn a_kept_secret_that_was_rejected_before_fails_at_every_agent_as_it_did() {
    let fault = Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "before");
    let past = LoginPast {
        withheld: Some(fault.clone()),
        had_circuit: true,
        seen_rejected: Some(SeenRejected {
            agent: name("nyc-1"),
            at: inquiry().started_at,
        }),
        ..LoginPast::default()
    };
    let (login, sealed) = login();
    let agents = ["ams-1", "fra-1"];
    let inquiry = Inquiry {
        spec: Arc::new(ProbeSpec {
            depth: Depth::Login,
            login: Some(login),
            ..spec()
        }),
        secrets: agents.map(|agent| (name(agent), sealed.clone())).into(),
        past,
        ..inquiry()
    };
    let mut bench = ask(inquiry, agents.map(participant).into(), vec![]);
    for agent in agents {
        bench.report(agent, Report::LoginAsked);
    }
    let answers: Vec<&LoginAnswer> = bench
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Answer { answer, .. } => Some(answer),
            _ => None,
        })
        .collect();
    assert_eq!(
        answers,
        [&LoginAnswer::Known(fault.clone()), &LoginAnswer::Known(fault)]
    );
}
