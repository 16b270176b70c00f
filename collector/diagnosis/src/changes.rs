//! What one vantage point saw otherwise in a later run than in an earlier one. Facts side by side; nothing is judged.
//!
//! What only one of the two runs looked at is no change: a shallower probe shows fewer facts, and a name that was asked
//! for one family says nothing of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{Evidence, ResolveEvidence};
use parallax_model::millis;
use parallax_model::observation::{Attempt, Family, Observation};
use parallax_model::path::PathProtocol;
use parallax_model::run::{Change, ChangeKind};
use parallax_model::stage::{Outcome, StageName};
use parallax_model::target::Endpoint;
use parallax_model::text::escape_str;
use parallax_model::vantage::AgentName;

/// A connection takes longer, or less long, when it is both: so many times, and so much.
const SLOWER: u32 = 3;
const SLOWER_BY: Duration = Duration::from_millis(20);

/// Another way is taken when hops at so many places have no address in common. At one place it is a router with several
/// addresses, or one of several that share the load.
const OTHER_HOPS: usize = 2;

/// Longest piece of a server's text, in characters, and how much of a digest is shown.
const QUOTE: usize = 120;
const DIGEST: usize = 16;

/// What changed between two runs, for each vantage point of both, by name: whether it works, the addresses of the name,
/// certificate, capabilities, the way there, and how long a connection takes. Of one that was not heard in one of the
/// runs only the outcome is compared.
pub fn changes(before: &[Observation], after: &[Observation]) -> Vec<Change> {
    let earlier: BTreeMap<&AgentName, &Observation> = by_agent(before);
    let mut all = Vec::new();
    for (agent, now) in by_agent(after) {
        if let Some(then) = earlier.get(agent) {
            all.extend(changes_of(agent, then, now));
        }
    }
    all
}

fn by_agent(observations: &[Observation]) -> BTreeMap<&AgentName, &Observation> {
    observations.iter().map(|seen| (&seen.agent, seen)).collect()
}

fn changes_of(agent: &AgentName, then: &Observation, now: &Observation) -> Vec<Change> {
    let both = in_both(then, now);
    let mut differences = outcomes(then, now, &both);
    if then.answered() && now.answered() {
        differences.extend(addresses(then, now));
        for &(place, earlier, later) in &both {
            differences.extend(certificate(earlier, later).map(|change| change.at(place)));
            differences.extend(
                capabilities(earlier, later)
                    .into_iter()
                    .map(|change| change.at(place)),
            );
        }
        differences.extend(paths(then, now));
        differences.extend(latencies(&both));
    }
    differences.sort_by_key(|difference| difference.what);
    let mut told: Vec<Change> = Vec::new();
    for difference in differences {
        let change = difference.of(agent);
        // The ports of one address say it once.
        if !told.contains(&change) {
            told.push(change);
        }
    }
    told
}

/// A [`Change`] of somebody.
struct Difference {
    what: ChangeKind,
    address: Option<IpAddr>,
    before: String,
    after: String,
}

impl Difference {
    const fn new(what: ChangeKind, before: String, after: String) -> Self {
        Self {
            what,
            address: None,
            before,
            after,
        }
    }

    fn at(self, (address, _): Place) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }

    fn of(self, agent: &AgentName) -> Change {
        Change {
            agent: agent.clone(),
            what: self.what,
            address: self.address,
            before: self.before,
            after: self.after,
        }
    }
}

/// Where an attempt went.
type Place = (IpAddr, Endpoint);

/// An attempt then, and the one of now at the same place.
type InBoth<'a> = (Place, &'a Attempt, &'a Attempt);

