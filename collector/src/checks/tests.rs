use std::time::Instant;

use parallax_model::check::{CheckDefinition, CheckResult};
use parallax_model::credential::SealedSecret;
use parallax_model::fault::{AuthFault, Fault, FaultKind};
use parallax_model::observation::{Attempt, Observation, Purpose, Reason, VantageOutcome};
use parallax_model::selector::Selector;
use parallax_model::spec::Depth;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Security};

use super::logins::KnownSecret;
use super::*;
use crate::agents::{Introduction, LinkId};
use crate::measure::sample::{self, definition};
use crate::store::{CredentialRecord, KeptCredential, SealedCopy};

fn name(agent: &str) -> AgentName {
    agent.parse().unwrap()
}

fn agents(names: &[&str]) -> Agents {
    let mut agents = Agents::default();
    for (number, name) in (1..).zip(names) {
        connect(&mut agents, name, number);
    }
    agents
}

fn connect(agents: &mut Agents, agent: &str, link: u64) {
    let introduction = Introduction {
        capabilities: [CAPABILITY.to_owned()].into(),
        sealing_key: vec![1; 32],
        labels: [("site".to_owned(), agent[..3].to_owned())].into(),
        ..Introduction::default()
    };
    agents.connected(
        name(agent),
        LinkId(link),
        introduction,
        "p".into(),
        Instant::now(),
    );
}

fn record(id: u128, definition: CheckDefinition) -> Arc<CheckRecord> {
    sample::record(Uuid::from_u128(id), definition)
}

fn checks(records: Vec<Arc<CheckRecord>>, agents: &Agents) -> Checks {
    let mut checks = Checks::restored(records, CredentialsNow::default());
    checks.agents_changed(agents);
    checks
}

fn set(update: Option<v1::ChecksUpdate>) -> Vec<String> {
    let set = update.unwrap().set.into_iter();
    set.map(|assignment| assignment.name).collect()
}

#[test]
fn a_stranger_gets_a_full_set() {
    let records = vec![record(1, definition("one")), record(2, definition("two"))];
    let mut checks = checks(records, &agents(&["fra-1"]));
    let update = checks.update_for(&name("fra-1"), Known::Said(&[])).unwrap();
    assert!(update.full);
    let sum = update.set.iter().fold(0, |sum, one| sum ^ one.digest);
    assert_eq!((update.set.len(), update.sum), (2, sum));
    let said: Vec<_> = update
        .set
        .iter()
        .map(|one| (Uuid::from_slice(&one.check_id).unwrap(), one.digest))
        .collect();
    assert_eq!(
        checks.update_for(&name("fra-1"), Known::Said(&said)),
        None,
        "it has them"
    );
}

#[test]
fn a_known_agent_is_told_what_changed() {
    let all: Vec<_> = (1..=5)
        .map(|id| record(id, definition(&format!("check-{id}"))))
        .collect();
    let mut checks = checks(all.clone(), &agents(&["fra-1"]));
    checks.update_for(&name("fra-1"), Known::Said(&[]));
    let mut changed = all[1..].to_vec();
    let mut slower = definition("check-5");
    slower.every *= 2;
    changed[3] = record(5, slower);
    checks.changed(changed);
    let update = checks.update_for(&name("fra-1"), Known::Sent).unwrap();
    assert!(!update.full);
    assert_eq!(update.removed, [Uuid::from_u128(1).as_bytes().to_vec()]);
    assert_eq!(set(Some(update)), ["check-5"]);
    assert_eq!(checks.update_for(&name("fra-1"), Known::Sent), None);
}

