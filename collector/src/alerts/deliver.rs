//! Who is told, and how: a task for each receiver, so that a dead one delays no other.
//!
//! What is to be told waits in the store's outbox, in one transaction with what caused it. A notice leaves it when its
//! receiver has taken it: killed in between, it is sent again, and looks the same.

mod alertmanager;
mod backoff;
mod http;
mod queue;
mod smtp;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use parallax_model::alert::{Alert, AlertState};
use parallax_model::finding::Severity;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tracing::warn;

use crate::config::{Alerting, Receiver};
use crate::metrics::Metrics;
use crate::store::{AlertStore, StoreError};
use alertmanager::Alertmanager;
use http::Http;
use queue::Queue;
use smtp::Mail;
use webhook::Webhook;

/// How long an alert that is a test holds.
const TEST: SignedDuration = SignedDuration::from_mins(1);

/// Why a receiver did not take a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// It may take it later.
    Later(String),
    /// It does not want it as it is.
    Final(String),
}

/// How it goes with a receiver, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) kind: &'static str,
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    /// Why the last notice was not taken; empty when it was.
    pub(crate) problem: String,
}

/// The way to everybody who is told.
#[derive(Clone)]
pub(crate) struct Delivery(Arc<Office>);

struct Office {
    store: Arc<dyn AlertStore>,
    metrics: Arc<Metrics>,
    staff: Mutex<Staff>,
}

/// Who is told now, and of what more than the alert itself.
#[derive(Default)]
struct Staff {
    alerting: Arc<Alerting>,
    receivers: BTreeMap<String, Told>,
}

/// One who is told.
struct Told {
    wake: Arc<Notify>,
    link: watch::Sender<Arc<Link>>,
    progress: Arc<Mutex<Progress>>,
    task: AbortHandle,
}

/// What a notice goes through.
enum Transport {
    Alertmanager(Alertmanager),
    Webhook(Webhook),
    Mail(Mail),
}

/// A transport, with what each notice gets on its way.
struct Link {
    transport: Transport,
    alerting: Arc<Alerting>,
}

/// A configuration that can be used, with the secrets that it names.
pub(crate) struct Prepared {
    alerting: Arc<Alerting>,
    links: Vec<(String, Arc<Link>)>,
}

impl Prepared {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// What can't be used of it, in one line.
    pub(crate) fn of(alerting: &Alerting) -> Result<Self, String> {
        let alerting = Arc::new(alerting.clone());
        Ok(Self {
            links: links(&alerting)?,
            alerting,
        })
    }
}

