//! What went wrong in a stage, as the agent saw it. What it *means* is for the diagnosis to conclude.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::kinds;

kinds! {
    /// The layer at which a fault was seen.
    Layer, fallback Agent {
        /// Name resolution.
        Dns = "dns",
        /// TCP, and the ICMP errors that reach it.
        Tcp = "tcp",
        /// The TLS handshake and the certificates in it.
        Tls = "tls",
        /// The IMAP dialogue before a login.
        Imap = "imap",
        /// The login.
        Auth = "auth",
        /// What comes after the login.
        Mailbox = "mailbox",
        /// The agent itself.
        Agent = "agent",
    }
}

kinds! {
    /// Faults of name resolution.
    DnsFault, fallback Other {
        /// The name does not exist (RCODE 3, RFC 1035 section 4.1.1).
        Nxdomain = "nxdomain",
        /// The name exists but has no address of the families asked for (NODATA, RFC 2308 section 2.2).
        NoAddress = "no_address",
        /// The resolver failed (RCODE 2).
        Servfail = "servfail",
        /// The resolver refused to answer (RCODE 5).
        Refused = "refused",
        /// No answer in time.
        Timeout = "timeout",
        /// An ICMP error or a reset came back instead of an answer: no daemon listens there, or a filter rejects.
        ResolverUnreachable = "resolver_unreachable",
        /// The query did not leave this host (EPERM, ENETUNREACH with nothing sent).
        NotSent = "not_sent",
        /// This host has no resolver configured.
        NoResolver = "no_resolver",
        /// Another resolver gives other addresses.
        AnswersDiffer = "answers_differ",
        /// DNSSEC validation fails: SERVFAIL, but an answer with checking disabled (RFC 4035 section 3.2.2).
        Bogus = "bogus",
        /// The answer is not a DNS message that answers the question.
        Malformed = "malformed",
        /// Anything else.
        Other = "other",
    }
}

kinds! {
    /// Faults of TCP; names follow errno (errno(3)).
    TcpFault, fallback Other {
        /// ECONNREFUSED: a reset, or an ICMP port unreachable; the evidence tells which.
        ConnectionRefused = "connection_refused",
        /// ECONNRESET.
        ConnectionReset = "connection_reset",
        /// Nothing came back in time.
        TimedOut = "timed_out",
        /// ENETUNREACH.
        NetworkUnreachable = "network_unreachable",
        /// EHOSTUNREACH.
        HostUnreachable = "host_unreachable",
        /// EACCES or EPERM: prohibited by a route, a filter or ICMPv6 code 1, 5, 6.
        PermissionDenied = "permission_denied",
        /// ENOPROTOOPT: ICMP protocol unreachable.
        ProtocolUnreachable = "protocol_unreachable",
        /// EADDRNOTAVAIL, EINVAL on connect: this host could not even begin.
        LocalAddress = "local_address",
        /// The peer closed the connection.
        ConnectionClosed = "connection_closed",
        /// Anything else; `raw` has the errno.
        Other = "other",
    }
}