/// The attempts that were asked for in both runs, the first at each place.
fn in_both<'a>(then: &'a Observation, now: &'a Observation) -> Vec<InBoth<'a>> {
    let (earlier, later) = (by_place(then), by_place(now));
    let pair = |(place, later): (Place, &'a Attempt)| Some((place, *earlier.get(&place)?, later));
    later.into_iter().filter_map(pair).collect()
}

fn by_place(seen: &Observation) -> BTreeMap<Place, &Attempt> {
    let mut places = BTreeMap::new();
    for attempt in seen.requested() {
        places
            .entry((attempt.address, attempt.endpoint))
            .or_insert(attempt);
    }
    places
}

/// At each place where it differs; for the vantage point as a whole where no place of both runs shows it.
fn outcomes(then: &Observation, now: &Observation, both: &[InBoth<'_>]) -> Vec<Difference> {
    let places = both.iter().filter_map(|&(place, earlier, later)| {
        let (before, after) = (attempt_outcome(earlier), attempt_outcome(later));
        (before != after).then(|| Difference::new(ChangeKind::Outcome, before, after).at(place))
    });
    let mut differences: Vec<_> = places.collect();
    let (before, after) = (vantage_outcome(then), vantage_outcome(now));
    if differences.is_empty() && before != after {
        differences.push(Difference::new(ChangeKind::Outcome, before, after));
    }
    differences
}

fn attempt_outcome(attempt: &Attempt) -> String {
    let troubles: Vec<_> = attempt
        .stages
        .iter()
        .filter_map(|stage| Some(format!("{} {}", stage.name, stage.outcome.fault()?.kind.as_str())))
        .collect();
    if troubles.is_empty() {
        format!("{} {}", attempt.endpoint, attempt.outcome())
    } else {
        format!(
            "{} {}: {}",
            attempt.endpoint,
            attempt.outcome(),
            troubles.join(", ")
        )
    }
}

fn vantage_outcome(seen: &Observation) -> String {
    let resolve = seen.resolve.as_ref().filter(|stage| stage.failed());
    let why = seen
        .reason
        .filter(|_| !seen.answered())
        .map(|reason| reason.to_string())
        .or_else(|| Some(format!("resolve {}", resolve?.outcome.fault()?.kind.as_str())));
    match why {
        Some(why) => format!("{}: {why}", seen.outcome),
        None => seen.outcome.to_string(),
    }
}

fn addresses(then: &Observation, now: &Observation) -> Vec<Difference> {
    let families = Family::ALL.iter().filter_map(|&family| {
        let (before, after) = (resolved(then, family)?, resolved(now, family)?);
        (before != after).then(|| Difference::new(ChangeKind::Addresses, set(&before), set(&after)))
    });
    families.collect()
}

/// The addresses of one family; `None` where that family was not asked for, or no answer came.
fn resolved(seen: &Observation, family: Family) -> Option<BTreeSet<IpAddr>> {
    let stage = seen.resolve.as_ref().filter(|stage| !stage.failed())?;
    let Some(Evidence::Resolve(facts)) = &stage.evidence else {
        return None;
    };
    let of_family = facts.addresses.iter().copied();
    let addresses: BTreeSet<_> = of_family
        .filter(|&address| Family::of(address) == family)
        .collect();
    (!addresses.is_empty() || was_answered(facts, family)).then_some(addresses)
}

fn was_answered(facts: &ResolveEvidence, family: Family) -> bool {
    let wanted = match family {
        Family::Ipv4 => "A",
        Family::Ipv6 => "AAAA",
    };
    facts
        .queries
        .iter()
        .any(|query| query.record_type == wanted && query.rcode.as_deref() == Some("NOERROR"))
}

fn set<T: ToString>(values: &BTreeSet<T>) -> String {
    let words: Vec<_> = values.iter().map(ToString::to_string).collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(" ")
    }
}

/// Key, issuer and expiry, as far as they differ; a certificate may also be a new one with all of them as before.
fn certificate(then: &Attempt, now: &Attempt) -> Option<Difference> {
    let (old, new) = (leaf(then)?, leaf(now)?);
    if old.sha256 == new.sha256 {
        return None;
    }
    let mut differing: Vec<fn(&CertificateFacts) -> String> = Vec::new();
    if old.spki_sha256 != new.spki_sha256 {
        differing.push(|leaf| format!("key {}", digest(&leaf.spki_sha256)));
    }
    if old.issuer != new.issuer {
        differing.push(|leaf| format!("by {}", escape_str(&leaf.issuer, QUOTE)));
    }
    if old.not_after != new.not_after {
        differing.push(|leaf| format!("until {}", leaf.not_after));
    }
    if differing.is_empty() {
        differing.push(|leaf| format!("certificate {}", digest(&leaf.sha256)));
    }
    let words = |leaf| {
        let parts: Vec<_> = differing.iter().map(|part| part(leaf)).collect();
        parts.join(", ")
    };
    Some(Difference::new(ChangeKind::Certificate, words(old), words(new)))
}

fn leaf(attempt: &Attempt) -> Option<&CertificateFacts> {
    let handshake = |stage| attempt.stage(stage)?.evidence.as_ref()?.tls();
    let facts = handshake(StageName::Tls).or_else(|| handshake(StageName::Starttls))?;
    facts.chain.first()
}

fn digest(digits: &str) -> String {
    escape_str(&digits.chars().take(DIGEST).collect::<String>(), DIGEST)
}

/// One for each channel: a server may announce other things in clear, behind TLS and after the login.
fn capabilities(then: &Attempt, now: &Attempt) -> Vec<Difference> {
    let differences = CHANNELS.iter().filter_map(|(channel, announced)| {
        let (old, new) = (words_of(announced(then)?)?, words_of(announced(now)?)?);
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            let words: Vec<_> = one
                .difference(other)
                .map(|word| escape_str(word, QUOTE))
                .collect();
            match words.as_slice() {
                [] => format!("{channel}: nothing more"),
                words => format!("{channel}: also {}", words.join(" ")),
            }
        };
        let (before, after) = (only(&old, &new), only(&new, &old));
        (old != new).then(|| Difference::new(ChangeKind::Capabilities, before, after))
    });
    differences.collect()
}

