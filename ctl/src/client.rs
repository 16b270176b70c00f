//! The way to the collector.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use parallax_identity::{CollectorAddress, DialError, Dialer, Identity, LocalKey, ProofError, renew};
use parallax_model::capture::Capture;
use parallax_model::selector::Selector;
use parallax_model::vantage::{AgentName, Labels};
use parallax_proto::convert::WireError;
use parallax_proto::v1;
use parallax_proto::v1::access_client::AccessClient;
use parallax_proto::v1::alerts_client::AlertsClient;
use parallax_proto::v1::checks_client::ChecksClient;
use parallax_proto::v1::control_client::ControlClient;
use parallax_proto::v1::credentials_client::CredentialsClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use uuid::Uuid;

use crate::config::Config;
use crate::console;
use crate::exit::Trouble;
use crate::known_agents::KnownAgents;

/// Time for a call that does not run anything.
const CALL: Duration = Duration::from_secs(10);
/// So many agents are named where none was meant.
const NAMED: usize = 8;
/// A run of many vantage points with evidence is large, but not larger.
const LARGEST_MESSAGE: usize = 64 << 20;

const LOG_IN_AGAIN: &str = "log in again: ctl login --collector HOST:PORT --token TOKEN";

/// A connection to the collector.
pub(crate) struct Client {
    /// The operators' service.
    pub(crate) control: ControlClient<Channel>,
    /// The service for who may come in.
    pub(crate) access: AccessClient<Channel>,
    /// What is wrong, and who is told.
    pub(crate) alerts: AlertsClient<Channel>,
    /// Probes that are repeated.
    pub(crate) checks: ChecksClient<Channel>,
    /// Credentials that are kept.
    pub(crate) credentials: CredentialsClient<Channel>,
    /// For the spans, beside the calls.
    pub(crate) spans: Channel,
    /// None for an agent in this process.
    books: Option<Books>,
}

/// What is known of this collector's agents without asking it.
struct Books {
    /// Where their keys are kept.
    home: PathBuf,
    collector: CollectorAddress,
    /// Whose CA their certificates are from.
    identity: Identity,
}

impl Client {
    /// A client over a channel for calls and one for spans.
    pub(crate) fn over(calls: Channel, spans: Channel) -> Self {
        Self {
            access: AccessClient::new(calls.clone()),
            alerts: AlertsClient::new(calls.clone()),
            credentials: CredentialsClient::new(calls.clone()),
            checks: ChecksClient::new(calls.clone()).max_decoding_message_size(LARGEST_MESSAGE),
            control: ControlClient::new(calls).max_decoding_message_size(LARGEST_MESSAGE),
            spans,
            books: None,
        }
    }

    /// Dials the collector of the configuration, with the identity kept beside it.
    pub(crate) async fn dial(config: &Config) -> Result<Self, Trouble> {
        let Some(address) = &config.collector else {
            return Err(Trouble::new("no collector is configured")
                .hint("log in first: ctl login --collector HOST:PORT --token TOKEN"));
        };
        let identity = identity(config)?;
        let dialer = Dialer::new(address.clone(), &identity)?;
        let channel = dialer.connect().await.map_err(unreachable)?;
        renew_if_due(config, &identity, &dialer, channel.clone()).await;
        let books = Books {
            home: config.home.clone(),
            collector: address.clone(),
            identity,
        };
        Ok(Self {
            books: Some(books),
            ..Self::over(channel, dialer.lazy())
        })
    }

    /// What the collector is.
    pub(crate) async fn status(&mut self) -> Result<v1::GetStatusResponse, Trouble> {
        call(self.control.get_status(v1::GetStatusRequest {})).await
    }

