//! Names become addresses: every question put to every resolver is kept, with its own answer and time.
//!
//! `getaddrinfo` says the same word for a resolver that fails, refuses, is silent or can't be reached.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use parallax_engine::resolve::Source;
use parallax_model::evidence::DnsQuery;
use parallax_model::spec::FamilyChoice;
use tokio::time::Instant;

mod exchange;
mod files;
mod message;
mod second;
mod services;

pub(crate) use files::{Configuration, Files};
pub(crate) use second::Seconds;

/// Time for one question to one resolver.
const TRY: Duration = Duration::from_secs(2);
/// How often the resolvers are gone through.
const TRIES: usize = 2;

/// What a look-up brought.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) source: Source,
    pub(crate) queries: Vec<DnsQuery>,
    /// What may come after the answers.
    pub(crate) seconds: Seconds,
}

impl Files {
    /// Looks a name up as this host is configured now: hosts file, then DNS.
    pub(crate) async fn look_up(&self, name: &str, family: FamilyChoice, until: Instant) -> Found {
        let known: Vec<IpAddr> = self
            .hosts_of(name)
            .into_iter()
            .filter(|&address| family.admits(address))
            .collect();
        if !known.is_empty() {
            return Found {
                source: Source::Hosts(known),
                queries: Vec::new(),
                seconds: Seconds::default(),
            };
        }
        let configuration = self.configuration();
        let queries = configuration.ask(name, family, until).await;
        Found {
            source: Source::Dns,
            queries,
            seconds: configuration.seconds,
        }
    }

    /// Asks another resolver than this host's for the addresses of a name.
    pub(crate) async fn look_up_at(
        &self,
        resolver: SocketAddr,
        name: &str,
        family: FamilyChoice,
        until: Instant,
    ) -> Vec<DnsQuery> {
        let other = Configuration {
            resolvers: vec![resolver],
            ..self.configuration()
        };
        other.ask(name, family, until).await
    }
}

impl Configuration {
    /// Asks DNS for the addresses of a name; one that is short goes through the search list first.
    pub(crate) async fn ask(&self, name: &str, family: FamilyChoice, until: Instant) -> Vec<DnsQuery> {
        let mut queries = Vec::new();
        for candidate in self.candidates(name) {
            let asked = self.ask_exactly(&candidate, family, until).await;
            let settled = asked.iter().any(|query| !query.addresses.is_empty());
            queries.extend(asked);
            if settled || Instant::now() >= until {
                break;
            }
        }
        queries
    }

    async fn ask_exactly(&self, name: &str, family: FamilyChoice, until: Instant) -> Vec<DnsQuery> {
        let of = |record_type| self.ask_for(name, record_type, until);
        match family {
            FamilyChoice::Ipv4 => of(RecordType::A).await,
            FamilyChoice::Ipv6 => of(RecordType::AAAA).await,
            FamilyChoice::Any => {
                let (mut queries, ipv6) = tokio::join!(of(RecordType::A), of(RecordType::AAAA));
                queries.extend(ipv6);
                queries
            }
        }
    }

    /// Goes through the resolvers until one says something about the name.
    async fn ask_for(&self, name: &str, record_type: RecordType, until: Instant) -> Vec<DnsQuery> {
        self.ask_round(TRIES, name, record_type, until).await
    }

    async fn ask_round(
        &self,
        tries: usize,
        name: &str,
        record_type: RecordType,
        until: Instant,
    ) -> Vec<DnsQuery> {
        let mut queries = Vec::new();
        let rounds = (0..tries).flat_map(|_| self.resolvers.iter());
        for &resolver in rounds {
            let now = Instant::now();
            if now >= until {
                break;
            }
            let query = exchange::ask(name, record_type, resolver, until.min(now + TRY), &self.seconds).await;
            let settled = query.rcode.as_deref().is_some_and(says_something) && !is_broken(&query);
            queries.push(query);
            if settled {
                break;
            }
        }
        queries
    }

    fn candidates(&self, name: &str) -> Vec<String> {
        let short = name.matches('.').count() < self.ndots;
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let mut candidates: Vec<String> = if short { searched.collect() } else { Vec::new() };
        candidates.push(name.to_owned());
        candidates
    }
}

/// An answer about the name, not about the resolver's own trouble.
fn says_something(rcode: &str) -> bool {
    matches!(rcode, "NOERROR" | "NXDOMAIN")
}

/// A truncated answer whose whole could not be fetched.
fn is_broken(query: &DnsQuery) -> bool {
    query.rcode.as_deref() == Some("NOERROR") && query.fault.is_some()
}

/// The address of a resolver.
const fn at_port_53(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 53)
}

#[cfg(test)]
mod tests;
