//! Probes that agents repeat.

mod diff;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use parallax_model::check::{CheckDefinition, CheckName};
use parallax_model::history::HistoryStep;
use parallax_model::selector::Selector;
use parallax_model::vantage::AgentName;
use parallax_proto::v1;
use parallax_proto::v1::checks_server::Checks;
use prost::Message as _;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};
use tracing::info;

use super::control::question;
use super::{Shared, peer};
use crate::agents::Choice;
use crate::checks::{CHECK_AT_MOST, CHECKS_AT_MOST as ALL_AT_MOST, CheckAgent};
use crate::peer::Peer;
use crate::store::{CheckRecord, CheckWrite, HistoryAsked, ResultStore};
use diff::{Plan, plan};

/// Checks that there may be.
const CHECKS_AT_MOST: usize = 1000;

/// How far a history goes back when nothing else is asked.
const A_DAY: Duration = Duration::from_secs(86_400);

/// The service.
pub(crate) struct ChecksService {
    shared: Shared,
    /// What is planned against what there is must still be there when it is written.
    writing: Mutex<()>,
}

impl ChecksService {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared,
            writing: Mutex::new(()),
        }
    }
}

#[tonic::async_trait]
impl Checks for ChecksService {
    async fn apply_checks(
        &self,
        request: Request<v1::ApplyChecksRequest>,
    ) -> Result<Response<v1::ApplyChecksResponse>, Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let wanted = read(request.checks)?;
        for check in &wanted {
            self.credential_is_for(check).await?;
        }
        let _writing = self.writing.lock().await;
        let known = self.shared.checks.checks().await?;
        let plans = plan(
            known.iter().map(|known| &known.definition),
            &wanted,
            request.prune,
        );
        fits(&plans, known.len())?;
        all_fit(&known, &plans)?;
        if request.only_new {
            all_new(&plans)?;
        }
        let mut changes = Vec::new();
        for plan in &plans {
            changes.push(self.change(plan).await?);
        }
        if !request.dry_run {
            self.write(&peer, "ApplyChecks", &in_words(&plans), writes(&plans))
                .await?;
        }
        Ok(Response::new(v1::ApplyChecksResponse { changes }))
    }

    async fn list_checks(
        &self,
        request: Request<v1::ListChecksRequest>,
    ) -> Result<Response<v1::ListChecksResponse>, Status> {
        let wanted = request.into_inner().name;
        let mut records = self.shared.checks.checks().await?;
        if !wanted.is_empty() {
            records.retain(|record| record.definition.name.as_str() == wanted);
            if records.is_empty() {
                return Err(no_such(&wanted));
            }
        }
        let mut rounds = self.shared.results.last_rounds().await?;
        let mut views: BTreeMap<_, _> = self
            .shared
            .hub
            .check_views()
            .await?
            .into_iter()
            .map(|view| (view.check, view))
            .collect();
        let checks = records.iter().map(|record| {
            let view = views.remove(&record.id);
            v1::CheckInfo {
                last: rounds.remove(&record.id).map(Into::into),
                run_by_nobody: view.as_ref().is_some_and(|view| view.run_by_nobody),
                agents: agents(view.map(|view| view.agents).unwrap_or_default()),
                ..info(record)
            }
        });
        Ok(Response::new(v1::ListChecksResponse {
            checks: checks.collect(),
        }))
    }

    async fn pause_check(
        &self,
        request: Request<v1::PauseCheckRequest>,
    ) -> Result<Response<v1::PauseCheckResponse>, Status> {
        let peer = peer(&request);
        let v1::PauseCheckRequest { name, paused } = request.into_inner();
        let _writing = self.writing.lock().await;
        let name = self.known(&name).await?;
        let (subject, word) = (name.to_string(), if paused { "paused" } else { "resumed" });
        let write = vec![CheckWrite::Pause(name, paused)];
        self.write(&peer, "PauseCheck", &format!("{subject} {word}"), write)
            .await?;
        Ok(Response::new(v1::PauseCheckResponse {}))
    }

    async fn remove_check(
        &self,
        request: Request<v1::RemoveCheckRequest>,
    ) -> Result<Response<v1::RemoveCheckResponse>, Status> {
        let peer = peer(&request);
        let name = request.into_inner().name;
        let _writing = self.writing.lock().await;
        let write = vec![CheckWrite::Remove(self.known(&name).await?)];
        self.write(&peer, "RemoveCheck", &name, write).await?;
        Ok(Response::new(v1::RemoveCheckResponse {}))
    }

    async fn check_history(
        &self,
        request: Request<v1::CheckHistoryRequest>,
    ) -> Result<Response<v1::CheckHistoryResponse>, Status> {
        let asked = self.asked(request.into_inner()).await?;
        let history = self.shared.results.history(asked).await?;
        // The store begins with the newest, so that a limit leaves out the oldest.
        let rounds = history.rounds.into_iter().rev();
        Ok(Response::new(v1::CheckHistoryResponse {
            step: history.step.to_string(),
            rows: history.rows.into_iter().map(Into::into).collect(),
            rounds: rounds.map(Into::into).collect(),
        }))
    }

    type CheckResultsStream = BoxStream<'static, Result<v1::StoredResult, Status>>;

    async fn check_results(
        &self,
        request: Request<v1::CheckHistoryRequest>,
    ) -> Result<Response<Self::CheckResultsStream>, Status> {
        let asked = self.asked(request.into_inner()).await?;
        Ok(Response::new(pages(Arc::clone(&self.shared.results), asked)))
    }
}

