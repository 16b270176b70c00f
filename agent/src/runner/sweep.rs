//! The same question from several source ports: balancers and broken links look at the ports of a flow.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use parallax_engine::path::{Answer, Shot};
use parallax_model::path::{Flow as FlowFacts, Sweep};

use crate::driver::path::{Carrier, Flow};
use crate::runner::path::Tracer;

/// Flows of one sweep; where the first half are all alike, there is no second.
const HALVES: [u16; 2] = [8, 8];
/// Each is asked so often: what depends on the flow is the same each time, and what depends on chance is not.
const PASSES: usize = 2;
/// From where source ports are taken, and how many are there: beside those that the kernel takes by itself.
const PORTS: (u16, u16) = (20_000, 10_000);
/// For one answer, while none is known; then by the slowest that was, as in a trace.
const WAIT: Duration = Duration::from_millis(700);
const LEAST_WAIT: Duration = Duration::from_millis(300);
const MARGIN: Duration = Duration::from_millis(150);
/// For one half where nobody answers, and the gaps between its packets.
const HALF_TIME: Duration = Duration::from_millis(2_700);
/// For a sweep.
pub(super) const SWEEP_TIME: Duration = Duration::from_secs(6);

impl Tracer {
    /// Opens and resets connections from several ports; nothing where this port was swept a short time ago.
    pub(super) async fn sweep(&self, target: SocketAddr, until: Duration) -> Option<Sweep> {
        if !self.may_sweep(target) {
            return None;
        }
        let (first, many) = PORTS;
        let mut next = first + rand::random::<u16>() % (many - HALVES.iter().sum::<u16>());
        let mut source = None;
        let mut wait = WAIT;
        let mut flows: Vec<FlowFacts> = Vec::new();
        for half in HALVES {
            if self.began.elapsed() + HALF_TIME > until {
                break;
            }
            let ports: Vec<u16> = (next..next + half).collect();
            next += half;
            let mut passes = Vec::new();
            for _ in 0..PASSES {
                let shots = ports.iter().map(|port| self.one_flow(target, *port, wait));
                let pass = join_all(shots).await;
                wait = pass
                    .iter()
                    .filter_map(|flow| flow.answer.rtt())
                    .max()
                    .map_or(wait, enough);
                passes.push(pass);
            }
            source = source.or_else(|| passes.iter().flatten().find_map(|flow| flow.local));
            flows.extend(ports.iter().enumerate().map(|(at, port)| {
                FlowFacts {
                    source_port: *port,
                    replies: passes
                        .iter()
                        .filter_map(|pass| Some(pass.get(at)?.answer.clone().reply()))
                        .collect(),
                }
            }));
            if alike(&flows) {
                break;
            }
        }
        Some(Sweep {
            address: target.ip(),
            port: target.port(),
            source: source.map(|local| local.ip()),
            flows,
        })
    }

    async fn one_flow(&self, target: SocketAddr, port: u16, wait: Duration) -> OneFlow {
        let mut flow = Flow::new(target, Carrier::Syn).leaving_from(port);
        let answer = self.shoot(&mut flow, None, Shot::arriving(wait)).await;
        let local = flow.local().filter(|local| !local.ip().is_unspecified());
        OneFlow { local, answer }
    }
}

/// What came of one connection.
struct OneFlow {
    local: Option<SocketAddr>,
    answer: Answer,
}

/// For an answer, where others took so long.
fn enough(rtt: Duration) -> Duration {
    (rtt * 3 + MARGIN).clamp(LEAST_WAIT, WAIT)
}

fn alike(flows: &[FlowFacts]) -> bool {
    let mut replies = flows.iter().flat_map(|flow| &flow.replies);
    let first = replies.next();
    replies.all(|reply| Some(reply) == first)
}
