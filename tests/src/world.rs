//! The whole world: the lab's site, and the programs of Parallax as processes in it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::address;
use crate::answer::Answer;
use crate::impair::{Fault, Kind, Place};
use crate::lab::VANTAGES;
use crate::namespace::Namespace;
use crate::otlp::TraceSink;
use crate::process::Process;
use crate::programs::Programs;
use crate::running::Running;
use crate::site::{Site, TARGET};
use crate::wait;

/// Longer than any program may take to get ready.
const TO_GET_READY: Duration = Duration::from_secs(20);
const LINK_PORT: u16 = 7143;
const HTTP_PORT: u16 = 7180;
/// Where there is a receiver of metrics it need not wait for a minute.
const NUMBERS_OFTEN: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "1000");

/// A collector, an agent at each vantage point, and an operator who is logged in. Everything ends when dropped.
pub struct World {
    agents: Vec<Agent>,
    collector: Option<Process>,
    /// What was traced and counted, in a world made by [`World::with_sink`].
    pub sink: Option<TraceSink>,
    /// Where the collector sends spans from its next start on.
    pub otlp_endpoint: Option<String>,
    /// The network and its services.
    pub site: Site,
    programs: Programs,
}

/// A vantage point's agent.
struct Agent {
    name: String,
    process: Option<Process>,
    variables: Vec<(String, String)>,
}

impl World {
    /// Builds a world with these vantage points; every agent is connected when this returns.
    pub fn new(vantages: &[&str]) -> Result<Self> {
        Self::build(vantages, false)
    }

    /// The same, with a receiver of spans and metrics to which the collector relays.
    pub fn with_sink(vantages: &[&str]) -> Result<Self> {
        Self::build(vantages, true)
    }

    fn build(vantages: &[&str], traced: bool) -> Result<Self> {
        let programs = Programs::ready()?;
        let site = Site::new(vantages)?;
        let sink = traced.then(|| TraceSink::start(&site.lab.control)).transpose()?;
        let agents = vantages
            .iter()
            .map(|name| Agent {
                name: (*name).to_owned(),
                process: None,
                variables: Vec::new(),
            })
            .collect();
        let mut world = Self {
            agents,
            collector: None,
            otlp_endpoint: sink.as_ref().map(|_| TraceSink::endpoint()),
            sink,
            site,
            programs,
        };
        world.start_collector()?;
        let uses = vantages.len().to_string();
        let token = world.create_token("agent", &["--uses", &uses])?;
        for name in vantages {
            world.start_agent_with(name, &["--token", &token])?;
        }
        let operator = world.create_token("admin", &[])?;
        let login = world.ctl(&["login", "--collector", &collector_address(), "--token", &operator])?;
        ensure!(login.status == Some(0), "log in\n{login}");
        world.wait_for_agents(vantages)?;
        Ok(world)
    }

    /// Makes something go wrong, by name: `firewall_drop@edge-ams`.
    pub fn inject(&mut self, fault: &str) -> Result<()> {
        let fault: Fault = fault.parse()?;
        match (fault.kind, &fault.place) {
            (Kind::AgentDown, Place::Edge(name)) => self.kill_agent(name),
            (Kind::AgentFrozen, Place::Edge(name)) => self.signal_agent(name, Signal::SIGSTOP),
            _ => self.site.inject(&fault),
        }
    }

    /// Undoes what [`World::inject`] did.
    pub fn heal(&mut self, fault: &str) -> Result<()> {
        let fault: Fault = fault.parse()?;
        match (fault.kind, &fault.place) {
            (Kind::AgentDown, Place::Edge(name)) => self.start_agent(name),
            (Kind::AgentFrozen, Place::Edge(name)) => self.signal_agent(name, Signal::SIGCONT),
            _ => self.site.heal(&fault),
        }
    }

    /// `ctl probe imap.lab.example --from all -o json`, with more arguments.
    pub fn probe(&self, extra: &[&str]) -> Result<Answer> {
        self.ctl(&[&["probe", TARGET, "--from", "all", "-o", "json"], extra].concat())
    }

    /// Runs `ctl` on the control host, as the operator, to its end.
    pub fn ctl(&self, args: &[&str]) -> Result<Answer> {
        self.start_ctl(args, "")?.answer()
    }

    /// Starts `ctl` on the control host, as the operator, with something on standard input.
    pub fn start_ctl(&self, args: &[&str], stdin: &str) -> Result<Running> {
        let mut command = self.ctl_command();
        command.args(args);
        Running::start(&self.site.lab.control, self.directory(), &command, stdin)
    }

    /// Runs a command inside a namespace of this world to its end.
    pub fn run(&self, namespace: &Namespace, command: &Command) -> Result<Answer> {
        self.start(namespace, command)?.answer()
    }

