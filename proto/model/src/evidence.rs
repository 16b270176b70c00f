//! What was seen in a stage: facts, never conclusions.

mod dialogue;
mod mailbox;
mod network;
mod sync;
mod tls;

use serde_json::{Map, Value};

use crate::stage::StageName;

pub use dialogue::{
    AuthenticateEvidence, CapabilityEvidence, CommandEvidence, GreetingEvidence, IdEvidence, ImapReply,
    Nudge, OauthError, StarttlsEvidence,
};
pub use mailbox::{
    FetchEvidence, ListEvidence, NamespaceEntry, NamespaceEvidence, QuotaFacts, SelectEvidence, StatusFacts,
};
pub use network::{
    ConnectEvidence, DnsQuery, IcmpError, OtherAnswer, ResolveEvidence, SrvRecord, TcpInfo, TlsaRecord,
};
pub use sync::{AppendEvidence, HoldEvidence, IdleEvidence, SyncEvent, SyncEvidence};
pub use tls::{OcspFacts, RawHelloFacts, TlsEvidence, TlsaFacts};

/// The facts of one stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// Of `resolve`.
    Resolve(ResolveEvidence),
    /// Of `connect`.
    Connect(ConnectEvidence),
    /// Of `tls`.
    Tls(Box<TlsEvidence>),
    /// Of `greeting`.
    Greeting(GreetingEvidence),
    /// Of `capability`.
    Capability(CapabilityEvidence),
    /// Of `starttls`: the command's answer, and the handshake behind it.
    Starttls(Box<StarttlsEvidence>),
    /// Of `id`.
    Id(IdEvidence),
    /// Of `authenticate`.
    Authenticate(AuthenticateEvidence),
    /// Of `namespace`.
    Namespace(NamespaceEvidence),
    /// Of `list`.
    List(ListEvidence),
    /// Of `select`.
    Select(SelectEvidence),
    /// Of `fetch`.
    Fetch(FetchEvidence),
    /// Of `append`.
    Append(AppendEvidence),
    /// Of `sync`.
    Sync(Box<SyncEvidence>),
    /// Of `idle`.
    Idle(IdleEvidence),
    /// Of `hold`.
    Hold(HoldEvidence),
    /// Of a stage whose only facts are a command and its answer (`logout`).
    Command(CommandEvidence),
}

impl Evidence {
    /// The stage whose facts these are.
    pub const fn stage(&self) -> StageName {
        match self {
            Self::Resolve(_) => StageName::Resolve,
            Self::Connect(_) => StageName::Connect,
            Self::Tls(_) => StageName::Tls,
            Self::Greeting(_) => StageName::Greeting,
            Self::Capability(_) => StageName::Capability,
            Self::Starttls(_) => StageName::Starttls,
            Self::Id(_) => StageName::Id,
            Self::Authenticate(_) => StageName::Authenticate,
            Self::Namespace(_) => StageName::Namespace,
            Self::List(_) => StageName::List,
            Self::Select(_) => StageName::Select,
            Self::Fetch(_) => StageName::Fetch,
            Self::Append(_) => StageName::Append,
            Self::Sync(_) => StageName::Sync,
            Self::Idle(_) => StageName::Idle,
            Self::Hold(_) => StageName::Hold,
            Self::Command(_) => StageName::Logout,
        }
    }

