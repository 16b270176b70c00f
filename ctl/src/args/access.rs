//! `ctl access`, `ctl audit`, and labels.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use parallax_model::identity::{Role, SpiffeId};
use parallax_model::vantage::{AgentName, parse_label};
use uuid::Uuid;

use super::{OutputArgs, read};

/// `ctl access`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AccessArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AccessCommand>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is to be done with identities.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Persons and agents that were let in
    List(OutputArgs),
    /// Let somebody in again whom you took out, with a new certificate, where the collector has a PKI of your own
    Restore {
        /// ROLE/NAME
        #[arg(value_name = "ROLE/NAME", value_parser = identity)]
        identity: SpiffeId,
    },
    /// Take a person or an agent out: certificates are no longer accepted, connections are cut
    #[command(after_help = "Example:
  ctl access remove operator/ada")]
    Remove {
        /// ROLE/NAME
        #[arg(value_name = "ROLE/NAME", value_parser = identity)]
        identity: SpiffeId,
    },
}

/// What was done, by whom, from where, with what result
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ctl audit --actor ada --since 24h
  ctl audit --call RunProbe
  ctl audit --verify          whether the log is what was written, from its first entry to its last")]
pub(crate) struct AuditArgs {
    /// At most so many entries, the latest
    #[arg(long, value_name = "N", env = "PARALLAX_AUDIT_LIMIT", default_value_t = 50, value_parser = read::count_to(1000))]
    pub(crate) limit: u32,
    /// Only what this name did
    #[arg(long, value_name = "NAME", env = "PARALLAX_AUDIT_ACTOR")]
    pub(crate) actor: Option<AgentName>,
    /// Only this call, such as RunProbe
    #[arg(long, value_name = "CALL", env = "PARALLAX_AUDIT_CALL")]
    pub(crate) call: Option<String>,
    /// Only what happened in the last so much time, such as 1h
    #[arg(long, value_name = "TIME", env = "PARALLAX_AUDIT_SINCE", value_parser = read::ttl)]
    pub(crate) since: Option<Duration>,
    /// Only what belongs to this run
    #[arg(long, value_name = "ID", env = "PARALLAX_AUDIT_RUN")]
    pub(crate) run: Option<Uuid>,
    /// Read the whole log and say whether it is what was written
    #[arg(long, env = "PARALLAX_AUDIT_VERIFY", conflicts_with_all = ["actor", "call", "since", "run"], value_parser = BoolishValueParser::new())]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is to become of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LabelChange {
    /// It has this value.
    Set(String, String),
    /// It is the agent's own to say.
    Unset(String),
}

/// `region=eu` or `region-`.
pub(super) fn label_change(text: &str) -> Result<LabelChange, String> {
    if let Some(key) = text.strip_suffix('-').filter(|key| !key.contains('=')) {
        let key: AgentName = key.parse().map_err(|_| "write KEY=VALUE or KEY-".to_owned())?;
        return Ok(LabelChange::Unset(key.into()));
    }
    label(text).map(|(key, value)| LabelChange::Set(key, value))
}

/// `region=eu`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    parse_label(text).map_err(|error| error.to_string())
}

fn identity(text: &str) -> Result<SpiffeId, String> {
    let wrong = || "write ROLE/NAME, such as operator/ada".to_owned();
    let (role, name) = text.split_once('/').ok_or_else(wrong)?;
    Ok(SpiffeId::built_in(
        Role::known(role).ok_or_else(wrong)?,
        name.parse().map_err(|_| wrong())?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_given_with_a_value_and_taken_back_with_a_hyphen() {
        let set = LabelChange::Set("tier".into(), "a-".into());
        assert_eq!(label_change("tier=a-"), Ok(set));
        assert_eq!(label_change("tier-"), Ok(LabelChange::Unset("tier".into())));
        for bad in ["tier", "-", "=x", "ti er-"] {
            assert!(label_change(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identity_is_a_role_and_a_name() {
        assert_eq!(
            identity("operator/ada").unwrap().to_string(),
            "spiffe://parallax.internal/operator/ada"
        );
        for bad in ["ada", "root/ada", "operator/"] {
            assert!(identity(bad).is_err(), "{bad}");
        }
    }
}