#[test]
fn a_new_agent_that_matches_gets_the_check() {
    let mut definition = definition("fra");
    definition.from = Selector::parse_any(&["site=fra"]).unwrap();
    let mut agents = agents(&["fra-1"]);
    let mut checks = checks(vec![record(1, definition)], &agents);
    assert_eq!(checks.expected()[&Uuid::from_u128(1)], [name("fra-1")].into());
    connect(&mut agents, "fra-2", 7);
    connect(&mut agents, "nyc-1", 8);
    assert!(checks.agents_changed(&agents));
    assert_eq!(
        checks.expected()[&Uuid::from_u128(1)],
        [name("fra-1"), name("fra-2")].into()
    );
    assert_eq!(set(checks.update_for(&name("fra-2"), Known::Said(&[]))), ["fra"]);
    assert_eq!(checks.update_for(&name("nyc-1"), Known::Said(&[])), None);
    assert!(!checks.agents_changed(&agents), "nothing is new");
}

#[test]
fn a_limit_keeps_to_the_same_agents_while_they_are_known() {
    let mut definition = definition("three");
    definition.limit = Some(3);
    let mut agents = agents(&["a-01", "a-02", "a-03", "a-04", "a-05", "a-06"]);
    let mut checks = checks(vec![record(1, definition)], &agents);
    let chosen = checks.expected()[&Uuid::from_u128(1)].clone();
    assert_eq!(chosen.len(), 3);
    agents.disconnected(LinkId(1), Timestamp::UNIX_EPOCH);
    agents.disconnected(LinkId(2), Timestamp::UNIX_EPOCH);
    checks.agents_changed(&agents);
    assert_eq!(
        checks.expected()[&Uuid::from_u128(1)],
        chosen,
        "who is away stays"
    );
    let gone = chosen.first().unwrap();
    agents.remove(gone);
    checks.agents_changed(&agents);
    let after = &checks.expected()[&Uuid::from_u128(1)];
    assert_eq!((after.len(), after.contains(gone)), (3, false));
    assert_eq!(after.intersection(&chosen).count(), 2);
}

#[test]
fn an_agent_whose_sums_are_off_twice_is_told_everything() {
    let mut checks = checks(vec![record(1, definition("one"))], &agents(&["fra-1"]));
    let sum = checks.update_for(&name("fra-1"), Known::Said(&[])).unwrap().sum;
    let fra = name("fra-1");
    assert_eq!(checks.beat(&fra, sum), None);
    assert_eq!(checks.beat(&fra, 0), None, "an update may be on its way");
    assert!(checks.beat(&fra, 0).unwrap().full);
    assert_eq!(checks.beat(&fra, sum), None);
}

#[test]
fn a_paused_check_is_nobodys() {
    let paused = Arc::new(CheckRecord {
        paused: true,
        ..(*record(1, definition("one"))).clone()
    });
    let mut checks = checks(vec![record(1, definition("one"))], &agents(&["fra-1"]));
    checks.update_for(&name("fra-1"), Known::Said(&[]));
    checks.changed(vec![paused]);
    let update = checks.update_for(&name("fra-1"), Known::Sent).unwrap();
    assert!(update.set.is_empty() && update.sum == 0);
    assert!(checks.expected()[&Uuid::from_u128(1)].is_empty());
}

fn login(agents: &[&str], generation: u128) -> CredentialsNow {
    let copies = agents.iter().map(|agent| SealedCopy {
        agent: name(agent),
        secret: SealedSecret {
            encapsulated_key: vec![2; 32],
            ciphertext: vec![3; 32],
        },
        key: vec![1; 32],
    });
    CredentialsNow {
        secrets: vec![KnownSecret {
            kept: KeptCredential {
                credential: CredentialRecord {
                    name: "probe".into(),
                    host: "imap.example.org".into(),
                    user: "anna".into(),
                    mechanism: String::new(),
                    anchors: Vec::new(),
                    generation: Uuid::from_u128(generation),
                    set_by: String::new(),
                    set_at: Timestamp::UNIX_EPOCH,
                },
                copies: copies.collect(),
            },
            circuit: None,
        }],
    }
}

