//! Getting in with a token, and staying in.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parallax_model::identity::{Role, Wanted};
use parallax_model::text::escape_str;
use parallax_model::token::JoinToken;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use parallax_proto::v1::identity_client::IdentityClient;
use rustls::ClientConfig;
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::address::CollectorAddress;
use crate::dial::{DialError, Dialer};
use crate::explain::explain;
use crate::identity::{Identity, IdentityError};
use crate::key::LocalKey;
use crate::server;
use crate::trust::{Trust, TrustError};

/// For the collector's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Characters of a collector's reason that are shown.
const LONGEST_REASON: usize = 300;

/// Why a process did not get in, or its identity was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The collector could not be reached, or is not the one the token is for.
    #[error("join: {0}")]
    Dial(#[from] DialError),
    /// The collector refused.
    #[error("join: the collector refused the token: {0}")]
    Refused(String),
    /// The collector refused: the token is for another name.
    #[error("join: {0}")]
    OtherName(String),
    /// The collector gave another kind of identity than was wanted: it is too old to refuse.
    #[error("join: the token is for the role {role}, which is no {wanted}: it is spent, make another")]
    OtherKind {
        /// What the token is for.
        role: Role,
        /// What was wanted.
        wanted: Wanted,
    },
    /// The collector refused to renew.
    #[error("renew: the collector refused: {0}")]
    NotRenewed(String),
    /// The collector could not answer just now.
    #[error("the collector gave no certificate: {0}")]
    Unavailable(String),
    /// What came back is not what was asked for.
    #[error("the collector gave another certificate than the one that was asked for: {0}")]
    Answer(String),
    /// The key or what came back is not usable.
    #[error("join: {0}")]
    Identity(#[from] IdentityError),
}

impl JoinError {
    /// Whether trying again with the same token, or the same certificate, can help.
    pub const fn may_retry(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Dial(DialError::Unreachable { .. } | DialError::OwnNotValidYet) => {
                true
            }
            // A clock is set right by others, some time after the start of a host.
            Self::Dial(DialError::Untrusted { reason, .. }) => {
                matches!(reason, TrustError::NotValidYet | TrustError::Expired)
            }
            Self::Dial(DialError::Tls { .. } | DialError::OwnExpired)
            | Self::Refused(_)
            | Self::OtherName(_)
            | Self::OtherKind { .. }
            | Self::NotRenewed(_)
            | Self::Answer(_)
            | Self::Identity(_) => false,
        }
    }
}

/// As whom somebody joins.
#[derive(Debug, Clone, Copy)]
pub struct Joiner<'a> {
    name: &'a AgentName,
    wanted: Option<Wanted>,
}

impl<'a> Joiner<'a> {
    /// An agent.
    pub const fn agent(name: &'a AgentName) -> Self {
        Self {
            name,
            wanted: Some(Wanted::Agent),
        }
    }

    /// Somebody who asks.
    pub const fn person(name: &'a AgentName) -> Self {
        Self {
            name,
            wanted: Some(Wanted::Person),
        }
    }

    /// Whatever the token is for.
    pub const fn anybody(name: &'a AgentName) -> Self {
        Self { name, wanted: None }
    }
}

