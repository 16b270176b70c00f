#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use parallax_model::evidence::IcmpError;
use parallax_model::path::{HopReply, PathEnd};
use proptest::prelude::*;

use super::*;

const TARGET: &str = "10.9.0.10";
const BUDGET: Duration = Duration::from_secs(4);

/// A network that follows a script.
#[derive(Debug, Clone)]
struct Net {
    hops: Vec<Router>,
    target: Target,
    rtt: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Router {
    /// Says when a packet dies with it.
    Open,
    /// Passes packets on and never says a word.
    Mute,
    /// Says a word only when it is asked for the second time.
    Slow,
    /// Says when a packet dies with it, and lets none pass.
    Drops,
    /// Answers everything with an error.
    Rejects,
    /// Hands packets back to the router before it.
    Returns,
    /// This host does not even send.
    Holds,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    Listens,
    Resets,
    Silent,
}

impl Net {
    fn new(hops: &[Router], target: Target) -> Self {
        Self {
            hops: hops.to_vec(),
            target,
            rtt: Duration::from_millis(2),
        }
    }

    fn answer(&self, ttl: u8, asked_before: bool) -> Answer {
        if self.hops.first() == Some(&Router::Holds) {
            return Answer::NotSent("EPERM".into());
        }
        let mut at: usize = 0;
        for left in (0..ttl).rev() {
            let Some(router) = self.hops.get(at) else {
                return self.at_target();
            };
            match router {
                Router::Rejects => return icmp(at, 3, 13, "admin_prohibited", self.rtt),
                Router::Drops if left > 0 => return Answer::Silence,
                _ => {}
            }
            if left == 0 {
                return match router {
                    Router::Mute => Answer::Silence,
                    Router::Slow if !asked_before => Answer::Silence,
                    _ => icmp(at, 11, 0, "ttl_exceeded", self.rtt),
                };
            }
            at = match router {
                Router::Returns if at > 0 => at - 1,
                _ => at + 1,
            };
        }
        Answer::Silence
    }

