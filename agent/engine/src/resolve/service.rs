//! What DNS says of a mail service beside its addresses, read from the records in presentation form.

use parallax_model::evidence::{DnsQuery, SrvRecord, TlsaRecord};
use parallax_model::target::{Security, Target};

/// The SRV records among the answers (RFC 2782).
pub(super) fn services(queries: &[DnsQuery]) -> Vec<SrvRecord> {
    records(queries, "SRV")
        .filter_map(|(query, record)| service(query, record))
        .collect()
}

/// The TLSA records among the answers (RFC 6698 section 2.2).
pub(super) fn associations(queries: &[DnsQuery]) -> Vec<TlsaRecord> {
    records(queries, "TLSA")
        .filter_map(|(query, record)| association(query, record))
        .collect()
}

/// What an operator would want to hear of where the mail domain says that its services are. An answer of several
/// records is fine as soon as one of them leads to what was asked.
pub fn remarks(target: &Target, services: &[SrvRecord]) -> Vec<String> {
    let mut remarks = Vec::new();
    for name in ["_imaps._tcp", "_imap._tcp"] {
        let of: Vec<&SrvRecord> = services.iter().filter(|record| record.service == name).collect();
        let secure = name.starts_with("_imaps");
        let asked: Vec<u16> = target
            .endpoints
            .iter()
            .filter(|endpoint| (endpoint.security == Security::Tls) == secure)
            .map(|endpoint| endpoint.port)
            .collect();
        if of.is_empty() || asked.is_empty() {
            continue;
        }
        if of.iter().all(|record| record.target == ".") {
            remarks.push(format!(
                "SRV {name}: the domain says that it does not offer this service"
            ));
            continue;
        }
        let shown = |record: &SrvRecord| format!("{}:{}", record.target, record.port);
        let places: Vec<String> = of.iter().map(|record| shown(record)).collect();
        let host = target.host.to_string();
        let named = |record: &&&SrvRecord| record.target.eq_ignore_ascii_case(host.trim_end_matches('.'));
        let ours: Vec<_> = of.iter().filter(named).collect();
        if ours.is_empty() {
            remarks.push(format!(
                "SRV {name} names {}, another host than {host}",
                places.join(", ")
            ));
        } else if !ours.iter().any(|record| asked.contains(&record.port)) {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            remarks.push(format!(
                "SRV {name} names {}, another port than {}",
                places.join(", "),
                asked.join(", ")
            ));
        }
    }
    remarks
}

fn records<'q>(
    queries: &'q [DnsQuery],
    record_type: &'static str,
) -> impl Iterator<Item = (&'q DnsQuery, &'q str)> {
    let asked = queries
        .iter()
        .filter(move |query| query.record_type == record_type);
    asked.flat_map(|query| query.records.iter().map(move |record| (query, record.as_str())))
}

fn service(query: &DnsQuery, record: &str) -> Option<SrvRecord> {
    let mut words = record.split(' ');
    let mut number = || words.next()?.parse().ok();
    let (priority, weight, port) = (number()?, number()?, number()?);
    let target = match words.next()? {
        "." => ".",
        target => target.trim_end_matches('.'),
    };
    let mut labels = query.name.split('.');
    Some(SrvRecord {
        service: format!("{}.{}", labels.next()?, labels.next()?),
        priority,
        weight,
        port,
        target: target.to_owned(),
        ttl_s: query.ttl_s.unwrap_or_default(),
    })
}

fn association(query: &DnsQuery, record: &str) -> Option<TlsaRecord> {
    let mut words = record.split(' ');
    let mut number = || words.next()?.parse().ok();
    let (usage, selector, matching) = (number()?, number()?, number()?);
    let port = query.name.strip_prefix('_')?.split('.').next()?;
    Some(TlsaRecord {
        port: port.parse().ok()?,
        usage,
        selector,
        matching,
        data: words.next()?.to_owned(),
        authenticated: query.dnssec.as_deref() == Some("authenticated"),
    })
}
