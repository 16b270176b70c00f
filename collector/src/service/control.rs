//! What operators ask of the collector.

mod answer;
mod events;
mod login;
pub(super) mod question;
mod token;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use parallax_model::alert::AlertState;
use parallax_model::check::CheckNameError;
use parallax_model::finding::Verdict;
use parallax_model::identity::{Role, SpiffeId};
use parallax_model::run::{RunDocument, RunTarget};
use parallax_model::target::Target;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use parallax_proto::v1::control_server::Control;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use tracing::{info, warn};
use uuid::Uuid;

use super::credentials::circuit_to_wire;
use super::{Shared, peer};
use crate::clock;
use crate::hub::{RunAsked, Started, Stopping, live_queue};
use crate::identity::{TokenWish, name_of};
use crate::limits::{Leave, TooMuch};
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::runs::{Inquiry, LastGood, longest};
use crate::store::{Found, RunFilter, Store};
use events::{CallerGuard, events};
use question::Question;

/// Live events that may wait for a slow reader; the answer itself waits beside them.
const LIVE: usize = 1024;
/// Circuits that the status names.
const CIRCUITS_AT_MOST: u32 = 100;

/// How many runs are listed when nothing else is asked, and at most.
const RUNS_LISTED: u32 = 50;
const RUNS_LISTED_AT_MOST: u32 = 1000;

/// After how many milliseconds a refused question can be asked again.
const RETRY_AFTER: &str = "retry-after-ms";

/// How long a question waits for the last good run that it is compared with.
const LOOKED_BACK: Duration = Duration::from_millis(200);

/// The service.
pub(crate) struct ControlService(pub(crate) Shared);