fn login_check() -> Arc<CheckRecord> {
    let mut definition = definition("login");
    definition.spec.depth = Depth::Login;
    definition.credential = Some("probe".into());
    record(1, definition)
}

fn with_login(names: &[&str]) -> Checks {
    let mut checks = Checks::restored(vec![login_check()], login(names, 1));
    checks.agents_changed(&agents(names));
    for agent in names {
        checks.update_for(&name(agent), Known::Said(&[]));
    }
    checks
}

fn told(checks: &Checks) -> Vec<AgentName> {
    let told = checks.told.iter().filter(|(_, told)| !told.digests.is_empty());
    told.map(|(agent, _)| agent.clone()).collect()
}

/// What an agent saw of the login.
fn authenticated(checks: &Checks, agent: &AgentName, outcome: Outcome) -> CheckResult {
    let check = Uuid::from_u128(1);
    CheckResult {
        id: Uuid::from_u128(9),
        check,
        run_id: Uuid::from_u128(8),
        digest: checks.told[agent].digests[&check],
        round_at: Timestamp::UNIX_EPOCH,
        started_at: Timestamp::UNIX_EPOCH,
        observation: Observation {
            attempts: vec![Attempt {
                address: "192.0.2.1".parse().unwrap(),
                endpoint: Endpoint {
                    port: 993,
                    security: Security::Tls,
                },
                purpose: Purpose::Requested,
                experiment: None,
                stages: vec![Stage::new(
                    StageName::Authenticate,
                    outcome,
                    Default::default(),
                    Default::default(),
                )],
                transcript: Vec::new(),
                by: None,
            }],
            ..Observation::unseen(
                agent.clone(),
                Labels::new(),
                VantageOutcome::Ok,
                Reason::Offline,
                "",
            )
        },
    }
}

fn everybody_is_told(checks: &mut Checks, names: &[&str]) {
    for agent in names {
        checks.update_for(&name(agent), Known::Sent);
    }
}

/// Whether an agent has the check and must not log in.
fn goes_without(its: &BTreeMap<Uuid, v1::CheckAssignment>) -> bool {
    its.values()
        .all(|one| !one.login_cleared && one.login_rejected.is_some())
        && !its.is_empty()
}

#[test]
fn what_is_said_of_a_secret_that_is_not_sent_is_no_news() {
    let names = ["ams-1", "fra-1"];
    let mut kept = login(&names, 1);
    kept.secrets[0].circuit = Some(circuit(&kept));
    let mut checks = Checks::restored(vec![login_check()], kept);
    checks.agents_changed(&agents(&names));
    for agent in names {
        let agent = name(agent);
        let update = checks.update_for(&agent, Known::Said(&[])).unwrap();
        let [one] = update.set.as_slice() else {
            panic!("{update:?}")
        };
        let fault = Fault::from(one.login_rejected.clone().unwrap());
        assert!(
            fault
                .message
                .contains("rejected for nyc-1 on 1970-01-01T00:00:00Z"),
            "{fault:?}"
        );
        assert!(fault.message.contains("ctl credential retry probe"), "{fault:?}");
        let result = authenticated(&checks, &agent, Outcome::Failed(fault));
        assert_eq!(checks.heard(&agent, &result, Timestamp::UNIX_EPOCH), None);
    }
}

fn circuit(credentials: &CredentialsNow) -> crate::store::CircuitRecord {
    let kept = &credentials.secrets[0].kept.credential;
    crate::store::CircuitRecord {
        account: crate::store::Account {
            host: kept.host.clone(),
            user: kept.user.clone(),
            credential: kept.name.clone(),
            generation: kept.generation.to_string(),
        },
        opened_at: Timestamp::UNIX_EPOCH,
        agent: name("nyc-1"),
        run: Uuid::from_u128(5),
        words: "credentials_rejected".to_owned(),
        closed: false,
    }
}

