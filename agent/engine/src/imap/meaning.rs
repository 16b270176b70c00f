//! What a response code means for an operator: the likely cause, and what to do next.

mod extension;

use super::code::ResponseCode;

/// What a code points to. Whether it is so, the diagnosis concludes from all vantage points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PointsTo {
    /// User name or password.
    Credential,
    /// The rules of who may log in, and how.
    AuthPolicy,
    /// The state of the account.
    AccountState,
    /// A limit on sessions, messages or rate.
    Capacity,
    /// The server, or a service behind it.
    ServiceDown,
    /// The mailbox and what stores it.
    MailboxStorage,
    /// TLS is missing where it is needed.
    TlsConfig,
    /// Server and client do not fit.
    ProtocolCompat,
    /// This program sent what it should not have sent.
    Probe,
}

impl PointsTo {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Credential,
        Self::AuthPolicy,
        Self::AccountState,
        Self::Capacity,
        Self::ServiceDown,
        Self::MailboxStorage,
        Self::TlsConfig,
        Self::ProtocolCompat,
        Self::Probe,
    ];

    /// The one of that name.
    pub fn known(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The name in evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::AuthPolicy => "auth-policy",
            Self::AccountState => "account-state",
            Self::Capacity => "capacity",
            Self::ServiceDown => "service-down",
            Self::MailboxStorage => "mailbox-storage",
            Self::TlsConfig => "tls-config",
            Self::ProtocolCompat => "protocol-compat",
            Self::Probe => "probe",
        }
    }
}

/// A code in plain words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// What it points to.
    pub points_to: PointsTo,
    /// What the server says, and what is usually behind it.
    pub cause: &'static str,
    /// What to do next.
    pub next_step: &'static str,
}

impl ResponseCode {
    /// What the code means; `None` for codes that only carry data, and for unknown ones.
    pub fn meaning(&self) -> Option<Meaning> {
        refused_login(self)
            .or_else(|| refused_mailbox(self))
            .or_else(|| refused_command(self))
            .or_else(|| extension::refused(self))
    }
}

const fn meaning(points_to: PointsTo, cause: &'static str, next_step: &'static str) -> Option<Meaning> {
    Some(Meaning {
        points_to,
        cause,
        next_step,
    })
}

fn refused_login(code: &ResponseCode) -> Option<Meaning> {
    match code {
        ResponseCode::AuthenticationFailed => meaning(
            PointsTo::Credential,
            "the server does not accept this user name with this password; the password may have changed, an app \
             password may be needed, or the user name may need its domain",
            "check the credential by hand before any agent tries it again; try the user name with and without its \
             domain",
        ),
        ResponseCode::AuthorizationFailed => meaning(
            PointsTo::AuthPolicy,
            "the password was right, but this login may not act as the user it names",
            "log in without an authorization identity, or with another mechanism",
        ),
        ResponseCode::Expired => meaning(
            PointsTo::Credential,
            "the password was right once and has expired",
            "renew the password, then store the new one for the probe",
        ),
        ResponseCode::PrivacyRequired => meaning(
            PointsTo::TlsConfig,
            "the server takes no password without TLS, as it should",
            "probe with TLS or STARTTLS",
        ),
        ResponseCode::ContactAdmin => meaning(
            PointsTo::AccountState,
            "the account is disabled or blocked, and only its administrator can change that",
            "ask whoever administers the account",
        ),
        ResponseCode::WebAlert => meaning(
            PointsTo::AccountState,
            "the provider wants the user to log in with a web browser first",
            "log in to the account in a browser and follow what it asks",
        ),
        ResponseCode::Referral => meaning(
            PointsTo::ProtocolCompat,
            "the user or the mailbox lives on another server",
            "probe the server it names; a referral is never followed with a credential",
        ),
        ResponseCode::Unavailable => meaning(
            PointsTo::ServiceDown,
            "something the server depends on does not work now: its user database, its storage, or the server behind \
             a proxy; the password was not judged",
            "look at the mail server's log for its authentication and storage services; try again later",
        ),
        ResponseCode::Limit => meaning(
            PointsTo::Capacity,
            "a limit set on the server is reached, most often the sessions of one user from one address",
            "close other sessions of this user, or raise the limit; behind a shared address all users count together",
        ),
        ResponseCode::Throttled => meaning(
            PointsTo::Capacity,
            "the provider slows this account down",
            "probe less often, and wait before the next try",
        ),
        ResponseCode::InUse => meaning(
            PointsTo::MailboxStorage,
            "another session holds a lock on the account or the mailbox",
            "try again later; look for a POP3 session or a migration that does not end",
        ),
        _ => None,
    }
}

