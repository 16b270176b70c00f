//! How fast packets of traces may follow each other.
//!
//! Routers answer with ICMP sparingly: Linux sends six errors at once to one destination, then one a second (kernel
//! documentation, `icmp_ratelimit`). Whoever asks faster takes limits for filters.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Between two packets of one lane; back to back, the first routers lose answers.
const GAP: Duration = Duration::from_millis(30);
/// Answers asked of one distance at once: one less than a router gives.
const BURST: u32 = 5;
/// In which a router gives one more, and a little.
const REFILL: Duration = Duration::from_millis(1_100);
/// Between two sweeps of one port: whoever counts connections that say nothing takes more of them for an attack.
const SWEEPS: Duration = Duration::from_secs(10 * 60);
/// Lanes that are remembered; idle ones go when there are more.
const LANES: usize = 256;

/// What shares its routers: the targets of one network, a /24 or a /48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane(IpAddr);

/// The pace of all traces of one agent.
#[derive(Debug, Default)]
pub struct Pacer {
    lanes: HashMap<Lane, Pace>,
    /// When each port was last swept.
    swept: HashMap<SocketAddr, Duration>,
}

#[derive(Debug, Default)]
struct Pace {
    /// When the next packet may go.
    free: Duration,
    /// For each distance, when the router there would have its whole allowance again.
    whole: HashMap<u8, Duration>,
}

impl Lane {
    /// The lane of a target.
    pub fn of(target: IpAddr) -> Self {
        Self(match target.to_canonical() {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 80)).into(),
        })
    }
}

impl Pacer {
    /// Whether a packet may go now, which then counts as sent; else how long to wait before asking again. Without a
    /// TTL only the target answers. Times are from any one beginning, the same for all.
    pub fn grant(&mut self, lane: Lane, ttl: Option<u8>, now: Duration) -> Result<(), Duration> {
        if self.lanes.len() >= LANES {
            self.lanes.retain(|_, pace| pace.busy(now));
        }
        let pace = self.lanes.entry(lane).or_default();
        let whole = ttl
            .and_then(|ttl| pace.whole.get(&ttl))
            .copied()
            .unwrap_or_default();
        let may = pace.free.max(whole.saturating_sub(REFILL * (BURST - 1)));
        if may > now {
            return Err(may - now);
        }
        pace.free = now + GAP;
        if let Some(ttl) = ttl {
            pace.whole.insert(ttl, whole.max(now) + REFILL);
        }
        Ok(())
    }

    /// Whether a port may be swept now, which then counts as done.
    pub fn grant_sweep(&mut self, target: SocketAddr, now: Duration) -> bool {
        self.swept.retain(|_, last| now < *last + SWEEPS);
        match self.swept.entry(target) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(now);
                true
            }
        }
    }
}

impl Pace {
    fn busy(&self, now: Duration) -> bool {
        self.free > now || self.whole.values().any(|&whole| whole > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn lane(target: &str) -> Lane {
        Lane::of(target.parse().expect("an address"))
    }

    #[test]
    fn targets_of_one_network_share_a_lane_and_families_do_not() {
        assert_eq!(lane("192.0.2.1"), lane("192.0.2.200"));
        assert_ne!(lane("192.0.2.1"), lane("192.0.3.1"));
        assert_eq!(lane("2001:db8:1:2::3"), lane("2001:db8:1:9::9"));
        assert_ne!(lane("2001:db8:1::3"), lane("2001:db8:2::3"));
        assert_eq!(lane("::ffff:192.0.2.1"), lane("192.0.2.1"));
    }

    #[test]
    fn a_packet_waits_for_the_gap_behind_the_one_before_it() {
        let mut pacer = Pacer::default();
        let (one, other) = (lane("192.0.2.1"), lane("2001:db8::1"));
        assert_eq!(pacer.grant(one, Some(1), ms(0)), Ok(()));
        assert_eq!(pacer.grant(one, Some(2), ms(10)), Err(ms(20)));
        assert_eq!(pacer.grant(other, Some(1), ms(10)), Ok(()));
        assert_eq!(pacer.grant(one, Some(2), ms(30)), Ok(()));
        assert_eq!(pacer.grant(one, None, ms(60)), Ok(()));
    }

    #[test]
    fn one_router_is_asked_five_times_and_then_as_often_as_it_answers() {
        let mut pacer = Pacer::default();
        let lane = lane("192.0.2.1");
        for shot in 0..5 {
            assert_eq!(pacer.grant(lane, Some(3), ms(30 * shot)), Ok(()));
        }
        assert_eq!(pacer.grant(lane, Some(3), ms(150)), Err(ms(950)));
        assert_eq!(pacer.grant(lane, Some(4), ms(150)), Ok(()));
        assert_eq!(pacer.grant(lane, Some(3), ms(1_100)), Ok(()));
        assert!(pacer.grant(lane, Some(3), ms(1_130)).is_err());
    }

    #[test]
    fn one_port_is_swept_once_in_ten_minutes() {
        let mut pacer = Pacer::default();
        let port = |text: &str| text.parse().expect("an address and port");
        assert!(pacer.grant_sweep(port("192.0.2.1:993"), ms(0)));
        assert!(!pacer.grant_sweep(port("192.0.2.1:993"), ms(599_000)));
        assert!(pacer.grant_sweep(port("192.0.2.1:143"), ms(0)));
        assert!(pacer.grant_sweep(port("192.0.2.1:993"), ms(600_000)));
    }

    #[test]
    fn idle_lanes_are_forgotten() {
        let mut pacer = Pacer::default();
        for network in 0..600_u32 {
            let target = Ipv4Addr::from_bits(network << 8).into();
            let now = Duration::from_secs(10) * network;
            assert_eq!(pacer.grant(Lane::of(target), Some(1), now), Ok(()));
        }
        assert!(pacer.lanes.len() <= LANES);
    }
}