    /// The facts as the object that stands under `evidence` in the run document.
    pub fn to_map(&self) -> Result<Map<String, Value>, serde_json::Error> {
        let value = match self {
            Self::Resolve(facts) => serde_json::to_value(facts),
            Self::Connect(facts) => serde_json::to_value(facts),
            Self::Tls(facts) => serde_json::to_value(facts),
            Self::Greeting(facts) => serde_json::to_value(facts),
            Self::Capability(facts) => serde_json::to_value(facts),
            Self::Id(facts) => serde_json::to_value(facts),
            Self::Authenticate(facts) => serde_json::to_value(facts),
            Self::Namespace(facts) => serde_json::to_value(facts),
            Self::List(facts) => serde_json::to_value(facts),
            Self::Select(facts) => serde_json::to_value(facts),
            Self::Fetch(facts) => serde_json::to_value(facts),
            Self::Starttls(facts) => serde_json::to_value(facts),
            Self::Append(facts) => serde_json::to_value(facts),
            Self::Sync(facts) => serde_json::to_value(facts),
            Self::Idle(facts) => serde_json::to_value(facts),
            Self::Hold(facts) => serde_json::to_value(facts),
            Self::Command(facts) => serde_json::to_value(facts),
        }?;
        match value {
            Value::Object(map) => Ok(map),
            other => Ok(Map::from_iter([("value".to_owned(), other)])),
        }
    }

    /// Reads the facts back; their shape follows from the stage.
    pub fn from_map(stage: StageName, map: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let value = Value::Object(map);
        Ok(match stage {
            StageName::Resolve => Self::Resolve(serde_json::from_value(value)?),
            StageName::Connect => Self::Connect(serde_json::from_value(value)?),
            StageName::Tls => Self::Tls(Box::new(serde_json::from_value(value)?)),
            StageName::Greeting => Self::Greeting(serde_json::from_value(value)?),
            StageName::Capability => Self::Capability(serde_json::from_value(value)?),
            StageName::Starttls => Self::Starttls(Box::new(serde_json::from_value(value)?)),
            StageName::Id => Self::Id(serde_json::from_value(value)?),
            StageName::Authenticate => Self::Authenticate(serde_json::from_value(value)?),
            StageName::Namespace => Self::Namespace(serde_json::from_value(value)?),
            StageName::List => Self::List(serde_json::from_value(value)?),
            StageName::Select => Self::Select(serde_json::from_value(value)?),
            StageName::Fetch => Self::Fetch(serde_json::from_value(value)?),
            StageName::Append => Self::Append(serde_json::from_value(value)?),
            StageName::Sync => Self::Sync(Box::new(serde_json::from_value(value)?)),
            StageName::Idle => Self::Idle(serde_json::from_value(value)?),
            StageName::Hold => Self::Hold(serde_json::from_value(value)?),
            StageName::Logout => Self::Command(serde_json::from_value(value)?),
        })
    }

    /// The handshake's facts, of `tls` or inside `starttls`.
    pub fn tls(&self) -> Option<&TlsEvidence> {
        match self {
            Self::Tls(facts) => Some(facts),
            Self::Starttls(facts) => facts.tls.as_ref(),
            _ => None,
        }
    }

    /// The answer of the server that decided the stage.
    pub fn reply(&self) -> Option<&ImapReply> {
        match self {
            Self::Resolve(_) | Self::Connect(_) | Self::Tls(_) => None,
            Self::Greeting(facts) => facts.reply.as_ref(),
            Self::Capability(facts) => facts.reply.as_ref(),
            Self::Starttls(facts) => facts.reply.as_ref(),
            Self::Id(facts) => facts.reply.as_ref(),
            Self::Authenticate(facts) => facts.reply.as_ref(),
            Self::Namespace(facts) => facts.reply.as_ref(),
            Self::List(facts) => facts.reply.as_ref(),
            Self::Select(facts) => facts.reply.as_ref(),
            Self::Fetch(facts) => facts.reply.as_ref(),
            Self::Append(facts) => facts.reply.as_ref(),
            Self::Sync(facts) => facts.reply.as_ref(),
            Self::Idle(facts) => facts.reply.as_ref(),
            Self::Hold(facts) => facts.bye.as_ref(),
            Self::Command(facts) => facts.reply.as_ref(),
        }
    }
}

// Facts that are absent rather than zero or false in the run document.
pub(crate) const fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(crate) const fn is_false(fact: &bool) -> bool {
    !*fact
}
