//! The collector as a whole: its parts put together, started and stopped.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use parallax_model::finding::Verdict;
use parallax_model::identity::{Role, SpiffeId};
use parallax_model::run::RunTarget;
use parallax_model::vantage::AgentName;
use parallax_telemetry::Publishing;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Uri};
use tower::service_fn;
use tracing::warn;

use crate::agents::{Agent, Agents, Papers};
use crate::alerts::deliver::{self, Delivery};
use crate::alerts::{Alerts, usual};
use crate::audit::Audit;
use crate::checks::{Checks, CredentialsNow};
use crate::clock::{self, Clock};
use crate::config::{Alerting, Config, ServeArgs};
use crate::data_dir::DataDir;
use crate::error::StartError;
use crate::hub::closing::{Closing, ClosingParts};
use crate::hub::{self, HubHandle, Recorder, Routine};
use crate::identity::Admission;
use crate::intake::Intake;
use crate::keeper;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::numbers::OwnNumbers;
use crate::outside;
use crate::peer::Peer;
use crate::relay::Relay;
use crate::reload::Settings;
use crate::rounds::{Now, Restored, Rounds};
use crate::server::{self, Acceptor, Connection};
use crate::service::Shared;
use crate::store::{AlertStore, CheckStore, ResultStore, Sqlite, Store, StoreError};
use crate::telemetry::{self, LAST_WORDS, Telemetry};
use crate::web::Page;

/// Proven connections that may wait for the server.
const CONNECTIONS: usize = 64;

/// What fits into a pipe inside the process before its writer waits.
const PIPE: usize = 64 * 1024;

/// What a stop may take in all.
const STOP: Duration = Duration::from_secs(5);

/// How much of it the calls have to end by themselves.
const CALLS_END: Duration = Duration::from_secs(2);

/// A running collector.
pub struct Collector {
    hub: HubHandle,
    store: Arc<dyn Store>,
    telemetry: Telemetry,
    delivery: Delivery,
    /// What can change while it runs; nothing inside the process.
    settings: Option<Mutex<Settings>>,
    listen_addr: Option<SocketAddr>,
    http_addr: Option<SocketAddr>,
    stop_server: oneshot::Sender<()>,
    server: JoinHandle<()>,
    /// Ends by itself once everything is written.
    recorder: JoinHandle<()>,
    /// What takes results in, and what writes rounds: they end by themselves likewise.
    rounds: [JoinHandle<()>; 2],
    /// Ends by itself once everything is passed on.
    relay: Option<JoinHandle<()>>,
    /// Sends the page once more when it is stopped.
    numbers: Option<Publishing>,
    helpers: Vec<JoinHandle<()>>,
    _claim: Option<File>,
}

/// How a collector inside another program is to be.
#[derive(Debug, Clone, Default)]
pub struct InProcessOptions {
    /// OTLP/gRPC endpoint for the spans of the run; none are made without one.
    pub otlp_endpoint: Option<String>,
}

/// Makes connections to a collector inside the process.
#[derive(Clone)]
pub struct Connector {
    connections: mpsc::Sender<Connection>,
}

