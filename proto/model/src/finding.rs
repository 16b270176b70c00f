//! One claim about what is wrong and where.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::ClientReport;
use crate::kinds::kinds;
use crate::observation::Family;
use crate::stage::StageName;
use crate::vantage::AgentName;

kinds! {
    /// What is wrong. The list is part of the outside surface.
    FindingKind, fallback Inconclusive {
        /// Nothing was heard from an agent.
        AgentMissing = "agent_missing",
        /// The agent's host has no route to the target.
        AgentNoRoute = "agent_no_route",
        /// The agent's own firewall rejects.
        AgentLocalFirewall = "agent_local_firewall",
        /// The agent's network fails for its control target too.
        AgentNetworkDown = "agent_network_down",
        /// The agent's clock is off.
        AgentClockSkew = "agent_clock_skew",
        /// The agent's resolver does not answer.
        AgentResolverDown = "agent_resolver_down",
        /// The name does not exist.
        DnsNxdomain = "dns_nxdomain",
        /// The name has no address.
        DnsNoAddress = "dns_no_address",
        /// The resolver fails.
        DnsServfail = "dns_servfail",
        /// The resolver refuses.
        DnsRefused = "dns_refused",
        /// The resolver is silent.
        DnsTimeout = "dns_timeout",
        /// Resolving is slow.
        DnsSlow = "dns_slow",
        /// Vantage points get different answers.
        DnsAnswersDiffer = "dns_answers_differ",
        /// An answer that does not serve this target.
        DnsWrongAddress = "dns_wrong_address",
        /// The host itself answers with a reset.
        PortClosed = "port_closed",
        /// The host does not answer anything.
        HostDown = "host_down",
        /// Silent discard on the way.
        PacketsDropped = "packets_dropped",
        /// A reset that is not the host's own.
        RejectedWithReset = "rejected_with_reset",
        /// Prohibited or unreachable, by ICMP.
        RejectedWithIcmp = "rejected_with_icmp",
        /// A router has no route.
        NoRoute = "no_route",
        /// Packets go in circles.
        RoutingLoop = "routing_loop",
        /// Answers are lost on the way back.
        ReturnPathLost = "return_path_lost",
        /// A stateful device sees one half.
        AsymmetricPath = "asymmetric_path",
        /// One of IPv4 and IPv6 fails.
        FamilyBroken = "family_broken",
        /// Some flows of equal-cost paths fail.
        OnePathBroken = "one_path_broken",
        /// Some backends of one address fail.
        OneBackendBroken = "one_backend_broken",
        /// This source is banned.
        SourceBanned = "source_banned",
        /// Too many connections a while.
        RateLimited = "rate_limited",
        /// Too many connections at once.
        ConnectionLimit = "connection_limit",
        /// The server's queue or processes are used up.
        ServerOverloaded = "server_overloaded",
        /// Logins are delayed after failures.
        AuthPenalty = "auth_penalty",
        /// Large packets vanish.
        MtuBlackHole = "mtu_black_hole",
        /// Packets are lost at random.
        PacketLoss = "packet_loss",
        /// The rate is held down.
        Throttled = "throttled",
        /// Round trips take long.
        LatencyHigh = "latency_high",
        /// The path forgets idle connections.
        IdleTimeoutInPath = "idle_timeout_in_path",
        /// A connection dies after some bytes.
        FlowCut = "flow_cut",
        /// Someone else's certificate on the way.
        TlsIntercepted = "tls_intercepted",
        /// STARTTLS is taken out on the way.
        StarttlsStripped = "starttls_stripped",
        /// The server name decides.
        SniFiltered = "sni_filtered",
        /// A reset is injected.
        ResetInjected = "reset_injected",
        /// Another service answers.
        Redirected = "redirected",
        /// The content decides.
        ContentFiltered = "content_filtered",
        /// Another protocol answers on the port.
        WrongService = "wrong_service",
        /// TLS answers on a plain port.
        TlsExpected = "tls_expected",
        /// Plain IMAP answers on a TLS port.
        PlaintextExpected = "plaintext_expected",
        /// PROXY protocol on one side only.
        ProxyProtocolMismatch = "proxy_protocol_mismatch",
        /// Connected, but no greeting.
        NoGreeting = "no_greeting",
        /// The greeting comes late.
        SlowGreeting = "slow_greeting",
        /// Closed before the greeting.
        ClosedBeforeGreeting = "closed_before_greeting",
        /// The server says BYE.
        ServerSaidBye = "server_said_bye",
        /// The server breaks the protocol.
        ProtocolViolation = "protocol_violation",
        /// The session ends in the middle.
        SessionDropped = "session_dropped",
        /// The handshake fails.
        TlsHandshakeFailed = "tls_handshake_failed",
        /// Only TLS 1.1 or older.
        TlsVersionTooOld = "tls_version_too_old",
        /// Expired.
        CertificateExpired = "certificate_expired",
        /// Not valid yet.
        CertificateNotYetValid = "certificate_not_yet_valid",
        /// Expires soon.
        CertificateExpiring = "certificate_expiring",
        /// For another name.
        CertificateNameMismatch = "certificate_name_mismatch",
        /// No anchor vouches for it.
        CertificateUntrusted = "certificate_untrusted",
        /// Signed by itself.
        CertificateSelfSigned = "certificate_self_signed",
        /// An intermediate is missing.
        CertificateChainIncomplete = "certificate_chain_incomplete",
        /// Weak key or signature.
        CertificateWeak = "certificate_weak",
        /// Between backends, addresses or ports.
        CertificateDiffers = "certificate_differs",
        /// A client certificate is wanted.
        ClientCertificateRequired = "client_certificate_required",
        /// STARTTLS is not offered.
        StarttlsMissing = "starttls_missing",
        /// STARTTLS fails.
        StarttlsFailed = "starttls_failed",
        /// Plaintext is taken into the TLS session.
        StarttlsInjection = "starttls_injection",
        /// Logins are offered in clear.
        CleartextLoginAllowed = "cleartext_login_allowed",
        /// The server refuses the credential.
        CredentialsRejected = "credentials_rejected",
        /// The credential has expired.
        CredentialsExpired = "credentials_expired",
        /// The account is disabled.
        AccountDisabled = "account_disabled",
        /// OAuth is wanted.
        OauthRequired = "oauth_required",
        /// No common mechanism.
        MechanismUnavailable = "mechanism_unavailable",
        /// The server can't reach its user database.
        AuthBackendUnavailable = "auth_backend_unavailable",
        /// No login is allowed here.
        LoginDisabled = "login_disabled",
        /// The mailbox does not exist.
        MailboxMissing = "mailbox_missing",
        /// No right to it.
        PermissionDenied = "permission_denied",
        /// Full.
        OverQuota = "over_quota",
        /// Read only.
        MailboxReadOnly = "mailbox_read_only",
        /// Damaged.
        MailboxCorrupt = "mailbox_corrupt",
        /// In use.
        MailboxBusy = "mailbox_busy",
        /// No mailbox has the role.
        SpecialUseMissing = "special_use_missing",
        /// Clients must download everything again.
        UidvalidityChanged = "uidvalidity_changed",
        /// Messages can't be read.
        FetchFailed = "fetch_failed",
        /// Messages can't be stored.
        AppendFailed = "append_failed",
        /// Changes arrive late at other sessions.
        SyncDelayed = "sync_delayed",
        /// Changes do not arrive at other sessions.
        SyncBroken = "sync_broken",
        /// IDLE does not work.
        IdleBroken = "idle_broken",
        /// The host is reachable, nobody can log in, and no narrower kind fits.
        ServiceDown = "service_down",
        /// Some clients can't work with it.
        ClientIncompatible = "client_incompatible",
        /// The evidence does not decide.
        Inconclusive = "inconclusive",
    }
}

