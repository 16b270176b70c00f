//! What an attempt comes to if nothing more comes: for whoever has to plan before that is certain.

use std::net::SocketAddr;
use std::time::Duration;

use parallax_model::evidence::{ConnectEvidence, Evidence, TcpInfo};
use parallax_model::fault::{Fault, FaultKind, TcpFault, TlsFault};
use parallax_model::observation::Attempt;
use parallax_model::stage::{Outcome, Stage, StageName};

use super::loss::tried;
use super::wait::Awaited;
use super::{Session, State};
use crate::exchange::{Lost, seconds};

impl Session {
    /// Since when the stage that runs waits for the network. Behind STARTTLS a server may take its time.
    pub fn waits_since(&self, now: Duration) -> Option<Duration> {
        let State::Waiting(wait) = self.state else {
            return None;
        };
        let for_us = matches!(wait.what, Awaited::Rest | Awaited::Login);
        let early = self.timeline.running()? <= StageName::Starttls;
        (early && !for_us).then(|| now.saturating_sub(self.timeline.elapsed(now)))
    }

    /// The attempt as it will be if what is due never comes. `tcp` is the kernel's account of its connection, which
    /// leaves this host at `local`.
    pub fn in_vain(&self, now: Duration, local: Option<SocketAddr>, tcp: Option<TcpInfo>) -> Option<Attempt> {
        let start = self.waits_since(now)?;
        let name = self.timeline.running()?;
        let waited = now.saturating_sub(start);
        let mut stage = Stage::new(name, Outcome::Failed(self.never_came(waited)?), start, waited);
        if name == StageName::Connect {
            let facts = ConnectEvidence {
                local,
                ..tried(self.wire.peer)
            };
            stage.evidence = Some(Evidence::Connect(facts));
        }
        stage.tcp = tcp;
        let mut attempt = self.attempt();
        attempt.stages.push(stage);
        let rest = self.ahead.iter().map(|name| Stage::not_reached(*name, now));
        attempt.stages.extend(rest);
        Some(attempt)
    }

    fn never_came(&self, waited: Duration) -> Option<Fault> {
        let State::Waiting(wait) = self.state else {
            return None;
        };
        let peer = self.wire.peer;
        let fault = |kind, what: &str| {
            let message = format!("{what} {peer}: no answer in {} so far", seconds(waited));
            Some(Fault::new(kind, message))
        };
        match wait.what {
            Awaited::Connection => fault(FaultKind::Tcp(TcpFault::TimedOut), "connect to"),
            Awaited::Handshake => fault(FaultKind::Tls(TlsFault::TimedOut), "handshake with"),
            Awaited::Sent | Awaited::Bytes => Some(Lost::Late(waited).fault(&self.wire)),
            Awaited::Rest | Awaited::Login => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use parallax_model::observation::Purpose;
    use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, ProbeOptions, ProbeSpec};
    use parallax_model::target::Target;

    use super::*;
    use crate::action::{Action, Dial, Hello};
    use crate::budgets::Budgets;
    use crate::event::Event;
    use crate::plan::Plan;
    use crate::session::SessionConfig;

    const START: Duration = Duration::ZERO;
    const LATER: Duration = Duration::from_secs(2);

    fn session() -> Session {
        let spec = ProbeSpec {
            target: Target::parse("192.0.2.1", None).expect("a target"),
            depth: Depth::Greeting,
            family: FamilyChoice::Any,
            addresses: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            login: None,
            anchors: Vec::new(),
            options: ProbeOptions::default(),
        };
        let endpoint = spec.target.endpoints[0];
        Session::new(SessionConfig {
            address: "192.0.2.1".parse().expect("an address"),
            endpoint,
            purpose: Purpose::Requested,
            experiment: None,
            plan: Plan::requested(&spec, endpoint),
            reference: spec.target.host.clone(),
            login: None,
            masked: None,
            mechanism: None,
            started: START,
            deadline: DEFAULT_TIMEOUT,
            wall: jiff::Timestamp::UNIX_EPOCH,
            seed: 1,
            nonce: [0; 18],
            tlsa: None,
            sync: None,
            hold: None,
            dial: Dial::default(),
            hello: Hello::default(),
            budgets: Budgets::default(),
        })
    }

    fn fault(attempt: &Attempt) -> (StageName, FaultKind) {
        let failed = attempt.failed_stage().expect("a failed stage");
        (failed.name, failed.outcome.fault().expect("a fault").kind)
    }

    #[test]
    fn a_connection_that_is_due_is_told_as_silent() {
        let mut session = session();
        assert_eq!(session.waits_since(START), None);
        assert!(matches!(session.next(START), Action::Connect { .. }));
        assert_eq!(session.waits_since(LATER), Some(START));
        let attempt = session.in_vain(LATER, None, None).expect("an attempt");
        let silent = FaultKind::Tcp(TcpFault::TimedOut);
        assert_eq!(fault(&attempt), (StageName::Connect, silent));
        assert_eq!(attempt.stages[0].duration, LATER);
        assert!(
            attempt.stages[1..]
                .iter()
                .all(|stage| stage.outcome == Outcome::NotReached)
        );
    }

    #[test]
    fn a_handshake_that_is_due_comes_with_the_kernels_account() {
        let mut session = session();
        session.next(START);
        session.handle(Event::Connected(tried(session.wire.peer)), START);
        while !matches!(session.next(START), Action::Handshake { .. }) {}
        let tcp = TcpInfo {
            unacked: 1,
            ..TcpInfo::default()
        };
        let attempt = session.in_vain(LATER, None, Some(tcp)).expect("an attempt");
        let silent = FaultKind::Tls(TlsFault::TimedOut);
        assert_eq!(fault(&attempt), (StageName::Tls, silent));
        assert_eq!(attempt.stages[1].tcp.as_ref().map(|tcp| tcp.unacked), Some(1));
        assert_eq!(attempt.stages[0].outcome, Outcome::Ok);
    }
}
