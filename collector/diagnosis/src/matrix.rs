//! Vantage point by address by endpoint by stage: what was seen, laid out once for every rule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parallax_model::certificate::CertificateFacts;
use parallax_model::evidence::{ConnectEvidence, Evidence, ResolveEvidence, TlsEvidence};
use parallax_model::experiment::ExperimentKind;
use parallax_model::fault::FaultKind;
use parallax_model::observation::{Attempt, Family, Observation};
use parallax_model::stage::{Outcome, Stage, StageName};
use parallax_model::target::Endpoint;

use crate::Question;
use crate::symptom::{self, Reach};
use crate::trouble::{self, Trouble, TroubleId};

/// A requested attempt: its vantage point, and its place among that vantage point's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CellId {
    pub(crate) vantage: usize,
    pub(crate) index: usize,
}

/// One attempt, read.
#[derive(Debug, Clone)]
pub(crate) struct Cell<'a> {
    pub(crate) attempt: &'a Attempt,
    /// How far the connection came.
    pub(crate) reach: Reach,
}

/// One vantage point that was asked.
#[derive(Debug)]
pub(crate) struct Vantage<'a> {
    pub(crate) seen: &'a Observation,
    /// The attempts that were asked for.
    pub(crate) cells: Vec<Cell<'a>>,
    /// The experiments made since.
    pub(crate) follow_ups: Vec<Cell<'a>>,
}

/// One address and endpoint, and the cells that went there.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) address: IpAddr,
    pub(crate) endpoint: Endpoint,
    pub(crate) cells: Vec<CellId>,
}

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) question: &'a Question,
    pub(crate) vantages: Vec<Vantage<'a>>,
    /// What is to be explained.
    pub(crate) troubles: Vec<Trouble<'a>>,
    /// What was seen when the target last worked, of those vantage points of which it is known.
    before: &'a [Observation],
    by_cell: BTreeMap<CellId, Vec<TroubleId>>,
}

impl<'a> Cell<'a> {
    fn new(attempt: &'a Attempt) -> Self {
        Self {
            attempt,
            reach: symptom::reach(attempt),
        }
    }

    /// The address and port tried.
    pub(crate) fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.attempt.address, self.attempt.endpoint.port)
    }

    pub(crate) fn family(&self) -> Family {
        Family::of(self.attempt.address)
    }

    /// Whether a stage worked.
    pub(crate) fn passed(&self, stage: StageName) -> bool {
        self.attempt
            .stage(stage)
            .is_some_and(|stage| matches!(stage.outcome, Outcome::Ok | Outcome::Degraded(_)))
    }

    /// Whether it was made to learn about the way and the host. A session that is held, that watches another or that
    /// tries something with TLS is no word on reachability.
    pub(crate) fn asks_of_the_path(&self) -> bool {
        self.attempt
            .experiment
            .is_none_or(ExperimentKind::answers_reachability)
    }

    /// The connect stage's facts.
    pub(crate) fn connect(&self) -> Option<&'a ConnectEvidence> {
        match self.attempt.stage(StageName::Connect)?.evidence.as_ref()? {
            Evidence::Connect(facts) => Some(facts),
            _ => None,
        }
    }

    /// Time of the connect stage.
    pub(crate) fn connect_time(&self) -> Option<Duration> {
        Some(self.attempt.stage(StageName::Connect)?.duration)
    }

    /// The stage with the handshake in it, and its facts.
    pub(crate) fn handshake(&self) -> Option<(&'a Stage, &'a TlsEvidence)> {
        self.attempt
            .stages
            .iter()
            .find_map(|stage| Some((stage, stage.evidence.as_ref()?.tls()?)))
    }

    /// The server's own certificate.
    pub(crate) fn leaf(&self) -> Option<&'a CertificateFacts> {
        self.handshake()?.1.chain.first()
    }

    /// Whether the handshake was completed with a certificate that the agent trusts.
    pub(crate) fn verified(&self) -> bool {
        self.handshake().is_some_and(|(stage, facts)| {
            facts.verified && matches!(stage.outcome, Outcome::Ok | Outcome::Degraded(_))
        })
    }
}

impl<'a> Vantage<'a> {
    fn new(seen: &'a Observation) -> Self {
        let (requested, follow_ups) = seen
            .attempts
            .iter()
            .partition::<Vec<_>, _>(|attempt| attempt.requested() && attempt.experiment.is_none());
        Self {
            seen,
            cells: requested.into_iter().map(Cell::new).collect(),
            follow_ups: follow_ups.into_iter().map(Cell::new).collect(),
        }
    }

