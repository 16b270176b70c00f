//! `ctl agents [list|show|remove|set-label|trust]`

use std::collections::HashMap;

use jiff::Timestamp;
use parallax_identity::seal::fingerprint;
use parallax_model::run::AgentSummary;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;

use crate::args::{AgentsArgs, AgentsCommand, LabelChange, ListFormat, OutputArgs};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::{console, render};

pub(super) async fn run(args: AgentsArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    match args.command {
        None => list(&mut client, args.output).await,
        Some(AgentsCommand::List(output)) => list(&mut client, output).await,
        Some(AgentsCommand::Show { name, output }) => show(&mut client, &name, output).await,
        Some(AgentsCommand::Remove { name }) => remove(&mut client, &name).await,
        Some(AgentsCommand::Trust { name, key }) => trust(&mut client, &name, &key).await,
        Some(AgentsCommand::SetLabel { name, labels }) => set_labels(&mut client, &name, labels).await,
    }
}

async fn list(client: &mut Client, output: OutputArgs) -> Result<u8, Trouble> {
    let agents = known(client).await?;
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => render::agents::table(&agents, Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&agents)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn show(client: &mut Client, name: &AgentName, output: OutputArgs) -> Result<u8, Trouble> {
    let agent = named(client, name).await?;
    let key = standing(client, &agent)?;
    let agent: AgentSummary = agent.try_into()?;
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => render::agents::details(&agent, key, Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&agent)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn remove(client: &mut Client, name: &AgentName) -> Result<u8, Trouble> {
    let request = v1::RemoveAgentRequest {
        name: name.to_string(),
    };
    let answer = call(client.control.remove_agent(request)).await?;
    let link = if answer.connections_cut > 0 {
        ", and its link is cut"
    } else {
        ""
    };
    console::print(&format!(
        "removed {name}: its certificate is no longer accepted{link}\n"
    ))?;
    Ok(0)
}

async fn set_labels(client: &mut Client, name: &AgentName, changes: Vec<LabelChange>) -> Result<u8, Trouble> {
    let (mut labels, mut unset) = (HashMap::new(), Vec::new());
    for change in changes {
        match change {
            LabelChange::Set(key, value) => drop(labels.insert(key, value)),
            LabelChange::Unset(key) => unset.push(key),
        }
    }
    let request = v1::SetAgentLabelsRequest {
        name: name.to_string(),
        labels,
        unset,
    };
    let answer = call(client.access.set_agent_labels(request)).await?;
    let labels = answer.labels.into_iter().collect();
    console::print(&format!(
        "{name} has the labels {}\n",
        render::words::labels(&labels)
    ))?;
    Ok(0)
}

async fn trust(client: &mut Client, name: &AgentName, key: &str) -> Result<u8, Trouble> {
    let agent = self::named(client, name).await?;
    let named = fingerprint(&agent.sealing_key);
    if named != key {
        return Err(Trouble::new(format!(
            "the collector names another key of {name} than you do: {named}"
        ))
        .hint("if your key is what `parallax-agent doctor` says on its host, do not trust this collector"));
    }
    client.known_agents()?.trust(name.as_str(), key)?;
    console::print(&format!("secrets for {name} are sealed to {key} from now on\n"))?;
    Ok(0)
}

async fn named(client: &mut Client, name: &AgentName) -> Result<v1::Agent, Trouble> {
    let agents = client.agents().await?;
    let agent = agents.into_iter().find(|agent| agent.name == name.as_str());
    agent.ok_or_else(|| Trouble::new(format!("there is no agent {name}")).hint("see `ctl agents`"))
}

/// The key that secrets for an agent are sealed to, as `parallax-agent fingerprint` says it, and what is known of it.
fn standing(client: &Client, agent: &v1::Agent) -> Result<Option<String>, Trouble> {
    if agent.sealing_key.is_empty() {
        return Ok(None);
    }
    let key = fingerprint(&agent.sealing_key);
    let known = match client.known_agents()?.knows(&agent.name, &key) {
        Some(true) => "secrets are sealed to it",
        Some(false) => "it was another before: no secret is sealed to it",
        None => "not known here yet",
    };
    let proof = match client.proves(agent) {
        Ok(()) => "its certificate proves it".to_owned(),
        Err(why) => why.to_string(),
    };
    Ok(Some(format!("{key}, {proof}, {known}")))
}

async fn known(client: &mut Client) -> Result<Vec<AgentSummary>, Trouble> {
    let agents = client.agents().await?;
    let mut agents: Vec<AgentSummary> = agents
        .into_iter()
        .map(TryInto::try_into)
        .collect::<Result<_, _>>()?;
    agents.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(agents)
}