kinds! {
    /// Faults of TLS and of the presented chain.
    TlsFault, fallback Other {
        /// No common parameters, or an alert that says no more.
        HandshakeFailed = "handshake_failed",
        /// No common protocol version.
        ProtocolVersion = "protocol_version",
        /// What came back is not TLS; `raw` has the first bytes.
        NotTls = "not_tls",
        /// The peer closed the connection during the handshake.
        ConnectionClosed = "connection_closed",
        /// The connection was reset during the handshake.
        ConnectionReset = "connection_reset",
        /// The handshake did not end in time; the evidence has the bytes received so far.
        TimedOut = "timed_out",
        /// A certificate of the chain has expired.
        CertificateExpired = "certificate_expired",
        /// A certificate of the chain ends soon, measured by its own lifetime.
        CertificateExpiring = "certificate_expiring",
        /// A certificate of the chain is not valid yet.
        CertificateNotYetValid = "certificate_not_yet_valid",
        /// The certificate does not name the host (RFC 7817, RFC 9525).
        HostnameMismatch = "hostname_mismatch",
        /// No trust anchor vouches for the chain.
        CertificateUntrusted = "certificate_untrusted",
        /// The leaf signed itself.
        CertificateSelfSigned = "certificate_self_signed",
        /// An intermediate certificate was not sent.
        CertificateChainIncomplete = "certificate_chain_incomplete",
        /// A key or a signature too weak to accept.
        CertificateWeak = "certificate_weak",
        /// The certificate is otherwise unusable (a CA as leaf, a wrong purpose, not parseable).
        CertificateInvalid = "certificate_invalid",
        /// The stapled OCSP response says that the certificate is revoked.
        CertificateRevoked = "certificate_revoked",
        /// The certificate demands a stapled OCSP response, and none came.
        StapleMissing = "staple_missing",
        /// The chain matches none of the TLSA records (RFC 6698).
        TlsaMismatch = "tlsa_mismatch",
        /// The server wants a client certificate.
        ClientCertificateRequired = "client_certificate_required",
        /// Anything else.
        Other = "other",
    }
}

kinds! {
    /// Faults of the IMAP dialogue.
    ImapFault, fallback Other {
        /// No complete answer in time.
        Timeout = "timeout",
        /// A tagged NO.
        No = "no",
        /// A BAD.
        Bad = "bad",
        /// An untagged BYE that ends the session.
        Bye = "bye",
        /// End of stream where an answer was due.
        ConnectionClosed = "connection_closed",
        /// A reset where an answer was due.
        ConnectionReset = "connection_reset",
        /// Another protocol answers here; `raw` names it.
        WrongService = "wrong_service",
        /// TLS was spoken on a port where the greeting was expected in clear.
        TlsExpected = "tls_expected",
        /// A capability that the probe needs is not offered.
        CapabilityMissing = "capability_missing",
        /// STARTTLS is not offered on a port where it was asked for.
        StarttlsMissing = "starttls_missing",
        /// Bytes in clear arrived after the answer to STARTTLS (RFC 9051 section 11.1 forbids their use).
        StarttlsInjection = "starttls_injection",
        /// One side speaks the PROXY protocol and the other does not.
        ProxyProtocol = "proxy_protocol",
        /// The server would take a password in clear.
        CleartextLogin = "cleartext_login",
        /// The session did not last as long as it was to be held.
        IdleTimeout = "idle_timeout",
        /// The answer breaks the protocol.
        ProtocolError = "protocol_error",
        /// A bound on size, count or nesting was passed (the server's answer was not read further).
        LimitExceeded = "limit_exceeded",
        /// It worked, but slower than an operator should accept.
        Slow = "slow",
        /// Anything else.
        Other = "other",
    }
}

kinds! {
    /// Faults of the login (RFC 5530 response codes where the server gives one).
    AuthFault, fallback Other {
        /// AUTHENTICATIONFAILED, or a refusal without a code.
        CredentialsRejected = "credentials_rejected",
        /// EXPIRED.
        CredentialsExpired = "credentials_expired",
        /// CONTACTADMIN, or a text that says so.
        AccountDisabled = "account_disabled",
        /// AUTHORIZATIONFAILED.
        AuthorizationFailed = "authorization_failed",
        /// The server wants OAuth.
        OauthRequired = "oauth_required",
        /// No mechanism that both sides speak, or the one asked for is not offered.
        MechanismUnavailable = "mechanism_unavailable",
        /// UNAVAILABLE: the server's authentication backend is down or slow.
        BackendUnavailable = "backend_unavailable",
        /// LIMIT, INUSE: too many sessions, or the account is locked by another.
        LimitReached = "limit_reached",
        /// LOGINDISABLED: no login on this connection (RFC 9051 section 6.2.3).
        LoginDisabled = "login_disabled",
        /// PRIVACYREQUIRED.
        PrivacyRequired = "privacy_required",
        /// The server could not prove that it knows the password (SCRAM).
        ServerNotVerified = "server_not_verified",
        /// The OAuth token is expired, revoked or of the wrong scope.
        TokenRejected = "token_rejected",
        /// The agent would not send the secret here: the connection is not verified TLS.
        InsecureChannel = "insecure_channel",
        /// The agent has no secret it can open for this login.
        SecretUnavailable = "secret_unavailable",
        /// Anything else.
        Other = "other",
    }
}

