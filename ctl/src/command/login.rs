//! `ctl login`

use std::path::PathBuf;

use parallax_identity::{Identity, JoinError, Joiner, LocalKey, OwnFiles, join};
use parallax_model::token::JoinToken;
use parallax_model::vantage::AgentName;

use crate::args::LoginArgs;
use crate::client::Client;
use crate::config::Config;
use crate::console;
use crate::exit::Trouble;
use crate::render::words;
use crate::set_aside::set_aside;

const NEW_TOKEN: &str =
    "make a new one on the collector's host: parallax-collector token create --role operator";

pub(super) async fn run(args: &LoginArgs, config: &Config) -> Result<u8, Trouble> {
    let Some(token) = token(args)? else {
        return with_own(args, config).await;
    };
    let token: JoinToken = token
        .trim()
        .parse()
        .map_err(|error: parallax_model::token::TokenError| Trouble::from(error).hint(NEW_TOKEN))?;
    let name = args.name.clone().unwrap_or_else(usual_name);
    let key = LocalKey::generate()?;
    let identity = join(&args.collector, &token, Joiner::person(&name), &key)
        .await
        .map_err(|error| not_in(error, &name))?;
    if let Some(note) = set_aside(config, &identity)? {
        console::complain(&note);
    }
    identity.save(&config.home)?;
    config.keep_collector(&args.collector, None)?;
    told(args, &identity)
}

fn token(args: &LoginArgs) -> Result<Option<String>, Trouble> {
    let Some(path) = &args.token_file else {
        return Ok(args.token.clone());
    };
    let read = std::fs::read_to_string(path);
    let token = read.map_err(|error| Trouble::new(format!("read {}: {error}", path.display())))?;
    Ok(Some(token))
}

/// With a certificate that others made, which stays where it is. Whether it is good shows in the first call.
async fn with_own(args: &LoginArgs, config: &Config) -> Result<u8, Trouble> {
    let absolute = |path: &PathBuf| std::path::absolute(path);
    let path = |path: &Option<PathBuf>| absolute(&path.clone().unwrap_or_default());
    let own = OwnFiles {
        certificate: path(&args.certificate)?,
        key: path(&args.key)?,
        ca: args.ca.iter().map(absolute).collect::<Result<_, _>>()?,
    };
    let identity = own.identity()?;
    let trial = Config {
        collector: Some(args.collector.clone()),
        own: Some(own.clone()),
        ..config.clone()
    };
    Client::dial(&trial).await?.status().await?;
    config.keep_collector(&args.collector, Some(&own))?;
    told(args, &identity)
}

fn told(args: &LoginArgs, identity: &Identity) -> Result<u8, Trouble> {
    let spiffe = identity.spiffe();
    let until = jiff::Timestamp::try_from(identity.not_after())?;
    console::print(&format!(
        "logged in to {} as {} ({}), until {}\n",
        args.collector,
        spiffe.name,
        spiffe.role,
        words::moment(until)
    ))?;
    Ok(0)
}

fn usual_name() -> AgentName {
    let user = std::env::var("USER").ok().and_then(|user| user.parse().ok());
    user.unwrap_or_else(|| "operator".parse().expect("is a name"))
}

fn not_in(error: JoinError, name: &AgentName) -> Trouble {
    let hint = match error {
        JoinError::Dial(_) => {
            "is the collector running, its port open from here, and the token one of its own?".to_owned()
        }
        JoinError::Refused(_) | JoinError::OtherKind { .. } => NEW_TOKEN.to_owned(),
        JoinError::OtherName(_) => {
            format!("you asked as {name}: add --name with the name that the token is for, or {NEW_TOKEN}")
        }
        JoinError::Unavailable(_) => "try again".to_owned(),
        JoinError::NotRenewed(_) | JoinError::Answer(_) | JoinError::Identity(_) => {
            "see the collector's log".to_owned()
        }
    };
    Trouble::from(error).hint(hint)
}
