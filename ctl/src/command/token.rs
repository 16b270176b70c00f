//! `ctl token create|list|revoke`

use jiff::Timestamp;
use parallax_model::identity::SpiffeId;
use parallax_proto::v1;

use crate::args::{ListFormat, OutputArgs, TokenCommand, TokenWish};
use crate::client::{Client, call};
use crate::config::Config;
use crate::exit::Trouble;
use crate::render::tokens::Token;
use crate::render::words;
use crate::{console, render};

pub(super) async fn run(command: TokenCommand, config: &Config) -> Result<u8, Trouble> {
    let mut client = Client::dial(config).await?;
    match command {
        TokenCommand::Create(wish) => create(&mut client, wish).await,
        TokenCommand::List(output) => list(&mut client, output).await,
        TokenCommand::Revoke { id, keep_joined } => revoke(&mut client, id, keep_joined).await,
    }
}

async fn create(client: &mut Client, wish: TokenWish) -> Result<u8, Trouble> {
    let request = v1::CreateTokenRequest {
        role: wish.role.to_string(),
        name: wish.name.map(String::from).unwrap_or_default(),
        ttl_s: u32::try_from(wish.ttl.as_secs()).unwrap_or(u32::MAX),
        uses: wish.uses,
        name_pattern: wish
            .name_pattern
            .map(|pattern| pattern.as_str().to_owned())
            .unwrap_or_default(),
        labels: wish.labels.into_iter().collect(),
        replace: wish.replace,
    };
    let answer = call(client.control.create_token(request)).await?;
    // The token alone, so that it can be piped; what it is called stands beside it.
    console::print(&format!("{}\n", answer.token.trim()))?;
    if !answer.id.is_empty() {
        let id = words::safe(&answer.id);
        console::complain(&format!("token {id}; `ctl token revoke {id}` takes it back\n"));
    }
    Ok(0)
}

async fn list(client: &mut Client, output: OutputArgs) -> Result<u8, Trouble> {
    let answer = call(client.access.list_tokens(v1::ListTokensRequest {})).await?;
    let tokens: Vec<Token> = answer
        .tokens
        .into_iter()
        .map(Token::try_from)
        .collect::<Result<_, _>>()?;
    let text = match output.output.unwrap_or_default() {
        ListFormat::Table => render::tokens::table(&tokens, Timestamp::now(), console::canvas()),
        ListFormat::Json => render::json(&tokens)?,
    };
    console::print(&text)?;
    Ok(0)
}

async fn revoke(client: &mut Client, id: String, keep_joined: bool) -> Result<u8, Trouble> {
    let request = v1::RevokeTokenRequest {
        id: id.clone(),
        keep_joined,
    };
    let answer = call(client.access.revoke_token(request)).await?;
    let out: Vec<String> = answer.removed.iter().map(|id| short(id)).collect();
    let others = match (out.len(), keep_joined) {
        (_, true) => "those who joined with it stay".to_owned(),
        (0, false) => "nobody had joined with it".to_owned(),
        (1, false) => format!("{}, which joined with it, is out", out[0]),
        (number, false) => format!(
            "{number} identities that joined with it are out ({})",
            out.join(", ")
        ),
    };
    console::print(&format!("revoked {}; {others}\n", words::safe(&id)))?;
    Ok(0)
}

/// `agent/fra-1`.
fn short(spiffe_id: &str) -> String {
    match spiffe_id.parse::<SpiffeId>() {
        Ok(id) => format!("{}/{}", id.role, id.name),
        Err(_) => words::safe(spiffe_id),
    }
}