fn refused_mailbox(code: &ResponseCode) -> Option<Meaning> {
    match code {
        ResponseCode::NoPerm => meaning(
            PointsTo::AuthPolicy,
            "the access rules of the mailbox do not let this user do that",
            "compare the mailbox's access rules with the user (MYRIGHTS shows them)",
        ),
        ResponseCode::NonExistent => meaning(
            PointsTo::MailboxStorage,
            "there is no mailbox of that name",
            "compare the name with the prefix and delimiter that NAMESPACE gives",
        ),
        ResponseCode::TryCreate => meaning(
            PointsTo::MailboxStorage,
            "the target mailbox does not exist; clients that file sent mail there lose it",
            "create the mailbox, and compare its name with the prefix that NAMESPACE gives",
        ),
        ResponseCode::AlreadyExists => meaning(
            PointsTo::Probe,
            "a mailbox of that name exists already",
            "remove what an earlier probe left behind",
        ),
        ResponseCode::HasChildren => meaning(
            PointsTo::MailboxStorage,
            "the mailbox has mailboxes below it and cannot be removed",
            "remove those first",
        ),
        ResponseCode::UseAttr => meaning(
            PointsTo::ProtocolCompat,
            "the server does not let a mailbox have the special use asked for",
            "create the mailbox without it",
        ),
        ResponseCode::OverQuota => meaning(
            PointsTo::MailboxStorage,
            "the mailbox is full: nothing can be stored, and mail to it is likely refused",
            "look at the quota (GETQUOTAROOT), then free space or raise it",
        ),
        ResponseCode::TooBig => meaning(
            PointsTo::MailboxStorage,
            "the message is larger than the server takes",
            "compare its size with the server's message size limit (APPENDLIMIT)",
        ),
        ResponseCode::MessageLimit => meaning(
            PointsTo::Capacity,
            "the command named more messages than the server handles at once",
            "use smaller ranges",
        ),
        ResponseCode::Corruption => meaning(
            PointsTo::MailboxStorage,
            "the server found the mailbox or its index damaged",
            "have the administrator repair it now (Dovecot: doveadm force-resync; Cyrus: reconstruct)",
        ),
        ResponseCode::ReadOnly => meaning(
            PointsTo::MailboxStorage,
            "the mailbox can be read but not changed; on SELECT that means a replica, maintenance or a read-only disk",
            "compare with other vantage points and other servers of the same name",
        ),
        ResponseCode::UidNotSticky => meaning(
            PointsTo::MailboxStorage,
            "the mailbox does not keep the numbers of its messages; clients download everything again and again",
            "look at how the server stores the mailbox and its index",
        ),
        ResponseCode::NoModSeq => meaning(
            PointsTo::MailboxStorage,
            "the mailbox keeps no modification sequences; clients synchronise the slow way",
            "nothing, unless clients are slow on large mailboxes",
        ),
        ResponseCode::ExpungeIssued => meaning(
            PointsTo::MailboxStorage,
            "another session removed the message meanwhile",
            "nothing: ask again by UID",
        ),
        _ => None,
    }
}

fn refused_command(code: &ResponseCode) -> Option<Meaning> {
    match code {
        ResponseCode::Alert => meaning(
            PointsTo::AccountState,
            "the server has a message that its user must see",
            "read the text; it is the provider's own notice",
        ),
        ResponseCode::ServerBug => meaning(
            PointsTo::ServiceDown,
            "the server admits a fault of its own",
            "report it with the server's name and version; the server's log has more",
        ),
        ResponseCode::ClientBug => meaning(
            PointsTo::Probe,
            "the server objects to what the probe sent",
            "report it as a fault of the probe, with the transcript",
        ),
        ResponseCode::Cannot => meaning(
            PointsTo::Probe,
            "the server says that this can never work, whoever asks",
            "report it as a fault of the probe, with the transcript",
        ),
        ResponseCode::UidRequired => meaning(
            PointsTo::Probe,
            "the session takes commands by UID only",
            "report it as a fault of the probe, with the transcript",
        ),
        ResponseCode::Parse => meaning(
            PointsTo::MailboxStorage,
            "a message in the mailbox is malformed",
            "nothing for the service; the message itself is broken",
        ),
        ResponseCode::InProgress => meaning(
            PointsTo::Capacity,
            "the command takes long, and the server says so",
            "wait; look at the server's load if it happens often",
        ),
        ResponseCode::TempFail => meaning(
            PointsTo::ServiceDown,
            "the server could not do it this time",
            "try again later",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_never_called_a_wrong_password() {
        let outage = ResponseCode::Unavailable
            .meaning()
            .map(|meaning| meaning.points_to);
        assert_eq!(outage, Some(PointsTo::ServiceDown));
    }

    #[test]
    fn every_refusal_of_rfc_5530_has_a_cause_and_a_next_step() {
        for name in [
            "UNAVAILABLE",
            "AUTHENTICATIONFAILED",
            "AUTHORIZATIONFAILED",
            "EXPIRED",
            "PRIVACYREQUIRED",
            "CONTACTADMIN",
            "NOPERM",
            "INUSE",
            "EXPUNGEISSUED",
            "CORRUPTION",
            "SERVERBUG",
            "CLIENTBUG",
            "CANNOT",
            "LIMIT",
            "OVERQUOTA",
            "ALREADYEXISTS",
            "NONEXISTENT",
        ] {
            let code = ResponseCode::named(name.as_bytes());
            assert!(code.meaning().is_some(), "{name}");
        }
    }

    #[test]
    fn every_known_code_has_a_cause_or_only_carries_data() {
        let data = [
            ResponseCode::Annotations,
            ResponseCode::AppendUid,
            ResponseCode::Capability,
            ResponseCode::Closed,
            ResponseCode::CopyUid,
            ResponseCode::HighestModSeq,
            ResponseCode::MailboxId,
            ResponseCode::PermanentFlags,
            ResponseCode::ReadWrite,
            ResponseCode::UidNext,
            ResponseCode::UidValidity,
            ResponseCode::Unseen,
            ResponseCode::UrlMech,
        ];
        for code in ResponseCode::KNOWN {
            assert_eq!(code.meaning().is_none(), data.contains(code), "{code}");
        }
    }

    #[test]
    fn codes_that_carry_data_and_unknown_codes_mean_nothing_by_themselves() {
        for name in ["UIDNEXT", "CAPABILITY", "X-NEW"] {
            assert_eq!(ResponseCode::named(name.as_bytes()).meaning(), None);
        }
    }
}
