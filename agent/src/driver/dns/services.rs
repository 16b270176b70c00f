//! What DNS says of a mail service beside its addresses: where it is (SRV), and by what certificate (TLSA).
//!
//! Asked only on request, each question once at each resolver: nothing that a client needs depends on the answers.

use hickory_proto::rr::RecordType;
use parallax_model::evidence::DnsQuery;
use tokio::time::Instant;

use crate::driver::dns::Configuration;

/// First labels of host names that serve a mail domain: what follows them is most often the domain of the addresses.
const MAIL_LABELS: [&str; 10] = [
    "imap", "imaps", "imap4", "mail", "mx", "email", "mailbox", "webmail", "smtp", "pop",
];

impl Configuration {
    /// Asks where the IMAP services of a host's mail domain are (RFC 6186, RFC 8314 section 5.1). That domain is the
    /// host name itself; where it has no such records, and begins as mail servers are called, what follows its first
    /// label.
    pub(crate) async fn services(&self, host: &str, until: Instant) -> Vec<DnsQuery> {
        let mut queries = Vec::new();
        for domain in mail_domains(host) {
            let of = |service: &str| format!("{service}._tcp.{domain}");
            let (secure, clear) = (of("_imaps"), of("_imap"));
            let (secure, clear) = tokio::join!(
                self.ask_once(&secure, RecordType::SRV, until),
                self.ask_once(&clear, RecordType::SRV, until)
            );
            let asked = secure.into_iter().chain(clear);
            queries.extend(asked);
            if queries.iter().any(|query| !query.records.is_empty()) {
                break;
            }
        }
        queries
    }

    /// Asks for the certificate associations of a host's ports (RFC 6698 section 3). Aliases of the host are not
    /// followed (RFC 7671 section 7 has them tried too).
    pub(crate) async fn associations(&self, host: &str, ports: &[u16], until: Instant) -> Vec<DnsQuery> {
        let mut queries = Vec::new();
        for port in ports {
            let name = format!("_{port}._tcp.{host}");
            queries.extend(self.ask_once(&name, RecordType::TLSA, until).await);
        }
        queries
    }

    /// That there is no such record is an answer like any other here.
    async fn ask_once(&self, name: &str, record_type: RecordType, until: Instant) -> Vec<DnsQuery> {
        let mut queries = self.ask_round(1, name, record_type, until).await;
        for query in &mut queries {
            if query.rcode.as_deref() == Some("NXDOMAIN") {
                query.fault = None;
            }
        }
        queries
    }
}

fn mail_domains(host: &str) -> Vec<&str> {
    let host = host.trim_end_matches('.');
    let mut domains = vec![host];
    if let Some((first, rest)) = host.split_once('.')
        && rest.contains('.')
        && MAIL_LABELS.iter().any(|label| first.eq_ignore_ascii_case(label))
    {
        domains.push(rest);
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_domain_is_the_host_or_what_follows_a_mail_servers_label() {
        assert_eq!(mail_domains("example.org"), ["example.org"]);
        assert_eq!(
            mail_domains("IMAP.example.org."),
            ["IMAP.example.org", "example.org"]
        );
        assert_eq!(mail_domains("mail.org"), ["mail.org"]);
        assert_eq!(mail_domains("www.example.org"), ["www.example.org"]);
    }
}