    /// The packets that it keeps of a run.
    pub(crate) async fn captures(&mut self, run: Uuid) -> Result<Vec<RecordedBy>, Trouble> {
        let run_id = run.to_string();
        let mut stream = call(self.control.get_captures(v1::GetRunRequest { run_id })).await?;
        let mut captures = Vec::new();
        loop {
            let next = tokio::time::timeout(CALL, stream.message()).await;
            let next = next.map_err(|_| Trouble::new(format!("no packets came within {CALL:?}")))?;
            let Some(next) = next.map_err(|status| refused(&status))? else {
                return Ok(captures);
            };
            let capture = next.capture.ok_or_else(|| WireError::new("capture", "missing"))?;
            let agent = next.agent.parse();
            captures.push(RecordedBy {
                agent: agent.map_err(|_| WireError::new("agent", "not an agent's name"))?,
                capture: capture.try_into()?,
            });
        }
    }

    /// Every agent it knows.
    pub(crate) async fn agents(&mut self) -> Result<Vec<v1::Agent>, Trouble> {
        let answer = call(self.control.list_agents(v1::ListAgentsRequest {})).await?;
        Ok(answer.agents)
    }

    /// That a choice of agents chooses somebody.
    ///
    /// # Errors
    /// Nobody is chosen; who could be is said.
    pub(crate) async fn somebody(&mut self, selector: &Selector) -> Result<(), Trouble> {
        if *selector == Selector::all() {
            return Ok(());
        }
        let agents = self.agents().await?;
        match nobody(&agents, selector) {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        }
    }

    /// The keys to which this operator seals secrets.
    pub(crate) fn known_agents(&self) -> Result<KnownAgents, Trouble> {
        let books = self
            .books
            .as_ref()
            .ok_or_else(|| Trouble::new("an agent in this process needs no trust"))?;
        KnownAgents::load(&books.home, &books.collector)
    }

    /// Whether the agent's own certificate proves its key.
    pub(crate) fn proves(&self, agent: &v1::Agent) -> Result<(), ProofError> {
        let books = self.books.as_ref().ok_or(ProofError::Absent)?;
        let name = agent.name.parse().map_err(|_| ProofError::Absent)?;
        let proof = agent.sealing_proof.clone().map(TryInto::try_into).transpose();
        let proof = proof.map_err(|_: WireError| ProofError::Signature)?;
        books
            .identity
            .check_sealing_key(&name, &agent.sealing_key, proof.as_ref())
    }

    /// Every agent it knows, each with the key that secrets for it are sealed to, if the operator has that from before.
    pub(crate) async fn agents_for_secrets(
        &mut self,
        chosen: impl Fn(&v1::Agent) -> bool,
    ) -> Result<Vec<v1::Agent>, Trouble> {
        let mut agents = self.agents().await?;
        if self.books.is_some()
            && let Some(said) = self
                .known_agents()?
                .meet(&mut agents, chosen, |agent| self.proves(agent))?
        {
            console::complain(&said);
        }
        Ok(agents)
    }
}

/// The packets of one attempt, and the agent that recorded them.
pub(crate) struct RecordedBy {
    /// Who.
    pub(crate) agent: AgentName,
    /// What.
    pub(crate) capture: Capture,
}

/// The identity that `ctl login` kept.
pub(crate) fn identity(config: &Config) -> Result<Identity, Trouble> {
    if let Some(own) = &config.own {
        let identity = own.identity()?;
        return match identity.has_expired(SystemTime::now()) {
            false => Ok(identity),
            true => Err(Trouble::new(format!("{} has expired", own.certificate.display()))
                .hint("put a new certificate there")),
        };
    }
    let identity = Identity::load(&config.home).map_err(|error| Trouble::from(error).hint(LOG_IN_AGAIN))?;
    let identity = identity.ok_or_else(|| {
        Trouble::new(format!("there is no identity in {}", config.home.display())).hint(LOG_IN_AGAIN)
    })?;
    if identity.has_expired(SystemTime::now()) {
        return Err(Trouble::new("the certificate of this identity has expired").hint(LOG_IN_AGAIN));
    }
    Ok(identity)
}