#[tonic::async_trait]
impl Control for ControlService {
    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let agents = self.0.hub.agents().await?;
        let connected = agents.iter().filter(|agent| agent.summary.connected).count();
        let alerts = self.0.hub.alerts(false).await?;
        let firing = alerts.iter().filter(|alert| alert.state == AlertState::Firing);
        let circuits = self.0.store.standing_circuits(CIRCUITS_AT_MOST).await?;
        let checks = self.0.checks.checks().await?;
        let paused = checks.iter().filter(|check| check.paused);
        let views = self.0.hub.check_views().await?;
        let run_by_nobody = views.iter().filter(|view| view.run_by_nobody);
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            telemetry: self.0.telemetry.on(),
            agents_connected: number(connected),
            agents_known: number(agents.len()),
            started_at_us: self.0.started_at.as_microsecond(),
            drops: drops(&self.0.metrics),
            checks: number(checks.len()),
            checks_paused: number(paused.count()),
            alerts_firing: number(firing.count()),
            checks_run_by_nobody: number(run_by_nobody.count()),
            circuits: circuits.into_iter().map(circuit_to_wire).collect(),
        }))
    }

    async fn list_agents(
        &self,
        _: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        let agents = self.0.hub.agents().await?.into_iter();
        Ok(Response::new(v1::ListAgentsResponse {
            agents: agents.map(answer::agent).collect(),
        }))
    }

    async fn remove_agent(
        &self,
        request: Request<v1::RemoveAgentRequest>,
    ) -> Result<Response<v1::RemoveAgentResponse>, Status> {
        let peer = peer(&request);
        let name = name("name", &request.into_inner().name)?;
        let entry = self.0.audit.begin(&peer, "RemoveAgent", name.as_str()).await?;
        let spiffe = self
            .0
            .admission
            .here(SpiffeId::built_in(Role::Agent, name.clone()));
        let removed = self
            .0
            .store
            .remove_identity(spiffe.to_string(), Timestamp::now())
            .await?;
        if !removed {
            entry.end("failed", "no such agent").await;
            return Err(Status::not_found(format!("there is no agent {name}")));
        }
        let connections_cut = self.0.cut_off(&spiffe).await?;
        entry.end("done", "").await;
        Ok(Response::new(v1::RemoveAgentResponse { connections_cut }))
    }

    type RunProbeStream = BoxStream<'static, Result<v1::RunEvent, Status>>;

    async fn run_probe(
        &self,
        request: Request<v1::RunProbeRequest>,
    ) -> Result<Response<Self::RunProbeStream>, Status> {
        let peer = peer(&request);
        let run_id = Uuid::now_v7();
        let metadata = request.metadata().clone();
        let mut question = Question::read(request.into_inner())?;
        self.check_watcher(&question).await?;
        let past = login::prepare(&self.0, &mut question).await?;
        if question.dry_run {
            return self.dry_run(run_id, question).await;
        }
        let subject = question.in_words();
        let leave = match self.leave(&peer, &question.spec.target) {
            Ok(leave) => leave,
            Err(status) => {
                self.0
                    .audit
                    .refused(&peer, "RunProbe", &subject, status.message())
                    .await;
                return Err(status);
            }
        };
        let entry = self.0.audit.begin_run(&peer, run_id, &subject).await?;
        let trace = self.0.telemetry.run(&metadata, &peer, run_id);
        let trace_id = trace.trace_id();
        let before = self.last_good(&question.spec.target).await;
        let inquiry = Inquiry {
            before,
            past,
            run_id,
            trace_id: trace_id.clone(),
            spec: Arc::new(question.spec),
            follow_up: question.follow_up,
            secrets: question.secrets,
            own_credential: question.own_credential,
            client_identities: question.client_identities,
            started_at: Timestamp::now(),
            check: None,
        };
        let (live, happenings) = live_queue(LIVE);
        let (conclusion, concluded) = oneshot::channel();
        let (reply, started) = oneshot::channel();
        let guard = CallerGuard {
            hub: self.0.hub.clone(),
            run: run_id,
            entry: Some(entry),
            _leave: leave,
        };
        let asked = RunAsked {
            inquiry,
            selector: question.selector,
            limit: question.limit,
            live,
            conclusion,
            trace,
            reply,
        };
        self.0.hub.ask(asked).await?;
        let started = started
            .await
            .map_err(|_| Status::from(Stopping))?
            .map_err(|live| {
                self.0.metrics.run_refused("live");
                Status::resource_exhausted(format!("{live} runs are live already; try again in a moment"))
            })?;
        let first = answer::started(run_id, trace_id, started, false);
        Ok(Response::new(events(first, happenings, concluded, guard)))
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => RUNS_LISTED,
            limit => limit.min(RUNS_LISTED_AT_MOST),
        };
        let runs = self.0.store.runs(filter(request)?, limit).await?;
        Ok(Response::new(v1::ListRunsResponse {
            runs: runs.into_iter().map(Into::into).collect(),
        }))
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::Run>, Status> {
        let run = self.run(request.into_inner()).await?;
        Ok(Response::new(run.into()))
    }

    type GetCapturesStream = BoxStream<'static, Result<v1::RunCapture, Status>>;

    async fn get_captures(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<Self::GetCapturesStream>, Status> {
        let peer = peer(&request);
        let run = self.run(request.into_inner()).await?.run_id;
        let entry = self.0.audit.begin(&peer, "GetCaptures", &run.to_string()).await?;
        entry.end("done", "").await;
        Ok(Response::new(captures(Arc::clone(&self.0.store), run).boxed()))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let peer = peer(&request);
        let by = peer.spiffe.as_ref().map(ToString::to_string);
        let wish = TokenWish {
            by: by.clone(),
            ..token::wish(request.into_inner())?
        };
        if let Some(refusal) = self.0.admission.sells_nothing() {
            return Err(refusal.into());
        }
        let (role, names) = (wish.role, wish.names.clone());
        let subject = format!("{role} {names}");
        let entry = self
            .0
            .audit
            .begin(&peer, "CreateToken", subject.trim_end())
            .await?;
        let token = self
            .0
            .admission
            .create_token(wish, Timestamp::now())
            .await
            .map_err(|error| {
                tracing::error!("token not made: {error}");
                Status::internal("the token could not be kept; the collector's log says why")
            })?;
        let id = name_of(&token);
        info!(%role, %names, id, by, "token created");
        entry.end("done", &format!("token {id}")).await;
        Ok(Response::new(v1::CreateTokenResponse {
            token: token.to_string(),
            id,
        }))
    }
}

impl ControlService {
    /// Who is to watch must be somebody: a name that was mistyped would be taken for an agent that is away.
    async fn check_watcher(&self, question: &Question) -> Result<(), Status> {
        let Some(watcher) = &question.spec.options.sync_with else {
            return Ok(());
        };
        let agents = self.0.hub.agents().await?;
        let known: Vec<&str> = agents.iter().map(|agent| agent.summary.name.as_str()).collect();
        if known.contains(&watcher.as_str()) {
            return Ok(());
        }
        let known = if known.is_empty() {
            "none is known".to_owned()
        } else {
            format!("known are {}", known.join(", "))
        };
        Err(Status::invalid_argument(format!(
            "spec: options: sync_with: there is no agent {watcher}; {known}"
        )))
    }