    /// Starts a command inside a namespace of this world.
    pub fn start(&self, namespace: &Namespace, command: &Command) -> Result<Running> {
        Running::start(namespace, self.directory(), command, "")
    }

    /// `ctl` as the operator, without arguments; to be run on the control host.
    pub fn ctl_command(&self) -> Command {
        let mut command = self.programs.ctl();
        command
            .env("PARALLAX_HOME", self.home())
            .env("HOME", self.directory());
        command
    }

    /// The programs, for what this world does not do itself.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Where the operator's identity is kept.
    pub fn home(&self) -> PathBuf {
        self.directory().join("operator")
    }

    /// Where an agent keeps its identity.
    pub fn state_of(&self, agent: &str) -> PathBuf {
        self.directory().join(format!("state-{agent}"))
    }

    /// The file that an agent, or `collector`, reads at its next start, once it is there.
    pub fn configuration_of(&self, program: &str) -> PathBuf {
        self.directory().join(format!("configuration-{program}.toml"))
    }

    /// Where the collector keeps everything.
    pub fn collector_data(&self) -> PathBuf {
        self.directory().join("collector")
    }

    /// Every log of every program so far.
    pub fn logs(&self) -> String {
        let agents = self.agents.iter().filter_map(|agent| agent.process.as_ref());
        agents.chain(&self.collector).map(Process::log).collect()
    }

    /// What a program printed so far, in every life: `agent-NAME`, or `collector`.
    pub fn log_of(&self, program: &str) -> String {
        std::fs::read_to_string(self.directory().join(format!("{program}.log"))).unwrap_or_default()
    }

    /// Variables that an agent has from its next start on.
    pub fn give_agent(&mut self, name: &str, variables: Vec<(String, String)>) -> Result<()> {
        self.agent(name)?.variables = variables;
        Ok(())
    }