fn nobody(agents: &[v1::Agent], selector: &Selector) -> Option<Trouble> {
    let chosen = |agent: &v1::Agent| {
        let labels: Labels = agent.labels.clone().into_iter().collect();
        selector.matches(&agent.name, &labels)
    };
    if agents.iter().any(chosen) {
        return None;
    }
    let connected = agents.iter().filter(|agent| agent.connected);
    let mut connected: Vec<_> = connected.map(|agent| agent.name.as_str()).collect();
    connected.sort_unstable();
    let connected = match connected.len() {
        0 => "no agent is connected".to_owned(),
        1..=NAMED => format!("connected are: {}", connected.join(", ")),
        more => format!(
            "connected are: {} and {} more",
            connected[..NAMED].join(", "),
            more - NAMED
        ),
    };
    Some(Trouble::new(format!("no agent matches {selector}; {connected}")).hint("see `ctl agents`"))
}

/// Waits for an answer, but not for ever.
pub(crate) async fn call<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Trouble> {
    match tokio::time::timeout(CALL, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refused(&status)),
        Err(_) => Err(
            Trouble::new(format!("the collector did not answer within {CALL:?}"))
                .hint("see `ctl doctor`, and the collector's log"),
        ),
    }
}

/// What the collector said instead of an answer.
pub(crate) fn refused(status: &Status) -> Trouble {
    let message = status.message();
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition => {
            Trouble::new(message)
        }
        Code::ResourceExhausted => Trouble::new(format!("too much is asked: {message}")),
        Code::PermissionDenied => Trouble::new(format!("the collector does not allow this: {message}"))
            .hint("log in with a token of a higher role: viewer < operator < admin"),
        Code::Unauthenticated => {
            Trouble::new(format!("the collector does not know this identity: {message}")).hint(LOG_IN_AGAIN)
        }
        Code::Unavailable | Code::Unknown | Code::Cancelled => {
            Trouble::new(format!("the connection to the collector was lost: {message}"))
                .hint("try again; see `ctl doctor`")
        }
        code => Trouble::new(format!("the collector failed ({code:?}): {message}"))
            .hint("see the collector's log"),
    }
}

fn unreachable(error: DialError) -> Trouble {
    let hint = match error {
        DialError::Unreachable { .. } => "is the collector running, and its port open from here?",
        DialError::Tls { .. } | DialError::Untrusted { .. } => "is this the collector you logged in to?",
        DialError::OwnExpired => LOG_IN_AGAIN,
        DialError::OwnNotValidYet => "set this host's clock right",
    };
    Trouble::new(format!("the collector can't be reached: {error}")).hint(hint)
}

/// An operator who works with it never has to log in again. If this fails, the next command tries once more.
async fn renew_if_due(config: &Config, identity: &Identity, dialer: &Dialer, channel: Channel) {
    let is_due = SystemTime::now() >= identity.renew_at() || dialer.trust_has_moved();
    if config.own.is_some() || !is_due {
        return;
    }
    let renewed = async {
        let key = LocalKey::generate()?;
        let new = tokio::time::timeout(CALL, renew(channel, identity, &key))
            .await
            .map_err(|_| Trouble::new("no answer in time"))??;
        new.save(&config.home)?;
        dialer.replace(&new)?;
        Ok::<_, Trouble>(())
    };
    if let Err(trouble) = renewed.await {
        tracing::warn!(
            "the certificate could not be renewed: {}",
            trouble.lines().trim_end()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_of_nobody_says_who_could_be_chosen() {
        let agent = |name: &str, connected| v1::Agent {
            name: name.into(),
            labels: [("region".to_owned(), "eu".to_owned())].into(),
            connected,
            ..v1::Agent::default()
        };
        let agents = [agent("nyc-1", true), agent("fra-1", true), agent("ams-1", false)];
        let said =
            |selector: &str| nobody(&agents, &selector.parse().unwrap()).map(|trouble| trouble.lines());
        assert_eq!(said("region=eu"), None);
        assert_eq!(said("ams-1"), None, "one that is lost is asked, and missing");
        assert_eq!(
            said("region=asia").unwrap(),
            "error: no agent matches region=asia; connected are: fra-1, nyc-1\nhint: see `ctl agents`\n"
        );
        let said = nobody(&[], &"tokyo".parse().unwrap()).unwrap().lines();
        assert!(
            said.contains("no agent matches tokyo; no agent is connected"),
            "{said}"
        );
    }
}
