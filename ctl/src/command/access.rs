//! `ctl access [list|remove]`

use jiff::Timestamp;
use parallax_model::identity::SpiffeId;
use parallax_proto::v1;

use crate::args::{AccessArgs, AccessCommand, ListFormat, OutputArgs};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::render::identities::Identity;
use crate::render::words;
use crate::{console, render};

pub(super) async fn run(args: AccessArgs, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    match args.command {
        None => list(&mut client, args.output).await,
        Some(AccessCommand::List(output)) => list(&mut client, output).await,
        Some(AccessCommand::Remove { identity }) => remove(&mut client, &identity).await,
        Some(AccessCommand::Restore { identity }) => restore(&mut client, &identity).await,
    }
}

async fn list(client: &mut Client, output: OutputArgs) -> Result<u8, Trouble> {
    let answer = call(client.access.list_identities(v1::ListIdentitiesRequest {})).await?;
    let identities: Vec<Identity> = answer
        .identities
        .into_iter()
        .map(Identity::try_from)
        .collect::<Result<_, _>>()?;
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => render::identities::table(&identities, Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&identities)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn restore(client: &mut Client, identity: &SpiffeId) -> Result<u8, Trouble> {
    let request = v1::RestoreIdentityRequest {
        spiffe_id: identity.to_string(),
    };
    call(client.access.restore_identity(request)).await?;
    console::print(&format!(
        "restored {}/{}: a certificate that was not seen before lets it in\n",
        identity.role, identity.name
    ))?;
    Ok(0)
}

async fn remove(client: &mut Client, identity: &SpiffeId) -> Result<u8, Trouble> {
    let request = v1::RemoveIdentityRequest {
        spiffe_id: identity.to_string(),
    };
    let answer = call(client.access.remove_identity(request)).await?;
    console::print(&format!(
        "removed {}/{}: its certificates are no longer accepted, {} cut\n",
        identity.role,
        identity.name,
        words::count(
            usize::try_from(answer.connections_cut).unwrap_or(usize::MAX),
            "connection"
        )
    ))?;
    Ok(0)
}
