//! What others do to the data directory beside a running collector: `token revoke` on its host takes people out, and
//! their connections are to end as if `ctl` had asked; `ca` takes a rollover one step further.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parallax_identity::Authorities;
use parallax_model::identity::{Role, SpiffeId};
use tonic::Status;
use tracing::{info, warn};

use crate::service::Shared;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// How far back each look goes: a removal has the time at which it began, not that at which it was written.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);

/// Cuts off whoever was taken out, and takes steps of a rollover over, for as long as the process lives.
pub(crate) async fn watch(shared: Shared, data_dir: PathBuf) {
    let mut since = Timestamp::now();
    let mut rollover = Authorities::stamp(&data_dir);
    let mut handled = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let stamp = Authorities::stamp(&data_dir);
        if stamp != rollover && take_over(&shared, &data_dir) {
            rollover = stamp;
        }
        let now = Timestamp::now();
        let removed = match shared.store.removed_since(since).await {
            Ok(removed) => removed,
            Err(problem) => {
                warn!("who was taken out is not known: {problem}");
                continue;
            }
        };
        for (spiffe_id, _) in removed.iter().filter(|removed| !handled.contains(*removed)) {
            if let Ok(id) = spiffe_id.parse()
                && let Err(problem) = cut_off(&shared, &id).await
            {
                warn!(identity = %id, "not cut off: {}", problem.message());
            }
        }
        handled = removed.into_iter().collect();
        since = now - OVERLAP;
    }
}

fn take_over(shared: &Shared, data_dir: &Path) -> bool {
    match Authorities::load_or_create(data_dir) {
        Ok(next) => {
            info!(phase = ?next.phase(), issuing = %hex::encode(next.fingerprint()), "the rollover of the CA goes on");
            shared.admission.take_over(next);
            true
        }
        Err(problem) => {
            warn!("the CA is as it was: {problem}");
            false
        }
    }
}

/// Whom this process took out itself is gone already.
async fn cut_off(shared: &Shared, id: &SpiffeId) -> Result<(), Status> {
    let is_listed = id.role == Role::Agent && {
        let agents = shared.hub.agents().await?;
        agents.iter().any(|agent| agent.summary.name == id.name)
    };
    if is_listed || shared.connections.any_of(id) {
        let connections_cut = shared.cut_off(id).await?;
        info!(identity = %id, connections_cut, "removed on this host");
    }
    Ok(())
}
