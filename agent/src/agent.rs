//! The agent as a whole.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parallax_identity::seal::{SealError, SealingKey};
use parallax_identity::{CollectorAddress, Dialer, IdentityError, OwnFiles};
use parallax_model::token::JoinToken;
use parallax_model::vantage::{AgentName, Labels};
use parallax_telemetry::{Destination, Publishing, Service, TelemetryError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::circuit::Circuit;
use crate::config::StatedPolicy;
use crate::credentials::LocalCredentials;
use crate::doctor;
use crate::driver::tls::{AnchorError, Trust, read_anchors};
use crate::identity::{self, Keeper, NoIdentity, Wanted};
use crate::link::{Link, Road};
use crate::network::LocalNetwork;
use crate::numbers::Exports;
use crate::policy::Policy;
use crate::routine::{self, Keep, RoutineHandle};
use crate::runner::Runner;
use crate::spool::{Spool, SpoolLimits};
use crate::state_dir::{self, InUse};
use crate::telemetry::{LAST_WORDS, Telemetry};
use crate::web::{self, Web, WebError, WebOptions};

/// Probes at a time when nothing else is said.
pub const DEFAULT_PROBES: usize = 32;

/// In the state directory: what secrets for this agent are sealed to.
const SEALING_KEY_FILE: &str = "sealing.key";

/// For the probes of checks that are under way when the agent is to stop.
const TO_END: Duration = Duration::from_secs(3);

/// What a stop may take in all.
const STOP: Duration = Duration::from_secs(6);

/// In the state directory: results of checks that wait for the collector.
pub(crate) const SPOOL_DIR: &str = "spool";

/// How an agent is to be.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Where the collector is.
    pub collector: CollectorAddress,
    /// Buys the identity, if there is none yet.
    pub token: Option<JoinToken>,
    /// An identity that others certify, instead of one that a token buys.
    pub own: Option<OwnFiles>,
    /// Where a token is looked for again when the identity is lost.
    pub token_file: Option<PathBuf>,
    /// The vantage point's unique name; without one, that of the identity that is kept.
    pub name: Option<AgentName>,
    /// Labels of the vantage point.
    pub labels: Labels,
    /// Where key, certificate and sealing key are kept.
    pub state_dir: PathBuf,
    /// PEM files with trust anchors for the targets' certificates.
    pub ca_files: Vec<PathBuf>,
    /// What may be touched; read again on SIGHUP.
    pub policy: StatedPolicy,
    /// Where it stands in its own network.
    pub network: LocalNetwork,
    /// What it logs in with by itself.
    pub credentials: LocalCredentials,
    /// How much of the disk results may take that wait for the collector.
    pub spool: SpoolLimits,
    /// Metrics and probes over HTTP.
    pub web: Option<WebOptions>,
    /// Where spans and numbers go, instead of through the collector: an OTLP/gRPC endpoint.
    pub otlp_endpoint: Option<String>,
    /// Probes at a time; an order beyond is refused.
    pub max_probes: usize,
}

/// An agent beside a collector in the same process. It runs with its operator's own rights: everything is allowed.
#[derive(Debug, Clone, Default)]
pub struct InProcess {
    /// Labels of the vantage point.
    pub labels: Labels,
}

