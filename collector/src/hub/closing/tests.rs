//! In which order things are kept, whatever the database does meanwhile.

use std::collections::BTreeMap;

use parallax_model::alert::{Alert, Silence};
use parallax_model::finding::Verdict;
use parallax_model::history::StoredResult;
use parallax_model::round::RoundSummary;
use parallax_model::run::RunDocument;
use parallax_model::vantage::AgentName;

use super::*;
use crate::config::{Alerting, Receiver, Retention};
use crate::measure::sample;
use crate::rounds::RoundOutcome;
use crate::store::{
    AlertsKept, Answer, Arrived, Baselines, CheckRecord, Committed, Fresh, History, HistoryAsked, Pruned,
    StoreError, Waiting, WaitingFor,
};

/// Longer than any pause here, on a clock that jumps.
const SOON: Duration = Duration::from_secs(300);

/// Everything that is written, in the order in which it is.
#[derive(Default)]
struct Book {
    lines: Mutex<Vec<String>>,
    /// How often it fails yet.
    failures: Mutex<u32>,
    written: Notify,
}

impl Book {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn write(&self, line: String) -> Result<(), StoreError> {
        let mut failures = self.failures.lock().unwrap();
        let fails = *failures > 0;
        *failures = failures.saturating_sub(1);
        let line = if fails { format!("{line} failed") } else { line };
        self.lines.lock().unwrap().push(line);
        self.written.notify_one();
        if fails {
            Err(StoreError::Unreadable("book"))
        } else {
            Ok(())
        }
    }

    /// Waits until so much is written.
    async fn has(&self, lines: usize) -> Vec<String> {
        let writing = async {
            while self.lines().len() < lines {
                self.written.notified().await;
            }
        };
        tokio::time::timeout(SOON, writing).await.unwrap();
        self.lines()
    }
}

fn nothing<T: Default + Send + 'static>() -> Answer<'static, T> {
    Box::pin(async { Ok(T::default()) })
}

impl ResultStore for Book {
    fn close_rounds(&self, commits: Vec<RoundCommit>) -> Answer<'_, ()> {
        let numbers: Vec<String> = commits
            .iter()
            .map(|commit| commit.outcome.run_id.as_u128().to_string())
            .collect();
        Box::pin(async move { self.write(format!("rounds {}", numbers.join(" "))) })
    }

    fn set_back(&self, to: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move { self.write(format!("set back to {}", to.as_second())) })
    }

    fn marks(&self, _: AgentName, _: Uuid) -> Answer<'_, (u64, u64)> {
        nothing()
    }

    fn commit_results(&self, _: Vec<Arrived>, _: Timestamp) -> Answer<'_, Committed> {
        nothing()
    }

    fn open_results(&self) -> Answer<'_, Vec<Fresh>> {
        nothing()
    }

    fn last_rounds(&self) -> Answer<'_, BTreeMap<Uuid, RoundSummary>> {
        nothing()
    }

    fn newest_run_of(&self, _: i64) -> Answer<'_, Option<RunDocument>> {
        nothing()
    }

    fn history(&self, _: HistoryAsked) -> Answer<'_, History> {
        Box::pin(async { Err(StoreError::Unreadable("book")) })
    }

    fn results(&self, _: HistoryAsked, _: Option<Uuid>) -> Answer<'_, Vec<StoredResult>> {
        nothing()
    }

    fn baselines(&self, _: Timestamp) -> Answer<'_, Baselines> {
        nothing()
    }

    fn prune(&self, _: Retention, _: Timestamp) -> Answer<'_, Pruned> {
        nothing()
    }
}

impl CheckStore for Book {
    fn checks(&self) -> Answer<'_, Vec<Arc<CheckRecord>>> {
        nothing()
    }

    fn write_checks(
        &self,
        writes: Vec<CheckWrite>,
        _: String,
        _: Timestamp,
    ) -> Answer<'_, Vec<Arc<CheckRecord>>> {
        Box::pin(async move {
            for write in writes {
                let CheckWrite::Cleared(_, generation) = write else {
                    return Err(StoreError::Unreadable("book"));
                };
                self.write(format!("cleared {generation}"))?;
            }
            Ok(Vec::new())
        })
    }
}

