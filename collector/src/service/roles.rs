//! Who may call what: one table, asked before any call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use parallax_model::identity::{Role, SpiffeId};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tower::{Layer, Service};
use tracing::debug;

use super::ending::ending;
use crate::audit::Audit;
use crate::identity::Admission;
use crate::peer::Peer;
use crate::store::Standing;

/// What a caller must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: the call brings its own credential.
    Nothing,
    /// Any identity of this collector.
    Identity,
    /// An agent.
    Agent,
    /// A person with this role or a higher one.
    Person(Role),
}

/// Who writes a call to the audit log. Whatever is refused is written at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The door, that it was made.
    Door,
    /// Its handler, which knows what it is about.
    Handler,
    /// Nobody: it only looks, or it is many.
    Not,
}

/// Every call there is, what its caller must be, and who writes it down. What is not here can't be called.
pub(crate) const CALLS: &[(&str, Needs, Written)] = &[
    ("/parallax.v1.AgentLink/Open", Needs::Agent, Written::Not),
    ("/parallax.v1.Control/GetStatus", VIEWER, Written::Not),
    ("/parallax.v1.Control/ListAgents", VIEWER, Written::Not),
    ("/parallax.v1.Control/RemoveAgent", ADMIN, Written::Handler),
    ("/parallax.v1.Control/RunProbe", OPERATOR, Written::Handler),
    ("/parallax.v1.Control/ListRuns", VIEWER, Written::Not),
    ("/parallax.v1.Control/GetRun", VIEWER, Written::Not),
    ("/parallax.v1.Control/GetCaptures", OPERATOR, Written::Handler),
    ("/parallax.v1.Control/CreateToken", ADMIN, Written::Handler),
    ("/parallax.v1.Access/ListTokens", ADMIN, Written::Door),
    ("/parallax.v1.Access/RevokeToken", ADMIN, Written::Handler),
    ("/parallax.v1.Access/ListIdentities", ADMIN, Written::Door),
    ("/parallax.v1.Access/RemoveIdentity", ADMIN, Written::Handler),
    ("/parallax.v1.Access/RestoreIdentity", ADMIN, Written::Handler),
    ("/parallax.v1.Access/SetAgentLabels", ADMIN, Written::Handler),
    ("/parallax.v1.Access/ListAudit", ADMIN, Written::Door),
    (
        "/parallax.v1.Credentials/SetCredential",
        OPERATOR,
        Written::Handler,
    ),
    ("/parallax.v1.Credentials/ListCredentials", VIEWER, Written::Not),
    (
        "/parallax.v1.Credentials/RemoveCredential",
        OPERATOR,
        Written::Handler,
    ),
    (
        "/parallax.v1.Credentials/CloseCircuit",
        OPERATOR,
        Written::Handler,
    ),
    ("/parallax.v1.Checks/ApplyChecks", OPERATOR, Written::Handler),
    ("/parallax.v1.Checks/ListChecks", VIEWER, Written::Not),
    ("/parallax.v1.Checks/PauseCheck", OPERATOR, Written::Handler),
    ("/parallax.v1.Checks/RemoveCheck", OPERATOR, Written::Handler),
    ("/parallax.v1.Checks/CheckHistory", VIEWER, Written::Not),
    ("/parallax.v1.Checks/CheckResults", VIEWER, Written::Not),
    ("/parallax.v1.Alerts/ListAlerts", VIEWER, Written::Not),
    ("/parallax.v1.Alerts/AddSilence", OPERATOR, Written::Handler),
    ("/parallax.v1.Alerts/ListSilences", VIEWER, Written::Not),
    ("/parallax.v1.Alerts/EndSilence", OPERATOR, Written::Handler),
    ("/parallax.v1.Alerts/TestReceivers", OPERATOR, Written::Handler),
    ("/parallax.v1.Identity/Join", Needs::Nothing, Written::Handler),
    (RENEW, Needs::Identity, Written::Handler),
    (
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Needs::Identity,
        Written::Not,
    ),
    (
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Needs::Agent,
        Written::Not,
    ),
];

/// What one whose certificate is over may call.
const RENEW: &str = "/parallax.v1.Identity/Renew";

const VIEWER: Needs = Needs::Person(Role::Viewer);
const OPERATOR: Needs = Needs::Person(Role::Operator);
const ADMIN: Needs = Needs::Person(Role::Admin);

