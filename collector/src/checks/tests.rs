use std::time::Instant;

use parallax_model::check::{CheckDefinition, CheckResult};
use parallax_model::credential::SealedSecret;
use parallax_model::evidence::{AuthenticateEvidence, Evidence, ImapReply};
use parallax_model::fault::{AuthFault, Fault, FaultKind, ImapFault};
use parallax_model::observation::{Attempt, Observation, Purpose, Reason, VantageOutcome};
use parallax_model::selector::Selector;
use parallax_model::spec::Depth;
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::{Endpoint, Security};

use super::*;
use crate::agents::{Introduction, LinkId};
use crate::measure::sample::{self, definition};
use crate::store::{
    Account, CircuitRecord, CircuitState, CredentialRecord, KeptCredential, OWN_GENERATION, SealedCopy,
};

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
    assert_eq!(checks.expected()[&Uuid::from_u128(1)].all, [name("fra-1")].into());
    connect(&mut agents, "fra-2", 7);
    connect(&mut agents, "nyc-1", 8);
    assert!(checks.agents_changed(&agents));
    assert_eq!(
        checks.expected()[&Uuid::from_u128(1)].all,
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
    let chosen = checks.expected()[&Uuid::from_u128(1)].all.clone();
    assert_eq!(chosen.len(), 3);
    agents.disconnected(LinkId(1), Timestamp::UNIX_EPOCH);
    agents.disconnected(LinkId(2), Timestamp::UNIX_EPOCH);
    checks.agents_changed(&agents);
    assert_eq!(
        checks.expected()[&Uuid::from_u128(1)].all,
        chosen,
        "who is away stays"
    );
    let gone = chosen.first().unwrap();
    agents.remove(gone);
    checks.agents_changed(&agents);
    let after = &checks.expected()[&Uuid::from_u128(1)].all;
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

/// Who had the check by the time it is now.
fn had_it(checks: &Checks) -> Vec<String> {
    let expecting = &checks.expected()[&Uuid::from_u128(1)];
    let had_it = expecting.in_round(Timestamp::now()).into_iter();
    had_it.map(String::from).collect()
}

#[test]
fn an_agent_is_expected_once_it_says_that_it_has_the_check_in_this_form() {
    let agents = agents(&["fra-1", "nyc-1"]);
    let mut checks = checks(vec![record(1, definition("one"))], &agents);
    let fra = name("fra-1");
    let sum = checks.update_for(&fra, Known::Said(&[])).unwrap().sum;
    assert!(had_it(&checks).is_empty());
    assert_eq!(checks.update_for(&fra, Known::Sent), None, "it is on its way");
    assert!(had_it(&checks).is_empty());
    assert_eq!(checks.views()[0].agents[0].state, CheckState::Sent);
    let applied = v1::ChecksApplied {
        sum,
        ..v1::ChecksApplied::default()
    };
    checks.applied(&fra, applied, Timestamp::now());
    assert_eq!(had_it(&checks), ["fra-1"]);

    let mut slower = definition("one");
    slower.every *= 2;
    checks.changed(vec![record(1, slower)]);
    let sum = checks.update_for(&fra, Known::Sent).unwrap().sum;
    assert!(had_it(&checks).is_empty(), "it has the one before");
    assert!(!checks.confirmed(&fra, 0, Timestamp::now()));
    assert!(
        checks.confirmed(&fra, sum, Timestamp::now()),
        "a heartbeat tells too"
    );
    assert!(!checks.confirmed(&fra, sum, Timestamp::now()), "once");
    assert_eq!(had_it(&checks), ["fra-1"]);
}

#[test]
fn who_goes_away_goes_on_with_the_form_it_has() {
    let mut agents = agents(&["fra-1"]);
    let mut checks = checks(vec![record(1, definition("one"))], &agents);
    let fra = name("fra-1");
    let sum = checks.update_for(&fra, Known::Said(&[])).unwrap().sum;
    checks.confirmed(&fra, sum, Timestamp::now());
    agents.disconnected(LinkId(1), Timestamp::now());
    checks.agents_changed(&agents);
    let mut slower = definition("one");
    slower.every *= 2;
    checks.changed(vec![record(1, slower)]);
    assert_eq!(had_it(&checks), ["fra-1"]);
    connect(&mut agents, "fra-1", 2);
    checks.agents_changed(&agents);
    checks.says(&fra, &[], Timestamp::now());
    assert!(checks.update_for(&fra, Known::Said(&[])).is_some());
    assert!(had_it(&checks).is_empty(), "it lost it");
}

#[test]
fn after_a_restart_who_was_there_before_is_expected() {
    let seen = Timestamp::from_second(1000).unwrap();
    let mut agents = agents(&["fra-1"]);
    agents.disconnected(LinkId(1), seen);
    let changed_at = |id, second| {
        Arc::new(CheckRecord {
            changed_at: Timestamp::from_second(second).unwrap(),
            ..(*record(id, definition(&format!("check-{id}")))).clone()
        })
    };
    let checks = checks(vec![changed_at(1, 900), changed_at(2, 1100)], &agents);
    assert_eq!(had_it(&checks), ["fra-1"]);
    let newer = &checks.expected()[&Uuid::from_u128(2)];
    assert_eq!((newer.all.len(), newer.since.len()), (1, 0), "nobody told it");
}

#[test]
fn a_check_is_run_by_nobody_whom_no_agent_has_or_is_told() {
    let mut elsewhere = definition("elsewhere");
    elsewhere.from = Selector::parse_any(&["tokyo"]).unwrap();
    let mut agents = agents(&["fra-1"]);
    let mut checks = checks(
        vec![record(1, definition("one")), record(2, elsewhere.clone())],
        &agents,
    );
    let nobody = |checks: &Checks| -> Vec<bool> {
        let views = checks.views().into_iter();
        views.map(|view| view.run_by_nobody).collect()
    };
    assert_eq!(nobody(&checks), [false, true]);
    let paused = CheckRecord {
        paused: true,
        ..(*record(2, elsewhere)).clone()
    };
    agents.disconnected(LinkId(1), Timestamp::UNIX_EPOCH);
    checks.agents_changed(&agents);
    checks.changed(vec![record(1, definition("one")), Arc::new(paused)]);
    assert_eq!(
        nobody(&checks),
        [true, false],
        "it never got it; a pause is meant"
    );
    connect(&mut agents, "fra-1", 2);
    checks.agents_changed(&agents);
    let sum = checks.update_for(&name("fra-1"), Known::Said(&[])).unwrap().sum;
    checks.confirmed(&name("fra-1"), sum, Timestamp::UNIX_EPOCH);
    agents.disconnected(LinkId(2), Timestamp::UNIX_EPOCH);
    checks.agents_changed(&agents);
    assert_eq!(nobody(&checks), [false, false], "it goes on with it");
}

#[test]
fn what_a_policy_refuses_does_not_run() {
    let mut checks = checks(vec![record(1, definition("one"))], &agents(&["fra-1"]));
    let fra = name("fra-1");
    let update = checks.update_for(&fra, Known::Said(&[])).unwrap();
    checks.confirmed(&fra, update.sum, Timestamp::UNIX_EPOCH);
    assert_eq!(checks.views()[0].agents[0].state, CheckState::Running);
    let note = "this agent's policy does not allow imap.example.org port 25";
    let refused = Observation::unseen(
        fra.clone(),
        Labels::new(),
        VantageOutcome::Refused,
        Reason::Policy,
        note,
    );
    let result = CheckResult {
        digest: update.set[0].digest,
        observation: refused,
        ..sample::result(&record(1, definition("one")), 1, Timestamp::UNIX_EPOCH)
    };
    checks.heard(&fra, &result, Timestamp::UNIX_EPOCH);
    let views = checks.views();
    assert_eq!(views[0].agents[0].state, CheckState::Refused);
    assert_eq!(views[0].agents[0].note, note);
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
    assert!(checks.expected()[&Uuid::from_u128(1)].all.is_empty());
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
        secrets: vec![KeptCredential {
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
        }],
        circuits: Vec::new(),
    }
}

