//! Credentials that are kept, as an operator sets them.

use anyhow::Result;

use crate::answer::Answer;
use crate::dovecot::USER;
use crate::site::TARGET;
use crate::world::World;

/// The name of the one that tests set.
pub const CREDENTIAL: &str = "probe";

impl World {
    /// Sets the usual user's secret at the usual target, and what `extra` says.
    pub fn set_credential(&self, secret: &str, extra: &[&str]) -> Result<Answer> {
        let usual = [
            "credential",
            "set",
            CREDENTIAL,
            "--target",
            TARGET,
            "--user",
            USER,
            "--password-stdin",
        ];
        self.start_ctl(&[&usual[..], extra].concat(), secret)?.answer()
    }
}
