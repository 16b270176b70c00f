//! The client's side of SASL (RFC 4422): what to answer to each challenge. Nothing here knows a connection.
//!
//! Messages are the bare ones; IMAP's base64 is put on and taken off outside.

mod oauth;
mod scram;

use parallax_model::credential::{Credential, Mechanism};
use parallax_model::evidence::OauthError;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::event::ChannelBinding;
use oauth::Dialect;
use scram::{Hash, Scram};

/// A message to the server; mostly a secret or made of one.
pub type Message = Zeroizing<Vec<u8>>;

/// Why an exchange can not go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SaslError {
    /// The server's message can not be read.
    #[error("the server's challenge can not be read: {0}")]
    Unreadable(&'static str),
    /// The server wants so much work for one login that it is an attack, or a mistake.
    #[error("the server demands {0} rounds of hashing, more than any client should do")]
    TooManyRounds(u32),
    /// The server sent a proof that is not of somebody who knows the password.
    #[error("the server's signature is wrong: it does not know the password, or somebody stands between")]
    ServerNotVerified,
    /// The server refuses in the words of the mechanism.
    #[error("the server answers {0}")]
    Refused(String),
    /// User name or password can not be used with the mechanism.
    #[error("the {0} holds characters that the mechanism forbids (RFC 4013)")]
    Forbidden(&'static str),
    /// The mechanism binds the login to the connection, and there is nothing to bind it with.
    #[error("this connection has nothing that {0} could be bound to")]
    NoBinding(Mechanism),
    /// One challenge more than the mechanism has.
    #[error("the server asks on after the last message of the mechanism")]
    Unexpected,
}

/// What a login is made with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// User and secret.
    pub credential: &'a Credential,
    /// Random, and known to nobody else.
    pub nonce: [u8; 18],
    /// What the connection offers to be bound to, best first.
    pub bindings: &'a [ChannelBinding],
    /// Whether the server offers the mechanism with channel binding too.
    pub binding_offered: bool,
    /// The host and port, which OAUTHBEARER repeats.
    pub host: &'a str,
    /// See `host`.
    pub port: u16,
}

/// One exchange.
pub struct Conversation {
    state: State,
    binding: Option<&'static str>,
    verified: Option<bool>,
    oauth_error: Option<OauthError>,
}

enum State {
    /// The client begins; then it has nothing more to say.
    Once(Message),
    /// The server asks for the user, then for the password.
    Login(Vec<Message>),
    Scram(Box<Scram>),
    /// The token was not sent yet.
    Token(Message, Dialect),
    /// It was: a challenge now is an error to acknowledge.
    TokenSent(Dialect),
    Over,
}

impl Conversation {
    /// An exchange that has said nothing yet; `None` for the LOGIN command, which is no SASL.
    pub fn begin(mechanism: Mechanism, means: Means<'_>) -> Result<Option<Self>, SaslError> {
        let (user, secret) = (&means.credential.user, means.credential.secret.expose());
        let mut binding = None;
        let state = match mechanism {
            Mechanism::Plain => State::Once(joined(&[b"\0", user.as_bytes(), b"\0", secret.as_bytes()])),
            Mechanism::Login => State::Login(vec![joined(&[secret.as_bytes()]), joined(&[user.as_bytes()])]),
            Mechanism::External => State::Once(Message::default()),
            Mechanism::OauthBearer => State::Token(
                oauth::bearer(user, secret, means.host, means.port),
                Dialect::Bearer,
            ),
            Mechanism::Xoauth2 => State::Token(oauth::xoauth2(user, secret), Dialect::Xoauth2),
            Mechanism::ScramSha1
            | Mechanism::ScramSha1Plus
            | Mechanism::ScramSha256
            | Mechanism::ScramSha256Plus => {
                let wanted = means.bindings.first().filter(|_| binds(mechanism));
                if binds(mechanism) && wanted.is_none() {
                    return Err(SaslError::NoBinding(mechanism));
                }
                let scram = Scram::new(hash(mechanism), wanted.cloned(), means)?;
                binding = scram.binding();
                State::Scram(Box::new(scram))
            }
            Mechanism::LoginCommand => return Ok(None),
        };
        Ok(Some(Self {
            state,
            binding,
            verified: None,
            oauth_error: None,
        }))
    }

    /// What the client says first, where the mechanism lets it; SASL-IR sends it with the command.
    pub fn initial(&mut self) -> Option<Message> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Once(message) => Some(message),
            State::Token(message, dialect) => {
                self.state = State::TokenSent(dialect);
                Some(message)
            }
            State::Scram(scram) => {
                let first = scram.first();
                self.state = State::Scram(scram);
                first
            }
            other @ (State::Login(_) | State::TokenSent(_) | State::Over) => {
                self.state = other;
                None
            }
        }
    }

    /// What to answer to a challenge. Where the client speaks first, the server's first one is empty.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Message, SaslError> {
        if challenge.is_empty()
            && let Some(first) = self.initial()
        {
            return Ok(first);
        }
        match &mut self.state {
            State::Login(messages) => messages.pop().ok_or(SaslError::Unexpected),
            State::Scram(scram) => {
                let answer = scram.answer(challenge);
                self.verified = scram.server_verified();
                answer
            }
            State::TokenSent(dialect) => {
                let dialect = *dialect;
                self.oauth_error = oauth::error(challenge);
                self.state = State::Over;
                Ok(oauth::acknowledgement(dialect))
            }
            State::Once(_) | State::Token(..) | State::Over => Err(SaslError::Unexpected),
        }
    }

    /// What the login is bound to, by name (RFC 5929, RFC 9266).
    pub fn binding(&self) -> Option<&'static str> {
        self.binding
    }

    /// Whether the server proved that it knows the password; `None` where the mechanism has no such proof.
    pub fn server_verified(&self) -> Option<bool> {
        match &self.state {
            State::Scram(_) => Some(self.verified == Some(true)),
            _ => None,
        }
    }

    /// The server's reason to refuse a token.
    pub fn oauth_error(&self) -> Option<&OauthError> {
        self.oauth_error.as_ref()
    }
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversation")
            .field("binding", &self.binding)
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

const fn hash(mechanism: Mechanism) -> Hash {
    match mechanism {
        Mechanism::ScramSha1 | Mechanism::ScramSha1Plus => Hash::Sha1,
        _ => Hash::Sha256,
    }
}

const fn binds(mechanism: Mechanism) -> bool {
    matches!(mechanism, Mechanism::ScramSha1Plus | Mechanism::ScramSha256Plus)
}

/// Made at its final size: nothing of a secret stays behind in a smaller copy.
fn joined(parts: &[&[u8]]) -> Message {
    let mut message = Message::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

#[cfg(test)]
mod tests;