fn login_check() -> Arc<CheckRecord> {
    login_check_of(1)
}

fn login_check_of(id: u128) -> Arc<CheckRecord> {
    let mut definition = definition("login");
    definition.spec.depth = Depth::Login;
    definition.credential = Some("probe".into());
    record(id, definition)
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

/// What a server answered to the login of an agent.
fn authenticated(checks: &Checks, agent: &AgentName, outcome: Outcome) -> CheckResult {
    let mut result = said(checks, agent, outcome);
    result.observation.attempts[0].stages[0].evidence = Some(Evidence::Authenticate(AuthenticateEvidence {
        reply: Some(ImapReply::default()),
        ..AuthenticateEvidence::default()
    }));
    result
}

/// What an agent says of the login, which it did not make.
fn said(checks: &Checks, agent: &AgentName, outcome: Outcome) -> CheckResult {
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
    kept.circuits = vec![circuit(&kept, CircuitState::Open)];
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
        let result = said(&checks, &agent, Outcome::Failed(fault));
        assert_eq!(checks.heard(&agent, &result, Timestamp::UNIX_EPOCH), None);
    }
}

fn circuit(credentials: &CredentialsNow, state: CircuitState) -> CircuitRecord {
    let kept = &credentials.secrets[0].credential;
    CircuitRecord {
        account: Account {
            host: kept.host.clone(),
            user: kept.user.clone(),
            credential: kept.name.clone(),
            generation: kept.generation.to_string(),
        },
        opened_at: Timestamp::UNIX_EPOCH,
        agent: name("nyc-1"),
        run: Uuid::from_u128(5),
        words: "credentials_rejected".to_owned(),
        state,
    }
}

