use jiff::SignedDuration;
use parallax_model::capture::{Capture, CaptureFacts, CapturedSecrets};
use parallax_model::finding::Verdict;
use parallax_model::identity::Role;
use parallax_model::observation::{Observation, VantageOutcome};
use parallax_model::run::RUN_SCHEMA;
use parallax_model::spec::Depth;
use parallax_model::target::{Endpoint, Security};
use parallax_model::token::TokenNames;
use parallax_proto::v1;
use prost::Message as _;
use uuid::Uuid;

use super::*;
use crate::agents::Introduction;

fn token(uses: u32) -> TokenRecord {
    TokenRecord {
        hash: [7; 32],
        role: Role::Agent,
        names: TokenNames::Only("fra-1".parse().unwrap()),
        labels: Labels::new(),
        takes_over: false,
        created_at: Timestamp::now(),
        created_by: None,
        revoked_at: None,
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
        uses,
        used: 0,
    }
}

fn certificate(number: u8) -> CertificateRecord {
    CertificateRecord {
        sha256: [number; 32],
        spiffe_id: "spiffe://parallax.internal/agent/fra-1".into(),
        issued_at: Timestamp::now(),
        not_after: Timestamp::now() + SignedDuration::from_hours(24),
        ca: None,
    }
}

fn agent(name: &str) -> AgentRecord {
    AgentRecord {
        name: name.parse().unwrap(),
        introduction: Introduction {
            version: "0.1.0".into(),
            labels: [("site".to_owned(), "fra".to_owned())].into(),
            capabilities: ["probe".to_owned()].into(),
            sealing_key: vec![1, 2, 3],
            sealing_proof: None,
            instance: String::new(),
            local_credentials: Vec::new(),
            checks: Vec::new(),
            spool: None,
            continues: false,
        },
        last_seen: Some(Timestamp::from_microsecond(1_700_000_000_000_000).unwrap()),
    }
}

fn run(id: u128) -> RunDocument {
    RunDocument {
        clients: Vec::new(),
        experiments: Vec::new(),
        compared_with: None,
        changes: Vec::new(),
        captures: Vec::new(),
        check: None,
        schema: RUN_SCHEMA.into(),
        run_id: Uuid::from_u128(id),
        trace_id: None,
        target: RunTarget {
            input: "imap.example.org".into(),
            host: "imap.example.org".into(),
            endpoints: Vec::new(),
        },
        depth: Depth::Greeting,
        started_at: Timestamp::from_microsecond(1_700_000_000_000_000 + i64::try_from(id >> 120).unwrap())
            .unwrap(),
        duration: Duration::from_millis(42),
        vantages: Vec::new(),
        verdict: Verdict::Healthy,
        summary: "well".into(),
        findings: Vec::new(),
    }
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let store = Sqlite::open(&file).await.unwrap();
    store.add_token(token(1)).await.unwrap();
    store.put_agent(agent("fra-1")).await.unwrap();
    store.put_run(run(1 << 120)).await.unwrap();
    store.close().await.unwrap();
    let store = Sqlite::open(&file).await.unwrap();
    assert_eq!(store.token([7; 32]).await.unwrap().unwrap().uses, 1);
    assert_eq!(store.agents().await.unwrap(), [agent("fra-1")]);
    assert_eq!(
        store.run(Uuid::from_u128(1 << 120).to_string()).await.unwrap(),
        Found::One(Box::new(run(1 << 120)))
    );
}

#[tokio::test]
async fn who_was_heard_is_kept_for_all_at_once_and_never_set_back() {
    let store = Sqlite::in_memory().await.unwrap();
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let seen = |name: &str, seconds| AgentRecord {
        last_seen: Some(at(seconds)),
        ..agent(name)
    };
    for name in ["ams-1", "fra-1", "nyc-1"] {
        store.put_agent(seen(name, 100)).await.unwrap();
    }
    let heard = [("ams-1", 160), ("fra-1", 90), ("never-seen", 160)];
    let heard = heard.map(|(name, seconds)| (name.parse().unwrap(), at(seconds)));
    store.agents_heard(heard.to_vec()).await.unwrap();
    assert_eq!(
        store.agents().await.unwrap(),
        [seen("ams-1", 160), seen("fra-1", 100), seen("nyc-1", 100)]
    );
}