type Announced = fn(&Attempt) -> Option<&[String]>;

const CHANNELS: [(&str, Announced); 3] = [
    ("before STARTTLS or a login", first_announced),
    ("behind STARTTLS", announced_behind_starttls),
    ("after the login", announced_after_login),
];

fn first_announced(attempt: &Attempt) -> Option<&[String]> {
    match attempt.stage(StageName::Capability)?.evidence.as_ref()? {
        Evidence::Capability(facts) => Some(&facts.capabilities),
        _ => None,
    }
}

fn announced_behind_starttls(attempt: &Attempt) -> Option<&[String]> {
    match attempt.stage(StageName::Starttls)?.evidence.as_ref()? {
        Evidence::Starttls(facts) => Some(&facts.capabilities),
        _ => None,
    }
}

fn announced_after_login(attempt: &Attempt) -> Option<&[String]> {
    match attempt.stage(StageName::Authenticate)?.evidence.as_ref()? {
        Evidence::Authenticate(facts) => Some(&facts.capabilities),
        _ => None,
    }
}

fn words_of(announced: &[String]) -> Option<BTreeSet<String>> {
    let words: BTreeSet<_> = announced.iter().map(|word| word.to_ascii_uppercase()).collect();
    (!words.is_empty()).then_some(words)
}

/// Routers by their place on the way.
type Route = BTreeMap<u8, BTreeSet<IpAddr>>;

fn paths(then: &Observation, now: &Observation) -> Vec<Difference> {
    let earlier = routes(then);
    let differences = routes(now).into_iter().filter_map(|(to, new)| {
        let old = earlier.get(&to)?;
        let moved = new
            .iter()
            .filter(|(ttl, hops)| old.get(ttl).is_some_and(|before| before.is_disjoint(hops)))
            .count();
        (moved >= OTHER_HOPS).then(|| Difference {
            address: Some(to.0),
            ..Difference::new(ChangeKind::Path, route_words(old), route_words(&new))
        })
    });
    differences.collect()
}

/// The ways to each port, all paths there taken together; the target itself is on every one of them and tells nothing.
fn routes(seen: &Observation) -> BTreeMap<(IpAddr, u16, PathProtocol), Route> {
    let mut routes: BTreeMap<_, Route> = BTreeMap::new();
    for path in &seen.network.paths {
        let route = routes
            .entry((path.address, path.port, path.protocol))
            .or_default();
        for hop in &path.hops {
            let routers = hop.addresses.iter().filter(|&&address| address != path.address);
            let routers: BTreeSet<_> = routers.copied().collect();
            if !routers.is_empty() {
                route.entry(hop.ttl).or_default().extend(routers);
            }
        }
    }
    routes
}

fn route_words(route: &Route) -> String {
    let last = route.keys().next_back().copied().unwrap_or_default();
    let hops: Vec<_> = (1..=last)
        .map(|ttl| {
            let hops: Vec<_> = route
                .get(&ttl)
                .into_iter()
                .flatten()
                .map(ToString::to_string)
                .collect();
            if hops.is_empty() {
                "*".to_owned()
            } else {
                hops.join("|")
            }
        })
        .collect();
    hops.join(" ")
}

fn latencies(both: &[InBoth<'_>]) -> Vec<Difference> {
    let differences = both.iter().filter_map(|&(place, earlier, later)| {
        let (old, new) = (connect_time(earlier)?, connect_time(later)?);
        let (less, more) = (old.min(new), old.max(new));
        let differs = more > less * SLOWER && more > less + SLOWER_BY;
        differs
            .then(|| Difference::new(ChangeKind::Latency, connect_words(old), connect_words(new)).at(place))
    });
    differences.collect()
}

fn connect_time(attempt: &Attempt) -> Option<Duration> {
    let stage = attempt.stage(StageName::Connect)?;
    matches!(stage.outcome, Outcome::Ok | Outcome::Degraded(_)).then_some(stage.duration)
}

fn connect_words(time: Duration) -> String {
    format!("connect in {:.1} ms", millis::of(time))
}