/// Buys an identity. The collector must show the CA whose fingerprint is in the token, and a certificate from it for
/// the host that was dialled, before it is told the token's secret.
pub async fn join(
    address: &CollectorAddress,
    token: &JoinToken,
    joiner: Joiner<'_>,
    key: &LocalKey,
) -> Result<Identity, JoinError> {
    let Joiner { name, wanted } = joiner;
    let config = pinned_config(*token.ca_sha256()).map_err(IdentityError::from)?;
    let csr_der = key.csr(name)?;
    let channel = Dialer::anonymous(address.clone(), config).connect().await?;
    let request = v1::JoinRequest {
        token_secret: token.secret().to_vec(),
        name: name.to_string(),
        csr_der,
        wanted: wanted.map(|wanted| wanted.to_string()).unwrap_or_default(),
    };
    let refused = |code, reason| match code {
        Code::PermissionDenied => JoinError::OtherName(reason),
        _ => JoinError::Refused(reason),
    };
    let answer = in_time(IdentityClient::new(channel).join(request), refused).await?;
    if !answer
        .anchors_der
        .iter()
        .any(|anchor| Sha256::digest(anchor)[..] == token.ca_sha256()[..])
    {
        return Err(JoinError::Answer("it does not trust the token's CA".into()));
    }
    let identity = Identity::new(key, answer.chain_der, answer.anchors_der)?;
    let role = identity.spiffe().role;
    match wanted {
        Some(wanted) if !wanted.is(role) => return Err(JoinError::OtherKind { role, wanted }),
        _ => {}
    }
    if &identity.spiffe().name != name {
        return Err(JoinError::Answer(format!("it is for {}", identity.spiffe())));
    }
    Ok(identity)
}

/// Renews the identity over a channel that was dialled with it.
pub async fn renew(channel: Channel, identity: &Identity, key: &LocalKey) -> Result<Identity, JoinError> {
    let request = v1::RenewRequest {
        csr_der: key.csr(&identity.spiffe().name)?,
    };
    let refused = |_, reason| JoinError::NotRenewed(reason);
    let answer = in_time(IdentityClient::new(channel).renew(request), refused).await?;
    let renewed = Identity::new(key, answer.chain_der, answer.anchors_der)?;
    if renewed.spiffe() != identity.spiffe() {
        return Err(JoinError::Answer(format!("it is for {}", renewed.spiffe())));
    }
    Ok(renewed)
}

async fn in_time(
    call: impl Future<Output = Result<Response<v1::Certificate>, Status>>,
    refused: impl FnOnce(Code, String) -> JoinError,
) -> Result<v1::Certificate, JoinError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(judged(&status, refused)),
        Err(_) => Err(JoinError::Unavailable(format!(
            "no answer within {} s",
            ANSWER_TIMEOUT.as_secs()
        ))),
    }
}

fn judged(status: &Status, refused: impl FnOnce(Code, String) -> JoinError) -> JoinError {
    match status.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::AlreadyExists
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::OutOfRange
        | Code::Ok => refused(status.code(), escape_str(status.message(), LONGEST_REASON)),
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Internal
        | Code::Unknown
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted
        | Code::DataLoss => JoinError::Unavailable(escape_str(&explain(status), LONGEST_REASON)),
    }
}