/// Single results, read a page at a time: as fast as they are taken.
fn pages(
    store: Arc<dyn ResultStore>,
    asked: HistoryAsked,
) -> BoxStream<'static, Result<v1::StoredResult, Status>> {
    let pages = stream::try_unfold(None, move |after| {
        let (store, asked) = (Arc::clone(&store), asked.clone());
        async move {
            let page = store.results(asked, after).await?;
            let last = page.last().map(|last| last.id);
            Ok::<_, Status>(last.map(|last| (page, Some(last))))
        }
    });
    let results = pages.map_ok(|page| stream::iter(page.into_iter().map(|result| Ok(result.into()))));
    results.try_flatten().boxed()
}

impl ChecksService {
    /// The check of that name, or none.
    async fn known(&self, name: &str) -> Result<CheckName, Status> {
        let known = self.shared.checks.checks().await?;
        let known = known.iter().map(|known| &known.definition.name);
        known
            .into_iter()
            .find(|known| known.as_str() == name)
            .cloned()
            .ok_or_else(|| no_such(name))
    }

    /// What part of a history is wanted.
    async fn asked(&self, request: v1::CheckHistoryRequest) -> Result<HistoryAsked, Status> {
        let records = self.shared.checks.checks().await?;
        let record = records
            .iter()
            .find(|record| record.definition.name.as_str() == request.name)
            .ok_or_else(|| no_such(&request.name))?;
        let now = Timestamp::now();
        let moment = |field: &str, micros: i64, default: Timestamp| match micros {
            0 => Ok(default),
            micros => Timestamp::from_microsecond(micros)
                .map_err(|error| Status::invalid_argument(format!("{field}: {error}"))),
        };
        let since = moment("since_us", request.since_us, now - A_DAY)?;
        let until = moment("until_us", request.until_us, now)?;
        if until <= since {
            return Err(Status::invalid_argument(
                "the time asked for ends before it begins: --until (now, where none is given) is not after --since",
            ));
        }
        let step = match request.step.as_str() {
            "" => HistoryStep::Auto,
            step => HistoryStep::known(step)
                .ok_or_else(|| Status::invalid_argument("step: one of auto, round, hour, day"))?,
        };
        Ok(HistoryAsked {
            check: record.id,
            since,
            until,
            step,
            agents: self.chosen(&request.from).await?,
            limit: request.limit,
        })
    }