impl AuthFault {
    /// Whether another try with the same secret would end the same way, and may count against the account.
    pub const fn is_about_the_secret(self) -> bool {
        match self {
            Self::CredentialsRejected
            | Self::CredentialsExpired
            | Self::AccountDisabled
            | Self::AuthorizationFailed
            | Self::TokenRejected => true,
            Self::OauthRequired
            | Self::MechanismUnavailable
            | Self::BackendUnavailable
            | Self::LimitReached
            | Self::LoginDisabled
            | Self::PrivacyRequired
            | Self::ServerNotVerified
            | Self::InsecureChannel
            | Self::SecretUnavailable
            | Self::Other => false,
        }
    }
}

kinds! {
    /// Faults after the login.
    MailboxFault, fallback Other {
        /// NONEXISTENT, TRYCREATE, or a text that says so.
        Missing = "missing",
        /// NOPERM.
        PermissionDenied = "permission_denied",
        /// UNAVAILABLE.
        Unavailable = "unavailable",
        /// INUSE.
        InUse = "in_use",
        /// CORRUPTION.
        Corruption = "corruption",
        /// OVERQUOTA.
        OverQuota = "over_quota",
        /// SERVERBUG.
        ServerBug = "server_bug",
        /// A role that clients look for has no mailbox, or several.
        SpecialUse = "special_use",
        /// READ-ONLY where it was to be written.
        ReadOnly = "read_only",
        /// TOOBIG, LIMIT.
        TooBig = "too_big",
        /// Another session learns of a change late, or not as it should.
        SyncDelayed = "sync_delayed",
        /// Another session never learns of a change.
        SyncBroken = "sync_broken",
        /// IDLE does not tell what happens.
        IdleBroken = "idle_broken",
        /// A message that was stored came back changed.
        AppendMismatch = "append_mismatch",
        /// The data is not what the server said it would be.
        FetchMismatch = "fetch_mismatch",
        /// A refusal without a code.
        Refused = "refused",
        /// Anything else.
        Other = "other",
    }
}

kinds! {
    /// Faults of the agent itself.
    AgentFault, fallback Internal {
        /// The agent's policy does not allow this target.
        Policy = "policy",
        /// The agent ran out of sockets, memory or permits.
        Overload = "overload",
        /// The time given for the probe was over before this could end.
        Deadline = "deadline",
        /// A fault in the agent's program.
        Internal = "internal",
    }
}

/// What went wrong, by layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// See [`DnsFault`].
    Dns(DnsFault),
    /// See [`TcpFault`].
    Tcp(TcpFault),
    /// See [`TlsFault`].
    Tls(TlsFault),
    /// See [`ImapFault`].
    Imap(ImapFault),
    /// See [`AuthFault`].
    Auth(AuthFault),
    /// See [`MailboxFault`].
    Mailbox(MailboxFault),
    /// See [`AgentFault`].
    Agent(AgentFault),
}

impl FaultKind {
    /// See [`AuthFault::is_about_the_secret`].
    pub const fn is_about_the_secret(self) -> bool {
        matches!(self, Self::Auth(fault) if fault.is_about_the_secret())
    }