/// Whether somebody may make a call.
pub(crate) fn permit(path: &str, peer: &Peer) -> Result<(), Status> {
    let Some(&(_, needs, _)) = CALLS.iter().find(|(call, ..)| *call == path) else {
        return Err(Status::unimplemented(format!("this collector has no {path}")));
    };
    if needs == Needs::Nothing {
        return Ok(());
    }
    let Some(id) = &peer.spiffe else {
        return Err(Status::unauthenticated(
            "no certificate of this collector was shown; join first, with a token",
        ));
    };
    if path != RENEW && peer.is_over(SystemTime::now()) {
        return Err(over(id));
    }
    let (permitted, wanted) = match needs {
        Needs::Nothing | Needs::Identity => (id.role != Role::Collector, "is for agents and persons"),
        Needs::Agent => (id.role == Role::Agent, "is for agents alone"),
        Needs::Person(least) => (id.role.permits(least), needed(least)),
    };
    if permitted {
        return Ok(());
    }
    let (what, name, role) = (in_words(call_of(path)), &id.name, id.role);
    Err(Status::permission_denied(format!(
        "{what} {wanted}; {name} has the role {role}"
    )))
}

const fn needed(least: Role) -> &'static str {
    match least {
        Role::Viewer => "needs the role viewer, operator or admin",
        Role::Operator => "needs the role operator or admin",
        Role::Admin => "needs the role admin",
        Role::Agent | Role::Collector => "is for no person",
    }
}

/// The command that makes a call, as whoever typed it knows it.
fn in_words(call: &str) -> &'static str {
    match call {
        "Open" => "an agent's link",
        "Renew" | "Export" => "this call",
        "Join" => "joining",
        "GetStatus" => "`ctl status`",
        "ListAgents" => "`ctl agents`",
        "RemoveAgent" => "`ctl agents remove`",
        "SetAgentLabels" => "`ctl agents set-label`",
        "RunProbe" => "`ctl probe`",
        "ListRuns" | "GetRun" => "`ctl runs`",
        "GetCaptures" => "`ctl runs bundle`",
        "CreateToken" => "`ctl token create`",
        "ListTokens" => "`ctl token list`",
        "RevokeToken" => "`ctl token revoke`",
        "ListIdentities" => "`ctl access`",
        "RemoveIdentity" => "`ctl access remove`",
        "RestoreIdentity" => "`ctl access restore`",
        "ListAudit" => "`ctl audit`",
        "SetCredential" => "`ctl credential set`",
        "ListCredentials" => "`ctl credential`",
        "RemoveCredential" => "`ctl credential remove`",
        "CloseCircuit" => "`ctl credential retry`",
        "ApplyChecks" => "changing checks (`ctl check add`, `apply`)",
        "ListChecks" => "`ctl check`",
        "PauseCheck" => "`ctl check pause`",
        "RemoveCheck" => "`ctl check remove`",
        "CheckHistory" | "CheckResults" => "`ctl check history`",
        "ListAlerts" | "ListSilences" => "`ctl alerts`",
        "AddSilence" => "`ctl alerts silence`",
        "EndSilence" => "`ctl alerts unsilence`",
        "TestReceivers" => "`ctl alerts test`",
        _ => UNNAMED,
    }
}

/// What a call is called that nobody types.
const UNNAMED: &str = "what was asked";

/// What is said to somebody whose certificate is over.
fn over(id: &SpiffeId) -> Status {
    Status::unauthenticated(format!(
        "the certificate of {} has expired: it can be renewed, and nothing else",
        id.name
    ))
}

/// Puts the check before the services.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    admission: Arc<Admission>,
    audit: Audit,
}

impl Doorkeeper {
    pub(crate) const fn new(admission: Arc<Admission>, audit: Audit) -> Self {
        Self { admission, audit }
    }
}

impl<S> Layer<S> for Doorkeeper {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            admission: Arc::clone(&self.admission),
            audit: self.audit.clone(),
        }
    }
}

/// A service behind the check.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    admission: Arc<Admission>,
    audit: Audit,
}

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The clone is not ready; the one that was asked is.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let (admission, audit) = (Arc::clone(&self.admission), self.audit.clone());
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
            let path = request.uri().path().to_owned();
            match admit(&path, &peer, &admission).await {
                Ok(()) => {
                    if is_written_at_the_door(&path) {
                        audit.note(&peer, call_of(&path), "", "done", "").await;
                    }
                    let answer = inner.call(request).await?;
                    Ok(match (&peer.spiffe, peer.ends) {
                        (Some(id), Some(ends)) if path != RENEW => {
                            answer.map(|body| ending(body, ends, over(id)))
                        }
                        _ => answer,
                    })
                }
                Err(status) => {
                    debug!(peer = %peer.place(), path, "refused: {}", status.message());
                    audit.refused(&peer, call_of(&path), "", status.message()).await;
                    Ok(status.into_http())
                }
            }
        })
    }
}

fn is_written_at_the_door(path: &str) -> bool {
    CALLS
        .iter()
        .any(|&(call, _, written)| call == path && written == Written::Door)
}

/// `RunProbe`.
fn call_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, call)| call)
}

