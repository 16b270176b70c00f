//! An agent whose policy stands in a file of its own, and a collector that is somebody else's.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parallax_proto::v1;
use parallax_proto::v1::agent_message::Message as FromAgent;
use parallax_tests::address;
use parallax_tests::canary::Canary;
use parallax_tests::dns::Answering;
use parallax_tests::dovecot::USER;
use parallax_tests::host;
use parallax_tests::pki::{Leaf, Pki};
use parallax_tests::rogue::{Counted, Rogue, Thief};
use parallax_tests::site::TARGET;
use parallax_tests::wait;
use parallax_tests::world::World;

use crate::rogue::{FORBIDDEN, PASSWORD, login, probe};
use crate::{HEALTHY, UNKNOWN};

const AGENT: &str = "edge-one";
const PATIENCE: Duration = Duration::from_secs(20);

/// The service by its name, over IPv4, no deeper than a login, and no ways.
const POLICY: &str = r#"
allow = ["imap.lab.example:143,993"]
deny = ["127.0.0.0/8", "::1/128", "169.254.0.0/16", "fd00:9::/32"]
max_depth = "login"
trace = false
"#;

#[test]
fn a_policy_in_a_file_of_its_own_holds_whatever_the_collector_and_the_zone_say() {
    if !host::lab_can_run() {
        return;
    }
    let mut world = World::new(&[AGENT]).unwrap();
    let policy = strict_agent(&mut world);
    world.wait_for_agents(&[AGENT]).unwrap();
    what_was_left_out_is_shown(&world);
    world.kill_collector();
    let here: IpAddr = address::CONTROL.v4.into();
    {
        let site = &world.site;
        let counted = Counted::at(&site.vantage(AGENT).unwrap().host, &FORBIDDEN).unwrap();
        let stranger = Pki::new(&[TARGET]).unwrap();
        let credentials = stranger.issue(Leaf::Good).unwrap();
        let thief = Thief::listen_with_tls(&site.lab.control, 993, &credentials).unwrap();
        let rogue = Rogue::start(
            &site.lab.control,
            &world.collector_data(),
            (&here.to_string(), 7143),
        )
        .unwrap();

        site.names.answer_everyone(Answering::Instead(here));
        steals_behind_tls(&rogue, &stranger.root_der(), &thief);
        site.names.answer_everyone(Answering::Truthfully);
        assert!(!done(&rogue, probe("truth", TARGET, 993)).attempts.is_empty());
        moves_the_name(&world, &rogue);
        assert_eq!(counted.packets().unwrap(), 0, "somebody was looked at");
        goes_too_far(&rogue);
        rereads(&world, &rogue, &policy);
    }
}

/// Starts the agent anew with a policy in a file and a credential of its own.
fn strict_agent(world: &mut World) -> PathBuf {
    let policy = world.state_of(AGENT).with_extension("policy");
    std::fs::write(&policy, POLICY).unwrap();
    let secret = world.state_of(AGENT).join("probe-secret");
    std::fs::write(&secret, PASSWORD).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let configuration = format!(
        "policy_file = {policy:?}\n[[credentials]]\nname = \"own\"\nhost = \"{TARGET}\"\nuser = \"{USER}\"\nfile = {secret:?}\n"
    );
    std::fs::write(world.configuration_of(AGENT), configuration).unwrap();
    world.kill_agent(AGENT).unwrap();
    world.start_agent(AGENT).unwrap();
    policy
}

/// One of two addresses is refused by its rule, and that is no failure; a probe too deep is refused whole.
fn what_was_left_out_is_shown(world: &World) {
    let answer = world.probe(&["--path", "always"]).unwrap().expect_status(HEALTHY);
    let vantage = &answer.json()["vantages"][0];
    let rules: Vec<_> = vantage["left_out"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|refusal| refusal["rule"].as_str())
        .collect();
    assert_eq!(rules, ["deny fd00:9::/32", "trace = false"], "{answer}");
    assert_eq!(vantage["left_out"][0]["address"], address::MAIL.v6.to_string());
    let tried = vantage["attempts"].as_array().unwrap();
    let mail = address::MAIL.v4.to_string();
    assert!(
        tried.iter().all(|attempt| attempt["address"] == mail.as_str()),
        "{answer}"
    );
    let table = world.ctl(&["probe", TARGET, "--from", "all"]).unwrap();
    let row = "fd00:9::10  refused: policy (its own rule: deny fd00:9::/32)";
    assert!(table.stdout.contains(row), "{table}");
    let deep = world
        .probe(&["--credential", "own", "--depth", "mailbox"])
        .unwrap()
        .expect_status(UNKNOWN);
    let vantage = &deep.json()["vantages"][0];
    assert_eq!(
        (&vantage["outcome"], &vantage["reason"]),
        (&"refused".into(), &"policy".into())
    );
    assert_eq!(vantage["refusal"]["rule"], "max_depth = \"login\"", "{deep}");
    assert_eq!(vantage["refusal"]["value"], "mailbox", "{deep}");
}