#[test]
fn a_wrong_password_is_tried_by_one_agent() {
    let names = ["ams-1", "fra-1", "nyc-1"];
    let mut checks = with_login(&names);
    let lead = told(&checks);
    assert_eq!(lead.len(), 1, "{lead:?}");
    assert_eq!(
        checks.expected()[&Uuid::from_u128(1)],
        lead.iter().cloned().collect()
    );
    let rejected = Outcome::Failed(Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "no"));
    let result = authenticated(&checks, &lead[0], rejected);
    let word = checks.heard(&lead[0], &result, Timestamp::UNIX_EPOCH);
    assert!(matches!(word, Some(LoginWord::Rejected { ref agent, .. }) if *agent == lead[0]));
    let before: Vec<_> = names
        .iter()
        .map(|agent| checks.assignments(&name(agent)))
        .collect();
    assert!(
        before.iter().all(goes_without),
        "nobody tries it again: {before:?}"
    );
    assert_eq!(checks.expected()[&Uuid::from_u128(1)].len(), 3, "all are judged");
    everybody_is_told(&mut checks, &names);
    let states: Vec<_> = checks.views()[0].agents.iter().map(|agent| agent.state).collect();
    assert_eq!(states, [CheckState::Withheld; 3]);
    checks.credentials_changed(login(&names, 2));
    everybody_is_told(&mut checks, &names);
    assert_eq!(told(&checks), lead, "a new secret is tried, by one");
}

#[test]
fn a_secret_that_was_taken_is_for_all() {
    let names = ["ams-1", "fra-1", "nyc-1"];
    let mut checks = with_login(&names);
    let lead = told(&checks).remove(0);
    let result = authenticated(&checks, &lead, Outcome::Ok);
    let word = checks.heard(&lead, &result, Timestamp::UNIX_EPOCH);
    assert!(matches!(word, Some(LoginWord::Accepted { .. })), "{word:?}");
    everybody_is_told(&mut checks, &names);
    assert_eq!(told(&checks).len(), 3);
    assert_eq!(
        checks.heard(&lead, &result, Timestamp::UNIX_EPOCH),
        None,
        "no news"
    );
}

#[test]
fn another_agent_tries_where_the_first_is_gone() {
    let names = ["ams-1", "fra-1", "nyc-1"];
    let mut checks = with_login(&names);
    let lead = told(&checks).remove(0);
    let mut agents = agents(&names);
    let link = agents.link_of(&lead).unwrap();
    agents.disconnected(link, Timestamp::UNIX_EPOCH);
    checks.agents_changed(&agents);
    let next = checks.expected()[&Uuid::from_u128(1)].clone();
    assert_eq!((next.len(), next.contains(&lead)), (1, false));
}

#[test]
fn an_old_result_says_nothing_of_a_new_secret() {
    let names = ["ams-1", "fra-1"];
    let mut checks = with_login(&names);
    let lead = told(&checks).remove(0);
    let rejected = Outcome::Failed(Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "no"));
    let mut old = authenticated(&checks, &lead, rejected);
    old.digest ^= 1;
    assert_eq!(checks.heard(&lead, &old, Timestamp::UNIX_EPOCH), None);
}

#[test]
fn a_secret_that_was_turned_down_by_hand_is_tried_by_no_check() {
    let names = ["ams-1", "fra-1"];
    let mut checks = with_login(&names);
    let login = checks.login_of(&login_check(), &name("fra-1")).unwrap();
    let settled = |rejected| LoginSettled {
        run: Uuid::from_u128(5),
        agent: name("fra-1"),
        account: login.account().clone(),
        rejected,
    };
    checks.login_settled(&settled(Some("credentials_rejected".to_owned())));
    everybody_is_told(&mut checks, &names);
    for agent in names {
        assert!(goes_without(&checks.assignments(&name(agent))), "{agent}");
    }
    checks.login_settled(&settled(None));
    everybody_is_told(&mut checks, &names);
    assert_eq!(told(&checks).len(), 1);
}
