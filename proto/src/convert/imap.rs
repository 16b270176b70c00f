//! Evidence of the IMAP dialogue before and around the login.

use parallax_model::evidence::{
    AuthenticateEvidence, CapabilityEvidence, CommandEvidence, GreetingEvidence, IdEvidence, ImapReply,
    Nudge, OauthError, StarttlsEvidence,
};

use super::error::WireError;
use super::read::optional;
use super::write::by_reference;
use crate::v1;

impl From<ImapReply> for v1::ImapReply {
    fn from(reply: ImapReply) -> Self {
        Self {
            status: reply.status,
            code: reply.code,
            text: reply.text,
            cause: reply.cause,
            next_step: reply.next_step,
            source: reply.source,
        }
    }
}

impl From<v1::ImapReply> for ImapReply {
    fn from(wire: v1::ImapReply) -> Self {
        Self {
            status: wire.status,
            code: wire.code,
            text: wire.text,
            cause: wire.cause,
            next_step: wire.next_step,
            source: wire.source,
        }
    }
}

impl From<GreetingEvidence> for v1::GreetingEvidence {
    fn from(facts: GreetingEvidence) -> Self {
        Self {
            reply: facts.reply.map(Into::into),
            service: facts.service,
            first_bytes: facts.first_bytes,
            bytes_received: facts.bytes_received,
            backend: facts.backend,
            nudge: facts.nudge.map(|nudge| nudge.to_string()),
        }
    }
}

impl From<v1::GreetingEvidence> for GreetingEvidence {
    fn from(wire: v1::GreetingEvidence) -> Self {
        Self {
            reply: wire.reply.map(Into::into),
            service: wire.service,
            first_bytes: wire.first_bytes,
            bytes_received: wire.bytes_received,
            backend: wire.backend,
            nudge: wire.nudge.map(|nudge| Nudge::from_name(&nudge)),
        }
    }
}

impl From<CapabilityEvidence> for v1::CapabilityEvidence {
    fn from(facts: CapabilityEvidence) -> Self {
        Self {
            capabilities: facts.capabilities,
            reply: facts.reply.map(Into::into),
            added: facts.added,
            removed: facts.removed,
            cleartext_login: facts.cleartext_login,
        }
    }
}

impl From<v1::CapabilityEvidence> for CapabilityEvidence {
    fn from(wire: v1::CapabilityEvidence) -> Self {
        Self {
            capabilities: wire.capabilities,
            reply: wire.reply.map(Into::into),
            added: wire.added,
            removed: wire.removed,
            cleartext_login: wire.cleartext_login,
        }
    }
}

impl From<StarttlsEvidence> for v1::StarttlsEvidence {
    fn from(facts: StarttlsEvidence) -> Self {
        Self {
            reply: facts.reply.map(Into::into),
            tls: facts.tls.map(Into::into),
            capabilities: facts.capabilities,
            added: facts.added,
            removed: facts.removed,
            injection: facts.injection,
        }
    }
}

impl TryFrom<v1::StarttlsEvidence> for StarttlsEvidence {
    type Error = WireError;

    fn try_from(wire: v1::StarttlsEvidence) -> Result<Self, WireError> {
        Ok(Self {
            reply: wire.reply.map(Into::into),
            tls: optional("tls", wire.tls)?,
            capabilities: wire.capabilities,
            added: wire.added,
            removed: wire.removed,
            injection: wire.injection,
        })
    }
}

impl From<CommandEvidence> for v1::CommandEvidence {
    fn from(facts: CommandEvidence) -> Self {
        Self {
            command: facts.command,
            reply: facts.reply.map(Into::into),
            bye: facts.bye.map(Into::into),
        }
    }
}

impl From<v1::CommandEvidence> for CommandEvidence {
    fn from(wire: v1::CommandEvidence) -> Self {
        Self {
            command: wire.command,
            reply: wire.reply.map(Into::into),
            bye: wire.bye.map(Into::into),
        }
    }
}

impl From<IdEvidence> for v1::IdEvidence {
    fn from(facts: IdEvidence) -> Self {
        Self {
            server: facts.server.into_iter().collect(),
            reply: facts.reply.map(Into::into),
        }
    }
}

impl From<v1::IdEvidence> for IdEvidence {
    fn from(wire: v1::IdEvidence) -> Self {
        Self {
            server: wire.server.into_iter().collect(),
            reply: wire.reply.map(Into::into),
        }
    }
}

impl From<AuthenticateEvidence> for v1::AuthenticateEvidence {
    fn from(facts: AuthenticateEvidence) -> Self {
        Self {
            mechanism: facts.mechanism,
            initial_response: facts.initial_response,
            reply: facts.reply.map(Into::into),
            capabilities: facts.capabilities,
            command: facts.command,
            added: facts.added,
            removed: facts.removed,
            server_verified: facts.server_verified,
            channel_binding: facts.channel_binding,
            oauth_error: facts.oauth_error.map(Into::into),
            penalty_suspected: facts.penalty_suspected,
            enabled: facts.enabled,
        }
    }
}

impl From<v1::AuthenticateEvidence> for AuthenticateEvidence {
    fn from(wire: v1::AuthenticateEvidence) -> Self {
        Self {
            mechanism: wire.mechanism,
            initial_response: wire.initial_response,
            reply: wire.reply.map(Into::into),
            capabilities: wire.capabilities,
            command: wire.command,
            added: wire.added,
            removed: wire.removed,
            server_verified: wire.server_verified,
            channel_binding: wire.channel_binding,
            oauth_error: wire.oauth_error.map(Into::into),
            penalty_suspected: wire.penalty_suspected,
            enabled: wire.enabled,
        }
    }
}

impl From<OauthError> for v1::OauthError {
    fn from(facts: OauthError) -> Self {
        Self {
            status: facts.status,
            schemes: facts.schemes,
            scope: facts.scope,
            openid_configuration: facts.openid_configuration,
        }
    }
}

impl From<v1::OauthError> for OauthError {
    fn from(wire: v1::OauthError) -> Self {
        Self {
            status: wire.status,
            schemes: wire.schemes,
            scope: wire.scope,
            openid_configuration: wire.openid_configuration,
        }
    }
}

by_reference! {
    ImapReply => v1::ImapReply,
}