impl Collector {
    /// Starts the process's collector: data directory, certificate authority, ports. Both ports listen when this
    /// returns.
    ///
    /// # Errors
    /// With one line for whoever starts it.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        parallax_identity::install_provider();
        let data = DataDir::open(&config.data_dir)?;
        let claim = data.claim()?;
        data.keep_pki(config.own_pki.as_ref().map(|own| &own.trust_domain))?;
        let (store, admission) = data.admission(config.terms).await?;
        let grpc = listen(config.listen, "--listen")?;
        let http = listen(config.http, "--http")?;
        let telemetry = Telemetry::start(config.otlp_endpoint.as_deref(), &admission.fingerprint())?;
        telemetry.trace(config.trace_ratio);
        let mut parts = Parts::assemble(
            store,
            Arc::clone(&admission),
            telemetry,
            config.otlp_endpoint.as_deref(),
            &config.alerting,
        )
        .await?;
        let listen_addr = grpc.local_addr().ok();
        let http_addr = http.local_addr().ok();
        let metrics = Arc::clone(&parts.shared.metrics);
        let connections = Arc::clone(&parts.shared.connections);
        let proof = match &config.own_pki {
            Some(own) => server::certified_by_others(own.files.clone(), connections),
            None => server::certified(Arc::clone(&admission), config.advertised_names(), connections),
        };
        let proof = proof.map_err(|error| StartError::Identity(error.to_string()))?;
        parts.shared.limits = Limits::new(&config.limits);
        let page = Page::open(http, config, proof.clone()).map_err(StartError::Page)?;
        let acceptor = Acceptor::new(grpc, proof, Arc::clone(&metrics), config.limits, &admission);
        let retention = watch::Sender::new(config.retention);
        metrics.configured(Timestamp::now());
        let settings = Settings {
            running: config.clone(),
            telemetry: parts.shared.telemetry.clone(),
            delivery: parts.shared.delivery.clone(),
            hub: parts.shared.hub.clone(),
            limits: parts.shared.limits.clone(),
            room: acceptor.room(),
            retention: retention.clone(),
            metrics,
        };
        let (connections, incoming) = mpsc::channel(CONNECTIONS);
        parts.helpers.push(tokio::spawn(acceptor.run(connections)));
        parts.helpers.push(tokio::spawn(page.serve(parts.shared.clone())));
        parts.helpers.push(tokio::spawn(outside::watch(
            parts.shared.clone(),
            config.data_dir.clone(),
        )));
        let learning = usual::learn(Arc::clone(&parts.shared.results), parts.shared.hub.clone());
        parts.helpers.push(tokio::spawn(learning));
        parts.helpers.push(tokio::spawn(keeper::keep(
            Arc::clone(&parts.shared.results),
            retention.subscribe(),
            Arc::clone(&parts.shared.metrics),
        )));
        let numbers = telemetry::publish(
            config.otlp_endpoint.as_deref(),
            &admission.fingerprint(),
            OwnNumbers::of(&parts.shared),
        )?;
        Ok(Self {
            listen_addr,
            http_addr,
            numbers,
            settings: Some(Mutex::new(settings)),
            _claim: Some(claim),
            ..parts.serve(incoming)
        })
    }

    /// Starts a collector without a port, a file or a certificate. Everything it keeps is gone with it.
    ///
    /// # Errors
    /// When its database or its telemetry can't be set up.
    pub async fn in_process(options: InProcessOptions) -> Result<(Self, Connector), StartError> {
        parallax_identity::install_provider();
        let store = Arc::new(Sqlite::in_memory().await.map_err(|error| StartError::Store {
            path: ":memory:".into(),
            problem: error.to_string(),
        })?);
        let admission = Admission::ephemeral(Arc::clone(&store) as Arc<dyn Store>)
            .map_err(|error| StartError::Identity(error.to_string()))?;
        let telemetry = Telemetry::start(options.otlp_endpoint.as_deref(), &admission.fingerprint())?;
        let endpoint = options.otlp_endpoint.as_deref();
        let parts = Parts::assemble(
            store,
            Arc::new(admission),
            telemetry,
            endpoint,
            &Alerting::default(),
        )
        .await?;
        let (connections, incoming) = mpsc::channel(CONNECTIONS);
        Ok((parts.serve(incoming), Connector { connections }))
    }

    /// The same with a database that outlives it.
    #[cfg(test)]
    pub(crate) async fn in_process_on(database: &std::path::Path) -> (Self, Connector) {
        parallax_identity::install_provider();
        let store = Arc::new(Sqlite::open(database).await.unwrap());
        let admission = Admission::ephemeral(Arc::clone(&store) as Arc<dyn Store>).unwrap();
        let telemetry = Telemetry::start(None, &admission.fingerprint()).unwrap();
        let parts = Parts::assemble(store, Arc::new(admission), telemetry, None, &Alerting::default())
            .await
            .unwrap();
        let (connections, incoming) = mpsc::channel(CONNECTIONS);
        (parts.serve(incoming), Connector { connections })
    }

    /// Where the gRPC port listens; none inside the process.
    pub const fn listen_addr(&self) -> Option<SocketAddr> {
        self.listen_addr
    }

    /// Where the web page and the metrics are; none inside the process.
    pub const fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Reads the configuration again and takes what can change while it runs, all of it or nothing; the log and two
    /// metrics say which. Nothing that is under way is cut.
    pub async fn reload(&self, args: &ServeArgs) {
        if let Some(settings) = &self.settings {
            settings.lock().await.reload(args).await;
        }
    }

    /// Stops within five seconds: tells the agents, ends what is live, keeps what is to be kept.
    pub async fn shutdown(self) {
        let telemetry = self.telemetry.clone();
        let stopping = async move {
            self.hub.stop().await;
            drop(self.hub);
            // A server that has ended already needs no telling.
            let _ = self.stop_server.send(());
            let aborting = self.server.abort_handle();
            if tokio::time::timeout(CALLS_END, self.server).await.is_err() {
                aborting.abort();
            }
            for helper in &self.helpers {
                helper.abort();
            }
            self.delivery.stop();
            let _ = self.recorder.await;
            for writer in self.rounds {
                let _ = writer.await;
            }
            // A backend that hangs takes no time from the database.
            tokio::join!(
                telemetry.shutdown(),
                last_numbers(self.numbers),
                last_passed_on(self.relay)
            );
            if let Err(problem) = self.store.close().await {
                warn!("the database was not closed in good order: {problem}");
            }
        };
        if tokio::time::timeout(STOP, stopping).await.is_err() {
            warn!("not everything had ended within {} s", STOP.as_secs());
        }
    }
}