    /// The programs that run, by the names of their logs.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let agents = self.agents.iter().filter_map(|agent| agent.process.as_ref());
        let running = agents.chain(&self.collector);
        running
            .map(|process| (process.name().to_owned(), process.id()))
            .collect()
    }

    /// Prints a join token on the collector's own host.
    pub fn create_token(&self, role: &str, extra: &[&str]) -> Result<String> {
        let mut command = self.programs.collector();
        command
            .args(["token", "create", "--role", role, "--data-dir"])
            .arg(self.collector_data())
            .args(extra);
        let answer = self.run(&self.site.lab.control, &command)?;
        ensure!(answer.status == Some(0), "create a token\n{answer}");
        Ok(answer.stdout.trim().to_owned())
    }

    /// An agent's command line, up to and without its token; `name` need not be one of the vantage points.
    pub fn agent_command(&self, name: &str) -> Command {
        let mut command = self.programs.agent();
        command.args(["run", "--collector", &collector_address(), "--name", name]);
        command.args(labels(name).iter().flat_map(|label| ["--label", label]));
        if let Ok(vantage) = self.site.vantage(name) {
            for address in address::vantage_second(vantage.number).both() {
                command.args(["--source-address", &address.to_string()]);
            }
        }
        command
            .arg("--state-dir")
            .arg(self.state_of(name))
            .arg("--ca-file")
            .arg(self.site.ca_file());
        let configuration = self.configuration_of(name);
        if configuration.exists() {
            command.arg("--config").arg(configuration);
        }
        command.env("HOME", self.directory());
        command
    }

    /// Starts the collector and waits until it is ready. No effect while it runs.
    pub fn start_collector(&mut self) -> Result<()> {
        if self.collector.is_some() {
            return Ok(());
        }
        let mut command = self.programs.collector();
        command.arg("serve").arg("--data-dir").arg(self.collector_data());
        command.args([
            "--listen",
            &format!("[::]:{LINK_PORT}"),
            "--http",
            &http_address(),
        ]);
        command.args(["--advertise", &address::CONTROL.v4.to_string()]);
        let configuration = self.configuration_of("collector");
        if configuration.exists() {
            command.arg("--config").arg(configuration);
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            command.args(["--otlp-endpoint", endpoint]);
            command.envs([NUMBERS_OFTEN]);
        }
        let control = &self.site.lab.control;
        let mut process = Process::start(control, "collector", self.directory(), &command)?;
        wait::until("readiness of the collector", TO_GET_READY, || {
            if let Some(status) = process.ended()? {
                bail!("the collector ended ({status})");
            }
            Ok(control.run(is_ready).then_some(()))
        })
        .with_context(|| process.tail())?;
        self.collector = Some(process);
        Ok(())
    }

    /// Kills the collector, as a power cut would.
    pub fn kill_collector(&mut self) {
        if let Some(process) = self.collector.take() {
            process.kill();
        }
    }

    /// Sends a signal to the collector.
    pub fn signal_collector(&self, signal: Signal) -> Result<()> {
        let running = self.collector.as_ref().context("the collector is not running")?;
        running.signal(signal)
    }

    /// Asks the collector to stop and waits for its end.
    pub fn stop_collector(&mut self, budget: Duration) -> Result<ExitStatus> {
        let mut process = self.collector.take().context("the collector is not running")?;
        process.signal(Signal::SIGTERM)?;
        process.wait(budget)
    }

    /// Asks the agent of a vantage point to stop and waits for its end.
    pub fn stop_agent(&mut self, name: &str, budget: Duration) -> Result<ExitStatus> {
        let running = self.agent(name)?.process.take();
        let mut process = running.with_context(|| format!("{name}'s agent is not running"))?;
        process.signal(Signal::SIGTERM)?;
        process.wait(budget)
    }

    /// Starts the agent of a vantage point that has joined before. No effect while it runs.
    pub fn start_agent(&mut self, name: &str) -> Result<()> {
        self.start_agent_with(name, &[])
    }

    /// Kills the agent of a vantage point.
    pub fn kill_agent(&mut self, name: &str) -> Result<()> {
        if let Some(process) = self.agent(name)?.process.take() {
            process.kill();
        }
        Ok(())
    }

    /// Sends a signal to the agent of a vantage point.
    pub fn signal_agent(&mut self, name: &str, signal: Signal) -> Result<()> {
        let agent = self.agent(name)?;
        agent
            .process
            .as_ref()
            .with_context(|| format!("{name}'s agent is not running"))?
            .signal(signal)
    }

    /// Waits until the collector knows exactly these agents as connected.
    pub fn wait_for_agents(&self, names: &[&str]) -> Result<()> {
        let mut names = names.to_vec();
        names.sort_unstable();
        let what = format!("connection of {}", names.join(", "));
        wait::until(&what, TO_GET_READY, || {
            let answer = self.ctl(&["agents", "-o", "json"])?;
            ensure!(answer.status == Some(0), "list the agents\n{answer}");
            let agents = answer.json();
            let connected = agents
                .as_array()
                .into_iter()
                .flatten()
                .filter(|agent| agent["connected"] == true);
            let mut connected: Vec<_> = connected.filter_map(|agent| agent["name"].as_str()).collect();
            connected.sort_unstable();
            Ok((connected == names).then_some(()))
        })
        .with_context(|| self.tails())
    }

    fn start_agent_with(&mut self, name: &str, extra: &[&str]) -> Result<()> {
        if self.agent(name)?.process.is_some() {
            return Ok(());
        }
        let mut command = self.agent_command(name);
        if self.sink.is_some() {
            command.envs([NUMBERS_OFTEN]);
        }
        command.args(extra).envs(self.agent(name)?.variables.clone());
        let host = &self.site.vantage(name)?.host;
        let process = Process::start(host, &format!("agent-{name}"), self.directory(), &command)?;
        self.agent(name)?.process = Some(process);
        Ok(())
    }

    fn agent(&mut self, name: &str) -> Result<&mut Agent> {
        self.site.vantage(name)?;
        self.agents
            .iter_mut()
            .find(|agent| agent.name == name)
            .context("every vantage point has an agent")
    }

    fn tails(&self) -> String {
        let agents = self.agents.iter().filter_map(|agent| agent.process.as_ref());
        agents
            .chain(&self.collector)
            .map(Process::tail)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn directory(&self) -> &Path {
        self.site.lab.directory()
    }
}

/// The address agents and operators dial.
pub fn collector_address() -> String {
    format!("{}:{LINK_PORT}", address::CONTROL.v4)
}

/// `edge-fra` stands at `site=fra`; the usual four are in `region=eu` except `edge-nyc`, in `region=us`.
fn labels(name: &str) -> Vec<String> {
    let site = name.trim_start_matches("edge-");
    let region = if VANTAGES[..3].contains(&name) { "eu" } else { "us" };
    vec![format!("site={site}"), format!("region={region}")]
}

fn http_address() -> String {
    format!("{}:{HTTP_PORT}", address::CONTROL.v4)
}

fn is_ready() -> bool {
    let request = "GET /readyz HTTP/1.0\r\nHost: lab\r\n\r\n";
    let mut answer = String::new();
    let asked = TcpStream::connect(http_address()).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(request.as_bytes())?;
        stream.read_to_string(&mut answer)
    });
    asked.is_ok() && answer.split(' ').nth(1) == Some("200")
}