async fn admit(path: &str, peer: &Peer, admission: &Admission) -> Result<(), Status> {
    permit(path, peer)?;
    let way_back = if admission.is_of_others() {
        "`ctl access restore` lets a new certificate of it in"
    } else {
        "it can join again with a new token"
    };
    match (admission.standing(peer).await?, &peer.spiffe) {
        (Standing::Removed, Some(id)) => Err(Status::permission_denied(format!(
            "{} was removed from this collector; {way_back}",
            id.name
        ))),
        (Standing::Good, _) | (Standing::Removed, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn peer(role: Option<Role>) -> Peer {
        Peer {
            spiffe: role.map(|role| SpiffeId::built_in(role, "x".parse().unwrap())),
            ..Peer::default()
        }
    }

    /// The outside contract, spelled out once more: who gets in where.
    fn may(path: &str, role: Option<Role>) -> bool {
        use Role::{Admin, Agent, Operator, Viewer};
        let (service, call) = path.rsplit_once('/').unwrap();
        match call {
            "Join" => true,
            "Open" => role == Some(Agent),
            "Export" if service.ends_with(".MetricsService") => role == Some(Agent),
            "Renew" | "Export" => matches!(role, Some(Agent | Viewer | Operator | Admin)),
            "GetStatus" | "ListAgents" | "ListRuns" | "GetRun" | "ListCredentials" | "ListChecks"
            | "CheckHistory" | "CheckResults" | "ListAlerts" | "ListSilences" => {
                matches!(role, Some(Viewer | Operator | Admin))
            }
            "RunProbe" | "GetCaptures" | "SetCredential" | "RemoveCredential" | "CloseCircuit"
            | "ApplyChecks" | "PauseCheck" | "RemoveCheck" | "AddSilence" | "EndSilence"
            | "TestReceivers" => {
                matches!(role, Some(Operator | Admin))
            }
            "RemoveAgent" | "CreateToken" | "ListTokens" | "RevokeToken" | "ListIdentities"
            | "RemoveIdentity" | "RestoreIdentity" | "SetAgentLabels" | "ListAudit" => role == Some(Admin),
            other => panic!("say here who may call {other}"),
        }
    }

    #[test]
    fn every_call_is_open_to_those_it_is_for_and_to_nobody_else() {
        let everybody = Role::ALL.iter().copied().map(Some).chain([None]);
        for role in everybody {
            for (path, ..) in CALLS {
                let verdict = permit(path, &peer(role));
                assert_eq!(
                    verdict.is_ok(),
                    may(path, role),
                    "{path} by {role:?}: {verdict:?}"
                );
                if let Err(status) = verdict {
                    let expected = role.map_or(Code::Unauthenticated, |_| Code::PermissionDenied);
                    assert_eq!(status.code(), expected, "{path} by {role:?}");
                }
            }
        }
    }

    #[test]
    fn a_certificate_that_is_over_can_be_renewed_and_nothing_else() {
        for role in Role::ALL.iter().copied().filter(|&role| role != Role::Collector) {
            let over = Peer {
                ends: Some(std::time::UNIX_EPOCH),
                ..peer(Some(role))
            };
            for (path, needs, _) in CALLS {
                let free = *path == RENEW || *needs == Needs::Nothing;
                assert_eq!(permit(path, &over).is_ok(), free, "{path} by {role}");
            }
        }
    }

    #[test]
    fn every_call_of_the_contract_is_in_the_table() {
        let contract = concat!(
            include_str!("../../../proto/parallax/v1/access.proto"),
            include_str!("../../../proto/parallax/v1/agent_link.proto"),
            include_str!("../../../proto/parallax/v1/alert.proto"),
            include_str!("../../../proto/parallax/v1/check.proto"),
            include_str!("../../../proto/parallax/v1/control.proto"),
            include_str!("../../../proto/parallax/v1/credential.proto"),
            include_str!("../../../proto/parallax/v1/identity.proto"),
        );
        let mut service = "";
        let mut calls = Vec::new();
        for line in contract.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("service ") {
                service = rest.trim_end_matches([' ', '{']);
            } else if let Some(rest) = line.strip_prefix("rpc ") {
                let (call, _) = rest.split_once('(').unwrap();
                calls.push(format!("/parallax.v1.{service}/{call}"));
            }
        }
        assert!(calls.len() > 8, "{calls:?}");
        for call in calls {
            assert!(CALLS.iter().any(|(path, ..)| *path == call), "{call} is missing");
        }
    }

    #[test]
    fn a_refusal_names_what_was_typed_and_who_may() {
        let refused = |path: &str, role| permit(path, &peer(Some(role))).unwrap_err().message().to_owned();
        assert_eq!(
            refused("/parallax.v1.Control/RunProbe", Role::Viewer),
            "`ctl probe` needs the role operator or admin; x has the role viewer"
        );
        assert_eq!(
            refused("/parallax.v1.AgentLink/Open", Role::Admin),
            "an agent's link is for agents alone; x has the role admin"
        );
        for (path, ..) in CALLS {
            assert_ne!(in_words(call_of(path)), UNNAMED, "{path}");
        }
    }

    #[test]
    fn an_unknown_call_is_unimplemented_for_everybody() {
        let status = permit("/parallax.v1.Control/Reboot", &peer(Some(Role::Admin))).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
}