#[tokio::test]
async fn a_single_use_token_is_spent_once_however_many_ask_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let (one, other) = (
        Sqlite::open(&file).await.unwrap(),
        Sqlite::open(&file).await.unwrap(),
    );
    one.add_token(token(1)).await.unwrap();
    let now = Timestamp::now();
    let asks = (0..8).map(|number| {
        let store = if number % 2 == 0 { &one } else { &other };
        store.spend_token([7; 32], certificate(number), true, now)
    });
    let spent = futures_util::future::try_join_all(asks).await.unwrap();
    let bought = spent.iter().filter(|&&spent| spent == Spent::Bought).count();
    assert_eq!(bought, 1);
}

/// Polled a few times, then given up, as a call whose caller hangs up.
async fn give_up<T>(call: impl Future<Output = T>, polls: u32) {
    let mut call = std::pin::pin!(call);
    for _ in 0..polls {
        if futures_util::poll!(&mut call).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_given_up_in_its_middle_takes_no_database_along() {
    let store = Sqlite::in_memory().await.unwrap();
    store.put_agent(agent("fra-1")).await.unwrap();
    for polls in 0..400 {
        give_up(store.put_agent(agent("ams-1")), polls).await;
        give_up(store.agents(), polls).await;
        assert!(!store.agents().await.unwrap().is_empty(), "after {polls} polls");
    }
}

#[tokio::test]
async fn an_expired_token_buys_nothing() {
    let store = Sqlite::in_memory().await.unwrap();
    store.add_token(token(5)).await.unwrap();
    let later = Timestamp::now() + SignedDuration::from_hours(2);
    let spend = |at| store.spend_token([7; 32], certificate(1), true, at);
    assert_eq!(spend(later).await.unwrap(), Spent::Worthless);
    assert_eq!(spend(Timestamp::now()).await.unwrap(), Spent::Bought);
}

#[tokio::test]
async fn a_removed_agent_is_refused_until_it_joins_with_a_token_made_afterwards() {
    let store = Sqlite::in_memory().await.unwrap();
    let now = Timestamp::now();
    let later = now + SignedDuration::from_secs(1);
    store.add_token(token(3)).await.unwrap();
    store
        .spend_token([7; 32], certificate(1), true, now)
        .await
        .unwrap();
    store.put_agent(agent("fra-1")).await.unwrap();
    let spiffe_id = certificate(1).spiffe_id;
    assert!(store.remove_identity(spiffe_id.clone(), later).await.unwrap());
    assert_eq!(store.standing([1; 32]).await.unwrap(), Standing::Removed);
    store.put_agent(agent("fra-1")).await.unwrap();
    assert_eq!(
        store.agents().await.unwrap(),
        [],
        "a late word of it does not bring it back"
    );
    assert!(
        !store.remove_identity(spiffe_id, later).await.unwrap(),
        "it is gone already"
    );
    let old = store.spend_token([7; 32], certificate(2), true, later).await;
    assert_eq!(old.unwrap(), Spent::RemovedSince);
    let new = TokenRecord {
        hash: [8; 32],
        created_at: later + SignedDuration::from_secs(1),
        ..token(1)
    };
    store.add_token(new).await.unwrap();
    let bought = store.spend_token([8; 32], certificate(2), true, later).await;
    assert_eq!(bought.unwrap(), Spent::Bought);
    assert_eq!(
        store.standing([1; 32]).await.unwrap(),
        Standing::Removed,
        "the old identity stays out"
    );
    assert_eq!(store.standing([2; 32]).await.unwrap(), Standing::Good);
    assert_eq!(store.agents().await.unwrap().len(), 1);
}

#[tokio::test]
async fn removed_while_its_renewal_waits_gets_nothing() {
    let store = Sqlite::in_memory().await.unwrap();
    let now = Timestamp::now();
    store.add_token(token(1)).await.unwrap();
    store
        .spend_token([7; 32], certificate(1), true, now)
        .await
        .unwrap();
    let renew = |number| store.renew_certificate([1; 32], false, certificate(number), now);
    assert!(renew(2).await.unwrap());
    assert!(
        store
            .remove_identity(certificate(1).spiffe_id, now)
            .await
            .unwrap()
    );
    assert!(!renew(3).await.unwrap());
    let unknown = store.renew_certificate([9; 32], false, certificate(4), now).await;
    assert!(!unknown.unwrap(), "nor with a certificate that nobody remembers");
    let identities = store.identities(now).await.unwrap();
    assert_eq!((identities.len(), identities[0].certificates), (1, 0));
    assert_eq!(
        identities[0].removed_at.map(|at| at.as_microsecond()),
        Some(now.as_microsecond())
    );
}

#[tokio::test]
async fn a_certificate_that_is_over_is_renewed_until_its_owner_is_taken_out() {
    let store = Sqlite::in_memory().await.unwrap();
    let now = Timestamp::now();
    let over = CertificateRecord {
        not_after: now - SignedDuration::from_hours(1),
        ..certificate(1)
    };
    store.add_token(token(1)).await.unwrap();
    store.spend_token([7; 32], over, true, now).await.unwrap();
    let renew = |presented, number| store.renew_certificate([presented; 32], true, certificate(number), now);
    assert!(!renew(9, 2).await.unwrap(), "one that nobody remembers is not");
    assert!(renew(1, 2).await.unwrap());
    assert!(
        store
            .remove_identity(certificate(1).spiffe_id, now)
            .await
            .unwrap()
    );
    assert!(!renew(1, 3).await.unwrap());
}

#[tokio::test]
async fn a_name_in_use_is_not_sold_again() {
    let store = Sqlite::in_memory().await.unwrap();
    let now = Timestamp::now();
    store.add_token(token(3)).await.unwrap();
    let spend = |number, replaces| store.spend_token([7; 32], certificate(number), replaces, now);
    assert_eq!(spend(1, false).await.unwrap(), Spent::Bought);
    assert_eq!(spend(2, false).await.unwrap(), Spent::InUse);
    assert_eq!(store.standing([1; 32]).await.unwrap(), Standing::Good);
    assert_eq!(
        store.token([7; 32]).await.unwrap().unwrap().used,
        1,
        "nor is the token spent"
    );
    assert_eq!(spend(2, true).await.unwrap(), Spent::Bought);
    assert_eq!(store.standing([1; 32]).await.unwrap(), Standing::Removed);
}

#[tokio::test]
async fn a_revoked_token_takes_along_who_joined_with_it_and_what_they_renewed() {
    let store = Sqlite::in_memory().await.unwrap();
    let now = Timestamp::now();
    store.add_token(token(2)).await.unwrap();
    store
        .spend_token([7; 32], certificate(1), true, now)
        .await
        .unwrap();
    store
        .renew_certificate([1; 32], false, certificate(2), now)
        .await
        .unwrap();
    assert_eq!(store.revoke_token([5; 32], false, now).await.unwrap(), None);
    let kept = store.revoke_token([7; 32], true, now).await.unwrap();
    assert_eq!(kept, Some(Vec::new()));
    assert_eq!(store.standing([2; 32]).await.unwrap(), Standing::Good);
    let out = store.revoke_token([7; 32], false, now).await.unwrap();
    assert_eq!(out, Some(vec![certificate(1).spiffe_id]));
    assert_eq!(store.standing([2; 32]).await.unwrap(), Standing::Removed);
    let spent = store.spend_token([7; 32], certificate(3), true, now).await;
    assert_eq!(spent.unwrap(), Spent::Worthless);
}

#[tokio::test]
async fn of_the_certificates_of_one_identity_the_newest_are_good() {
    let store = Sqlite::in_memory().await.unwrap();
    let now = Timestamp::now();
    store.add_token(token(1)).await.unwrap();
    store
        .spend_token([7; 32], certificate(1), true, now)
        .await
        .unwrap();
    for number in 2..=9 {
        let renewed = CertificateRecord {
            issued_at: now + SignedDuration::from_secs(i64::from(number)),
            ..certificate(number)
        };
        assert!(
            store
                .renew_certificate([number - 1; 32], false, renewed, now)
                .await
                .unwrap()
        );
    }
    assert_eq!(store.standing([1; 32]).await.unwrap(), Standing::Removed);
    assert_eq!(store.standing([2; 32]).await.unwrap(), Standing::Good);
}

#[tokio::test]
async fn the_audit_log_is_a_chain_that_nobody_changes() {
    let store = Sqlite::in_memory().await.unwrap();
    for actor in ["ada", "bob", "ada"] {
        let record = AuditRecord {
            at: Timestamp::now(),
            actor: actor.into(),
            role: "admin".into(),
            peer: "192.0.2.1:4000".into(),
            call: "CreateToken".into(),
            subject: "agent".into(),
            run_id: String::new(),
            result: "done".into(),
            detail: String::new(),
            took: Duration::from_millis(3),
        };
        store.add_audit(record).await.unwrap();
    }
    for change in ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit WHERE id = 2"] {
        let refused = sqlx::raw_sql(change).execute(&store.pool).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    let mut entries = store.audit(AuditFilter::default(), 10).await.unwrap();
    entries.reverse();
    assert_eq!(AuditEntry::verify(&entries, Some(&[])), Ok(()));
    let meant = AuditFilter {
        actor: Some("ada".into()),
        before: Some(3),
        ..AuditFilter::default()
    };
    let found: Vec<i64> = store
        .audit(meant, 10)
        .await
        .unwrap()
        .iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(found, [1]);
}

#[tokio::test]
async fn pinned_labels_are_added_to_and_taken_back() {
    let store = Sqlite::in_memory().await.unwrap();
    let name: AgentName = "fra-1".parse().unwrap();
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let pin = |set, unset: &[&str]| {
        let unset = unset.iter().map(|key| (*key).to_owned()).collect();
        store.pin_labels(name.clone(), set, unset)
    };
    pin(labels(&[("region", "eu"), ("tier", "test")]), &[])
        .await
        .unwrap();
    let now = pin(labels(&[("region", "us")]), &["tier"]).await.unwrap();
    assert_eq!(now, labels(&[("region", "us")]));
    assert_eq!(store.pinned_labels().await.unwrap(), [(name.clone(), now)].into());
}

#[tokio::test]
async fn the_latest_runs_come_first_and_a_beginning_finds_one() {
    let store = Sqlite::in_memory().await.unwrap();
    for id in [0x10_u128, 0x11, 0x20] {
        store.put_run(run(id << 120)).await.unwrap();
    }
    store.put_run(run(0x20 << 120)).await.unwrap();
    let runs = store.runs(RunFilter::default(), 2).await.unwrap();
    assert_eq!(
        runs.iter()
            .map(|run| run.run_id.as_u128() >> 120)
            .collect::<Vec<_>>(),
        [0x20, 0x11]
    );
    assert!(matches!(store.run("2".into()).await.unwrap(), Found::One(_)));
    assert_eq!(store.run("1".into()).await.unwrap(), Found::Several);
    assert_eq!(store.run("%".into()).await.unwrap(), Found::None);
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let store = Sqlite::open(&file).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await.unwrap();
    let refused = Sqlite::open(&file).await.unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!(
            "the database has version 99, this program knows versions up to {}",
            MIGRATIONS.len()
        )),
        "{refused}"
    );
}

