//! How others get, and keep, a certificate.

use jiff::Timestamp;
use parallax_model::identity::{Role, SpiffeId};
use parallax_proto::v1;
use parallax_proto::v1::identity_server::Identity;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::{Shared, peer};
use crate::clock;
use crate::hub::Event;
use crate::identity::{JoinRefusal, Joined};
use crate::source::Source;

/// The service.
pub(crate) struct IdentityService(pub(crate) Shared);

#[tonic::async_trait]
impl Identity for IdentityService {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::Certificate>, Status> {
        let peer = peer(&request);
        let place = peer.place();
        let source = peer.address.map(|address| Source::of(address.ip()));
        self.may_join(source)?;
        let request = request.into_inner();
        let name = request.name.clone();
        let is_connected = |id: &SpiffeId| self.0.connections.any_of(id);
        match self
            .0
            .admission
            .join(request, is_connected, Timestamp::now())
            .await
        {
            Ok(joined) => {
                self.0.metrics.joined("joined");
                info!(identity = %joined.spiffe, token = joined.token, peer = %place, "joined");
                let subject = joined.spiffe.to_string();
                let token = format!("token {}", joined.token);
                self.0.audit.note(&peer, "Join", &subject, "done", &token).await;
                self.welcome(joined).await.map(Response::new)
            }
            Err(refusal) => {
                self.0.metrics.joined("refused");
                if let Some(source) = source {
                    self.0.limits.join_failed(source, clock::now());
                }
                // What was asked for is text from outside.
                let name = parallax_model::text::escape_str(&name, 63);
                warn!(%name, peer = %place, "join refused: {refusal}");
                self.0
                    .audit
                    .refused(&peer, "Join", &name, &refusal.to_string())
                    .await;
                self.turned_away(&refusal, place).await?;
                Err(refusal.into())
            }
        }
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::Certificate>, Status> {
        let peer = peer(&request);
        let csr_der = request.into_inner().csr_der;
        if csr_der.is_empty() {
            // Nothing is asked for: whoever does this wants to know whether both sides know each other.
            return Err(Status::invalid_argument("csr_der: there is none"));
        }
        let renewed = self.0.admission.renew(&peer, &csr_der, Timestamp::now()).await;
        let (certificate, ends) = match renewed {
            Ok(renewed) => renewed,
            Err(refusal) => {
                self.0
                    .audit
                    .refused(&peer, "Renew", "", &refusal.to_string())
                    .await;
                return Err(refusal.into());
            }
        };
        let until = format!("until {ends}");
        self.0
            .audit
            .note(&peer, "Renew", &certificate.spiffe_id, "done", &until)
            .await;
        info!(identity = certificate.spiffe_id, "certificate renewed");
        if let Some(id) = &peer.spiffe {
            self.certified(id, ends).await?;
        }
        Ok(Response::new(certificate))
    }
}

impl IdentityService {
    /// Makes room for somebody who has got in, and tells the hub.
    async fn welcome(&self, joined: Joined) -> Result<v1::Certificate, Status> {
        let Joined {
            certificate,
            spiffe,
            ends,
            pinned,
            ..
        } = joined;
        // Whoever had the name before has no valid certificate any more.
        self.0.connections.cut(&spiffe);
        self.certified(&spiffe, ends).await?;
        if let Some(labels) = pinned {
            let name = spiffe.name;
            self.0.hub.tell(Event::AgentPinned { name, labels }).await?;
        }
        Ok(certificate)
    }

    async fn certified(&self, id: &SpiffeId, ends: Timestamp) -> Result<(), Status> {
        if id.role == Role::Agent {
            let name = id.name.clone();
            self.0.hub.tell(Event::AgentCertified { name, ends }).await?;
        }
        Ok(())
    }

    /// Shows at an agent that somebody wanted its name.
    async fn turned_away(&self, refusal: &JoinRefusal, peer: String) -> Result<(), Status> {
        let (JoinRefusal::InUse(id) | JoinRefusal::Connected(id)) = refusal else {
            return Ok(());
        };
        if id.role == Role::Agent {
            let turned_away = Event::AgentTurnedAway {
                name: id.name.clone(),
                peer,
                why: refusal.to_string(),
            };
            self.0.hub.tell(turned_away).await?;
        }
        Ok(())
    }

    /// Whoever failed too often waits, and costs no more than this answer.
    fn may_join(&self, source: Option<Source>) -> Result<(), Status> {
        let Some(source) = source else {
            return Ok(());
        };
        self.0.limits.may_join(source, clock::now()).map_err(|wait| {
            self.0.metrics.join_kept_out();
            Status::resource_exhausted(format!(
                "too many attempts to join from {source} have failed; again in {} s",
                wait.as_secs() + 1
            ))
        })
    }
}

impl From<JoinRefusal> for Status {
    fn from(refusal: JoinRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            JoinRefusal::Unknown
            | JoinRefusal::Expired
            | JoinRefusal::UsedUp
            | JoinRefusal::Revoked
            | JoinRefusal::RemovedSince(_) => Self::unauthenticated(message),
            JoinRefusal::OtherName(_) | JoinRefusal::NotRenewed => Self::permission_denied(message),
            JoinRefusal::InUse(_) | JoinRefusal::Connected(_) => Self::already_exists(message),
            JoinRefusal::OwnPki(_) | JoinRefusal::OtherKind(..) => Self::failed_precondition(message),
            JoinRefusal::Malformed(_) => Self::invalid_argument(message),
            JoinRefusal::Store(error) => error.into(),
        }
    }
}
