//! From what was typed to what is meant.

pub(crate) mod files;
mod login;
mod options;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use parallax_identity::seal::seal;
use parallax_model::credential::{SealContext, Secret};
use parallax_model::selector::Selector;
use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, ProbeSpec};
use parallax_model::target::Target;
use parallax_model::vantage::{AgentName, Labels};
use parallax_proto::v1;

use crate::args::ProbeArgs;
use crate::exit::Trouble;
use login::Login;

/// What is asked of whom.
#[derive(Debug)]
pub(crate) struct Question {
    /// What each vantage point is to do.
    pub(crate) spec: ProbeSpec,
    /// Which vantage points.
    pub(crate) selector: Selector,
    limit: u32,
    follow_up: bool,
    /// Whether only the choice of vantage points is wanted.
    pub(crate) dry_run: bool,
    secret: Option<Secret>,
    client_identity: Option<Secret>,
    credential: Option<String>,
    retry_login: bool,
}

impl Question {
    /// Reads the arguments, the files they name and the password; each fault is said before anything is asked.
    pub(crate) fn read(args: &ProbeArgs, anchors_in_config: &[PathBuf]) -> Result<Self, Trouble> {
        let target = Target::parse(&args.target, args.security)?;
        let family = args.family();
        check_addresses(&args.address, family)?;
        let depth = depth(args)?;
        let options = options::read(args, &target, depth)?;
        let selector = args.selector()?;
        let mut anchors = Vec::new();
        for file in anchors_in_config.iter().chain(&args.ca_file) {
            anchors.extend(files::anchors(file)?);
        }
        // Last: nothing waits for a password that will not be needed.
        let login = Login::read(args, &target, depth)?;
        Ok(Self {
            spec: ProbeSpec {
                options,
                target,
                depth,
                family,
                addresses: args.address.clone(),
                timeout: args.timeout.unwrap_or(DEFAULT_TIMEOUT),
                login: login.spec,
                anchors,
            },
            selector,
            limit: args.limit.unwrap_or_default(),
            follow_up: !args.no_follow_up,
            dry_run: args.dry_run,
            secret: login.secret,
            client_identity: login.client_identity,
            credential: args.credential.clone(),
            retry_login: args.retry_login,
        })
    }

    /// Whether agents must be listed before the question can be put: something is sealed to each.
    pub(crate) const fn has_secret(&self) -> bool {
        self.secret.is_some() || self.client_identity.is_some()
    }

    /// Whether the collector has the secret, sealed.
    pub(crate) const fn has_credential(&self) -> bool {
        self.credential.is_some()
    }

    /// What the operator should know before the question is put.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        (self.spec.depth == Depth::Sync && !self.dry_run).then_some(
            "warning: --depth sync writes into a mailbox of its own (parallax-probe-...) and removes it afterwards\n",
        )
    }

    /// The question on the wire; secrets are sealed to each of `agents` that is chosen, and go no other way.
    pub(crate) fn request(&self, agents: &[v1::Agent]) -> Result<v1::RunProbeRequest, Trouble> {
        if let Some(watcher) = &self.spec.options.sync_with {
            check_watcher(watcher, agents)?;
        }
        Ok(v1::RunProbeRequest {
            client_identities: self.sealed(self.client_identity.as_ref(), agents)?,
            spec: Some((&self.spec).into()),
            from: self.selector.to_texts(),
            limit: self.limit,
            follow_up: self.follow_up,
            secrets: self.sealed(self.secret.as_ref(), agents)?,
            dry_run: self.dry_run,
            credential: self.credential.clone().unwrap_or_default(),
            retry_login: self.retry_login,
        })
    }

    fn sealed(
        &self,
        secret: Option<&Secret>,
        agents: &[v1::Agent],
    ) -> Result<HashMap<String, v1::SealedSecret>, Trouble> {
        let Some(secret) = secret else {
            return Ok(HashMap::new());
        };
        let host = self.spec.target.host.to_string();
        let context = SealContext {
            host: &host,
            user: self.spec.login.as_ref().map_or("", |login| login.user.as_str()),
            anchors: &self.spec.anchors,
        };
        let chosen = agents.iter().filter(|agent| self.may_open(agent));
        chosen
            .map(|agent| {
                let sealed = seal(&agent.sealing_key, &context, secret)?;
                Ok((agent.name.clone(), (&sealed).into()))
            })
            .collect()
    }

    /// The agents that log in: those that are asked, and the one that watches what they write.
    pub(crate) fn may_open(&self, agent: &v1::Agent) -> bool {
        let labels: Labels = agent.labels.clone().into_iter().collect();
        let watches = self.spec.options.sync_with.as_ref();
        let takes_part = self.selector.matches(&agent.name, &labels)
            || watches.is_some_and(|watcher| watcher.as_str() == agent.name);
        takes_part && !agent.sealing_key.is_empty()
    }
}

fn check_addresses(addresses: &[IpAddr], family: FamilyChoice) -> Result<(), Trouble> {
    match addresses.iter().find(|address| !family.admits(**address)) {
        Some(address) => Err(Trouble::new(format!(
            "--address {address} is not of the family asked for with -4 or -6"
        ))),
        None => Ok(()),
    }
}

fn depth(args: &ProbeArgs) -> Result<Depth, Trouble> {
    let logs_in = args.logs_in();
    match args.depth {
        None if logs_in => Ok(Depth::Mailbox),
        None => Ok(Depth::Greeting),
        Some(depth) if logs_in && depth < Depth::Login => Err(Trouble::new(format!(
            "--depth {depth} ends before the login that is asked for"
        ))
        .hint("leave --user and --mechanism out, or use --depth login, mailbox or sync")),
        Some(depth) if !logs_in && depth >= Depth::Login => {
            Err(Trouble::new(format!("--depth {depth} needs a credential"))
                .hint("add --user USER --password-stdin, or --credential NAME"))
        }
        Some(depth) => Ok(depth),
    }
}

fn check_watcher(watcher: &AgentName, agents: &[v1::Agent]) -> Result<(), Trouble> {
    let Some(agent) = agents.iter().find(|agent| agent.name == watcher.as_str()) else {
        let mut names: Vec<_> = agents.iter().map(|agent| agent.name.as_str()).collect();
        names.sort_unstable();
        return Err(
            Trouble::new(format!("--sync-with {watcher}: there is no such agent"))
                .hint(format!("the collector knows {}", names.join(", "))),
        );
    };
    if agent.sealing_key.is_empty() {
        return Err(Trouble::new(format!(
            "--sync-with {watcher}: no secret is sealed to this agent, and it could not log in"
        ))
        .hint("choose another agent, see `ctl agents`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