impl AlertStore for Book {
    fn write_alerts(&self, changes: AlertChanges, _: Timestamp) -> Answer<'_, ()> {
        let subjects: Vec<&str> = changes
            .memory
            .iter()
            .map(|(subject, _)| subject.as_str())
            .collect();
        let line = format!("alerts {}", subjects.join(" "));
        Box::pin(async move { self.write(line) })
    }

    fn due(&self, receiver: String, _: Timestamp, _: u32) -> Answer<'_, Vec<Waiting>> {
        Box::pin(async move {
            self.lines.lock().unwrap().push(format!("{receiver} looks"));
            self.written.notify_one();
            Ok(Vec::new())
        })
    }

    fn kept(&self) -> Answer<'_, AlertsKept> {
        nothing()
    }

    fn told(&self) -> Answer<'_, Vec<Alert>> {
        nothing()
    }

    fn sent(&self, _: i64) -> Answer<'_, ()> {
        nothing()
    }

    fn failed(&self, _: i64, _: String, _: Timestamp) -> Answer<'_, ()> {
        nothing()
    }

    fn waiting(&self) -> Answer<'_, BTreeMap<String, WaitingFor>> {
        nothing()
    }

    fn hurry(&self, _: String, _: Timestamp) -> Answer<'_, ()> {
        nothing()
    }

    fn keep_receivers(&self, _: Vec<String>) -> Answer<'_, BTreeMap<String, u64>> {
        nothing()
    }

    fn put_silence(&self, _: Silence, _: Timestamp) -> Answer<'_, ()> {
        nothing()
    }
}

/// A writer and its book; nothing is written before its test waits.
struct Desk {
    book: Arc<Book>,
    closing: Closing,
    metrics: Arc<Metrics>,
    writing: JoinHandle<()>,
}

impl Desk {
    fn new(delivery: Delivery, book: Arc<Book>) -> Self {
        let metrics = Arc::new(Metrics::new());
        let (closing, writing) = Closing::start(ClosingParts {
            results: Arc::clone(&book) as Arc<dyn ResultStore>,
            checks: Arc::clone(&book) as Arc<dyn CheckStore>,
            telemetry: Telemetry::start(None, "a test").unwrap(),
            metrics: Arc::clone(&metrics),
            alerts: Arc::clone(&book) as Arc<dyn AlertStore>,
            delivery,
        });
        Self {
            book,
            closing,
            metrics,
            writing,
        }
    }

    fn alone() -> Self {
        let book = Arc::new(Book::default());
        let store = Arc::clone(&book) as Arc<dyn AlertStore>;
        let nobody = Delivery::start(&Alerting::default(), &store, &Arc::new(Metrics::new()));
        Self::new(nobody.unwrap(), book)
    }

    /// Nothing more comes; what was written until the writer ended.
    async fn close(self) -> Vec<String> {
        drop(self.closing);
        tokio::time::timeout(SOON, self.writing).await.unwrap().unwrap();
        self.book.lines()
    }
}

fn alerts(subject: &str) -> AlertChanges {
    AlertChanges {
        memory: vec![(subject.to_owned(), None)],
        ..AlertChanges::default()
    }
}

fn round(number: u128) -> ToClose {
    round_with(number, AlertChanges::default())
}