impl Delivery {
    /// Starts a task for each receiver.
    ///
    /// # Errors
    /// What can't be used of the configuration, in one line.
    pub(crate) fn start(
        alerting: &Alerting,
        store: &Arc<dyn AlertStore>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, String> {
        let delivery = Self(Arc::new(Office {
            store: Arc::clone(store),
            metrics: Arc::clone(metrics),
            staff: Mutex::default(),
        }));
        delivery.change(Prepared::of(alerting)?);
        Ok(delivery)
    }

    /// Others are told from now on. Who stays is told by the new means what waits already, at once; who goes is told
    /// nothing more.
    pub(crate) fn change(&self, next: Prepared) {
        let mut staff = locked(&self.0.staff);
        let mut before = std::mem::take(&mut staff.receivers);
        staff.alerting = next.alerting;
        for (name, link) in next.links {
            let told = match before.remove(&name) {
                Some(told) => {
                    locked(&told.progress).kind = link.transport.kind();
                    told.link.send_replace(link);
                    told
                }
                None => self.hire(&name, link),
            };
            staff.receivers.insert(name, told);
        }
        for gone in before.values() {
            gone.task.abort();
        }
    }

    fn hire(&self, name: &str, link: Arc<Link>) -> Told {
        let (wake, progress) = (Arc::<Notify>::default(), Arc::<Mutex<Progress>>::default());
        locked(&progress).kind = link.transport.kind();
        let (link, links) = watch::channel(link);
        let queue = Queue {
            name: name.to_owned(),
            link: links,
            wake: Arc::clone(&wake),
            progress: Arc::clone(&progress),
            store: Arc::clone(&self.0.store),
            metrics: Arc::clone(&self.0.metrics),
        };
        Told {
            wake,
            link,
            progress,
            task: tokio::spawn(queue.work()).abort_handle(),
        }
    }

    /// Tells nobody any more. What waits goes on waiting.
    pub(crate) fn stop(&self) {
        for told in locked(&self.0.staff).receivers.values() {
            told.task.abort();
        }
    }

    /// The queues, as the outbox names them.
    pub(crate) fn names(&self) -> Vec<String> {
        locked(&self.0.staff).receivers.keys().cloned().collect()
    }

    /// There is something new in the outbox.
    pub(crate) fn wake(&self) {
        for told in locked(&self.0.staff).receivers.values() {
            told.wake.notify_one();
        }
    }

    /// How it goes with each.
    pub(crate) fn progress(&self) -> BTreeMap<String, Progress> {
        let staff = locked(&self.0.staff);
        let all = staff.receivers.iter();
        all.map(|(name, told)| (name.clone(), locked(&told.progress).clone()))
            .collect()
    }

    /// Where people see a trace, if they can.
    pub(crate) fn trace_url(&self, trace: &str) -> Option<String> {
        locked(&self.0.staff).alerting.trace_url(trace)
    }

    /// An alert with the addresses of its run and its trace.
    pub(crate) fn linked(&self, alert: Alert) -> Alert {
        let alerting = Arc::clone(&locked(&self.0.staff).alerting);
        linked(alert, &alerting)
    }

    /// Sends everybody a notice that says it is a test; what each says to it, empty when it takes it.
    pub(crate) async fn test(&self, now: Timestamp) -> BTreeMap<String, String> {
        let links: Vec<(String, Arc<Link>)> = {
            let staff = locked(&self.0.staff);
            let all = staff.receivers.iter();
            all.map(|(name, told)| (name.clone(), Arc::clone(&told.link.borrow())))
                .collect()
        };
        let all = links.into_iter().map(|(name, link)| async move {
            let problem = match link.tell(test(now), now).await {
                Ok(()) => String::new(),
                Err(Refusal::Later(problem) | Refusal::Final(problem)) => problem,
            };
            (name, problem)
        });
        futures_util::future::join_all(all).await.into_iter().collect()
    }
}

/// Lets go of what waits for others than these, and says how much that was.
///
/// # Errors
/// When the outbox can't be read or written.
pub(crate) async fn let_go(
    store: &dyn AlertStore,
    metrics: &Metrics,
    receivers: Vec<String>,
) -> Result<(), StoreError> {
    for (receiver, dropped) in store.keep_receivers(receivers).await? {
        warn!(
            receiver,
            "told of nothing any more: {dropped} notices that waited for it are dropped"
        );
        metrics.notifications_dropped(&receiver, dropped);
    }
    Ok(())
}

/// The names of the queues that a configuration makes: of a cluster, one for each member.
pub(crate) fn queue_names(alerting: &Alerting) -> Vec<String> {
    alerting
        .receivers
        .iter()
        .flat_map(queues_of)
        .map(|(name, _)| name)
        .collect()
}

fn queues_of(receiver: &Receiver) -> Vec<(String, Option<&String>)> {
    match receiver.alertmanager.as_slice() {
        [] => vec![(receiver.name.clone(), None)],
        [url] => vec![(receiver.name.clone(), Some(url))],
        urls => {
            let numbered = urls.iter().zip(1..);
            numbered
                .map(|(url, number)| (format!("{}/{number}", receiver.name), Some(url)))
                .collect()
        }
    }
}

fn links(alerting: &Arc<Alerting>) -> Result<Vec<(String, Arc<Link>)>, String> {
    if alerting.receivers.is_empty() {
        return Ok(Vec::new());
    }
    let http = Http::new().map_err(|error| format!("trust anchors of this system: {error}"))?;
    let mut links = Vec::new();
    for receiver in &alerting.receivers {
        for (name, url) in queues_of(receiver) {
            let transport = transport(receiver, url, &http, alerting.external_url.clone())
                .map_err(|problem| format!("receiver {}: {problem}", receiver.name))?;
            let link = Link {
                transport,
                alerting: Arc::clone(alerting),
            };
            links.push((name, Arc::new(link)));
        }
    }
    Ok(links)
}

fn transport(
    receiver: &Receiver,
    url: Option<&String>,
    http: &Http,
    page: Option<String>,
) -> Result<Transport, String> {
    if let Some(url) = url {
        return Ok(Transport::Alertmanager(Alertmanager::new(
            http.clone(),
            url,
            page,
        )?));
    }
    if let Some(url) = &receiver.webhook {
        let key = receiver.secret_file.as_deref().map(secret).transpose()?;
        let key = key.map(String::into_bytes);
        return Ok(Transport::Webhook(Webhook::new(
            http.clone(),
            url,
            &receiver.name,
            key,
            page,
        )?));
    }
    let url = receiver.smtp.as_deref().unwrap_or_default();
    let password = receiver.password_file.as_deref().map(secret).transpose()?;
    Ok(Transport::Mail(Mail::new(url, receiver, password)?))
}

/// The first line of a file.
fn secret(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("{} has no first line", path.display())),
    }
}