    /// Whether this operator may ask once more, and this target be asked.
    fn leave(&self, peer: &Peer, target: &Target) -> Result<Option<Leave>, Status> {
        let operator = peer.spiffe.as_ref().map(ToString::to_string).unwrap_or_default();
        let host = target.host.to_string();
        self.0
            .limits
            .run(&operator, &host, clock::now())
            .map_err(|too_much| {
                self.0.metrics.run_refused(too_much.as_str());
                warn!(
                    by = operator,
                    target = host,
                    "run refused: limit {}",
                    too_much.as_str()
                );
                refused(too_much, &host)
            })
    }

    /// The run meant.
    async fn run(&self, request: v1::GetRunRequest) -> Result<RunDocument, Status> {
        let id = request.run_id.trim().to_ascii_lowercase();
        let readable = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !readable {
            return Err(Status::invalid_argument(format!(
                "no run begins with {id:?}: write an id of `ctl runs list`, or how one begins"
            )));
        }
        match self.0.store.run(id.clone()).await? {
            Found::One(run) => Ok(*run),
            Found::None => Err(Status::not_found(format!("no run is called {id}, or begins so"))),
            Found::Several => Err(Status::invalid_argument(format!(
                "more than one run begins with {id}; write more of it"
            ))),
        }
    }

    /// How the target was when it last worked. A question does not wait for a slow disk, nor fail for want of it.
    async fn last_good(&self, target: &Target) -> Option<LastGood> {
        let asked = self.0.store.last_good(RunTarget::from(target));
        match tokio::time::timeout(LOOKED_BACK, asked).await {
            Ok(Ok(good)) => good,
            Ok(Err(problem)) => {
                warn!("the last good run was not read: {problem}");
                None
            }
            Err(_) => {
                warn!("the last good run was not read within {LOOKED_BACK:?}; the run is compared with none");
                None
            }
        }
    }

    async fn dry_run(
        &self,
        run_id: Uuid,
        question: Question,
    ) -> Result<Response<<Self as Control>::RunProbeStream>, Status> {
        let selection = self.0.hub.select(question.selector, question.limit).await?;
        let longest = longest(&question.spec, question.follow_up);
        let started = Started { selection, longest };
        let first = answer::started(run_id, None, started, true);
        Ok(Response::new(stream::iter([Ok(first)]).boxed()))
    }
}

/// Says when to come back, in words and for programs.
fn refused(too_much: TooMuch, host: &str) -> Status {
    let why = match too_much {
        TooMuch::AtOnce(most) => format!("you have {most} runs under way, and more are not allowed at once"),
        TooMuch::OfOperator(_) => "you ask more often than this collector allows".to_owned(),
        TooMuch::OfTarget(_) => format!("{host} is asked more often than this collector allows"),
    };
    let Some(wait) = too_much.again_in() else {
        return Status::resource_exhausted(why);
    };
    let mut status = Status::resource_exhausted(format!("{why}; again in {} s", wait.as_secs() + 1));
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    status.metadata_mut().insert(RETRY_AFTER, millis.into());
    status
}

fn drops(metrics: &Metrics) -> Vec<v1::Drop> {
    let drops = metrics.drops().into_iter();
    drops.map(|(what, count)| v1::Drop { what, count }).collect()
}

/// Which runs are to be listed.
fn filter(request: v1::ListRunsRequest) -> Result<RunFilter, Status> {
    let target = request.target.map(RunTarget::try_from).transpose();
    let before = match request.before_us {
        0 => None,
        at => Some(Timestamp::from_microsecond(at).map_err(|_| Status::invalid_argument("before_us"))?),
    };
    let verdict = match request.verdict.as_str() {
        "" => None,
        name => Some(Verdict::known(name).ok_or_else(|| {
            Status::invalid_argument("verdict: write healthy, partial, down or inconclusive")
        })?),
    };
    let check = match request.check.as_str() {
        "" => Ok(None),
        name => name.parse().map(Some),
    };
    Ok(RunFilter {
        target: target.map_err(|error| Status::invalid_argument(format!("target: {error}")))?,
        verdict,
        before,
        check: check.map_err(|error: CheckNameError| Status::invalid_argument(format!("check: {error}")))?,
    })
}

/// One after another, so that no run's are in memory together.
fn captures(store: Arc<dyn Store>, run: Uuid) -> impl Stream<Item = Result<v1::RunCapture, Status>> {
    stream::try_unfold(0, move |from| {
        let store = Arc::clone(&store);
        async move {
            let kept = store.next_capture(run, from).await?;
            Ok(kept.map(|kept| {
                let capture = v1::RunCapture {
                    agent: kept.agent.into(),
                    capture: Some(kept.capture.into()),
                };
                (capture, kept.number.saturating_add(1))
            }))
        }
    })
}

fn name(field: &str, text: &str) -> Result<AgentName, Status> {
    text.parse()
        .map_err(|error| Status::invalid_argument(format!("{field}: {error}")))
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