async fn last_numbers(numbers: Option<Publishing>) {
    if let Some(numbers) = numbers {
        numbers.shutdown(LAST_WORDS).await;
    }
}

async fn last_passed_on(relay: Option<JoinHandle<()>>) {
    let Some(mut relay) = relay else {
        return;
    };
    if tokio::time::timeout(LAST_WORDS, &mut relay).await.is_err() {
        relay.abort();
        warn!("not everything that was to be passed on was taken by the OTLP endpoint");
    }
}

impl Connector {
    /// A channel to the collector under an identity; it connects when it is used, and again when it must.
    pub fn channel(&self, identity: SpiffeId) -> Channel {
        let connections = self.connections.clone();
        let connect = service_fn(move |_: Uri| {
            let (connections, peer) = (connections.clone(), Peer::in_process(identity.clone()));
            async move {
                let (near, far) = tokio::io::duplex(PIPE);
                connections
                    .send(Connection::in_process(far, peer))
                    .await
                    .map_err(|_| {
                        std::io::Error::new(
                            std::io::ErrorKind::ConnectionRefused,
                            "the collector has stopped",
                        )
                    })?;
                Ok::<_, std::io::Error>(TokioIo::new(near))
            }
        });
        Endpoint::from_static("http://in-process").connect_with_connector_lazy(connect)
    }
}

struct Parts {
    shared: Shared,
    recorder: JoinHandle<()>,
    rounds: [JoinHandle<()>; 2],
    relay: Option<JoinHandle<()>>,
    helpers: Vec<JoinHandle<()>>,
}

impl Parts {
    async fn assemble(
        sqlite: Arc<Sqlite>,
        admission: Arc<Admission>,
        telemetry: Telemetry,
        otlp_endpoint: Option<&str>,
        alerting: &Alerting,
    ) -> Result<Self, StartError> {
        let store: Arc<dyn Store> = Arc::clone(&sqlite) as Arc<dyn Store>;
        let metrics = Arc::new(Metrics::new());
        let (relay, relaying) = match otlp_endpoint {
            None => (Relay::off(Arc::clone(&metrics)), None),
            Some(endpoint) => {
                let (relay, task) = Relay::start(backend(endpoint)?, Arc::clone(&metrics));
                (relay, Some(task))
            }
        };
        let agents = remembered(store.as_ref()).await?;
        let (recorder, writing) = Recorder::start(Arc::clone(&store), Arc::clone(&metrics));
        let alerts: Arc<dyn AlertStore> = Arc::clone(&sqlite) as Arc<dyn AlertStore>;
        deliver::let_go(alerts.as_ref(), &metrics, deliver::queue_names(alerting))
            .await
            .map_err(unreadable)?;
        let delivery = Delivery::start(alerting, &alerts, &metrics).map_err(StartError::Alerting)?;
        let (closing, closing_rounds) = Closing::start(ClosingParts {
            results: Arc::clone(&sqlite) as Arc<dyn ResultStore>,
            checks: Arc::clone(&sqlite) as Arc<dyn CheckStore>,
            telemetry: telemetry.clone(),
            metrics: Arc::clone(&metrics),
            alerts: Arc::clone(&alerts),
            delivery: delivery.clone(),
        });
        let kept = alerts.kept().await.map_err(unreadable)?;
        let known = Alerts::restored(kept, delivery.names(), Timestamp::now());
        let routine = routine(&sqlite, closing, known, telemetry.clone())
            .await
            .map_err(unreadable)?;
        let hub = hub::start(agents, recorder, Arc::clone(&metrics), routine);
        let results: Arc<dyn ResultStore> = Arc::clone(&sqlite) as Arc<dyn ResultStore>;
        let (intake, taking_in) = Intake::start(Arc::clone(&results), hub.clone(), Arc::clone(&metrics));
        let shared = Shared {
            hub,
            audit: Audit::new(Arc::clone(&store)),
            store,
            checks: sqlite,
            results,
            intake,
            alerts,
            delivery,
            admission,
            connections: Arc::default(),
            metrics,
            relay,
            limits: Limits::default(),
            telemetry,
            clock: Clock::start(),
            started_at: Timestamp::now(),
        };
        Ok(Self {
            shared,
            recorder: writing,
            rounds: [taking_in, closing_rounds],
            relay: relaying,
            helpers: Vec::new(),
        })
    }

