//! The second lab: another topology, other ports and families, real delays. No rule was made by looking at it.

mod checksum;
mod line;
mod network;
mod trouble;

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

pub use trouble::{At, Trouble};

use crate::answer::Answer;
use crate::background::Background;
use crate::dns::NameServer;
use crate::dovecot::{Dovecot, PASSWORD, USER};
use crate::pki::{Leaf, Pki};
use crate::process::Process;
use crate::programs::Programs;
use crate::running::Running;
use crate::wait;
use crate::zone::Zone;
use network::{CONTROL, Network};

/// Every vantage point of this lab.
pub const VANTAGES: [&str; 5] = ["edge-par", "edge-lyo", "edge-osl", "edge-rom", "edge-in"];

const LINK_PORT: u16 = 7143;
const TO_GET_READY: Duration = Duration::from_secs(30);
const NAMES: [&str; 6] = [
    "imap.far.example",
    "two.far.example",
    "pool.far.example",
    "geo.far.example",
    "v4.far.example",
    "mail.far.example",
];
const MAIL: [&str; 2] = ["198.51.100.20", "2001:db8:9::20"];
const MAIL_SECOND: [&str; 2] = ["198.51.100.21", "2001:db8:9::21"];
const POOL: [&str; 2] = ["198.51.100.25", "2001:db8:9::25"];
/// Where these agents may go; the usual ports are not all.
const AGENT: &str = "[policy]\nallow = [\"*:143,993,1143,10993\"]\n";

/// The network, its services, a collector, an agent at each vantage point. Everything ends when dropped.
pub struct Far {
    agents: BTreeMap<&'static str, Process>,
    _collector: Process,
    mail: Server,
    mail2: Server,
    names: BTreeMap<&'static str, NameServer>,
    speakers: Vec<Background>,
    pki: Pki,
    programs: Programs,
    network: Network,
    directory: TempDir,
}

struct Server {
    place: &'static str,
    dovecot: Dovecot,
}

impl Far {
    /// Builds it; every agent is connected when this returns.
    pub fn new() -> Result<Self> {
        let programs = Programs::ready()?;
        crate::stale::sweep();
        let directory = tempfile::Builder::new()
            .prefix(&crate::stale::prefix())
            .tempdir()?;
        open_to_all(directory.path())?;
        std::fs::write(directory.path().join("agent.toml"), AGENT)?;
        let network = Network::new(directory.path())?;
        let pki = Pki::new(&NAMES)?;
        std::fs::write(directory.path().join("root.pem"), pki.root_pem())?;
        let server = |place, addresses: [&str; 2]| -> Result<Server> {
            let dovecot = Dovecot::start_on(
                network.place(place)?,
                directory.path().join(place),
                parsed(addresses)?,
                &pki.issue(Leaf::Good)?,
            )?;
            Ok(Server { place, dovecot })
        };
        let (mail, mail2) = (server("mail", MAIL)?, server("mail2", MAIL_SECOND)?);
        let mut names = BTreeMap::new();
        for (place, near) in [("dns-fr", MAIL), ("dns-eu", MAIL_SECOND)] {
            names.insert(place, NameServer::start(network.place(place)?, zone(near)?)?);
        }
        let mut collector = start_collector(&programs, &network, directory.path())?;
        wait::until("readiness of the collector", TO_GET_READY, || {
            if let Some(status) = collector.ended()? {
                bail!("the collector ended ({status})");
            }
            let listens = || TcpStream::connect((CONTROL, LINK_PORT)).is_ok();
            Ok(network.place("control")?.run(listens).then_some(()))
        })
        .with_context(|| collector.tail())?;
        let mut far = Self {
            agents: BTreeMap::new(),
            _collector: collector,
            mail,
            mail2,
            names,
            speakers: Vec::new(),
            pki,
            programs,
            network,
            directory,
        };
        far.join()?;
        Ok(far)
    }

    /// Makes something go wrong.
    pub fn inject(&mut self, troubles: &[Trouble]) -> Result<()> {
        (0..)
            .zip(troubles)
            .try_for_each(|(number, trouble)| trouble.inject(self, number))
    }

    /// Undoes all of it.
    pub fn heal(&mut self, troubles: &[Trouble]) -> Result<()> {
        self.speakers.clear();
        self.network.line().look_for("");
        let numbered = (0..).zip(troubles).collect::<Vec<_>>();
        numbered
            .into_iter()
            .rev()
            .try_for_each(|(number, trouble)| trouble.heal(self, number))
    }

    /// Asks a question as the operator, who gives the user's password to whoever wants it.
    pub fn ask(&self, args: &[&str]) -> Result<Answer> {
        let wants = args.contains(&"--password-stdin");
        let mut command = self.ctl();
        command.args(args);
        let control = self.network.place("control")?;
        Running::start(
            control,
            self.directory.path(),
            &command,
            if wants { PASSWORD } else { "" },
        )?
        .answer()
    }

