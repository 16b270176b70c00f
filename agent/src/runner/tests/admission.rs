//! What the policy lets through.

use std::num::{NonZeroU32, NonZeroUsize};

use parallax_model::refusal::{PolicyMatter, PolicyRefusal};
use parallax_model::spec::{CaptureChoice, PathChoice};

use super::*;
use crate::policy::Logins;

/// What an order is refused by.
fn rule(runner: &Runner, order: &Order) -> PolicyRefusal {
    let refusal = runner.admit(order).unwrap_err();
    assert_eq!(refusal.reason, Reason::Policy, "{refusal:?}");
    refusal.rule.unwrap()
}

#[tokio::test]
async fn an_address_that_the_policy_denies_is_left_out_by_its_rule_and_the_other_is_tried() {
    let server = mail_server(Arc::default()).await;
    let policy = Policy {
        deny: vec!["127.8.0.0/16".parse().unwrap()],
        ..Policy::allow_all()
    };
    let mut order = order(&format!("mail.example:{}", server.port()), Depth::Greeting);
    order.spec.addresses = vec!["127.8.0.1".parse().unwrap(), server.ip()];
    let observation = run(&runner(policy), &order).await.unwrap();
    assert_eq!(
        observation.outcome,
        VantageOutcome::Ok,
        "it is not failed for that"
    );
    assert_eq!(observation.attempts.len(), 1);
    assert_eq!(observation.attempts[0].address, server.ip());
    let untouched: Vec<_> = observation.untouched().collect();
    let [(refusal, address, port)] = untouched.as_slice() else {
        panic!("{untouched:?}")
    };
    assert_eq!(
        (address.to_string().as_str(), *port),
        ("127.8.0.1", server.port())
    );
    assert_eq!(
        (refusal.what, refusal.rule.as_str()),
        (PolicyMatter::Address, "deny 127.8.0.0/16")
    );
}

#[tokio::test]
async fn an_order_deeper_than_the_policy_lets_probes_go_is_refused_whatever_it_calls_it() {
    let runner = runner(Policy {
        max_depth: Depth::Connect,
        ..Policy::allow_all()
    });
    let deep = order("127.0.0.1:143", Depth::Sync);
    let refusal = rule(&runner, &deep);
    assert_eq!(
        (refusal.what, refusal.value.as_str()),
        (PolicyMatter::Depth, "sync")
    );
    let mut examined = order("127.0.0.1:143", Depth::Connect);
    assert!(runner.admit(&examined).is_ok());
    examined.spec.options.examine = vec![Examination::LegacyTls];
    assert_eq!(rule(&runner, &examined).value, "tls");
    let server = mail_server(Arc::default()).await;
    for (kind, fits) in [
        (ExperimentKind::Repeat, false),
        (ExperimentKind::RawHello, false),
        (ExperimentKind::NoSni, false),
        (ExperimentKind::HelloLadder, false),
        (ExperimentKind::ControlPort, true),
    ] {
        let mut round = order(&server.to_string(), Depth::Greeting);
        round.experiments = vec![Experiment {
            kind,
            agent: "fra-1".parse().unwrap(),
            address: server.ip(),
            endpoint: round.spec.target.endpoints[0],
            variation: parallax_model::experiment::Variation::default(),
        }];
        let ran = run(&runner, &round).await;
        assert_eq!(ran.is_ok(), fits, "{kind}");
        if let Err(refusal) = ran {
            assert_eq!(refusal.rule.unwrap().what, PolicyMatter::Depth, "{kind}");
        }
    }
}