    /// The agent's name.
    pub(crate) fn name(&self) -> &'a str {
        self.seen.agent.as_str()
    }

    /// Whether the agent answered at all.
    pub(crate) fn answered(&self) -> bool {
        self.seen.answered()
    }

    /// The resolve stage's facts.
    pub(crate) fn resolve(&self) -> Option<&'a ResolveEvidence> {
        match self.seen.resolve.as_ref()?.evidence.as_ref()? {
            Evidence::Resolve(facts) => Some(facts),
            _ => None,
        }
    }

    /// Whether the name could not be resolved.
    pub(crate) fn nameless(&self) -> bool {
        self.seen.resolve.as_ref().is_some_and(Stage::failed)
    }

    /// The experiments of one kind.
    pub(crate) fn experiments(&self, kind: ExperimentKind) -> impl Iterator<Item = &Cell<'a>> {
        self.follow_ups
            .iter()
            .filter(move |cell| cell.attempt.experiment == Some(kind))
    }
}

impl<'a> Matrix<'a> {
    /// Lays out what was seen, beside what was seen before.
    pub(crate) fn new(
        question: &'a Question,
        observations: &'a [Observation],
        before: &'a [Observation],
    ) -> Self {
        let vantages: Vec<_> = observations.iter().map(Vantage::new).collect();
        let troubles: Vec<Trouble> = vantages
            .iter()
            .enumerate()
            .flat_map(|(index, vantage)| trouble::collect(question, index, vantage))
            .collect();
        let mut by_cell: BTreeMap<CellId, Vec<TroubleId>> = BTreeMap::new();
        for (id, trouble) in troubles.iter().enumerate() {
            if let Some(cell) = trouble.cell {
                by_cell.entry(cell).or_default().push(id);
            }
        }
        Self {
            question,
            vantages,
            troubles,
            before,
            by_cell,
        }
    }