impl Transport {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Alertmanager(_) => "alertmanager",
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "smtp",
        }
    }
}

impl Link {
    /// Tells of one alert.
    async fn tell(&self, alert: Alert, now: Timestamp) -> Result<(), Refusal> {
        let alert = self.with_links(alert);
        match &self.transport {
            Transport::Alertmanager(alertmanager) => alertmanager.post(&[alert], now).await,
            Transport::Webhook(webhook) => webhook.post(&alert, now).await,
            Transport::Mail(mail) => mail.send(&alert).await,
        }
    }

    /// Says once more what fires, to who forgets it otherwise.
    async fn remind(&self, firing: Vec<Alert>, now: Timestamp) -> Result<(), Refusal> {
        let Transport::Alertmanager(alertmanager) = &self.transport else {
            return Ok(());
        };
        let firing: Vec<Alert> = firing.into_iter().map(|alert| self.with_links(alert)).collect();
        match firing.is_empty() {
            true => Ok(()),
            false => alertmanager.post(&firing, now).await,
        }
    }

    const fn is_reminded(&self) -> bool {
        matches!(self.transport, Transport::Alertmanager(_))
    }

    fn with_links(&self, alert: Alert) -> Alert {
        linked(alert, &self.alerting)
    }
}

/// An alert with the addresses of its run and its trace.
fn linked(mut alert: Alert, alerting: &Alerting) -> Alert {
    let run = alert.run_id.and_then(|run| alerting.run_url(run));
    let trace = alert.trace_id.as_deref();
    let trace = trace.and_then(|trace| alerting.trace_url(trace));
    for (name, url) in [("run_url", run), ("trace_url", trace)] {
        if let Some(url) = url {
            alert.annotations.insert(name.to_owned(), url);
        }
    }
    alert
}

/// Where people see more: the page of its run, or else the collector's.
fn source<'a>(alert: &'a Alert, page: Option<&'a str>) -> Option<&'a str> {
    alert.annotations.get("run_url").map(String::as_str).or(page)
}

fn test(now: Timestamp) -> Alert {
    let labels = BTreeMap::from([
        ("alertname".to_owned(), "ParallaxTest".to_owned()),
        ("severity".to_owned(), "info".to_owned()),
    ]);
    let summary = "a test of this receiver; nothing is wrong".to_owned();
    Alert {
        fingerprint: super::labels::fingerprint(&labels),
        name: "ParallaxTest".to_owned(),
        check: None,
        // Where it is kept it ends by itself.
        state: AlertState::Firing,
        severity: Severity::Info,
        annotations: BTreeMap::from([("summary".to_owned(), summary.clone())]),
        summary,
        labels,
        since: now,
        fired_at: Some(now),
        resolved_at: Some(now + TEST),
        run_id: None,
        trace_id: None,
        flapping: false,
        silenced_by: None,
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