    /// The agents that are meant; everybody where nobody is named.
    async fn chosen(&self, from: &[String]) -> Result<Option<BTreeSet<AgentName>>, Status> {
        let selector =
            Selector::parse_any(from).map_err(|error| Status::invalid_argument(format!("from: {error}")))?;
        if selector == Selector::all() {
            return Ok(None);
        }
        let mut chosen: BTreeSet<AgentName> = self
            .shared
            .hub
            .agents()
            .await?
            .into_iter()
            .filter(|agent| selector.matches(agent.summary.name.as_str(), &agent.summary.labels))
            .map(|agent| agent.summary.name)
            .collect();
        // One that was removed is known by its name alone.
        chosen.extend(selector.names().filter_map(|name| name.parse().ok()));
        Ok(Some(chosen))
    }

    /// A credential of that name must be kept here, or by agents, and be for the target.
    async fn credential_is_for(&self, check: &CheckDefinition) -> Result<(), Status> {
        let Some(name) = &check.credential else {
            return Ok(());
        };
        let host = check.spec.target.host.to_string();
        let hosts: Vec<String> = match self.shared.store.credential(name.clone()).await? {
            Some(kept) => vec![kept.credential.host],
            None => {
                let agents = self.shared.hub.agents().await?;
                let own = agents.iter().flat_map(|agent| &agent.local_credentials);
                own.filter(|own| own.name == *name)
                    .map(|own| own.host.clone())
                    .collect()
            }
        };
        let check = &check.name;
        match hosts.first() {
            None => Err(Status::failed_precondition(format!(
                "check {check}: there is no credential {name}; see `ctl credential`"
            ))),
            Some(_) if hosts.contains(&host) => Ok(()),
            Some(other) => Err(Status::failed_precondition(format!(
                "check {check}: the credential {name} is for {other}, and not for {host}"
            ))),
        }
    }

    async fn change(&self, plan: &Plan<'_>) -> Result<v1::CheckChange, Status> {
        let check = plan.definition();
        let ((asked, unknown), fields) = match plan {
            Plan::Removed(_) => ((Vec::new(), Vec::new()), Vec::new()),
            Plan::Changed(_, fields) => (self.asked_agents(check).await?, fields.clone()),
            Plan::Added(_) | Plan::Unchanged(_) => (self.asked_agents(check).await?, Vec::new()),
        };
        Ok(v1::CheckChange {
            name: check.name.to_string(),
            what: plan.word().to_owned(),
            fields,
            asked,
            unknown,
        })
    }

    /// The agents that run it, connected or not, and the names that nobody has.
    async fn asked_agents(&self, check: &CheckDefinition) -> Result<(Vec<v1::Choice>, Vec<String>), Status> {
        let known = self.shared.hub.agents().await?;
        let known: BTreeSet<AgentName> = known.into_iter().map(|agent| agent.summary.name).collect();
        let selection = self.shared.hub.select(check.from.clone(), None).await?;
        let chosen = selection.asked.into_iter().chain(selection.absent);
        let (there, unknown): (Vec<_>, Vec<_>) = chosen.partition(|choice| known.contains(&choice.agent));
        let limit = check.limit.map_or(usize::MAX, |limit| limit as usize);
        Ok((
            there.into_iter().take(limit).map(choice).collect(),
            unknown.into_iter().map(|choice| choice.agent.into()).collect(),
        ))
    }

    async fn write(
        &self,
        peer: &Peer,
        call: &'static str,
        subject: &str,
        writes: Vec<CheckWrite>,
    ) -> Result<(), Status> {
        if writes.is_empty() {
            return Ok(());
        }
        let entry = self.shared.audit.begin(peer, call, subject).await?;
        let by = peer.spiffe.as_ref().map(ToString::to_string).unwrap_or_default();
        let records = self
            .shared
            .checks
            .write_checks(writes, by, Timestamp::now())
            .await?;
        self.shared.hub.checks_changed(records).await?;
        info!(call, subject, "checks changed");
        entry.end("done", "").await;
        Ok(())
    }
}