/// A run in which some vantage points see `outcome`.
fn seen(id: u128, verdict: Verdict, vantages: &[(&str, VantageOutcome)]) -> RunDocument {
    let vantage = |&(agent, outcome): &(&str, VantageOutcome)| Observation {
        outcome,
        reason: None,
        note: Some(format!("run {id:x}")),
        ..Observation::unseen(
            agent.parse().unwrap(),
            Default::default(),
            outcome,
            parallax_model::observation::Reason::Offline,
            "",
        )
    };
    RunDocument {
        verdict,
        vantages: vantages.iter().map(vantage).collect(),
        ..run(id << 120)
    }
}

async fn notes(store: &Sqlite, target: RunTarget) -> Vec<(String, String)> {
    let good = store.last_good(target).await.unwrap();
    let runs = good.into_iter().flat_map(|good| good.runs);
    let seen = runs.flat_map(|(_, seen)| seen);
    let mut notes: Vec<_> = seen
        .map(|seen| (seen.agent.to_string(), seen.note.unwrap()))
        .collect();
    notes.sort();
    notes
}

#[tokio::test]
async fn each_vantage_point_has_a_last_good_run_of_its_own() {
    use VantageOutcome::{Failed, Missing, Ok};
    let store = Sqlite::in_memory().await.unwrap();
    let target = run(0).target;
    assert_eq!(store.last_good(target.clone()).await.unwrap(), None);
    let runs = [
        seen(
            1,
            Verdict::Healthy,
            &[("ams-1", Ok), ("fra-1", Ok), ("nyc-1", Ok)],
        ),
        seen(
            3,
            Verdict::Partial,
            &[("ams-1", Failed), ("fra-1", Ok), ("nyc-1", Missing)],
        ),
        // Kept late, and made before the one above.
        seen(2, Verdict::Healthy, &[("ams-1", Ok), ("fra-1", Ok)]),
        seen(4, Verdict::Down, &[("ams-1", Failed), ("fra-1", Failed)]),
    ];
    for run in runs {
        store.put_run(run).await.unwrap();
    }
    let expected = [("ams-1", "run 2"), ("fra-1", "run 3"), ("nyc-1", "run 1")];
    let expected = expected.map(|(agent, note)| (agent.to_owned(), note.to_owned()));
    assert_eq!(notes(&store, target.clone()).await, expected);
    let good = store.last_good(target).await.unwrap().unwrap();
    let (newest, _) = good.runs[0];
    assert_eq!(newest.run_id.as_u128() >> 120, 3);
}