fn pinned_config(ca_sha256: [u8; 32]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = server::client_builder(Trust::Fingerprint(ca_sha256))?.with_no_client_auth();
    Ok(server::over_http2(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Collector, SECRET, agent_id, collector_beside, collector_id, token};
    use crate::{Authority, PeerError};

    fn authority() -> Arc<Authority> {
        Arc::new(Authority::ephemeral().unwrap())
    }

    async fn join_at(collector: &Collector, token: &JoinToken) -> Result<Identity, JoinError> {
        join(
            &collector.address,
            token,
            Joiner::agent(&agent_id().name),
            &LocalKey::generate().unwrap(),
        )
        .await
    }

    fn reason(error: &JoinError) -> &TrustError {
        match error {
            JoinError::Dial(DialError::Untrusted { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_right_token_buys_an_identity_that_then_renews_itself() {
        let authority = authority();
        let collector = Collector::start(&authority).await;
        let identity = join_at(&collector, &token(&authority)).await.unwrap();
        assert_eq!(identity.spiffe(), &agent_id());
        assert_eq!(collector.seen.secrets(), [SECRET]);

        let channel = Dialer::new(collector.address.clone(), &identity)
            .unwrap()
            .connect()
            .await
            .unwrap();
        let next_key = LocalKey::generate().unwrap();
        let renewed = renew(channel, &identity, &next_key).await.unwrap();
        assert_eq!(renewed.spiffe(), identity.spiffe());
        assert_ne!(renewed.chain(), identity.chain());
        assert_eq!(collector.seen.peers(), [Err(PeerError::Absent), Ok(agent_id())]);
    }

    #[tokio::test]
    async fn another_ca_of_the_same_name_is_refused_before_it_is_told_the_secret() {
        let (ours, theirs) = (authority(), authority());
        let impostor = Collector::start(&theirs).await;
        let error = join_at(&impostor, &token(&ours)).await.unwrap_err();
        assert_eq!(reason(&error), &TrustError::NotTheCollector);
        assert!(!error.may_retry());
        assert!(error.to_string().contains("token"), "{error}");
        assert!(impostor.seen.secrets().is_empty());
    }

    /// The CA's certificate is no secret: anybody who ever connected can show it.
    #[tokio::test]
    async fn showing_our_ca_beside_a_certificate_of_another_is_refused_before_it_is_told_the_secret() {
        let (ours, theirs) = (authority(), authority());
        let identity = collector_beside(&theirs, &ours);
        let impostor = Collector::start_as(&theirs, &identity).await;
        let error = join_at(&impostor, &token(&ours)).await.unwrap_err();
        assert_eq!(reason(&error), &TrustError::NotTheCollector);
        assert!(impostor.seen.secrets().is_empty());
    }

    #[tokio::test]
    async fn a_host_that_the_certificate_does_not_name_is_refused_with_the_names_it_has() {
        let authority = authority();
        let names = ["collector.example", "10.0.0.1"].map(str::to_owned);
        let identity = authority.issue_server(&collector_id(), &names).unwrap();
        let collector = Collector::start_as(&authority, &identity).await;
        let error = join_at(&collector, &token(&authority)).await.unwrap_err();
        let expected = TrustError::NameNotCovered {
            host: "127.0.0.1".into(),
            names: names.to_vec(),
        };
        assert_eq!(reason(&error), &expected);
        assert!(
            error
                .to_string()
                .contains("but for collector.example, 10.0.0.1: "),
            "{error}"
        );
        assert!(collector.seen.secrets().is_empty());
    }

    #[tokio::test]
    async fn a_token_that_is_used_up_is_refused_for_good() {
        let authority = authority();
        let collector = Collector::start(&authority).await;
        let used_up = JoinToken::new([1; 24], authority.fingerprint());
        let error = join_at(&collector, &used_up).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "join: the collector refused the token: it is used up"
        );
        assert!(!error.may_retry());
    }

    /// A collector that is older than the question sells what the token is for.
    #[tokio::test]
    async fn another_kind_of_identity_than_was_wanted_is_not_taken() {
        let authority = authority();
        let collector = Collector::start(&authority).await;
        let (name, key) = (agent_id().name, LocalKey::generate().unwrap());
        let person = Joiner::person(&name);
        let error = join(&collector.address, &token(&authority), person, &key)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "join: the token is for the role agent, which is no person: it is spent, make another"
        );
        assert!(!error.may_retry());
        let anybody = Joiner::anybody(&name);
        let joined = join(&collector.address, &token(&authority), anybody, &key).await;
        assert_eq!(joined.unwrap().spiffe(), &agent_id());
    }

    #[tokio::test]
    async fn a_certificate_for_another_name_is_not_taken() {
        let authority = authority();
        let collector = Collector::start(&authority).await;
        let (name, key) = ("ams-1".parse().unwrap(), LocalKey::generate().unwrap());
        let error = join(&collector.address, &token(&authority), Joiner::agent(&name), &key)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, JoinError::Answer(what) if what.contains("fra-1")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_collector_that_is_not_there_yet_is_tried_again() {
        let authority = authority();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: CollectorAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        let key = LocalKey::generate().unwrap();
        let error = join(
            &address,
            &token(&authority),
            Joiner::agent(&agent_id().name),
            &key,
        )
        .await
        .unwrap_err();
        assert!(error.may_retry(), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