fn read(wire: Vec<v1::CheckDefinition>) -> Result<Vec<CheckDefinition>, Status> {
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    for wire in wire {
        let name = wire.name.clone();
        let invalid = |problem: String| Status::invalid_argument(format!("check {name}: {problem}"));
        let check = CheckDefinition::try_from(wire).map_err(|error| invalid(error.to_string()))?;
        check.check().map_err(|error| invalid(error.to_string()))?;
        question::check(&check.spec).map_err(|status| invalid(status.message().to_owned()))?;
        let size = size(&check);
        if size > CHECK_AT_MOST {
            return Err(invalid(format!(
                "it is {} KiB large with its trust anchors; {} KiB are the most",
                size.div_ceil(1024),
                CHECK_AT_MOST / 1024
            )));
        }
        if !names.insert(check.name.clone()) {
            return Err(invalid("there are two of this name".to_owned()));
        }
        checks.push(check);
    }
    Ok(checks)
}

fn fits(plans: &[Plan<'_>], known: usize) -> Result<(), Status> {
    let count = |word| plans.iter().filter(|plan| plan.word() == word).count();
    if known + count("added") - count("removed") > CHECKS_AT_MOST {
        return Err(Status::resource_exhausted(format!(
            "there are {CHECKS_AT_MOST} checks at most"
        )));
    }
    Ok(())
}

/// Every agent may get all of them, and every operator a list.
fn all_fit(known: &[Arc<CheckRecord>], plans: &[Plan<'_>]) -> Result<(), Status> {
    let planned: BTreeSet<&CheckName> = plans.iter().map(|plan| &plan.definition().name).collect();
    let stays = known
        .iter()
        .map(|record| &record.definition)
        .filter(|definition| !planned.contains(&definition.name));
    let comes = plans.iter().filter_map(|plan| match plan {
        Plan::Removed(_) => None,
        Plan::Added(_) | Plan::Changed(..) | Plan::Unchanged(_) => Some(plan.definition()),
    });
    let size: usize = stays.chain(comes).map(size).sum();
    if size > ALL_AT_MOST {
        return Err(Status::resource_exhausted(format!(
            "all checks would be {} MiB large with their trust anchors; {} MiB are the most",
            size.div_ceil(1 << 20),
            ALL_AT_MOST >> 20
        )));
    }
    Ok(())
}

/// In bytes, as it is written to an agent.
fn size(check: &CheckDefinition) -> usize {
    v1::CheckDefinition::from(check).encoded_len()
}

fn all_new(plans: &[Plan<'_>]) -> Result<(), Status> {
    let taken = plans.iter().find(|plan| plan.word() != "added");
    match taken {
        None => Ok(()),
        Some(plan) => Err(Status::already_exists(format!(
            "there is a check {0} already; change it with `ctl check apply -f FILE`, or remove it first: ctl check \
             remove {0}",
            plan.definition().name
        ))),
    }
}

fn writes(plans: &[Plan<'_>]) -> Vec<CheckWrite> {
    plans
        .iter()
        .filter_map(|plan| match plan {
            Plan::Added(check) | Plan::Changed(check, _) => Some(CheckWrite::Put(Box::new((*check).clone()))),
            Plan::Removed(check) => Some(CheckWrite::Remove(check.name.clone())),
            Plan::Unchanged(_) => None,
        })
        .collect()
}

/// `+imap ~login -old`, for the audit log.
fn in_words(plans: &[Plan<'_>]) -> String {
    let words = plans.iter().filter_map(|plan| {
        let sign = match plan {
            Plan::Added(_) => '+',
            Plan::Changed(..) => '~',
            Plan::Removed(_) => '-',
            Plan::Unchanged(_) => return None,
        };
        Some(format!("{sign}{}", plan.definition().name))
    });
    words.collect::<Vec<_>>().join(" ")
}

fn info(record: &CheckRecord) -> v1::CheckInfo {
    v1::CheckInfo {
        check_id: record.id.to_string(),
        version: record.version,
        definition: Some((&record.definition).into()),
        paused: record.paused,
        changed_at_us: record.changed_at.as_microsecond(),
        changed_by: record.changed_by.clone(),
        ..v1::CheckInfo::default()
    }
}

fn agents(agents: Vec<CheckAgent>) -> Vec<v1::CheckAgent> {
    let one = |agent: CheckAgent| v1::CheckAgent {
        agent: agent.agent.into(),
        state: agent.state.as_str().to_owned(),
        note: agent.note,
        last_result_us: agent.last_result.map_or(0, Timestamp::as_microsecond),
    };
    agents.into_iter().map(one).collect()
}

fn no_such(name: &str) -> Status {
    Status::not_found(format!("there is no check {name}; see `ctl check`"))
}

fn choice(choice: Choice) -> v1::Choice {
    v1::Choice {
        agent: choice.agent.into(),
        labels: choice.labels.into_iter().collect(),
        connected: choice.connected,
        why: choice.why,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::measure::sample::definition;

    #[test]
    fn one_bad_check_changes_none() {
        let mut bad = v1::CheckDefinition::from(definition("b"));
        bad.every_ms = 10;
        let status = read(vec![definition("a").into(), bad]).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with("check b: every 10ms"), "{status}");
    }

    #[test]
    fn a_name_is_given_once() {
        let status = read(vec![definition("a").into(), definition("a").into()]).unwrap_err();
        assert_eq!(status.message(), "check a: there are two of this name");
    }

    #[test]
    fn a_taken_name_says_how_to_change_it() {
        let (known, wanted) = ([definition("a")], [definition("a")]);
        let status = all_new(&plan(&known, &wanted, false)).unwrap_err();
        assert_eq!(status.code(), Code::AlreadyExists);
        assert!(status.message().contains("ctl check apply -f FILE"), "{status}");
        assert!(all_new(&plan(&[], &wanted, false)).is_ok());
    }

    #[test]
    fn a_check_and_all_of_them_have_a_size_and_the_limit_is_named() {
        let anchored = |name: &str, bytes: usize| {
            let mut check = definition(name);
            check.spec.anchors = vec![vec![0; bytes]];
            check
        };
        let large = anchored("a", CHECK_AT_MOST - 1000);
        assert!(read(vec![(&large).into()]).is_ok());
        let status = read(vec![(&anchored("a", CHECK_AT_MOST)).into()]).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(
            status.message().starts_with("check a: it is 257 KiB")
                && status.message().ends_with("256 KiB are the most"),
            "{status}"
        );
        let record = |number: usize| {
            Arc::new(CheckRecord {
                id: uuid::Uuid::from_u128(number as u128),
                no: 1,
                version: 1,
                definition: anchored(&format!("c{number}"), CHECK_AT_MOST - 1000),
                paused: false,
                cleared: String::new(),
                changed_at: Timestamp::UNIX_EPOCH,
                changed_by: String::new(),
            })
        };
        let known: Vec<_> = (0..128).map(record).collect();
        let definitions = || known.iter().map(|record| &record.definition);
        let small = [definition("small")];
        assert!(all_fit(&known, &plan(definitions(), &small, false)).is_ok());
        let status = all_fit(&known, &plan(definitions(), std::slice::from_ref(&large), false)).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().ends_with("32 MiB are the most"), "{status}");
        let again = [anchored("c0", CHECK_AT_MOST - 1000)];
        assert!(
            all_fit(&known, &plan(definitions(), &again, true)).is_ok(),
            "the others go"
        );
    }

    #[test]
    fn there_are_not_more_than_there_may_be() {
        let wanted: Vec<_> = (0..CHECKS_AT_MOST)
            .map(|number| definition(&format!("c{number}")))
            .collect();
        assert!(fits(&plan(&[], &wanted, false), 0).is_ok());
        assert!(fits(&plan(&[], &wanted, false), 1).is_err());
    }
}
