//! The response codes of IMAP, a closed set.

use std::fmt;

/// Characters kept of a code that nobody knows.
const UNKNOWN_NAME: usize = 64;

macro_rules! codes {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)+) => {
        /// The name of a response code (RFC 9051 section 7.1 and the IANA registry "IMAP Response Codes").
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ResponseCode {
            $($(#[$meta])* $variant,)+
            /// A code that is not registered and not known here, in upper case, at most 64 characters.
            Unknown(String),
        }

        impl ResponseCode {
            /// Every known code.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in upper case. Text from the server when the code is unknown: never a metric label.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown(name) => name,
                }
            }

            /// The code of that name, in any case.
            pub fn named(name: &[u8]) -> Self {
                let name = &name[..name.len().min(UNKNOWN_NAME)];
                let name: String = name.iter().map(|byte| char::from(byte.to_ascii_uppercase())).collect();
                match name.as_str() {
                    $($name => Self::$variant,)+
                    _ => Self::Unknown(name),
                }
            }
        }
    };
}

codes! {
    /// The text must be shown to the user (RFC 9051).
    Alert = "ALERT",
    /// CREATE or RENAME: the name is taken (RFC 5530).
    AlreadyExists = "ALREADYEXISTS",
    /// An annotation is too large, or there are too many (RFC 5257).
    Annotate = "ANNOTATE",
    /// What annotations the mailbox takes (RFC 5257).
    Annotations = "ANNOTATIONS",
    /// UIDVALIDITY and UIDs of appended messages (RFC 4315).
    AppendUid = "APPENDUID",
    /// User name or password were not accepted (RFC 5530).
    AuthenticationFailed = "AUTHENTICATIONFAILED",
    /// The password was accepted, acting as that user was not (RFC 5530).
    AuthorizationFailed = "AUTHORIZATIONFAILED",
    /// The character set of a SEARCH is not supported (RFC 9051).
    BadCharset = "BADCHARSET",
    /// The collation asked for is not supported (RFC 5255).
    BadComparator = "BADCOMPARATOR",
    /// NOTIFY: an event is not supported (RFC 5465).
    BadEvent = "BADEVENT",
    /// CATENATE: a URL could not be read (RFC 4469).
    BadUrl = "BADURL",
    /// The operation can never succeed (RFC 5530).
    Cannot = "CANNOT",
    /// What the server can do (RFC 9051).
    Capability = "CAPABILITY",
    /// The client did something that works but should not be done (RFC 5530).
    ClientBug = "CLIENTBUG",
    /// The mailbox selected before is closed (RFC 7162).
    Closed = "CLOSED",
    /// Compression is on already (RFC 4978).
    CompressionActive = "COMPRESSIONACTIVE",
    /// Only the administrator can help (RFC 5530).
    ContactAdmin = "CONTACTADMIN",
    /// UIDs of copied messages (RFC 4315).
    CopyUid = "COPYUID",
    /// The server found its storage damaged (RFC 5530).
    Corruption = "CORRUPTION",
    /// A message was rewritten for a client without UTF-8 (RFC 6858).
    Downgraded = "DOWNGRADED",
    /// The password must be renewed (RFC 5530).
    Expired = "EXPIRED",
    /// A message was expunged meanwhile (RFC 5530).
    ExpungeIssued = "EXPUNGEISSUED",
    /// DELETE: the mailbox has children (RFC 9051).
    HasChildren = "HASCHILDREN",
    /// The highest modification sequence of the mailbox (RFC 7162).
    HighestModSeq = "HIGHESTMODSEQ",
    /// A slow command is being worked on (RFC 9585).
    InProgress = "INPROGRESS",
    /// Somebody else holds what is needed (RFC 5530).
    InUse = "INUSE",
    /// A limit of policy is reached (RFC 5530).
    Limit = "LIMIT",
    /// The mailbox's own identifier, which survives a rename (RFC 8474).
    MailboxId = "MAILBOXID",
    /// CONVERT: too many messages (RFC 5259).
    MaxConvertMessages = "MAXCONVERTMESSAGES",
    /// CONVERT: too many parts (RFC 5259).
    MaxConvertParts = "MAXCONVERTPARTS",
    /// Too many messages for one command (RFC 9738).
    MessageLimit = "MESSAGELIMIT",
    /// About mailbox metadata: sizes and limits (RFC 5464).
    Metadata = "METADATA",
    /// A conditional STORE found changed messages (RFC 7162).
    Modified = "MODIFIED",
    /// The mailbox was renamed (RFC 2060, obsolete).
    NewName = "NEWNAME",
    /// The mailbox keeps no modification sequences (RFC 7162).
    NoModSeq = "NOMODSEQ",
    /// There is no such mailbox (RFC 5530).
    NonExistent = "NONEXISTENT",
    /// The user may not do this (RFC 5530).
    NoPerm = "NOPERM",
    /// A search result was not saved (RFC 5182).
    NotSaved = "NOTSAVED",
    /// NOTIFY: too many events, the server gave up (RFC 5465).
    NotificationOverflow = "NOTIFICATIONOVERFLOW",
    /// The server will not keep a search up to date (RFC 5267).
    NoUpdate = "NOUPDATE",
    /// The mailbox is over its quota (RFC 5530, RFC 9208).
    OverQuota = "OVERQUOTA",
    /// A message could not be parsed (RFC 9051).
    Parse = "PARSE",
    /// The flags that can be kept (RFC 9051).
    PermanentFlags = "PERMANENTFLAGS",
    /// This needs TLS (RFC 5530).
    PrivacyRequired = "PRIVACYREQUIRED",
    /// The mailbox can only be read (RFC 9051).
    ReadOnly = "READ-ONLY",
    /// The mailbox can be written (RFC 9051).
    ReadWrite = "READ-WRITE",
    /// The user or mailbox lives on another server (RFC 2221, RFC 2193).
    Referral = "REFERRAL",
    /// The server admits a fault of its own (RFC 5530).
    ServerBug = "SERVERBUG",
    /// CONVERT: a passing failure (RFC 5259).
    TempFail = "TEMPFAIL",
    /// Too many requests of this account (Gmail).
    Throttled = "THROTTLED",
    /// The message is too big (RFC 4469, RFC 7889).
    TooBig = "TOOBIG",
    /// Fewer batches of UIDs than sense (UIDBATCHES).
    TooFew = "TOOFEW",
    /// More batches of UIDs than the server makes (UIDBATCHES).
    TooMany = "TOOMANY",
    /// The target mailbox does not exist and could be created (RFC 9051).
    TryCreate = "TRYCREATE",
    /// The UID that the next message will get (RFC 9051).
    UidNext = "UIDNEXT",
    /// The mailbox does not keep UIDs (RFC 4315).
    UidNotSticky = "UIDNOTSTICKY",
    /// Only commands by UID are taken (RFC 9586).
    UidRequired = "UIDREQUIRED",
    /// The generation of the mailbox's UIDs (RFC 9051).
    UidValidity = "UIDVALIDITY",
    /// Something that the server needs is not working now (RFC 5530).
    Unavailable = "UNAVAILABLE",
    /// The filter named is not defined (RFC 5466).
    UndefinedFilter = "UNDEFINED-FILTER",
    /// BINARY: the transfer encoding is not known (RFC 3516).
    UnknownCte = "UNKNOWN-CTE",
    /// The first unseen message (RFC 3501).
    Unseen = "UNSEEN",
    /// URLAUTH: the mechanism of the mailbox's keys (RFC 4467).
    UrlMech = "URLMECH",
    /// CREATE: the special use asked for is refused (RFC 6154).
    UseAttr = "USEATTR",
    /// The account wants a login in a web browser first (Gmail).
    WebAlert = "WEBALERT",
}

