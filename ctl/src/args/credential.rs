//! What was typed behind `ctl credential`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use parallax_model::credential::Mechanism;
use parallax_model::target::Host;

use super::names::mechanisms;
use super::{OutputArgs, read};

/// `ctl credential`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CredentialArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CredentialCommand>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is to be done with credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    Set(SetCredential),
    /// Every credential, and which agents can use it
    List(OutputArgs),
    /// Forget a credential
    Remove {
        /// Its name
        name: String,
    },
    /// Have a credential that a server rejected tried once more
    Retry {
        /// Its name
        name: String,
    },
}

/// Seal a password or token to agents, for one host and user, and keep it under a name
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl credential set probe --target imap.example.org --user probe --password-stdin < secret
  ctl credential set probe --target imap.example.org --user probe --add --from nyc-2 --password-stdin < secret
  ctl probe imap.example.org --credential probe

The collector keeps what only the agents can open. An agent that joins later, or anew, can't use it until it is added.")]
pub(crate) struct SetCredential {
    /// What it is called
    pub(crate) name: String,
    /// The only host it is for
    #[arg(long, value_name = "HOST", env = "PARALLAX_CREDENTIAL_TARGET", value_parser = host)]
    pub(crate) target: Host,
    /// Whose it is
    #[arg(long, value_name = "USER", env = "PARALLAX_CREDENTIAL_USER")]
    pub(crate) user: String,
    /// The agents that may use it: all, a name, a glob, labels; repeat for OR [default: all]
    #[arg(long, value_name = "SELECTOR", env = "PARALLAX_FROM")]
    pub(crate) from: Vec<String>,
    /// How to log in [default: the best that is offered]
    #[arg(long, value_name = "MECHANISM", env = "PARALLAX_MECHANISM", conflicts_with = "add", ignore_case = true, value_parser = mechanisms())]
    pub(crate) mechanism: Option<Mechanism>,
    /// PEM file with more trust anchors for the host's certificate; may be repeated
    #[arg(long, value_name = "FILE", env = "PARALLAX_CA_FILE")]
    pub(crate) ca_file: Vec<PathBuf>,
    /// Add agents to a credential; the secret must be the same
    #[arg(long, env = "PARALLAX_CREDENTIAL_ADD", value_parser = BoolishValueParser::new())]
    pub(crate) add: bool,
    /// Read the secret from the first line of standard input
    #[arg(long, required = true, env = "PARALLAX_PASSWORD_STDIN", value_parser = BoolishValueParser::new())]
    pub(crate) password_stdin: bool,
}

fn host(text: &str) -> Result<Host, String> {
    let target = read::target(text)?;
    let more = text.contains("://") || text.contains("]:") || text.matches(':').count() == 1;
    if more {
        return Err(format!(
            "give the host alone, {}: a credential is for every port of it",
            target.host
        ));
    }
    Ok(target.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_for_a_host_and_no_port() {
        for good in [
            "imap.example.org",
            "IMAP.example.org",
            "192.0.2.1",
            "2001:db8::1",
            "[2001:db8::1]",
        ] {
            assert!(host(good).is_ok(), "{good}: {:?}", host(good));
        }
        for bad in [
            "imap.example.org:1993",
            "imaps://imap.example.org",
            "[2001:db8::1]:993",
        ] {
            assert!(host(bad).unwrap_err().contains("host alone"), "{bad}");
        }
    }
}