#[test]
fn a_wrong_password_is_tried_by_one_agent() {
    let names = ["ams-1", "fra-1", "nyc-1"];
    let mut checks = with_login(&names);
    let lead = told(&checks);
    assert_eq!(lead.len(), 1, "{lead:?}");
    assert_eq!(
        checks.expected()[&Uuid::from_u128(1)].all,
        lead.iter().cloned().collect()
    );
    let rejected = Outcome::Failed(Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "no"));
    let result = authenticated(&checks, &lead[0], rejected);
    let word = checks.heard(&lead[0], &result, Timestamp::UNIX_EPOCH);
    assert!(matches!(word, Some(LoginWord::Rejected(ref settled)) if settled.agent == lead[0]));
    let before: Vec<_> = names
        .iter()
        .map(|agent| checks.assignments(&name(agent)))
        .collect();
    assert!(
        before.iter().all(goes_without),
        "nobody tries it again: {before:?}"
    );
    assert_eq!(
        checks.expected()[&Uuid::from_u128(1)].all.len(),
        3,
        "all are judged"
    );
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
    let next = checks.expected()[&Uuid::from_u128(1)].all.clone();
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

fn rejection() -> Outcome {
    Outcome::Failed(Fault::new(FaultKind::Auth(AuthFault::CredentialsRejected), "no"))
}

fn asked_at() -> Timestamp {
    Timestamp::from_second(7).unwrap()
}

/// An operator wants a rejected secret tried again.
fn to_be_retried(names: &[&str]) -> Checks {
    let mut kept = login(names, 1);
    kept.circuits = vec![circuit(&kept, CircuitState::Retry(asked_at()))];
    let mut checks = Checks::restored(vec![login_check(), login_check_of(2)], kept);
    checks.agents_changed(&agents(names));
    everybody_is_told(&mut checks, names);
    checks
}

/// Who of all checks may send the secret although it was turned down, with the check; all others say that of it.
fn who_retries(checks: &Checks, names: &[&str]) -> Vec<(Uuid, AgentName)> {
    let mut those = Vec::new();
    for agent in names {
        for (check, one) in checks.assignments(&name(agent)) {
            if one.login_retry_us != 0 {
                assert!(one.login_cleared && one.login_rejected.is_none(), "{one:?}");
                assert_eq!(one.login_retry_us, asked_at().as_microsecond());
                those.push((check, name(agent)));
            } else {
                assert!(!one.login_cleared && one.login_rejected.is_some(), "{one:?}");
            }
        }
    }
    those
}