fn round_with(number: u128, alerts: AlertChanges) -> ToClose {
    let outcome = RoundOutcome {
        check: sample::record(Uuid::from_u128(1), sample::check(1)),
        run_id: Uuid::from_u128(number),
        starts_at: Timestamp::UNIX_EPOCH,
        closed_at: Timestamp::UNIX_EPOCH,
        late: false,
        new_trouble: false,
        verdict: Verdict::Down,
        summary: "down".to_owned(),
        findings: Vec::new(),
        vantages: Vec::new(),
        kept: false,
        traced: false,
    };
    ToClose {
        commit: RoundCommit {
            outcome: Arc::new(outcome),
            run: None,
            alerts,
        },
        observations: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn rounds_and_alerts_are_kept_in_the_order_in_which_they_happened() {
    let desk = Desk::alone();
    desk.closing.keep(round(1)).unwrap();
    desk.closing.keep(round(2)).unwrap();
    desk.closing.alerts(alerts("a"));
    desk.closing.alerts(alerts("b"));
    desk.closing.alerts(AlertChanges::default());
    desk.closing.keep(round(3)).unwrap();
    desk.closing.set_back(Timestamp::from_second(5).unwrap());
    desk.closing.alerts(alerts("c"));
    desk.closing.keep(round(4)).unwrap();
    let expected = [
        "rounds 1 2",
        "alerts a b",
        "rounds 3",
        "set back to 5",
        "alerts c",
        "rounds 4",
    ];
    assert_eq!(desk.close().await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_round_waits_until_the_round_is_kept() {
    let desk = Desk::alone();
    *desk.book.failures.lock().unwrap() = 3;
    desk.closing.keep(round(1)).unwrap();
    desk.closing.alerts(alerts("a"));
    let begun = tokio::time::Instant::now();
    assert_eq!(desk.book.has(1).await, ["rounds 1 failed"]);
    desk.closing.keep(round(2)).unwrap();
    let lines = desk.book.has(6).await;
    let failed = ["rounds 1 failed"; 3];
    assert_eq!(lines[..3], failed);
    assert_eq!(lines[3..], ["rounds 1", "alerts a", "rounds 2"]);
    assert_eq!(begun.elapsed().as_secs(), 1 + 2 + 4, "longer each time");
    *desk.book.failures.lock().unwrap() = 1;
    desk.closing.alerts(alerts("b"));
    desk.closing.keep(round(3)).unwrap();
    assert_eq!(
        desk.close().await[6..],
        ["alerts b failed", "alerts b", "rounds 3"]
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_or_shown_what_is_not_kept() {
    let book = Arc::new(Book::default());
    let alerting = Alerting {
        receivers: vec![Receiver {
            name: "chat".to_owned(),
            webhook: Some("http://127.0.0.1:1/".to_owned()),
            ..Receiver::default()
        }],
        ..Alerting::default()
    };
    let store = Arc::clone(&book) as Arc<dyn AlertStore>;
    let delivery = Delivery::start(&alerting, &store, &Arc::new(Metrics::new())).unwrap();
    assert_eq!(book.has(1).await, ["chat looks"], "at its start");
    let desk = Desk::new(delivery, Arc::clone(&book));
    *book.failures.lock().unwrap() = 1;
    desk.closing.keep(round_with(1, alerts("a"))).unwrap();
    assert_eq!(book.has(2).await, ["chat looks", "rounds 1 failed"]);
    let rounds = |metrics: &Metrics| {
        let text = metrics.text().unwrap();
        text.lines()
            .filter(|line| line.starts_with("parallax_rounds_total{"))
            .count()
    };
    assert_eq!(rounds(&desk.metrics), 0);
    assert_eq!(book.has(4).await[2..], ["rounds 1", "chat looks"]);
    assert_eq!(rounds(&desk.metrics), 1);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_leaves_its_alerts_behind_in_their_place() {
    let desk = Desk::alone();
    for number in 0..WAITING_AT_MOST {
        desk.closing.keep(round(number as u128)).unwrap();
    }
    let refused = desk.closing.keep(round_with(9999, alerts("a")));
    assert_eq!(refused, Err("round"));
    desk.closing.alerts(alerts("b"));
    let lines = desk.close().await;
    assert_eq!(lines.len(), WAITING_AT_MOST / AT_ONCE + 1, "so many at once");
    assert!(lines[0].starts_with("rounds 0 1 2 "), "{}", lines[0]);
    assert_eq!(lines.last().unwrap(), "alerts a b");
    assert!(lines.iter().all(|line| !line.contains("9999")));
}

#[tokio::test(start_paused = true)]
async fn that_a_secret_was_taken_is_kept_beside_what_waits() {
    let desk = Desk::alone();
    desk.closing
        .login_cleared(Uuid::from_u128(1), "second".to_owned());
    let first = desk.book.has(1).await;
    assert_eq!(first, ["cleared second"], "without a round");
    *desk.book.failures.lock().unwrap() = 1;
    desk.closing.login_cleared(Uuid::from_u128(1), "third".to_owned());
    desk.closing.keep(round(1)).unwrap();
    let lines = desk.close().await;
    assert_eq!(
        lines[1..],
        ["cleared third failed", "rounds 1"],
        "it is found out again; rounds do not wait for it"
    );
}