    /// What a vantage point saw when the target last worked there.
    pub(crate) fn before(&self, vantage: usize) -> Option<&'a Observation> {
        let agent = &self.vantages[vantage].seen.agent;
        self.before
            .iter()
            .find(|good| good.agent == *agent && good.answered())
    }

    /// The same attempt when it last worked.
    pub(crate) fn attempt_before(&self, id: CellId) -> Option<&'a Attempt> {
        let attempt = self.cell(id).attempt;
        self.before(id.vantage)?
            .requested()
            .find(|good| good.address == attempt.address && good.endpoint == attempt.endpoint)
    }

    pub(crate) fn vantage(&self, index: usize) -> &Vantage<'a> {
        &self.vantages[index]
    }

    pub(crate) fn cell(&self, id: CellId) -> &Cell<'a> {
        &self.vantages[id.vantage].cells[id.index]
    }

    pub(crate) fn name(&self, vantage: usize) -> &'a str {
        self.vantages[vantage].name()
    }

    /// The names of some vantage points.
    pub(crate) fn names<'v>(&self, vantages: impl IntoIterator<Item = &'v usize>) -> Vec<&'a str> {
        vantages.into_iter().map(|&vantage| self.name(vantage)).collect()
    }

    /// The troubles of cells that `sort` gives a class, by that class and by the certificate that was presented.
    pub(crate) fn by_leaf<K: Ord>(
        &self,
        sort: impl Fn(&Trouble) -> Option<K>,
    ) -> BTreeMap<(K, String), Vec<TroubleId>> {
        let mut groups: BTreeMap<(K, String), Vec<TroubleId>> = BTreeMap::new();
        for (id, trouble) in self.troubles.iter().enumerate() {
            if let (Some(class), Some(cell)) = (sort(trouble), trouble.cell) {
                let leaf = self.cell(cell).leaf().map(|leaf| leaf.sha256.clone());
                groups
                    .entry((class, leaf.unwrap_or_default()))
                    .or_default()
                    .push(id);
            }
        }
        groups
    }

    /// The vantage points that answered.
    pub(crate) fn answered(&self) -> impl Iterator<Item = usize> {
        (0..self.vantages.len()).filter(|&index| self.vantages[index].answered())
    }

    /// The requested attempts of the vantage points that answered.
    pub(crate) fn cells(&self) -> impl Iterator<Item = CellId> {
        self.answered().flat_map(|vantage| self.cells_of(vantage))
    }

    /// The requested attempts of one vantage point.
    pub(crate) fn cells_of(&self, vantage: usize) -> impl Iterator<Item = CellId> + use<> {
        (0..self.vantages[vantage].cells.len()).map(move |index| CellId { vantage, index })
    }

    /// The requested attempts, by address and endpoint.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let mut columns: BTreeMap<(IpAddr, Endpoint), Vec<CellId>> = BTreeMap::new();
        for id in self.cells() {
            let attempt = self.cell(id).attempt;
            columns
                .entry((attempt.address, attempt.endpoint))
                .or_default()
                .push(id);
        }
        columns
            .into_iter()
            .map(|((address, endpoint), cells)| Column {
                address,
                endpoint,
                cells,
            })
            .collect()
    }

    /// The cells that went where this one went, of the other vantage points.
    pub(crate) fn beside(&self, id: CellId) -> impl Iterator<Item = CellId> {
        let attempt = self.cell(id).attempt;
        self.cells().filter(move |&other| {
            let there = self.cell(other).attempt;
            other.vantage != id.vantage
                && there.address == attempt.address
                && there.endpoint == attempt.endpoint
        })
    }

    /// The same attempt, made once more.
    pub(crate) fn repeat_of(&self, id: CellId) -> Option<&Cell<'a>> {
        let attempt = self.cell(id).attempt;
        self.vantages[id.vantage]
            .experiments(ExperimentKind::Repeat)
            .find(|cell| cell.attempt.address == attempt.address && cell.attempt.endpoint == attempt.endpoint)
    }

    /// The experiments of one kind that went to one endpoint, with their vantage points.
    pub(crate) fn experiments_at(
        &self,
        kind: ExperimentKind,
        address: IpAddr,
        endpoint: Endpoint,
    ) -> impl Iterator<Item = (usize, &Cell<'a>)> {
        self.answered().flat_map(move |vantage| {
            self.vantages[vantage]
                .experiments(kind)
                .filter(move |cell| cell.attempt.address == address && cell.attempt.endpoint == endpoint)
                .map(move |cell| (vantage, cell))
        })
    }

    /// The troubles that fit.
    pub(crate) fn troubles_where(&self, fits: impl Fn(&Trouble<'a>) -> bool) -> Vec<TroubleId> {
        (0..self.troubles.len())
            .filter(|&id| fits(&self.troubles[id]))
            .collect()
    }

    /// The troubles of one cell.
    pub(crate) fn troubles_of(&self, cell: CellId) -> &[TroubleId] {
        self.by_cell.get(&cell).map_or(&[], Vec::as_slice)
    }

    /// Whether the same vantage point got a connection elsewhere.
    pub(crate) fn connects_otherwise(&self, cell: CellId) -> bool {
        self.cells_of(cell.vantage)
            .any(|other| other != cell && self.cell(other).reach == Reach::Connected)
    }

    /// The troubles of several cells.
    pub(crate) fn troubles_of_all(&self, cells: &[CellId]) -> Vec<TroubleId> {
        let troubles = cells.iter().flat_map(|&cell| self.troubles_of(cell));
        troubles.copied().collect()
    }

    /// What the troubles of one cell are faults of.
    pub(crate) fn kinds_of(&self, cell: CellId) -> impl Iterator<Item = FaultKind> {
        self.troubles_of(cell)
            .iter()
            .filter_map(|&id| self.troubles[id].kind())
    }

    /// Whether the right service answers where this attempt went, as far as it is known before a login.
    pub(crate) fn served(&self, cell: CellId) -> bool {
        let stages = &self.cell(cell).attempt.stages;
        let stopped = |stage: &Stage| {
            stage.failed() && stage.name < StageName::Authenticate && trouble::blocks_clients(stage.name)
        };
        !stages.is_empty() && !stages.iter().any(stopped)
    }

    /// Whether a mail client could work where this attempt went.
    pub(crate) fn usable(&self, cell: CellId) -> bool {
        !self
            .troubles_of(cell)
            .iter()
            .any(|&id| self.troubles[id].blocks())
    }

    /// The vantage points that have these troubles.
    pub(crate) fn vantages_of(&self, troubles: &[TroubleId]) -> Vec<usize> {
        let set: BTreeSet<_> = troubles.iter().map(|&id| self.troubles[id].vantage).collect();
        set.into_iter().collect()
    }

    /// The vantage points that were given an address for the name by DNS.
    pub(crate) fn given(&self, address: IpAddr) -> Vec<usize> {
        self.answered()
            .filter(|&vantage| {
                self.vantages[vantage]
                    .resolve()
                    .is_some_and(|facts| facts.source == "dns" && facts.addresses.contains(&address))
            })
            .collect()
    }

    /// Whether only one vantage point has anything to say, so that nothing can be compared.
    pub(crate) fn single(&self) -> bool {
        self.answered().count() < 2
    }

    /// The target as it is named in a sentence.
    pub(crate) fn host(&self) -> String {
        self.question.target.host.to_string()
    }
}
