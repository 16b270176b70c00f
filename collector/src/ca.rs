//! `parallax-collector ca show|prepare|switch|retire`: another CA in the place of the present one, without losing anybody.

use std::path::Path;

use anyhow::bail;
use jiff::Timestamp;
use parallax_identity::{Authorities, Phase};
use parallax_model::identity::SpiffeId;

use crate::audit::Audit;
use crate::data_dir::DataDir;
use crate::peer::Peer;
use crate::store::Store;

/// Names that are said before it is said how many more there are.
const NAMES: usize = 10;

/// A step of a rollover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the next CA, and trust it.
    Prepare,
    /// Have it issue.
    Switch,
    /// Trust the old one no more, whoever still needs it if that is forced.
    Retire {
        /// Whoever still needs it.
        force: bool,
    },
}

/// What the CAs of a data directory are, and what comes next.
///
/// # Errors
/// When there is no collector's CA in it, or that can't be read.
pub async fn show(data_dir: &Path) -> anyhow::Result<String> {
    let (authorities, store) = open(data_dir).await?;
    let waiting = waiting(&authorities, store.as_ref()).await?;
    store.close().await?;
    Ok(described(&authorities, &waiting))
}

/// The certificates of the CAs to trust, PEM.
///
/// # Errors
/// When there is no collector's CA in it, or that can't be read.
pub async fn anchors(data_dir: &Path) -> anyhow::Result<String> {
    let (authorities, store) = open(data_dir).await?;
    store.close().await?;
    Ok(authorities.to_pem())
}

/// Takes a rollover one step further. A collector that runs takes it over within a second.
///
/// # Errors
/// When another step comes first, when somebody still needs the CA that is to be retired, or when files can't be used.
pub async fn step(data_dir: &Path, step: Step) -> anyhow::Result<String> {
    let (present, store) = open(data_dir).await?;
    let call = match step {
        Step::Prepare => "PrepareCa",
        Step::Switch => "SwitchCa",
        Step::Retire { force } => {
            let waiting = waiting(&present, store.as_ref()).await?;
            if !waiting.is_empty() && !force && present.phase() == Phase::Switched {
                bail!(
                    "{} by the old CA alone, and would be out: wait until they have renewed, or give --force",
                    known(&waiting)
                );
            }
            "RetireCa"
        }
    };
    let audit = Audit::new(store.clone());
    let entry = audit
        .begin(&Peer::default(), call, &hex::encode(present.fingerprint()))
        .await?;
    let taken = match step {
        Step::Prepare => Authorities::prepare(data_dir),
        Step::Switch => Authorities::switch(data_dir),
        Step::Retire { .. } => Authorities::retire(data_dir),
    };
    let next = match taken {
        Ok(next) => next,
        Err(error) => {
            entry.end("failed", &error.to_string()).await;
            return Err(error.into());
        }
    };
    entry.end("done", &hex::encode(next.fingerprint())).await;
    let waiting = waiting(&next, store.as_ref()).await?;
    store.close().await?;
    Ok(described(&next, &waiting))
}

async fn open(data_dir: &Path) -> anyhow::Result<(Authorities, std::sync::Arc<dyn Store>)> {
    parallax_identity::install_provider();
    let directory = DataDir::existing(data_dir)?;
    if let Some(domain) = directory.pki()? {
        bail!("this collector has no CA of its own: its identities are of the trust domain {domain}");
    }
    Ok((Authorities::load_or_create(data_dir)?, directory.store().await?))
}

/// Who has a valid certificate, but none of the CA that issues.
async fn waiting(authorities: &Authorities, store: &dyn Store) -> anyhow::Result<Vec<String>> {
    let without = store
        .not_renewed(authorities.fingerprint(), Timestamp::now())
        .await?;
    Ok(without.iter().map(|id| short(id)).collect())
}

fn described(authorities: &Authorities, waiting: &[String]) -> String {
    let mut text = String::new();
    for anchor in authorities.shown() {
        let what = if anchor.issues { "issues" } else { "trusted" };
        let until = Timestamp::try_from(anchor.not_after).unwrap_or_default();
        text.push_str(&format!(
            "{what:<7}  SHA256:{}  until {}\n",
            hex::encode(anchor.sha256),
            until.strftime("%Y-%m-%d")
        ));
    }
    let next = match authorities.phase() {
        Phase::Settled => "no rollover is under way\n".to_owned(),
        Phase::Prepared => {
            "next: once every agent that is up has heard of it (a minute or two), `ca switch`\n".to_owned()
        }
        Phase::Switched if waiting.is_empty() => "everybody has renewed; next: `ca retire`\n".to_owned(),
        Phase::Switched => format!(
            "{} by the old CA alone; next: once they have renewed, `ca retire`\n",
            known(waiting)
        ),
    };
    text + &next
}

fn known(waiting: &[String]) -> String {
    let shown = waiting.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    let more = match waiting.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let verb = if waiting.len() == 1 { "is" } else { "are" };
    format!("{shown}{more} {verb} known")
}

/// `agent/fra-1`.
fn short(spiffe_id: &str) -> String {
    spiffe_id
        .parse::<SpiffeId>()
        .map_or_else(|_| spiffe_id.to_owned(), |id| format!("{}/{}", id.role, id.name))
}
