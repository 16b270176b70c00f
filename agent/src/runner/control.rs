//! The control target: whether this host's network works at all.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use parallax_engine::action::Dial;
use parallax_engine::resolve::Source;
use parallax_identity::CollectorAddress;
use parallax_model::fault::{DnsFault, Fault, FaultKind};
use parallax_model::path::ControlFacts;
use parallax_model::spec::FamilyChoice;
use tokio::time::Instant;

use crate::driver::tcp;
use crate::runner::Probe;

/// For everything. What answers only after the third SYN is no sign of a network that works.
const BUDGET: Duration = Duration::from_secs(2);

impl Probe<'_> {
    /// A connection to the control target, closed as soon as it is open.
    pub(super) async fn ask_control_target(&self, wanted: bool) -> Option<ControlFacts> {
        let target = self.runner.network.control_target.as_ref().filter(|_| wanted)?;
        let until = Instant::now() + BUDGET.min(self.deadline);
        let answer = self.connect_to(target, until).await;
        Some(ControlFacts {
            target: target.to_string(),
            rtt: answer.as_ref().ok().copied(),
            fault: answer.err(),
        })
    }

    /// The first address that answers is enough.
    async fn connect_to(&self, target: &CollectorAddress, until: Instant) -> Result<Duration, Fault> {
        let addresses = self.addresses_of(target.host(), until).await;
        let mut fault = Fault::new(
            FaultKind::Dns(DnsFault::NoAddress),
            format!("the control target {target} has no address"),
        );
        for address in addresses {
            let began = Instant::now();
            let peer = SocketAddr::new(address, target.port());
            match tcp::connect(peer, Dial::default(), until).await {
                Ok(open) => {
                    let measured = tcp::info(open.stream.as_fd()).map(|info| info.rtt);
                    return Ok(measured.unwrap_or_else(|| began.elapsed()));
                }
                Err(not) => fault = not.fault,
            }
        }
        Err(fault)
    }

    async fn addresses_of(&self, host: &str, until: Instant) -> Vec<IpAddr> {
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        let found = self.runner.files.look_up(host, FamilyChoice::Any, until).await;
        match found.source {
            Source::Hosts(addresses) => addresses,
            Source::Dns | Source::Forced | Source::Literal => found
                .queries
                .into_iter()
                .flat_map(|query| query.addresses)
                .collect(),
        }
    }
}
