//! Who may come in, and what was done.

use jiff::Timestamp;
use parallax_model::identity::SpiffeId;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use parallax_proto::v1::access_server::Access;
use tonic::{Request, Response, Status};
use tracing::info;

use super::{Shared, peer};
use crate::hub::Event;
use crate::store::{AuditFilter, Called, KnownIdentity, Sha256, TokenRecord, token_id};

/// How many entries of the audit log are listed when nothing else is asked, and at most.
const ENTRIES: u32 = 50;
const ENTRIES_AT_MOST: u32 = 1000;

/// The service.
pub(crate) struct AccessService(pub(crate) Shared);

#[tonic::async_trait]
impl Access for AccessService {
    async fn list_tokens(
        &self,
        _: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let tokens = self.0.store.tokens().await?.into_iter();
        Ok(Response::new(v1::ListTokensResponse {
            tokens: tokens.map(token).collect(),
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let hash = self.token_called(&request.id).await?;
        let entry = self.0.audit.begin(&peer, "RevokeToken", &request.id).await?;
        let revoked = self
            .0
            .store
            .revoke_token(hash, request.keep_joined, Timestamp::now())
            .await?;
        let removed = revoked.unwrap_or_default();
        for spiffe_id in &removed {
            if let Ok(id) = spiffe_id.parse() {
                self.0.cut_off(&id).await?;
            }
        }
        info!(token = request.id, out = removed.len(), "token revoked");
        entry.end("done", &removed.join(" ")).await;
        Ok(Response::new(v1::RevokeTokenResponse { removed }))
    }

    async fn list_identities(
        &self,
        _: Request<v1::ListIdentitiesRequest>,
    ) -> Result<Response<v1::ListIdentitiesResponse>, Status> {
        let identities = self.0.store.identities(Timestamp::now()).await?.into_iter();
        Ok(Response::new(v1::ListIdentitiesResponse {
            identities: identities.map(identity).collect(),
        }))
    }

    async fn remove_identity(
        &self,
        request: Request<v1::RemoveIdentityRequest>,
    ) -> Result<Response<v1::RemoveIdentityResponse>, Status> {
        let peer = peer(&request);
        let text = request.into_inner().spiffe_id;
        let id = self.meant(&text)?;
        let text = id.to_string();
        let entry = self.0.audit.begin(&peer, "RemoveIdentity", &text).await?;
        if !self.0.store.remove_identity(text, Timestamp::now()).await? {
            entry.end("failed", "nobody of that name").await;
            return Err(Status::not_found(format!(
                "there is no {} {} with a valid certificate",
                id.role, id.name
            )));
        }
        let connections_cut = self.0.cut_off(&id).await?;
        info!(identity = %id, connections_cut, "removed");
        entry.end("done", "").await;
        Ok(Response::new(v1::RemoveIdentityResponse { connections_cut }))
    }

    async fn restore_identity(
        &self,
        request: Request<v1::RestoreIdentityRequest>,
    ) -> Result<Response<v1::RestoreIdentityResponse>, Status> {
        let peer = peer(&request);
        let id = self.meant(&request.into_inner().spiffe_id)?;
        if !self.0.admission.is_of_others() {
            return Err(Status::failed_precondition(format!(
                "{name} comes back with a new token: ctl token create --role {role} --name {name}",
                role = id.role,
                name = id.name
            )));
        }
        let text = id.to_string();
        let entry = self.0.audit.begin(&peer, "RestoreIdentity", &text).await?;
        if !self.0.store.restore_identity(text).await? {
            entry.end("failed", "not removed").await;
            return Err(Status::not_found(format!(
                "the {} {} was not removed",
                id.role, id.name
            )));
        }
        info!(identity = %id, "restored");
        entry.end("done", "").await;
        Ok(Response::new(v1::RestoreIdentityResponse {}))
    }

    async fn set_agent_labels(
        &self,
        request: Request<v1::SetAgentLabelsRequest>,
    ) -> Result<Response<v1::SetAgentLabelsResponse>, Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let name: AgentName = request
            .name
            .parse()
            .map_err(|error| Status::invalid_argument(format!("name: {error}")))?;
        let set = parallax_proto::convert::labels("labels", request.labels)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.labels(&name).await?;
        let entry = self.0.audit.begin(&peer, "SetAgentLabels", name.as_str()).await?;
        let labels = self.0.store.pin_labels(name.clone(), set, request.unset).await?;
        let pinned: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let event = Event::AgentPinned {
            name: name.clone(),
            labels,
        };
        self.0.hub.tell(event).await?;
        entry.end("done", &format!("pinned: {}", pinned.join(" "))).await;
        Ok(Response::new(v1::SetAgentLabelsResponse {
            labels: self.labels(&name).await?.into_iter().collect(),
        }))
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => ENTRIES,
            limit => limit.min(ENTRIES_AT_MOST),
        };
        let entries = self.0.store.audit(filter(request)?, limit).await?.into_iter();
        Ok(Response::new(v1::ListAuditResponse {
            entries: entries.map(Into::into).collect(),
        }))
    }
}

impl AccessService {
    /// Who is meant: a role and a name, whose trust domain is this collector's.
    fn meant(&self, spiffe_id: &str) -> Result<SpiffeId, Status> {
        let id: Result<SpiffeId, _> = spiffe_id.parse();
        id.map(|id| self.0.admission.here(id))
            .map_err(|error| Status::invalid_argument(format!("spiffe_id: {error}")))
    }

    async fn token_called(&self, id: &str) -> Result<Sha256, Status> {
        match self.0.store.token_called(id.to_owned()).await? {
            Called::One(token) => Ok(token.hash),
            several @ Called::Several => Err(Status::failed_precondition(several.problem(id))),
            none @ Called::None => Err(Status::not_found(none.problem(id))),
        }
    }

    async fn labels(&self, name: &AgentName) -> Result<parallax_model::vantage::Labels, Status> {
        let agents = self.0.hub.agents().await?;
        let agent = agents.into_iter().find(|agent| agent.summary.name == *name);
        agent
            .map(|agent| agent.summary.labels)
            .ok_or_else(|| Status::not_found(format!("there is no agent {name}")))
    }
}

fn token(token: TokenRecord) -> v1::Token {
    v1::Token {
        id: token.id(),
        role: token.role.to_string(),
        names: token.names.to_string(),
        labels: token.labels.into_iter().collect(),
        created_at_us: token.created_at.as_microsecond(),
        expires_at_us: token.expires_at.as_microsecond(),
        uses: token.uses,
        used: token.used,
        created_by: token.created_by.unwrap_or_default(),
        revoked_at_us: token.revoked_at.map_or(0, Timestamp::as_microsecond),
        replace: token.takes_over,
    }
}

fn identity(known: KnownIdentity) -> v1::KnownIdentity {
    v1::KnownIdentity {
        spiffe_id: known.spiffe_id,
        certificates: known.certificates,
        not_after_us: known.not_after.as_microsecond(),
        token_id: known.token.as_ref().map(token_id).unwrap_or_default(),
        removed_at_us: known.removed_at.map_or(0, Timestamp::as_microsecond),
    }
}

fn filter(request: v1::ListAuditRequest) -> Result<AuditFilter, Status> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    let since = match request.since_us {
        0 => None,
        at => Some(Timestamp::from_microsecond(at).map_err(|_| Status::invalid_argument("since_us"))?),
    };
    Ok(AuditFilter {
        before: (request.before_id != 0).then_some(request.before_id),
        actor: given(request.actor),
        call: given(request.call),
        since,
        run: given(request.run_id),
    })
}