impl ResponseCode {
    /// Whether the arguments are a list, which may be long.
    pub(super) fn carries_a_list(&self) -> bool {
        matches!(
            self,
            Self::AppendUid
                | Self::BadCharset
                | Self::Capability
                | Self::CopyUid
                | Self::Modified
                | Self::PermanentFlags
        )
    }

    /// Whether no agent may try this credential again: another attempt would only lock the account.
    pub fn stops_logins(&self) -> bool {
        matches!(
            self,
            Self::AuthenticationFailed | Self::Expired | Self::ContactAdmin
        )
    }

    /// Whether the same command may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::InUse
                | Self::Limit
                | Self::TempFail
                | Self::Throttled
                | Self::Unavailable
                | Self::ExpungeIssued
        )
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ResponseCode {
    /// Where the code is defined.
    pub const fn registered_in(&self) -> &'static str {
        match self {
            Self::Referral => "RFC 2193",
            Self::Unseen => "RFC 3501",
            Self::UnknownCte => "RFC 3516",
            Self::AppendUid | Self::CopyUid | Self::UidNotSticky => "RFC 4315",
            Self::UrlMech => "RFC 4467",
            Self::BadUrl => "RFC 4469",
            Self::CompressionActive => "RFC 4978",
            Self::NotSaved => "RFC 5182",
            Self::BadComparator => "RFC 5255",
            Self::Annotate | Self::Annotations => "RFC 5257",
            Self::MaxConvertMessages | Self::MaxConvertParts | Self::TempFail => "RFC 5259",
            Self::NoUpdate => "RFC 5267",
            Self::Metadata => "RFC 5464",
            Self::BadEvent | Self::NotificationOverflow => "RFC 5465",
            Self::UndefinedFilter => "RFC 5466",
            Self::AlreadyExists
            | Self::AuthenticationFailed
            | Self::AuthorizationFailed
            | Self::Cannot
            | Self::ClientBug
            | Self::ContactAdmin
            | Self::Corruption
            | Self::Expired
            | Self::ExpungeIssued
            | Self::InUse
            | Self::Limit
            | Self::NonExistent
            | Self::NoPerm
            | Self::PrivacyRequired
            | Self::ServerBug
            | Self::Unavailable => "RFC 5530",
            Self::UseAttr => "RFC 6154",
            Self::Downgraded => "RFC 6858",
            Self::Closed | Self::HighestModSeq | Self::Modified | Self::NoModSeq => "RFC 7162",
            Self::TooBig => "RFC 7889",
            Self::MailboxId => "RFC 8474",
            Self::Alert
            | Self::BadCharset
            | Self::Capability
            | Self::HasChildren
            | Self::Parse
            | Self::PermanentFlags
            | Self::ReadOnly
            | Self::ReadWrite
            | Self::TryCreate
            | Self::UidNext
            | Self::UidValidity => "RFC 9051",
            Self::OverQuota => "RFC 9208",
            Self::InProgress => "RFC 9585",
            Self::UidRequired => "RFC 9586",
            Self::MessageLimit => "RFC 9738",
            Self::NewName
            | Self::Throttled
            | Self::TooFew
            | Self::TooMany
            | Self::WebAlert
            | Self::Unknown(_) => "seen in the field",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_own_name_in_any_case() {
        for code in ResponseCode::KNOWN {
            assert_eq!(
                ResponseCode::named(code.as_str().to_lowercase().as_bytes()),
                *code
            );
        }
    }

    #[test]
    fn an_unknown_name_is_bounded() {
        let ResponseCode::Unknown(name) = ResponseCode::named(&[b'x'; 5_000]) else {
            panic!()
        };
        assert_eq!(name.len(), UNKNOWN_NAME);
    }

    #[test]
    fn a_wrong_password_stops_all_logins_and_an_outage_does_not() {
        assert!(ResponseCode::AuthenticationFailed.stops_logins());
        assert!(!ResponseCode::Unavailable.stops_logins());
        assert!(ResponseCode::Unavailable.is_transient());
    }
}