/// Why the agent can't run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No identity.
    #[error(transparent)]
    Identity(#[from] NoIdentity),
    /// The state directory can't be used.
    #[error(transparent)]
    State(#[from] IdentityError),
    /// Another agent lives in the state directory.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// What is kept of rejected secrets can't be used.
    #[error("{0}")]
    Circuit(io::Error),
    /// A file of trust anchors can't be used.
    #[error("{0}")]
    Anchors(String),
    /// No key could be made.
    #[error("make a sealing key: {0}")]
    Key(#[from] SealError),
    /// The signals of this process can't be heard.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// The HTTP port can't be opened.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The identity can't be used for TLS.
    #[error("prepare TLS: {0}")]
    Tls(String),
    /// The OTLP endpoint can't be used.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

impl AgentError {
    /// Whether what it was given is to blame, and not this host: its token, its files, its directories.
    pub const fn is_of_input(&self) -> bool {
        matches!(
            self,
            Self::Identity(_)
                | Self::State(_)
                | Self::InUse(_)
                | Self::Circuit(_)
                | Self::Anchors(_)
                | Self::Telemetry(_)
        )
    }
}

impl From<AnchorError> for AgentError {
    fn from(error: AnchorError) -> Self {
        Self::Anchors(error.to_string())
    }
}

/// Runs an agent until `stop` is done: joins, keeps the link up, probes.
///
/// # Errors
/// When it can't begin: no identity and no way to one, or files that can't be used. Trouble with the link later is
/// no error; it is logged and tried again.
pub async fn run(options: AgentOptions, stop: impl Future<Output = ()>) -> Result<(), AgentError> {
    parallax_identity::install_provider();
    // Before anything else: who asks for the policy to be read again must not end an agent that still joins.
    let hangups = signal(SignalKind::hangup()).map_err(AgentError::Signals)?;
    // And this before the collector hears of it: it would take the link of the agent that lives there.
    let _claimed = state_dir::claim(&options.state_dir)?;
    let anchors = options.ca_files.iter().map(|path| read_anchors(path));
    let anchors: Vec<_> = anchors.collect::<Result<Vec<_>, _>>()?.concat();
    let mut stop = std::pin::pin!(stop);
    let web = match options.web {
        Some(web) => Some(Web::open(web).await?),
        None => None,
    };
    let wanted = Wanted {
        dir: &options.state_dir,
        collector: &options.collector,
        token: options.token.as_ref(),
        own: options.own.as_ref(),
        name: options.name.as_ref(),
    };
    let identity = tokio::select! {
        identity = identity::obtain(&wanted) => identity?,
        () = stop.as_mut() => return Ok(()),
    };
    let name = identity.spiffe().name.clone();
    let sealing_key = SealingKey::load_or_create(&options.state_dir.join(SEALING_KEY_FILE))?;
    doctor::warn_of_writers(&options.policy, &options.state_dir);
    if let Err(error) = options.credentials.check() {
        tracing::warn!(%error, "a login with it is refused until it can be read");
    }
    let circuit = Circuit::load(&options.state_dir).map_err(AgentError::Circuit)?;
    let spool = open_spool(&options.state_dir, options.spool)?;
    let dialer =
        Dialer::new(options.collector, &identity).map_err(|error| AgentError::Tls(error.to_string()))?;
    let service = Service::agent(&name, &options.labels);
    let destination = match options.otlp_endpoint {
        Some(endpoint) => Destination::Endpoint(endpoint),
        None => Destination::Channel(dialer.lazy()),
    };
    let telemetry = Telemetry::to(destination.clone(), service.clone());
    let who = (name, options.labels);
    let runner = Runner::new(
        who,
        options.policy.policy.clone(),
        Trust::new(&anchors),
        sealing_key,
        options.max_probes,
    )
    .within(options.network)
    .remembering(circuit)
    .holding(options.credentials);
    let policy = runner.policy.clone().follow(options.policy, hangups);
    let runner = Arc::new(runner);
    let routine = spool
        .as_ref()
        .and_then(|spool| begin_routine(&options.state_dir, &runner, spool));
    let means = web::Means {
        runner: runner.clone(),
        routine: routine.clone(),
        spool: spool.clone(),
        exports: Exports::default(),
    };
    let numbers = Publishing::start(service, destination, means.clone())?;
    let web = async {
        match web {
            Some(web) => web.serve(means).await,
            None => std::future::pending().await,
        }
    };
    let link = Link {
        telemetry: telemetry.clone(),
        road: Road::Dial(dialer.clone()),
        runner,
        spool: spool.clone(),
        routine: routine.clone(),
        instance: instance(),
    };
    let keeping = async {
        match options.own {
            Some(files) => identity::follow(files, identity, &dialer).await,
            None => {
                let keeper = Keeper {
                    identity,
                    dialer: dialer.clone(),
                    dir: options.state_dir,
                    token: options.token,
                    token_file: options.token_file,
                    useless: Vec::new(),
                };
                keeper.keep_fresh().await;
            }
        }
    };
    // What is under way is told before the link is left, if it comes soon.
    let (asked_to_stop, asked) = oneshot::channel();
    let stop = async {
        stop.await;
        // Nobody hears it where the agent has ended by itself.
        let _ = asked_to_stop.send(());
        if let Some(routine) = &routine {
            routine.drain(TO_END).await;
        }
    };
    let working = async {
        tokio::select! {
            () = link.keep(stop) => {}
            () = web => {}
            () = keeping => {}
            () = policy => {}
        }
        if let Some(spool) = &spool {
            spool.flush().await;
        }
        let last_numbers = async {
            if let Some(numbers) = numbers {
                numbers.shutdown(LAST_WORDS).await;
            }
        };
        tokio::join!(telemetry.shutdown(), last_numbers);
    };
    let too_late = async {
        match asked.await {
            Ok(()) => tokio::time::sleep(STOP).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = working => {}
        () = too_late => tracing::warn!("not everything had ended within {} s", STOP.as_secs()),
    }
    Ok(())
}

/// Runs an agent over a channel to a collector in this process until `stop` is done.
///
/// # Errors
/// When no sealing key could be made.
pub async fn run_in_process(
    channel: Channel,
    name: AgentName,
    options: InProcess,
    stop: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    parallax_identity::install_provider();
    let service = Service::agent(&name, &options.labels);
    let telemetry = Telemetry::to(Destination::Channel(channel.clone()), service);
    let who = (name, options.labels);
    let trust = Trust::new(&[]);
    let runner = Runner::new(
        who,
        Policy::allow_all(),
        trust,
        SealingKey::generate()?,
        DEFAULT_PROBES,
    );
    let link = Link {
        telemetry: telemetry.clone(),
        road: Road::Given(channel),
        runner: Arc::new(runner),
        spool: None,
        routine: None,
        instance: instance(),
    };
    link.keep(stop).await;
    telemetry.shutdown().await;
    Ok(())
}

/// What operators compare before they seal a secret to the agent with this state directory; none before its first start.
///
/// # Errors
/// When the key can't be read.
pub fn fingerprint(state_dir: &Path) -> Result<Option<String>, parallax_identity::IdentityError> {
    let public = SealingKey::public_of(&state_dir.join(SEALING_KEY_FILE))?;
    Ok(public.map(|public| parallax_identity::seal::fingerprint(&public)))
}

fn begin_routine(state_dir: &Path, runner: &Arc<Runner>, spool: &Spool) -> Option<RoutineHandle> {
    let spool = spool.clone();
    let keep: Keep = Arc::new(move |result| {
        let spool = spool.clone();
        Box::pin(async move {
            spool.append(result).await;
        })
    });
    let begun = routine::start(state_dir, runner.clone(), keep);
    let problem = |error| {
        tracing::error!(dir = %state_dir.display(), %error, "this agent runs no checks: they can't be read");
    };
    begun.map_err(problem).ok()
}

/// An agent without a spool repeats no checks; it still answers whoever asks.
fn open_spool(state_dir: &Path, limits: SpoolLimits) -> Result<Option<Spool>, InUse> {
    let dir = state_dir.join(SPOOL_DIR);
    match Spool::open(&dir, limits) {
        Ok(spool) => Ok(Some(spool)),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(InUse {
            dir: state_dir.to_owned(),
            pid: None,
        }),
        Err(error) => {
            tracing::error!(dir = %dir.display(), %error, "this agent runs no checks: their results would have no place");
            Ok(None)
        }
    }
}

fn instance() -> Uuid {
    Uuid::now_v7()
}