    /// Arguments that log in.
    pub const fn login() -> [&'static str; 3] {
        ["--user", USER, "--password-stdin"]
    }

    fn server(&mut self, place: &str) -> Result<&mut Server> {
        [&mut self.mail, &mut self.mail2]
            .into_iter()
            .find(|server| server.place == place)
            .with_context(|| format!("no mail server at {place}"))
    }

    fn ctl(&self) -> Command {
        let mut command = self.programs.ctl();
        command
            .env("PARALLAX_HOME", self.directory.path().join("operator"))
            .env("HOME", self.directory.path());
        command
    }

    fn join(&mut self) -> Result<()> {
        let token = self.token("agent", &["--uses", "5"])?;
        for name in VANTAGES {
            self.start_agent(name, Some(&token))?;
        }
        let operator = self.token("admin", &[])?;
        let collector = format!("{CONTROL}:{LINK_PORT}");
        let login = self.ask(&["login", "--collector", &collector, "--token", &operator])?;
        ensure!(login.status == Some(0), "log in\n{login}");
        self.wait_for_agents(&VANTAGES)
    }

    fn start_agent(&mut self, name: &'static str, token: Option<&str>) -> Result<()> {
        let directory = self.directory.path();
        let mut command = self.programs.agent();
        let collector = format!("{CONTROL}:{LINK_PORT}");
        command.args(["run", "--collector", &collector, "--name", name, "--config"]);
        command.arg(directory.join("agent.toml"));
        command
            .arg("--state-dir")
            .arg(directory.join(format!("state-{name}")));
        command.arg("--ca-file").arg(directory.join("root.pem"));
        command.args(["--label", &format!("site={}", name.trim_start_matches("edge-"))]);
        if name == "edge-par" {
            command.args([
                "--source-address",
                "172.20.1.11",
                "--source-address",
                "2001:db8:1::11",
            ]);
        }
        command.args(token.iter().flat_map(|token| ["--token", token]));
        command.env("HOME", directory);
        let process = Process::start(self.network.place(name)?, name, directory, &command)?;
        self.agents.insert(name, process);
        Ok(())
    }

    /// Waits until exactly these agents are connected.
    pub fn wait_for_agents(&self, names: &[&str]) -> Result<()> {
        wait::until("connection of the agents", TO_GET_READY, || {
            let answer = self.ask(&["agents", "-o", "json"])?;
            ensure!(answer.status == Some(0), "list the agents\n{answer}");
            let agents = answer.json();
            let connected: Vec<&str> = agents
                .as_array()
                .into_iter()
                .flatten()
                .filter(|agent| agent["connected"] == true)
                .filter_map(|agent| agent["name"].as_str())
                .collect();
            let all = names.iter().all(|name| connected.contains(name));
            Ok((all && connected.len() == names.len()).then_some(()))
        })
    }

    fn token(&self, role: &str, extra: &[&str]) -> Result<String> {
        let mut command = self.programs.collector();
        command
            .args(["token", "create", "--role", role, "--data-dir"])
            .arg(self.directory.path().join("collector"))
            .args(extra);
        let control = self.network.place("control")?;
        let answer = Running::start(control, self.directory.path(), &command, "")?.answer()?;
        ensure!(answer.status == Some(0), "create a token\n{answer}");
        Ok(answer.stdout.trim().to_owned())
    }
}

fn start_collector(programs: &Programs, network: &Network, directory: &Path) -> Result<Process> {
    let mut command = programs.collector();
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(directory.join("collector"));
    let listen = format!("[::]:{LINK_PORT}");
    command.args(["--listen", &listen, "--advertise", CONTROL]);
    Process::start(network.place("control")?, "collector", directory, &command)
}

/// What a resolver says; `near` is the server that it takes to be near.
fn zone(near: [&str; 2]) -> Result<Zone> {
    let mut zone = Zone::new("far.example")?.alias("imap", "mail")?;
    let hosts = [
        ("mail", MAIL),
        ("two", MAIL),
        ("two", MAIL_SECOND),
        ("pool", POOL),
        ("geo", near),
    ];
    for (host, addresses) in hosts {
        for address in parsed(addresses)? {
            zone = zone.address(host, address)?;
        }
    }
    zone.address("v4", parsed(MAIL)?[0])
}

fn parsed(addresses: [&str; 2]) -> Result<[IpAddr; 2]> {
    let [v4, v6] = addresses;
    Ok([v4.parse()?, v6.parse()?])
}

/// Dovecot's login processes run as another user and enter directories below.
fn open_to_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o755),
    )?)
}
