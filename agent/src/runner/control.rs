//! The control target: whether this host's network works at all.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use futures_util::future::select_ok;
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

    /// The first address that answers is enough; a silent one takes no time from the others.
    async fn connect_to(&self, target: &CollectorAddress, until: Instant) -> Result<Duration, Fault> {
        let addresses = self.addresses_of(target.host(), until).await;
        if addresses.is_empty() {
            return Err(Fault::new(
                FaultKind::Dns(DnsFault::NoAddress),
                format!("the control target {target} has no address"),
            ));
        }
        let peers = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, target.port()));
        let (rtt, _) = select_ok(peers.map(|peer| Box::pin(round_trip(peer, until)))).await?;
        Ok(rtt)
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

/// From SYN to SYN-ACK.
async fn round_trip(peer: SocketAddr, until: Instant) -> Result<Duration, Fault> {
    let began = Instant::now();
    let open = tcp::connect(peer, Dial::default(), until)
        .await
        .map_err(|not| not.fault)?;
    let measured = tcp::info(open.stream.as_fd()).map(|info| info.rtt);
    Ok(measured.unwrap_or_else(|| began.elapsed()))
}