#[tokio::test]
async fn a_target_is_the_same_however_it_is_written_and_another_with_other_endpoints() {
    let store = Sqlite::in_memory().await.unwrap();
    let endpoint = |port, security| Endpoint { port, security };
    let target = |host: &str, endpoints: &[Endpoint]| RunTarget {
        input: format!("typed {host}"),
        host: host.into(),
        endpoints: endpoints.to_vec(),
    };
    let (tls, starttls) = (endpoint(993, Security::Tls), endpoint(143, Security::Starttls));
    let run = RunDocument {
        target: target("imap.example.org", &[tls, starttls]),
        ..seen(1, Verdict::Healthy, &[("fra-1", VantageOutcome::Ok)])
    };
    store.put_run(run).await.unwrap();
    assert_eq!(
        notes(&store, target("IMAP.example.org", &[starttls, tls]))
            .await
            .len(),
        1
    );
    assert!(notes(&store, target("imap.example.org", &[tls])).await.is_empty());
    assert!(
        notes(&store, target("imap.example.net", &[tls, starttls]))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_database_of_version_1_keeps_its_runs_and_learns_what_is_good_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let old = SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(MIGRATIONS[0]).execute(&old).await.unwrap();
    let kept = seen(1, Verdict::Healthy, &[("fra-1", VantageOutcome::Ok)]);
    sqlx::query("INSERT INTO runs (id, started_at, target, verdict, summary, document) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(kept.run_id.to_string())
        .bind(kept.started_at.as_microsecond())
        .bind(kept.target.input.as_str())
        .bind(kept.verdict.as_str())
        .bind(kept.summary.as_str())
        .bind(v1::Run::from(&kept).encode_to_vec())
        .execute(&old)
        .await
        .unwrap();
    old.close().await;
    let store = Sqlite::open(&file).await.unwrap();
    assert_eq!(store.runs(RunFilter::default(), 10).await.unwrap().len(), 1);
    let of_target = RunFilter {
        target: Some(kept.target.clone()),
        ..RunFilter::default()
    };
    assert_eq!(
        store.runs(of_target, 10).await.unwrap().len(),
        1,
        "old runs are found by their target too"
    );
    assert_eq!(store.last_good(kept.target.clone()).await.unwrap(), None);
    store
        .put_run(seen(2, Verdict::Healthy, &[("fra-1", VantageOutcome::Ok)]))
        .await
        .unwrap();
    assert_eq!(notes(&store, kept.target).await.len(), 1);
    store.close().await.unwrap();
    let again = Sqlite::open(&file).await.unwrap();
    assert_eq!(
        again.runs(RunFilter::default(), 10).await.unwrap().len(),
        2,
        "a second start changes nothing"
    );
}

#[tokio::test]
async fn the_oldest_runs_go_and_the_last_good_ones_stay() {
    use VantageOutcome::{Failed, Ok};
    let store = Sqlite::in_memory().await.unwrap();
    let other = |id| {
        let mut run = seen(id, Verdict::Healthy, &[("fra-1", Ok)]);
        run.target.host = "other.example.org".into();
        run
    };
    for run in [
        other(1),
        seen(2, Verdict::Healthy, &[("ams-1", Ok)]),
        seen(3, Verdict::Healthy, &[("fra-1", Ok)]),
        seen(4, Verdict::Down, &[("fra-1", Failed)]),
        seen(5, Verdict::Down, &[("fra-1", Failed)]),
    ] {
        store.put_run(run).await.unwrap();
    }
    let mut transaction = store.write().await.unwrap();
    runs::prune(&mut transaction, 2).await.unwrap();
    transaction.commit().await.unwrap();
    let left = store.runs(RunFilter::default(), 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|run| run.run_id.as_u128() >> 120).collect();
    assert_eq!(left, [5, 4, 3, 2]);
    assert_eq!(notes(&store, run(0).target).await.len(), 2);
    assert!(
        notes(&store, other(1).target).await.is_empty(),
        "nothing names a run that is gone"
    );
}

fn kept(number: u32, bytes: usize) -> KeptCapture {
    KeptCapture {
        number,
        agent: "fra-1".parse().unwrap(),
        capture: Capture {
            facts: CaptureFacts {
                address: "10.9.0.10".parse().unwrap(),
                endpoint: Endpoint {
                    port: 993,
                    security: Security::Tls,
                },
                experiment: None,
                local: "10.1.0.2:40000".parse().unwrap(),
                packets: 9,
                packets_dropped: 1,
                secrets: CapturedSecrets::Handshake,
            },
            pcapng: vec![7; bytes],
        },
    }
}

/// How many bytes are kept of each capture of a run.
async fn sizes(store: &Sqlite, run: Uuid) -> Vec<usize> {
    let (mut sizes, mut from) = (Vec::new(), 0);
    while let Some(kept) = store.next_capture(run, from).await.unwrap() {
        sizes.push(kept.capture.pcapng.len());
        from = kept.number + 1;
    }
    sizes
}

#[tokio::test]
async fn packets_are_kept_beside_their_run_in_its_order() {
    let store = Sqlite::in_memory().await.unwrap();
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (run, number) in [(one, 2), (other, 0), (one, 0)] {
        store
            .put_capture(run, kept(number, 10 + number as usize))
            .await
            .unwrap();
    }
    assert_eq!(store.next_capture(one, 1).await.unwrap(), Some(kept(2, 12)));
    assert_eq!(sizes(&store, one).await, [10, 12]);
    assert_eq!(sizes(&store, other).await, [10]);
    assert_eq!(sizes(&store, Uuid::from_u128(3)).await, [] as [usize; 0]);
}

#[tokio::test]
async fn the_oldest_packets_go_where_there_is_no_room_for_all() {
    let store = Sqlite::in_memory().await.unwrap();
    for id in 1..=4 {
        store
            .put_capture(Uuid::from_u128(id), kept(0, 100))
            .await
            .unwrap();
    }
    let mut transaction = store.write().await.unwrap();
    captures::make_room(&mut transaction, 250).await.unwrap();
    transaction.commit().await.unwrap();
    let mut left = Vec::new();
    for id in 1..=4 {
        left.push(sizes(&store, Uuid::from_u128(id)).await.len());
    }
    assert_eq!(left, [0, 0, 1, 1]);
}

#[tokio::test]
async fn packets_of_a_run_that_is_gone_go_and_those_of_one_that_goes_on_stay() {
    let store = Sqlite::in_memory().await.unwrap();
    store.put_run(run(1)).await.unwrap();
    for id in [1, 2] {
        store.put_capture(Uuid::from_u128(id), kept(0, 10)).await.unwrap();
    }
    for (later, left) in [(1, 1), (3, 0)] {
        let mut transaction = store.write().await.unwrap();
        let now = Timestamp::now() + SignedDuration::from_hours(later);
        captures::forget_orphans(&mut transaction, now).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(
            sizes(&store, Uuid::from_u128(2)).await.len(),
            left,
            "after {later} h"
        );
        assert_eq!(sizes(&store, Uuid::from_u128(1)).await.len(), 1);
    }
}

#[tokio::test]
async fn runs_are_found_by_their_target_and_not_by_how_it_was_typed() {
    let store = Sqlite::in_memory().await.unwrap();
    let typed = |id: u128, input: &str, verdict| RunDocument {
        target: RunTarget {
            input: input.into(),
            ..run(0).target
        },
        started_at: Timestamp::from_second(id as i64).unwrap(),
        ..seen(id, verdict, &[])
    };
    let mut other = typed(4, "imap.example.org", Verdict::Healthy);
    other.target.host = "other.example.org".into();
    for run in [
        typed(1, "imap.example.org", Verdict::Healthy),
        typed(2, "imaps://imap.example.org", Verdict::Healthy),
        typed(3, "IMAP.example.org:993", Verdict::Down),
        other,
    ] {
        store.put_run(run).await.unwrap();
    }
    let found = async |filter: RunFilter| {
        let runs = store.runs(filter, 10).await.unwrap();
        runs.iter()
            .map(|run| run.run_id.as_u128() >> 120)
            .collect::<Vec<_>>()
    };
    let same = RunFilter {
        target: Some(run(0).target),
        ..RunFilter::default()
    };
    assert_eq!(found(same.clone()).await, [3, 2, 1]);
    let good_before = RunFilter {
        verdict: Some(Verdict::Healthy),
        before: Some(Timestamp::from_second(2).unwrap()),
        ..same
    };
    assert_eq!(found(good_before).await, [1]);
}
