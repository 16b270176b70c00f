//! How others get, and keep, a certificate.

use jiff::Timestamp;
use parallax_proto::v1;
use parallax_proto::v1::identity_server::Identity;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::{Shared, peer};
use crate::identity::JoinRefusal;

/// The service.
pub(crate) struct IdentityService(pub(crate) Shared);

#[tonic::async_trait]
impl Identity for IdentityService {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::Certificate>, Status> {
        let place = peer(&request).place();
        let request = request.into_inner();
        let name = request.name.clone();
        match self.0.admission.join(request, Timestamp::now()).await {
            Ok(certificate) => {
                self.0.metrics.joined("joined");
                info!(identity = certificate.spiffe_id, peer = %place, "joined");
                Ok(Response::new(certificate))
            }
            Err(refusal) => {
                self.0.metrics.joined("refused");
                // What was asked for is text from outside.
                let name = parallax_model::text::escape_str(&name, 63);
                warn!(%name, peer = %place, "join refused: {refusal}");
                Err(refusal.into())
            }
        }
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::Certificate>, Status> {
        let peer = peer(&request);
        let csr_der = request.into_inner().csr_der;
        let certificate = self.0.admission.renew(&peer, &csr_der, Timestamp::now()).await?;
        info!(identity = certificate.spiffe_id, "certificate renewed");
        Ok(Response::new(certificate))
    }
}

impl From<JoinRefusal> for Status {
    fn from(refusal: JoinRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            JoinRefusal::Unknown | JoinRefusal::Expired | JoinRefusal::UsedUp => {
                Self::unauthenticated(message)
            }
            JoinRefusal::OtherName(_) => Self::permission_denied(message),
            JoinRefusal::Malformed(_) => Self::invalid_argument(message),
            JoinRefusal::Store(error) => error.into(),
        }
    }
}