    fn serve(self, incoming: mpsc::Receiver<Connection>) -> Collector {
        let (stop_server, stopped) = oneshot::channel::<()>();
        let hub = self.shared.hub.clone();
        let store = Arc::clone(&self.shared.store);
        let telemetry = self.shared.telemetry.clone();
        let delivery = self.shared.delivery.clone();
        let serving = server::serve(self.shared, incoming, async {
            // Dropped without a word is a stop too.
            let _ = stopped.await;
        });
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!("the gRPC server has ended: {error}");
            }
        });
        Collector {
            hub,
            store,
            telemetry,
            delivery,
            settings: None,
            listen_addr: None,
            http_addr: None,
            stop_server,
            server,
            recorder: self.recorder,
            rounds: self.rounds,
            relay: self.relay,
            numbers: None,
            helpers: self.helpers,
            _claim: None,
        }
    }
}

fn unreadable(error: StoreError) -> StartError {
    StartError::Store {
        path: "what it remembers".into(),
        problem: error.to_string(),
    }
}

/// The checks, and their rounds as they stood.
async fn routine(
    sqlite: &Sqlite,
    closing: Closing,
    alerts: Alerts,
    telemetry: Telemetry,
) -> Result<Routine, StoreError> {
    let records = sqlite.checks().await?;
    let credentials = CredentialsNow::read(sqlite).await?;
    let mut last_rounds = sqlite.last_rounds().await?;
    let mut restored = BTreeMap::new();
    for record in &records {
        let target = RunTarget::from(&record.definition.spec.target);
        let last = last_rounds.remove(&record.id);
        let newest = match &last {
            Some(last) if last.verdict != Verdict::Healthy => sqlite.newest_run_of(record.no).await?,
            Some(_) | None => None,
        };
        let known = Restored {
            last,
            good: sqlite.last_good(target).await?,
            newest,
        };
        restored.insert(record.id, known);
    }
    let now = Now {
        instant: clock::now(),
        wall: Timestamp::now(),
    };
    Ok(Routine {
        rounds: Rounds::restored(records.iter().cloned(), restored, now),
        checks: Checks::restored(records, credentials),
        closing,
        alerts,
        open: sqlite.open_results().await?,
        telemetry,
    })
}

async fn remembered(store: &dyn Store) -> Result<Agents, StartError> {
    let agents = store.agents().await.map_err(unreadable)?;
    let known = agents.into_iter().map(|agent| {
        let remembered = Agent::remembered(agent.introduction, agent.last_seen);
        (agent.name, remembered)
    });
    let mut papers: BTreeMap<AgentName, Papers> = BTreeMap::new();
    for (name, labels) in store.pinned_labels().await.map_err(unreadable)? {
        papers.entry(name).or_default().pinned = labels;
    }
    for identity in store.identities(Timestamp::now()).await.map_err(unreadable)? {
        if let Ok(id) = identity.spiffe_id.parse::<SpiffeId>()
            && id.role == Role::Agent
        {
            papers.entry(id.name).or_default().certificate_ends = Some(identity.not_after);
        }
    }
    Ok(Agents::remembered(known, papers))
}

/// Where spans are passed on to; over TLS by the system's trust anchors if it says so.
fn backend(endpoint: &str) -> Result<Endpoint, StartError> {
    let problem = |error: tonic::transport::Error| StartError::Telemetry(format!("{endpoint}: {error}"));
    let backend = Endpoint::from_shared(endpoint.to_owned()).map_err(problem)?;
    if backend.uri().scheme_str() == Some("https") {
        backend
            .tls_config(ClientTlsConfig::new().with_native_roots())
            .map_err(problem)
    } else {
        Ok(backend)
    }
}

fn listen(address: SocketAddr, flag: &'static str) -> Result<tokio::net::TcpListener, StartError> {
    server::listen(address).map_err(|source| StartError::Listen {
        address,
        flag,
        source,
    })
}
