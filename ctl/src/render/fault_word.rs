//! A fault in a word or two, for a cell of the table.

use parallax_model::fault::{
    AgentFault, AuthFault, DnsFault, FaultKind, ImapFault, MailboxFault, TcpFault, TlsFault,
};

/// What an operator calls it. The stage stands above, so the layer need not be said again.
pub(crate) const fn of(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Dns(kind) => dns(kind),
        FaultKind::Tcp(kind) => tcp(kind),
        FaultKind::Tls(kind) => tls(kind),
        FaultKind::Imap(kind) => imap(kind),
        FaultKind::Auth(kind) => auth(kind),
        FaultKind::Mailbox(kind) => mailbox(kind),
        FaultKind::Agent(kind) => agent(kind),
    }
}

const fn dns(kind: DnsFault) -> &'static str {
    match kind {
        DnsFault::Nxdomain => "nxdomain",
        DnsFault::NoAddress => "no address",
        DnsFault::Servfail => "servfail",
        DnsFault::Refused => "refused",
        DnsFault::Timeout => "timeout",
        DnsFault::ResolverUnreachable => "unreachable",
        DnsFault::NotSent => "not sent",
        DnsFault::NoResolver => "no resolver",
        DnsFault::AnswersDiffer => "differs",
        DnsFault::Bogus => "bogus",
        DnsFault::Malformed => "malformed",
        DnsFault::Other => "error",
    }
}

const fn tcp(kind: TcpFault) -> &'static str {
    match kind {
        TcpFault::ConnectionRefused => "refused",
        TcpFault::ConnectionReset => "reset",
        TcpFault::TimedOut => "timeout",
        TcpFault::NetworkUnreachable => "net unreach",
        TcpFault::HostUnreachable => "host unreach",
        TcpFault::PermissionDenied => "prohibited",
        TcpFault::ProtocolUnreachable => "proto unreach",
        TcpFault::LocalAddress => "local addr",
        TcpFault::ConnectionClosed => "closed",
        TcpFault::Other => "error",
    }
}

const fn tls(kind: TlsFault) -> &'static str {
    match kind {
        TlsFault::HandshakeFailed => "handshake",
        TlsFault::ProtocolVersion => "too old",
        TlsFault::NotTls => "not tls",
        TlsFault::ConnectionClosed => "closed",
        TlsFault::ConnectionReset => "reset",
        TlsFault::TimedOut => "timeout",
        TlsFault::CertificateExpired => "expired",
        TlsFault::CertificateExpiring => "expiring",
        TlsFault::CertificateNotYetValid => "not yet valid",
        TlsFault::HostnameMismatch => "wrong name",
        TlsFault::CertificateUntrusted => "untrusted",
        TlsFault::CertificateSelfSigned => "self-signed",
        TlsFault::CertificateChainIncomplete => "incomplete",
        TlsFault::CertificateWeak => "weak",
        TlsFault::CertificateInvalid => "invalid",
        TlsFault::CertificateRevoked => "revoked",
        TlsFault::StapleMissing => "no staple",
        TlsFault::TlsaMismatch => "tlsa",
        TlsFault::ClientCertificateRequired => "wants cert",
        TlsFault::Other => "error",
    }
}

const fn imap(kind: ImapFault) -> &'static str {
    match kind {
        ImapFault::Timeout => "timeout",
        ImapFault::No => "NO",
        ImapFault::Bad => "BAD",
        ImapFault::Bye => "BYE",
        ImapFault::ConnectionClosed => "closed",
        ImapFault::ConnectionReset => "reset",
        ImapFault::WrongService => "not imap",
        ImapFault::TlsExpected => "speaks tls",
        ImapFault::CapabilityMissing | ImapFault::StarttlsMissing => "not offered",
        ImapFault::StarttlsInjection => "injection",
        ImapFault::ProxyProtocol => "proxy",
        ImapFault::CleartextLogin => "clear login",
        ImapFault::IdleTimeout => "cut",
        ImapFault::ProtocolError => "protocol",
        ImapFault::LimitExceeded => "too much",
        ImapFault::Slow => "slow",
        ImapFault::Other => "error",
    }
}

const fn auth(kind: AuthFault) -> &'static str {
    match kind {
        AuthFault::CredentialsRejected => "rejected",
        AuthFault::CredentialsExpired => "expired",
        AuthFault::AccountDisabled => "disabled",
        AuthFault::AuthorizationFailed => "not allowed",
        AuthFault::OauthRequired => "wants oauth",
        AuthFault::MechanismUnavailable => "no mechanism",
        AuthFault::BackendUnavailable => "unavailable",
        AuthFault::LimitReached => "limit",
        AuthFault::LoginDisabled => "no logins",
        AuthFault::PrivacyRequired => "wants tls",
        AuthFault::ServerNotVerified => "no proof",
        AuthFault::TokenRejected => "token",
        AuthFault::InsecureChannel => "not secure",
        AuthFault::SecretUnavailable => "no secret",
        AuthFault::Other => "error",
    }
}

const fn mailbox(kind: MailboxFault) -> &'static str {
    match kind {
        MailboxFault::Missing => "missing",
        MailboxFault::PermissionDenied => "denied",
        MailboxFault::Unavailable => "unavailable",
        MailboxFault::InUse => "in use",
        MailboxFault::Corruption => "corrupt",
        MailboxFault::OverQuota => "over quota",
        MailboxFault::ServerBug => "server bug",
        MailboxFault::SpecialUse => "roles",
        MailboxFault::ReadOnly => "read-only",
        MailboxFault::TooBig => "too big",
        MailboxFault::SyncDelayed => "late",
        MailboxFault::SyncBroken => "not seen",
        MailboxFault::IdleBroken => "idle",
        MailboxFault::AppendMismatch | MailboxFault::FetchMismatch => "mismatch",
        MailboxFault::Refused => "NO",
        MailboxFault::Other => "error",
    }
}

const fn agent(kind: AgentFault) -> &'static str {
    match kind {
        AgentFault::Policy => "policy",
        AgentFault::Overload => "overload",
        AgentFault::Deadline => "deadline",
        AgentFault::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_fits_a_cell() {
        let kinds = DnsFault::ALL
            .iter()
            .map(|&kind| FaultKind::Dns(kind))
            .chain(TcpFault::ALL.iter().map(|&kind| FaultKind::Tcp(kind)))
            .chain(TlsFault::ALL.iter().map(|&kind| FaultKind::Tls(kind)))
            .chain(ImapFault::ALL.iter().map(|&kind| FaultKind::Imap(kind)))
            .chain(AuthFault::ALL.iter().map(|&kind| FaultKind::Auth(kind)))
            .chain(MailboxFault::ALL.iter().map(|&kind| FaultKind::Mailbox(kind)))
            .chain(AgentFault::ALL.iter().map(|&kind| FaultKind::Agent(kind)));
        for kind in kinds {
            assert!((2..=13).contains(&of(kind).len()), "{kind:?}");
        }
    }
}
