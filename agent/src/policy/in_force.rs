//! The policy that holds now.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use tokio::signal::unix::Signal;

use crate::config::StatedPolicy;
use crate::policy::meter::Meter;
use crate::policy::{Forbidden, Policy};

/// The policy that holds now. Another one holds from the next question on, for orders that are under way too.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    policy: Arc<RwLock<Arc<Policy>>>,
    /// What was let through of late.
    meter: Arc<Mutex<Meter>>,
}

impl From<Policy> for InForce {
    fn from(policy: Policy) -> Self {
        Self {
            meter: Arc::new(Mutex::new(Meter::of(&policy))),
            policy: Arc::new(RwLock::new(Arc::new(policy))),
        }
    }
}

impl InForce {
    /// As it is now.
    pub(crate) fn now(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets one order for these targets through, or says when there will be room again.
    pub(crate) fn count(
        &self,
        targets: impl IntoIterator<Item = String>,
        now: Instant,
    ) -> Result<(), Forbidden> {
        let policy = self.now();
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.take(&policy, targets, now)
    }

    /// Another one from now on.
    pub(crate) fn replace(&self, policy: Policy) {
        let before = self.now();
        if (before.rate, before.rate_per_target) != (policy.rate, policy.rate_per_target) {
            *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Meter::of(&policy);
        }
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// Reads it again whenever somebody asks for that by SIGHUP. One that makes no sense changes nothing.
    pub(crate) async fn follow(self, stated: StatedPolicy, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            self.read_again(&stated);
        }
        std::future::pending().await
    }

    fn read_again(&self, stated: &StatedPolicy) {
        let Some(file) = stated.place.file() else {
            tracing::warn!("the policy is the default: there is no file to read it from again");
            return;
        };
        let file = file.display();
        match stated.read_again() {
            Ok(policy) if policy == *self.now() => tracing::info!("the policy of {file} is as it was"),
            Ok(policy) => {
                tracing::info!("the policy of {file} holds from now on: {policy}");
                self.replace(policy);
            }
            Err(error) => tracing::error!("the policy stays as it was: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;

    #[test]
    fn a_bad_file_keeps_the_policy_that_holds_and_a_good_one_replaces_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.toml");
        let stated = StatedPolicy {
            policy: Policy::default(),
            place: Place::File(path.clone()),
        };
        let in_force = InForce::from(Policy::default());
        for bad in ["allow = [\"*\"]\n", "alow = []\n", "[policy]\nallow = []\n"] {
            std::fs::write(&path, bad).unwrap();
            in_force.read_again(&stated);
            assert_eq!(*in_force.now(), Policy::default(), "{bad}");
        }
        std::fs::remove_file(&path).unwrap();
        in_force.read_again(&stated);
        assert_eq!(*in_force.now(), Policy::default());
        std::fs::write(&path, "allow = [\"192.0.2.0/24:993\"]\n").unwrap();
        in_force.read_again(&stated);
        assert_eq!(in_force.now().allow.len(), 1);
        assert_ne!(*in_force.now(), Policy::default());
    }
}