    fn at_target(&self) -> Answer {
        match self.target {
            Target::Listens => Answer::SynAck { rtt: self.rtt },
            Target::Resets => Answer::Reset { rtt: self.rtt },
            Target::Silent => Answer::Silence,
        }
    }
}

fn icmp(at: usize, kind: u8, code: u8, name: &str, rtt: Duration) -> Answer {
    let from = format!("10.0.0.{}", at + 1).parse().unwrap();
    Answer::Icmp(IcmpAnswer {
        error: IcmpError {
            kind,
            code,
            name: name.into(),
            from,
        },
        rtt,
        reply_ttl: Some(64 - u8::try_from(at).unwrap()),
        mss: None,
        mtu: None,
    })
}

/// A trace from its beginning to its end, the packets that it took and the time.
fn trace(net: &Net, answers: bool, until: Duration) -> (Traced, u32, Duration) {
    let mut trace = Trace::new(Wish {
        address: TARGET.parse().unwrap(),
        answers,
        rtt: None,
        until,
    });
    let (mut now, mut shots, mut asked) = (Duration::ZERO, 0, Vec::new());
    loop {
        match trace.next(now) {
            Step::Shoot(shot) => {
                assert!((1..=30).contains(&shot.ttl));
                assert!(now + shot.wait <= until);
                let answer = net.answer(shot.ttl, asked.contains(&shot.ttl));
                now += match &answer {
                    Answer::Silence => shot.wait,
                    _ => net.rtt.min(shot.wait),
                };
                asked.push(shot.ttl);
                shots += 1;
                trace.handle(answer);
            }
            Step::Rest { until } => {
                assert!(until > now);
                now = until;
            }
            Step::Done(traced) => return (traced, shots, now),
        }
    }
}

/// The last part of each hop's address, `*` for silence, a word for the rest.
fn told(traced: &Traced) -> String {
    let word = |hop: &parallax_model::path::Hop| match &hop.reply {
        HopReply::TimeExceeded => hop.addresses[0].to_string().replace("10.0.0.", ""),
        HopReply::None => "*".to_owned(),
        other => other.to_string(),
    };
    traced.hops.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn found(net: &Net) -> (String, PathEnd) {
    let (traced, ..) = trace(net, false, BUDGET);
    (told(&traced), traced.ended)
}

#[test]
fn an_open_way_leads_to_the_target() {
    let open = [Router::Open; 3];
    assert_eq!(
        found(&Net::new(&open, Target::Listens)),
        ("1 2 3 syn_ack".into(), PathEnd::Reached)
    );
    let (traced, shots, _) = trace(&Net::new(&open, Target::Resets), false, BUDGET);
    assert_eq!(
        (told(&traced).as_str(), traced.reached, shots),
        ("1 2 3 rst", true, 4)
    );
    assert_eq!(traced.hops[1].reply_ttl, Some(63));
}

#[test]
fn a_way_that_drops_ends_behind_the_last_that_answers_and_is_asked_again() {
    let net = Net::new(&[Router::Open, Router::Drops, Router::Open], Target::Listens);
    let (traced, shots, took) = trace(&net, false, BUDGET);
    assert_eq!(told(&traced), "1 2 * * * *");
    assert_eq!((traced.ended, traced.reached), (PathEnd::Silent, false));
    let asked: Vec<_> = traced.hops.iter().map(|hop| hop.asked).collect();
    assert_eq!(asked, [None, None, Some(2), Some(2), None, None]);
    assert_eq!(shots, 8);
    assert!(took < Duration::from_millis(2_500), "{took:?}");
}

#[test]
fn a_router_that_spent_its_allowance_is_heard_the_second_time_and_the_way_goes_on() {
    let limited = [
        Router::Open,
        Router::Slow,
        Router::Slow,
        Router::Slow,
        Router::Slow,
    ];
    let net = Net::new(&limited, Target::Resets);
    assert_eq!(found(&net), ("1 2 3 4 5 rst".into(), PathEnd::Reached));
}

#[test]
fn a_mute_router_is_no_end() {
    let net = Net::new(
        &[Router::Open, Router::Mute, Router::Mute, Router::Open],
        Target::Listens,
    );
    let (traced, shots, _) = trace(&net, false, BUDGET);
    assert_eq!(told(&traced), "1 * * 4 syn_ack");
    assert_eq!(shots, 5, "what is passed is not asked again");
}

#[test]
fn a_target_that_is_known_to_answer_is_found_behind_many_mute_routers() {
    let mut hops = vec![Router::Open, Router::Open];
    hops.extend([Router::Mute; 7]);
    hops.push(Router::Open);
    let net = Net::new(&hops, Target::Resets);
    assert_eq!(trace(&net, false, BUDGET).0.ended, PathEnd::Silent);
    let (traced, shots, _) = trace(&net, true, BUDGET);
    assert_eq!((traced.ended, traced.reached), (PathEnd::Reached, true));
    assert_eq!(traced.hops.last().unwrap().ttl, 11);
    assert_eq!(
        traced.hops.iter().rev().nth(1).unwrap().reply,
        HopReply::TimeExceeded
    );
    assert!(shots < 20, "{shots}");
}

#[test]
fn whoever_rejects_is_the_end() {
    let net = Net::new(&[Router::Open, Router::Rejects], Target::Listens);
    assert_eq!(
        found(&net),
        ("1 unreachable:admin_prohibited".into(), PathEnd::Unreachable)
    );
}

#[test]
fn two_routers_that_hand_a_packet_to_each_other_twice_are_a_loop() {
    let net = Net::new(&[Router::Open, Router::Open, Router::Returns], Target::Listens);
    assert_eq!(found(&net), ("1 2 3 2 3".into(), PathEnd::Loop));
}

#[test]
fn what_does_not_leave_this_host_ends_at_once() {
    let net = Net::new(&[Router::Holds], Target::Listens);
    assert_eq!(found(&net), ("not_sent:EPERM".into(), PathEnd::NotSent));
}

#[test]
fn an_error_in_the_targets_name_that_says_that_time_is_over_is_not_the_target() {
    let target: IpAddr = TARGET.parse().unwrap();
    let mut error = icmp(0, 11, 0, "ttl_exceeded", Duration::ZERO);
    if let Answer::Icmp(icmp) = &mut error {
        icmp.error.from = target;
    }
    assert!(!error.is_of(target));
    if let Answer::Icmp(icmp) = &mut error {
        (icmp.error.kind, icmp.error.code) = (3, 3);
    }
    assert!(error.is_of(target));
}

#[test]
fn a_datagram_arrives_where_its_port_is_closed_and_says_so() {
    let target: IpAddr = TARGET.parse().unwrap();
    let mut trace = Trace::new(Wish {
        address: target,
        answers: false,
        rtt: None,
        until: BUDGET,
    });
    let mut closed = icmp(0, 3, 3, "port_unreachable", Duration::ZERO);
    if let Answer::Icmp(icmp) = &mut closed {
        icmp.error.from = target;
    }
    for answer in [icmp(0, 11, 0, "ttl_exceeded", Duration::ZERO), closed] {
        assert!(matches!(trace.next(Duration::ZERO), Step::Shoot(_)));
        trace.handle(answer);
    }
    let Step::Done(traced) = trace.next(Duration::ZERO) else {
        panic!("not over")
    };
    assert_eq!((traced.ended, traced.reached), (PathEnd::Reached, true));
    assert_eq!(told(&traced), "1 unreachable:port_unreachable");
}

fn router() -> impl Strategy<Value = Router> {
    prop::sample::select(vec![
        Router::Open,
        Router::Open,
        Router::Open,
        Router::Mute,
        Router::Slow,
        Router::Drops,
        Router::Rejects,
        Router::Returns,
    ])
}

proptest! {
    #[test]
    fn a_trace_ends_within_its_packets_and_its_time_and_claims_no_more_than_it_saw(
        hops in prop::collection::vec(router(), 0..40),
        target in prop::sample::select(vec![Target::Listens, Target::Resets, Target::Silent]),
        rtt in 0_u64..1_500,
        answers: bool,
        until in 0_u64..6_000,
    ) {
        let mut net = Net::new(&hops, target);
        net.rtt = Duration::from_millis(rtt);
        let until = Duration::from_millis(until);
        let (traced, shots, took) = trace(&net, answers, until);
        prop_assert!(shots <= u32::from(super::trace::SHOTS));
        prop_assert!(took <= until);
        let last = traced.hops.last().map(|hop| &hop.reply);
        let of_target = matches!(last, Some(HopReply::SynAck | HopReply::Rst));
        prop_assert_eq!(traced.reached, of_target);
        prop_assert!(traced.ended != PathEnd::Reached || traced.reached);
        prop_assert!(!traced.reached || target != Target::Silent);
        prop_assert!(traced.hops.is_sorted_by_key(|hop| hop.ttl));
    }
}