#[tokio::test]
async fn no_secret_is_opened_where_the_policy_has_no_logins() {
    let logins = Arc::new(AtomicUsize::new(0));
    let server = mail_server(logins.clone()).await;
    let runner = runner(Policy {
        login: Logins::Any(false),
        ..Policy::allow_all()
    });
    let mut with_user = order(&server.to_string(), Depth::Login);
    with_user.spec.login = Some(LoginSpec {
        user: "probe".into(),
        mechanism: None,
    });
    let refusal = rule(&runner, &with_user);
    assert_eq!(
        (refusal.what, refusal.rule.as_str()),
        (PolicyMatter::Login, "login = false")
    );
    let context = SealContext {
        host: &server.ip().to_string(),
        user: "",
        anchors: &[],
    };
    let sealed = seal::seal(runner.sealing_key.public(), &context, &Secret::new("x".into())).unwrap();
    let mut with_certificate = order(&server.to_string(), Depth::Tls);
    with_certificate.client_identity = Some(sealed);
    assert_eq!(rule(&runner, &with_certificate).what, PolicyMatter::Login);
    assert!(run(&runner, &with_user).await.is_err());
    assert_eq!(logins.load(Ordering::Relaxed), 0);
    assert!(runner.admit(&order(&server.to_string(), Depth::Greeting)).is_ok());
}

#[tokio::test]
async fn the_policys_number_and_rate_hold_for_probes_and_for_rounds() {
    let crowded = runner(Policy {
        max_probes: NonZeroUsize::new(1),
        ..Policy::allow_all()
    });
    let plain = order("127.0.0.1:143", Depth::Connect);
    let held = crowded.admit(&plain).unwrap();
    assert_eq!(rule(&crowded, &plain).what, PolicyMatter::Probes);
    drop(held);
    assert!(crowded.admit(&plain).is_ok());

    let slow = runner(Policy {
        rate_per_target: NonZeroU32::new(1).unwrap(),
        ..Policy::allow_all()
    });
    let named = |name: &str| {
        let mut claimed = order(&format!("{name}:143"), Depth::Connect);
        claimed.spec.addresses = vec!["127.0.0.1".parse().unwrap()];
        claimed
    };
    assert!(slow.admit(&plain).is_ok());
    assert!(slow.admit(&named("a.example")).is_ok());
    // Another name for the same address is the same target.
    let refusal = rule(&slow, &named("b.example"));
    assert_eq!(
        (refusal.what, refusal.value.as_str()),
        (PolicyMatter::Rate, "127.0.0.1")
    );
    assert!(slow.admit(&order("127.0.0.2:143", Depth::Connect)).is_ok());
    // What is refused for another reason uses nothing up.
    let strict = runner(Policy {
        rate_per_target: NonZeroU32::new(1).unwrap(),
        ..Policy::default()
    });
    for _ in 0..5 {
        assert_eq!(
            rule(&strict, &order("192.0.2.1:25", Depth::Connect)).what,
            PolicyMatter::Port
        );
    }
}

#[tokio::test]
async fn what_is_asked_for_beside_and_forbidden_is_left_out_by_its_rule() {
    let server = mail_server(Arc::default()).await;
    let runner = runner(Policy {
        trace: false,
        capture: false,
        ..Policy::allow_all()
    });
    let mut order = order(&server.to_string(), Depth::Greeting);
    order.spec.options.path = PathChoice::Always;
    order.spec.options.capture = CaptureChoice::Always;
    let observation = run(&runner, &order).await.unwrap();
    let rules: Vec<_> = observation
        .left_out
        .iter()
        .map(|refusal| refusal.rule.as_str())
        .collect();
    assert_eq!(rules, ["trace = false", "capture = false"]);
    assert!(observation.network.paths.iter().all(|path| path.hops.is_empty()));
    assert_eq!(observation.untouched().count(), 0);
    order.spec.options = ProbeOptions::default();
    assert!(run(&runner, &order).await.unwrap().left_out.is_empty());
}

#[tokio::test]
async fn a_policy_that_is_read_again_holds_for_the_next_order() {
    let server = mail_server(Arc::default()).await;
    let runner = runner(Policy::allow_all());
    let order = order(&server.to_string(), Depth::Greeting);
    assert!(run(&runner, &order).await.is_ok());
    runner.policy.replace(Policy::default());
    assert_eq!(run(&runner, &order).await.unwrap_err().reason, Reason::Policy);
}