    /// The layer at which it was seen.
    pub const fn layer(self) -> Layer {
        match self {
            Self::Dns(_) => Layer::Dns,
            Self::Tcp(_) => Layer::Tcp,
            Self::Tls(_) => Layer::Tls,
            Self::Imap(_) => Layer::Imap,
            Self::Auth(_) => Layer::Auth,
            Self::Mailbox(_) => Layer::Mailbox,
            Self::Agent(_) => Layer::Agent,
        }
    }

    /// The kind's name inside its layer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns(kind) => kind.as_str(),
            Self::Tcp(kind) => kind.as_str(),
            Self::Tls(kind) => kind.as_str(),
            Self::Imap(kind) => kind.as_str(),
            Self::Auth(kind) => kind.as_str(),
            Self::Mailbox(kind) => kind.as_str(),
            Self::Agent(kind) => kind.as_str(),
        }
    }

    /// Reads a layer and a kind; unknown names become the layer's fallback.
    pub fn from_names(layer: &str, kind: &str) -> Self {
        match Layer::from_name(layer) {
            Layer::Dns => Self::Dns(DnsFault::from_name(kind)),
            Layer::Tcp => Self::Tcp(TcpFault::from_name(kind)),
            Layer::Tls => Self::Tls(TlsFault::from_name(kind)),
            Layer::Imap => Self::Imap(ImapFault::from_name(kind)),
            Layer::Auth => Self::Auth(AuthFault::from_name(kind)),
            Layer::Mailbox => Self::Mailbox(MailboxFault::from_name(kind)),
            Layer::Agent => Self::Agent(AgentFault::from_name(kind)),
        }
    }

    /// The value of the OpenTelemetry attribute `error.type`: few values, the same on spans and metrics.
    pub fn error_type(self) -> String {
        match self {
            Self::Dns(DnsFault::Nxdomain | DnsFault::NoAddress) => "host_not_found".into(),
            Self::Dns(DnsFault::Servfail) => "try_again".into(),
            Self::Dns(DnsFault::Refused) => "no_recovery".into(),
            Self::Dns(DnsFault::Timeout) | Self::Imap(ImapFault::Timeout) | Self::Tls(TlsFault::TimedOut) => {
                "timeout".into()
            }
            Self::Tcp(TcpFault::Other) => "_OTHER".into(),
            Self::Tcp(kind) => kind.as_str().into(),
            Self::Agent(AgentFault::Internal | AgentFault::Overload) => "agent.unavailable".into(),
            _ => format!("{}.{}", self.layer(), self.as_str()),
        }
    }
}

/// What went wrong in a stage, with the words of whoever said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "FaultShape", into = "FaultShape")]
#[schemars(with = "FaultShape")]
pub struct Fault {
    /// The class it was given.
    pub kind: FaultKind,
    /// One line for a person: "connect to 10.9.0.10:993: connection refused".
    pub message: String,
    /// The evidence in its own words: an errno, an alert, a server's line, first bytes in hexadecimal.
    pub raw: Option<String>,
}

impl Fault {
    /// A fault with a message and no raw words.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            raw: None,
        }
    }

    /// Keeps the evidence in its own words beside the class.
    #[must_use]
    pub fn with_raw(mut self, raw: impl Into<String>) -> Self {
        self.raw = Some(raw.into());
        self
    }

    /// The layer at which it was seen.
    pub const fn layer(&self) -> Layer {
        self.kind.layer()
    }
}

/// The JSON shape of a fault.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Fault")]
struct FaultShape {
    layer: Layer,
    /// snake_case, one of the layer's kinds
    kind: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

impl From<FaultShape> for Fault {
    fn from(shape: FaultShape) -> Self {
        let kind = FaultKind::from_names(shape.layer.as_str(), &shape.kind);
        Self {
            kind,
            message: shape.message,
            raw: shape.raw,
        }
    }
}

impl From<Fault> for FaultShape {
    fn from(fault: Fault) -> Self {
        Self {
            layer: fault.layer(),
            kind: fault.kind.as_str().to_owned(),
            message: fault.message,
            raw: fault.raw,
        }
    }
}