#[test]
fn a_retry_is_made_by_one_agent_for_one_check_and_the_others_name_it() {
    let names = ["ams-1", "fra-1", "nyc-1"];
    let mut checks = to_be_retried(&names);
    let those = who_retries(&checks, &names);
    let [(check, chosen)] = those.as_slice() else {
        panic!("{those:?}")
    };
    assert_ne!(chosen.as_str(), "nyc-1", "it saw the secret turned down");
    let all = checks.views().into_iter().flat_map(|view| {
        let agents = view.agents.into_iter();
        agents.map(move |agent| (view.check, agent))
    });
    for (of, agent) in all {
        let tries = (of, &agent.agent) == (*check, chosen);
        let says = agent.note.contains(&format!("is tried once more by {chosen}"));
        assert_eq!(says, !tries, "{agent:?}");
    }

    let mut some = agents(&names);
    let link = some.link_of(chosen).unwrap();
    some.disconnected(link, Timestamp::UNIX_EPOCH);
    checks.agents_changed(&some);
    let next = who_retries(&checks, &names);
    assert_eq!(next.len(), 1, "{next:?}");
    assert_ne!(next[0].1, *chosen);
    connect(&mut some, chosen.as_str(), 77);
    checks.agents_changed(&some);
    assert_eq!(who_retries(&checks, &names), next, "it may have sent it by now");
    for link in [1, 2, 3, 77] {
        some.disconnected(LinkId(link), Timestamp::UNIX_EPOCH);
    }
    checks.agents_changed(&some);
    assert_eq!(who_retries(&checks, &names), []);
}

#[test]
fn what_an_agent_knows_from_before_ends_no_retry_and_a_new_rejection_does() {
    let names = ["ams-1", "fra-1"];
    let mut checks = to_be_retried(&names);
    let (_, chosen) = who_retries(&checks, &names).remove(0);
    for agent in names {
        let known = said(&checks, &name(agent), rejection());
        assert_eq!(checks.heard(&name(agent), &known, asked_at()), None);
    }
    assert_eq!(who_retries(&checks, &names).len(), 1);
    let again = authenticated(&checks, &chosen, rejection());
    let word = checks.heard(&chosen, &again, asked_at());
    assert!(matches!(word, Some(LoginWord::Rejected(_))), "{word:?}");
    for agent in names {
        assert!(goes_without(&checks.assignments(&name(agent))), "{agent}");
    }
}

#[test]
fn a_secret_that_is_taken_again_is_for_all_and_whoever_saw_it_rejected_may_send_it_once() {
    let names = ["ams-1", "fra-1"];
    let mut checks = to_be_retried(&names);
    let (_, chosen) = who_retries(&checks, &names).remove(0);
    // A check of which the secret was taken before it was turned down.
    let cleared = CheckRecord {
        cleared: Uuid::from_u128(1).to_string(),
        ..(*login_check()).clone()
    };
    checks.changed(vec![Arc::new(cleared)]);
    everybody_is_told(&mut checks, &names);
    let taken = authenticated(&checks, &chosen, Outcome::Ok);
    let word = checks.heard(&chosen, &taken, asked_at());
    let Some(LoginWord::Accepted { settled, .. }) = word else {
        panic!("{word:?}")
    };
    assert_eq!((settled.rejected, settled.agent), (None, chosen.clone()));
    assert_eq!(who_retries(&checks, &names).len(), 2);
    everybody_is_told(&mut checks, &names);
    let taken = authenticated(&checks, &chosen, Outcome::Ok);
    assert_eq!(checks.heard(&chosen, &taken, asked_at()), None, "no news");
    let other = names
        .map(name)
        .into_iter()
        .find(|agent| *agent != chosen)
        .unwrap();
    let known = said(&checks, &other, rejection());
    assert_eq!(checks.heard(&other, &known, asked_at()), None, "from before");
    let new = authenticated(&checks, &other, rejection());
    assert!(checks.heard(&other, &new, asked_at()).is_some());
}