kinds! {
    /// How bad it is for mail clients at the affected vantage points.
    Severity, fallback Info {
        /// They can't work.
        Critical = "critical",
        /// They will soon be unable to, or some of them are.
        Warning = "warning",
        /// Worth knowing.
        Info = "info",
    }
}

kinds! {
    /// A part of the way from the agent to the service.
    Segment, fallback Unknown {
        /// The agent's own host.
        Agent = "agent",
        /// Up to and including the last hop that only this vantage point uses.
        VantageEdge = "vantage_edge",
        /// In between.
        Transit = "transit",
        /// Hops shared by all vantage points just before the host.
        SiteEdge = "site_edge",
        /// The host and what runs on it.
        Service = "service",
        /// Not known.
        Unknown = "unknown",
    }
}

kinds! {
    /// The answer of a run.
    Verdict, fallback Inconclusive {
        /// Every vantage point is fine.
        Healthy = "healthy",
        /// Some are not, or something must be seen.
        Partial = "partial",
        /// Down from every vantage point that answered.
        Down = "down",
        /// Could not tell.
        Inconclusive = "inconclusive",
    }
}

impl Verdict {
    /// The exit status of `ctl probe`, the monitoring plugins' convention.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Partial => 1,
            Self::Down => 2,
            Self::Inconclusive => 3,
        }
    }
}

/// Whom a finding affects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// Vantage points that have the fault.
    pub affected: Vec<AgentName>,
    /// Vantage points that were asked the same and do not have it.
    pub unaffected: Vec<AgentName>,
    /// `address:port` of the endpoints concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// Address families concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<Family>,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// The part of the way.
    pub segment: Segment,
    /// The last hop that certainly forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<IpAddr>,
    /// The first hop that certainly did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<IpAddr>,
}

impl Location {
    /// A segment without hops.
    pub const fn segment(segment: Segment) -> Self {
        Self {
            segment,
            after: None,
            before: None,
        }
    }
}

/// A look-alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alternative {
    /// What else it could be.
    pub kind: FindingKind,
    /// How likely, 0 to 1.
    pub confidence: f64,
    /// What would tell them apart.
    pub told_apart_by: String,
}

/// One claim about what is wrong and where, with its evidence and its confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// One line a person can act on.
    pub summary: String,
    /// Whom it affects.
    pub scope: Scope,
    /// The stage at which it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// Where it is.
    pub location: Location,
    /// What was seen, one fact a line.
    pub because: Vec<String>,
    /// What else it could be.
    #[serde(default)]
    pub alternatives: Vec<Alternative>,
    /// What to do or ask next.
    pub next_steps: Vec<String>,
}

/// What a run concludes.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// The answer.
    pub verdict: Verdict,
    /// One line a person can act on.
    pub summary: String,
    /// First the one to act on.
    pub findings: Vec<Finding>,
    /// Which mail clients could work with what was seen.
    pub clients: Vec<ClientReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_carries_the_verdict() {
        let statuses: Vec<u8> = Verdict::ALL.iter().map(|verdict| verdict.exit_status()).collect();
        assert_eq!(statuses, [0, 1, 2, 3]);
    }
}
