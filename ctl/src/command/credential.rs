//! `ctl credential set|list|remove|retry`

use std::collections::HashMap;
use std::io;

use jiff::Timestamp;
use parallax_identity::seal::seal;
use parallax_model::credential::{SealContext, Secret};
use parallax_model::selector::Selector;
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use uuid::Uuid;

use crate::args::{CredentialArgs, CredentialCommand, ListFormat, OutputArgs, SetCredential};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::question::files;
use crate::render::credentials::Credential;
use crate::render::words;
use crate::{console, password, render};

pub(super) async fn run(args: CredentialArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    match args.command {
        None => list(&mut client, args.output).await,
        Some(CredentialCommand::List(output)) => list(&mut client, output).await,
        Some(CredentialCommand::Set(wish)) => set(&mut client, config, wish).await,
        Some(CredentialCommand::Remove { name }) => remove(&mut client, name).await,
        Some(CredentialCommand::Retry { name }) => retry(&mut client, name).await,
    }
}

async fn set(client: &mut Client, config: &Config, wish: SetCredential) -> Result<u8, Trouble> {
    let selector = Selector::parse_any(&wish.from)?;
    let mut request = anew(config, &wish)?;
    if wish.add {
        request = added_to(client, request).await?;
    }
    let chosen = |agent: &v1::Agent| {
        let labels: Labels = agent.labels.clone().into_iter().collect();
        !agent.sealing_key.is_empty() && selector.matches(&agent.name, &labels)
    };
    let mut agents = client.agents_for_secrets(chosen).await?;
    agents.retain(chosen);
    if agents.is_empty() {
        return Err(
            Trouble::new(format!("there is no agent {selector} to seal it to")).hint("see `ctl agents`"),
        );
    }
    let secret = password::read(io::stdin().lock())?;
    let request = v1::SetCredentialRequest {
        sealed: sealed(&request, &agents, &secret)?,
        ..request
    };
    call(client.credentials.set_credential(request)).await?;
    let mut names: Vec<_> = agents.iter().map(|agent| words::safe(&agent.name)).collect();
    names.sort_unstable();
    console::print(&format!(
        "{} is sealed to {}\n",
        words::safe(&wish.name),
        names.join(", ")
    ))?;
    Ok(0)
}

fn anew(config: &Config, wish: &SetCredential) -> Result<v1::SetCredentialRequest, Trouble> {
    let mut anchors = Vec::new();
    for file in config.ca_file.iter().chain(&wish.ca_file) {
        anchors.extend(files::anchors(file)?);
    }
    Ok(v1::SetCredentialRequest {
        name: wish.name.clone(),
        host: wish.target.to_string(),
        user: wish.user.clone(),
        mechanism: wish
            .mechanism
            .map(|mechanism| mechanism.to_string())
            .unwrap_or_default(),
        anchors_der: anchors,
        generation: Uuid::now_v7().to_string(),
        add: false,
        sealed: HashMap::new(),
    })
}

/// The credential that copies are added to. What they are bound to is what was typed, and never the collector's word:
/// it could name anchors of its own.
async fn added_to(
    client: &mut Client,
    typed: v1::SetCredentialRequest,
) -> Result<v1::SetCredentialRequest, Trouble> {
    let name = &typed.name;
    let known = credentials(client)
        .await?
        .into_iter()
        .find(|known| known.name == *name && known.agent.is_empty());
    let known = known.ok_or_else(|| {
        Trouble::new(format!("there is no credential {name}")).hint("leave --add out to make one")
    })?;
    let same = known.host == typed.host && known.user == typed.user && known.anchors_der == typed.anchors_der;
    if !same {
        return Err(Trouble::new(format!(
            "the collector's {name} is for {} at {}, with {} trust anchors of its own, and not for what you say",
            known.user,
            known.host,
            known.anchors_der.len()
        ))
        .hint("give the same --target, --user and --ca-file, or leave --add out to set it anew"));
    }
    Ok(v1::SetCredentialRequest {
        mechanism: known.mechanism,
        generation: known.generation,
        add: true,
        ..typed
    })
}

fn sealed(
    request: &v1::SetCredentialRequest,
    agents: &[v1::Agent],
    secret: &Secret,
) -> Result<HashMap<String, v1::SealedSecret>, Trouble> {
    let context = SealContext {
        host: &request.host,
        user: &request.user,
        anchors: &request.anchors_der,
    };
    let copies = agents.iter().map(|agent| {
        let sealed = seal(&agent.sealing_key, &context, secret)?;
        Ok((agent.name.clone(), (&sealed).into()))
    });
    copies.collect()
}

async fn list(client: &mut Client, output: OutputArgs) -> Result<u8, Trouble> {
    let all: Vec<Credential> = credentials(client)
        .await?
        .into_iter()
        .map(Credential::try_from)
        .collect::<Result<_, _>>()?;
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => render::credentials::table(&all, Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&all)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn remove(client: &mut Client, name: String) -> Result<u8, Trouble> {
    let request = v1::RemoveCredentialRequest { name: name.clone() };
    call(client.credentials.remove_credential(request)).await?;
    console::print(&format!("removed {}\n", words::safe(&name)))?;
    Ok(0)
}

async fn retry(client: &mut Client, name: String) -> Result<u8, Trouble> {
    let request = v1::CloseCircuitRequest {
        credential: name.clone(),
    };
    let closed = call(client.credentials.close_circuit(request)).await?.closed;
    let name = words::safe(&name);
    console::print(&if closed {
        format!(
            "{name} is tried once more, by one agent: in the next round of a check, or a probe that uses it\n"
        )
    } else {
        format!("{name} was not rejected, and is tried by every probe that uses it\n")
    })?;
    Ok(0)
}

async fn credentials(client: &mut Client) -> Result<Vec<v1::CredentialInfo>, Trouble> {
    let answer = call(client.credentials.list_credentials(v1::ListCredentialsRequest {})).await?;
    Ok(answer.credentials)
}
