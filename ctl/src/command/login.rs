//! `ctl login`

use parallax_identity::{JoinError, LocalKey, join};
use parallax_model::token::JoinToken;
use parallax_model::vantage::AgentName;

use crate::args::LoginArgs;
use crate::config::Config;
use crate::console;
use crate::exit::Trouble;
use crate::render::words;

const NEW_TOKEN: &str =
    "make a new one on the collector's host: parallax-collector token create --role operator";

pub(super) async fn run(args: &LoginArgs, config: &Config) -> Result<u8, Trouble> {
    let token: JoinToken = args
        .token
        .trim()
        .parse()
        .map_err(|error: parallax_model::token::TokenError| Trouble::from(error).hint(NEW_TOKEN))?;
    let name = args.name.clone().unwrap_or_else(usual_name);
    let key = LocalKey::generate()?;
    let identity = join(&args.collector, &token, &name, &key).await.map_err(not_in)?;
    identity.save(&config.home)?;
    config.keep_collector(&args.collector)?;
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

fn not_in(error: JoinError) -> Trouble {
    let hint = match error {
        JoinError::Dial(_) => {
            "is the collector running, its port open from here, and the token one of its own?"
        }
        JoinError::Refused(_) => NEW_TOKEN,
        JoinError::Unavailable(_) => "try again",
        JoinError::NotRenewed(_) | JoinError::Answer(_) | JoinError::Identity(_) => "see the collector's log",
    };
    Trouble::from(error).hint(hint)
}
