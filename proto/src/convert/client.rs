use parallax_model::client::{ClientOutcome, ClientReport};

use super::error::WireError;
use super::read::parse_all;
use super::write::texts;
use crate::v1;

impl From<ClientReport> for v1::ClientReport {
    fn from(report: ClientReport) -> Self {
        Self {
            client: report.client,
            outcome: report.outcome.to_string(),
            because: report.because,
            affected: texts(report.affected),
        }
    }
}

impl TryFrom<v1::ClientReport> for ClientReport {
    type Error = WireError;

    fn try_from(wire: v1::ClientReport) -> Result<Self, WireError> {
        Ok(Self {
            client: wire.client,
            outcome: ClientOutcome::from_name(&wire.outcome),
            because: wire.because,
            affected: parse_all("affected", &wire.affected, "an agent's name")?,
        })
    }
}
