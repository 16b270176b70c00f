//! Whether a certificate is for the host that was asked for (RFC 7817, RFC 9525).

use parallax_model::target::Host;

use super::Certificate;

/// Compares the host with dNSName or iPAddress. The common name has not counted since RFC 9525, and an SRV-ID
/// names a service of a domain, not a host.
pub(super) fn names_host(certificate: &Certificate, host: &Host) -> bool {
    match host {
        Host::Name(name) => certificate
            .dns_names
            .iter()
            .any(|presented| matches(presented, name)),
        Host::Address(address) => certificate.addresses.contains(address),
    }
}

/// Exactly, or by a wildcard that is the whole left-most label and stands for one label (RFC 9525 section 6.3).
/// Two labels must follow it, as TLS libraries demand too: `*.org` is nobody's name.
fn matches(presented: &str, host: &str) -> bool {
    let presented = presented.strip_suffix('.').unwrap_or(presented);
    let host = host.strip_suffix('.').unwrap_or(host);
    let Some(domain) = presented.strip_prefix("*.") else {
        return !presented.is_empty() && presented.eq_ignore_ascii_case(host);
    };
    let Some((label, rest)) = host.split_once('.') else {
        return false;
    };
    !label.is_empty() && domain.contains('.') && !domain.contains('*') && domain.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_exactly_one_label_at_the_left() {
        assert!(matches("*.example.org", "imap.example.org"));
        assert!(matches("*.EXAMPLE.org.", "imap.example.org"));
        for host in [
            "example.org",
            "a.imap.example.org",
            ".example.org",
            "imap.example.com",
        ] {
            assert!(!matches("*.example.org", host), "{host}");
        }
        for presented in [
            "imap*.example.org",
            "i*p.example.org",
            "imap.*.org",
            "*.org",
            "*",
            "*.*.org",
            "",
        ] {
            assert!(!matches(presented, "imap.example.org"), "{presented}");
        }
        assert!(!matches("*.org", "example.org"));
    }

    #[test]
    fn names_are_equal_in_any_case_and_with_or_without_the_final_dot() {
        assert!(matches("IMAP.example.org", "imap.example.org."));
        assert!(!matches("imap.example.org", "map.example.org"));
    }
}