/// A server behind TLS that the order's own anchors vouch for: the agent talks to it, and tells it no secret.
fn steals_behind_tls(rogue: &Rogue, anchor: &[u8], thief: &Thief) {
    let canary = Canary::of(PASSWORD);
    let mut sealed = login(rogue, "sealed".into());
    sealed.spec.as_mut().unwrap().addresses.clear();
    let mut own = sealed.clone();
    (own.order_id, own.secret, own.credential) = ("own".into(), None, "own".into());
    own.spec.as_mut().unwrap().anchors_der = vec![anchor.to_vec()];
    for order in [sealed.clone(), own] {
        let id = order.order_id.clone();
        let seen = done(rogue, order);
        let tls = seen.attempts[0].stages.iter().find(|stage| stage.name == "tls");
        assert_eq!(tls.unwrap().outcome, "failed", "{id}");
        assert_eq!(canary.within(&thief.heard()), None, "{id}");
    }
    sealed.order_id = "sealed-anchored".into();
    sealed.spec.as_mut().unwrap().anchors_der = vec![anchor.to_vec()];
    assert_eq!(refused(rogue, sealed).reason, "unsupported");
    let mut talk = probe("talk", TARGET, 993);
    talk.spec.as_mut().unwrap().anchors_der = vec![anchor.to_vec()];
    done(rogue, talk);
    assert!(
        !thief.heard().is_empty(),
        "a thief that nobody came to proves nothing"
    );
    assert_eq!(canary.within(&thief.heard()), None);
}

/// The name led to the service a moment ago, and leads elsewhere now.
fn moves_the_name(world: &World, rogue: &Rogue) {
    for (number, (elsewhere, rule)) in [
        ("169.254.169.254", "deny 169.254.0.0/16"),
        ("127.0.0.1", "deny 127.0.0.0/8"),
        ("::1", "deny ::1/128"),
        ("64:ff9b::a9fe:a9fe", "deny 169.254.0.0/16"),
        ("::ffff:127.0.0.1", "deny 127.0.0.0/8"),
        ("2002:7f00:1::1", "deny 127.0.0.0/8"),
    ]
    .into_iter()
    .enumerate()
    {
        let moved = Answering::Instead(elsewhere.parse().unwrap());
        world.site.names.answer_everyone(moved);
        let refused = refused(rogue, probe(&format!("moved-{number}"), TARGET, 993));
        let refusal = refused.refusal.unwrap();
        assert_eq!(
            (refusal.what.as_str(), refusal.rule.as_str()),
            ("address", rule),
            "{elsewhere}"
        );
        world.site.names.answer_everyone(Answering::Truthfully);
        assert!(
            !done(rogue, probe(&format!("back-{number}"), TARGET, 993))
                .attempts
                .is_empty()
        );
    }
}

fn goes_too_far(rogue: &Rogue) {
    let mut deep = login(rogue, "deep".into());
    deep.spec.as_mut().unwrap().depth = "sync".into();
    let other_name = probe("other-name", "mail.lab.example", 993);
    let other_port = probe("other-port", TARGET, 25);
    for (order, what, rule) in [
        (deep, "depth", "max_depth = \"login\""),
        (other_name, "host", "allow"),
        (other_port, "port", "allow imap.lab.example:143,993"),
    ] {
        let refused = refused(rogue, order);
        let refusal = refused.refusal.unwrap();
        assert_eq!((refused.reason.as_str(), refusal.what.as_str()), ("policy", what));
        assert_eq!(refusal.rule, rule);
    }
}

/// SIGHUP brings a stricter policy; a bad file then changes nothing.
fn rereads(world: &World, rogue: &Rogue, policy: &PathBuf) {
    let mut number = 0;
    let mut ends = move |rogue: &Rogue| {
        number += 1;
        rogue.order(probe(&format!("after-{number}"), TARGET, 993))
    };
    let agent = world
        .processes()
        .into_iter()
        .find(|(name, _)| name.contains(AGENT))
        .map(|(_, id)| Pid::from_raw(id.try_into().unwrap()))
        .unwrap();
    let read_again = |text: &str, said: &str| {
        std::fs::write(policy, text).unwrap();
        kill(agent, Signal::SIGHUP).unwrap();
        wait::until(said, PATIENCE, || Ok(world.logs().contains(said).then_some(()))).unwrap();
    };
    read_again("allow = [\"*:143\"]\n", "holds from now on: allows *:143;");
    assert!(matches!(ends(rogue).unwrap(), FromAgent::Refused(_)));
    read_again("allow = [\"*\"]\n", "the policy stays as it was");
    assert!(matches!(ends(rogue).unwrap(), FromAgent::Refused(_)));
    read_again(POLICY, "holds from now on: allows imap.lab.example:143,993;");
    assert!(matches!(ends(rogue).unwrap(), FromAgent::Done(_)));
}

fn done(rogue: &Rogue, order: v1::Order) -> v1::Observation {
    match rogue.order(order).unwrap() {
        FromAgent::Done(done) => done.observation.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn refused(rogue: &Rogue, order: v1::Order) -> v1::OrderRefused {
    match rogue.order(order).unwrap() {
        FromAgent::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}
