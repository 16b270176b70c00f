//! Without a collector: one in this process, and an agent named `local` beside it.

use std::time::Duration;

use parallax_agent::{AgentError, InProcess, run_in_process};
use parallax_collector::{Collector, InProcessOptions};
use parallax_model::identity::{Role, SpiffeId};
use parallax_model::vantage::AgentName;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

use crate::client::Client;
use crate::exit::Trouble;

/// Time for the agent to say hello; both ends are in this process.
const TO_SAY_HELLO: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// Time for both to send their last spans.
const TO_STOP: Duration = Duration::from_secs(2);

/// A collector and an agent for one question.
pub(crate) struct Local {
    /// The way to ask.
    pub(crate) client: Client,
    collector: Collector,
    agent: JoinHandle<Result<(), AgentError>>,
    stop_agent: oneshot::Sender<()>,
}

impl Local {
    /// The agent's name.
    pub(crate) const NAME: &'static str = "local";

    /// Starts both; the agent is connected when this returns.
    pub(crate) async fn start(otlp_endpoint: Option<&str>) -> Result<Self, Trouble> {
        let options = InProcessOptions {
            otlp_endpoint: otlp_endpoint.map(str::to_owned),
        };
        let (collector, connector) = Collector::in_process(options).await?;
        let operator = || connector.channel(identity(Role::Admin, "ctl"));
        let (stop_agent, stopped) = oneshot::channel();
        let agent = identity(Role::Agent, Self::NAME);
        let name = agent.name.clone();
        let channel = connector.channel(agent);
        let stop = async {
            // Dropped or sent: either way nobody asks any more.
            let _ = stopped.await;
        };
        let mut local = Self {
            client: Client::over(operator(), operator()),
            collector,
            agent: tokio::spawn(run_in_process(channel, name, InProcess::default(), stop)),
            stop_agent,
        };
        local.wait_for_the_agent().await?;
        Ok(local)
    }

    /// Ends both. What they traced is sent, if somebody takes it in time.
    pub(crate) async fn end(self) {
        let _ = self.stop_agent.send(());
        let stopping = async {
            // How the agent ended is in its log.
            let _ = self.agent.await;
            self.collector.shutdown().await;
        };
        if timeout(TO_STOP, stopping).await.is_err() {
            tracing::warn!("the trace is incomplete: its last spans were not taken within {TO_STOP:?}");
        }
    }

    async fn wait_for_the_agent(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + TO_SAY_HELLO;
        let mut looks = interval(BETWEEN_LOOKS);
        while Instant::now() < deadline && !self.agent.is_finished() {
            looks.tick().await;
            let agents = self.client.agents().await?;
            if agents.iter().any(|agent| agent.connected) {
                return Ok(());
            }
        }
        Err(Trouble::new("the agent in this process did not start").hint("run again with --log debug"))
    }
}

fn identity(role: Role, name: &str) -> SpiffeId {
    let name: AgentName = name.parse().expect("is a name");
    SpiffeId::built_in(role, name)
}