#[test]
fn a_circuit_of_a_secret_that_agents_keep_is_known_after_a_start() {
    let mut agents = Agents::default();
    let introduction = Introduction {
        capabilities: [CAPABILITY.to_owned()].into(),
        local_credentials: vec![parallax_model::credential::LocalCredential {
            name: "probe".into(),
            host: "imap.example.org".into(),
            user: "anna".into(),
        }],
        ..Introduction::default()
    };
    agents.connected(name("fra-1"), LinkId(1), introduction, "p".into(), Instant::now());
    let mut own = circuit(&login(&[], 1), CircuitState::Open);
    own.account.generation = OWN_GENERATION.to_owned();
    let credentials = CredentialsNow {
        circuits: vec![own],
        ..CredentialsNow::default()
    };
    let mut checks = Checks::restored(vec![login_check()], credentials);
    checks.agents_changed(&agents);
    assert!(goes_without(&checks.assignments(&name("fra-1"))));
}

/// A check whose secret was taken once, at agents that have it.
fn at_work(names: &[&str]) -> Checks {
    let cleared = CheckRecord {
        cleared: Uuid::from_u128(1).to_string(),
        ..(*login_check()).clone()
    };
    let mut checks = Checks::restored(vec![Arc::new(cleared)], login(names, 1));
    checks.agents_changed(&agents(names));
    everybody_is_told(&mut checks, names);
    checks
}

fn silence() -> Outcome {
    Outcome::Failed(Fault::new(FaultKind::Imap(ImapFault::Timeout), "nothing came"))
}

/// A round in which these came to that; whether its secret is doubted since.
fn round(checks: &mut Checks, came: &[(&str, Outcome)]) -> bool {
    let mut seen = Vec::new();
    for (agent, outcome) in came {
        let result = match outcome {
            Outcome::Ok => authenticated(checks, &name(agent), outcome.clone()),
            _ => said(checks, &name(agent), outcome.clone()),
        };
        seen.push(result.observation);
    }
    checks.round_closed(Uuid::from_u128(1), &seen, asked_at())
}

#[test]
fn a_secret_whose_logins_nobody_answers_is_sent_by_one_agent_until_it_is_taken() {
    let names = ["ams-1", "fra-1", "nyc-1"];
    let mut checks = at_work(&names);
    assert!(round(&mut checks, &[("fra-1", silence()), ("nyc-1", silence())]));
    assert!(
        !round(&mut checks, &[("ams-1", silence())]),
        "it is doubted already"
    );
    for agent in names {
        let its = checks.assignments(&name(agent)).into_values().next().unwrap();
        let left = its.login_rejected.map(Fault::from);
        assert_eq!(its.login_cleared, agent == "fra-1", "{agent}: {left:?}");
        if let Some(fault) = left {
            assert_eq!(fault.kind, FaultKind::Imap(ImapFault::Timeout));
            let told =
                "for fra-1 on 1970-01-01T00:00:07Z; it may have counted, and only fra-1 sends the secret";
            assert!(fault.message.contains(told), "{fault:?}");
        }
    }
    everybody_is_told(&mut checks, &names);
    let taken = authenticated(&checks, &name("fra-1"), Outcome::Ok);
    assert!(checks.heard(&name("fra-1"), &taken, asked_at()).is_some());
    for agent in names {
        let its = checks.assignments(&name(agent)).into_values().next().unwrap();
        assert!(its.login_cleared, "{agent}");
    }
}

#[test]
fn a_secret_with_which_one_agent_is_let_in_or_gets_an_answer_is_not_doubted_for_others() {
    let names = ["ams-1", "fra-1"];
    let mut checks = at_work(&names);
    assert!(!round(
        &mut checks,
        &[("ams-1", Outcome::Ok), ("fra-1", silence())]
    ));
    let busy = Fault::new(FaultKind::Auth(AuthFault::BackendUnavailable), "later");
    assert!(!round(&mut checks, &[("ams-1", Outcome::Failed(busy))]));
    assert!(!round(&mut checks, &[("ams-1", Outcome::NotReached)]));
    for agent in names {
        let its = checks.assignments(&name(agent)).into_values().next().unwrap();
        assert!(its.login_cleared, "{agent}");
    }
}
