//! `ctl token create`

use parallax_proto::v1;

use crate::args::TokenCommand;
use crate::client::{Client, call};
use crate::config::Config;
use crate::console;
use crate::exit::Trouble;

pub(super) async fn run(command: TokenCommand, config: &Config) -> Result<u8, Trouble> {
    let TokenCommand::Create {
        role,
        name,
        ttl,
        uses,
    } = command;
    let request = v1::CreateTokenRequest {
        role: role.to_string(),
        name: name.map(String::from).unwrap_or_default(),
        ttl_s: u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX),
        uses,
        ..v1::CreateTokenRequest::default()
    };
    let mut client = Client::dial(config).await?;
    let answer = call(client.control.create_token(request)).await?;
    // The token alone, so that it can be piped.
    console::print(&format!("{}\n", answer.token.trim()))?;
    Ok(0)
}
