//! What should be there and is not: counted, and taken back.

use super::*;

/// By hour and agent: what worked, and what should be there.
type Counted = Vec<(String, String, u64, u64)>;

impl Bench {
    async fn counted(&self, step: HistoryStep) -> Counted {
        let history = self.store.history(self.asked(step)).await.unwrap();
        let rows = history.rows.into_iter();
        let mut counted: Counted = rows
            .map(|row| {
                let hour = row.at.strftime("%H:%M").to_string();
                (hour, row.agent.to_string(), row.ok, row.expected)
            })
            .collect();
        counted.sort();
        counted
    }

    async fn arrives(&self, sequence: u64, minutes: i64, agent: &str) {
        let result = CheckResult {
            id: Uuid::from_u128(sequence.into()),
            ..self.result(agent, minutes, seen(Outcome::Ok))
        };
        let batch = self.batch(agent, [(sequence, result)]);
        let committed = self.store.commit_results(vec![batch], self.now).await.unwrap();
        assert_eq!(committed.through, [sequence]);
    }

    async fn closes(&self, minutes: i64, without: &[&str]) {
        let commit = self.commit_without(minutes, without);
        self.store.close_rounds(vec![commit]).await.unwrap();
    }
}

fn row(hour: &str, agent: &str, ok: u64, expected: u64) -> (String, String, u64, u64) {
    (hour.to_owned(), agent.to_owned(), ok, expected)
}

#[tokio::test]
async fn time_in_which_nobody_was_to_look_is_no_gap() {
    let bench = Bench::new().await;
    // It worked three times, was paused for half an hour, and the other agent was removed after one round.
    for (sequence, minutes) in [(1, 0), (2, 1), (3, 32)] {
        bench.arrives(sequence, minutes, "fra-1").await;
    }
    bench.arrives(4, 0, "ams-1").await;
    bench.closes(1, &["nyc-1"]).await;
    let expected = [
        row("12:00", "ams-1", 1, 1),
        row("12:00", "fra-1", 3, 3),
        row("12:00", "nyc-1", 0, 1),
    ];
    assert_eq!(bench.counted(HistoryStep::Hour).await, expected);
    let days = bench.counted(HistoryStep::Day).await;
    let days: Vec<_> = days
        .into_iter()
        .map(|(_, _, ok, expected)| (ok, expected))
        .collect();
    assert_eq!(days, [(1, 1), (3, 3), (0, 1)]);
}

#[tokio::test]
async fn what_comes_late_is_missing_no_more_in_the_hour_of_its_round() {
    let bench = Bench::new().await;
    // The round begins within the last minute of an hour, what is seen of it belongs to the next.
    bench.closes(54, &["ams-1", "fra-1"]).await;
    assert_eq!(
        bench.counted(HistoryStep::Hour).await,
        [row("12:00", "ams-1", 0, 1), row("12:00", "fra-1", 0, 1)]
    );
    let late = CheckResult {
        started_at: bench.now + SignedDuration::from_mins(56),
        ..bench.result("fra-1", 54, seen(Outcome::Ok))
    };
    let again = CheckResult {
        id: Uuid::from_u128(2),
        ..late.clone()
    };
    let batch = bench.batch("fra-1", [(1, late.clone()), (2, late), (3, again)]);
    bench.store.commit_results(vec![batch], bench.now).await.unwrap();
    assert_eq!(
        bench.counted(HistoryStep::Hour).await,
        [row("12:00", "ams-1", 0, 1), row("13:00", "fra-1", 2, 2)],
        "it is taken back once, and the other is missing still"
    );
    bench.closes(54, &["ams-1", "fra-1"]).await;
    assert_eq!(
        bench.counted(HistoryStep::Hour).await,
        [row("12:00", "ams-1", 0, 1), row("13:00", "fra-1", 2, 2)],
        "a round is closed once"
    );
}

#[tokio::test]
async fn what_comes_days_later_is_missing_no_more() {
    let bench = Bench::new().await;
    bench.closes(0, &["ams-1"]).await;
    let batch = bench.batch("ams-1", [(1, bench.result("ams-1", 0, seen(Outcome::Ok)))]);
    let later = bench.now + SignedDuration::from_hours(72);
    let committed = bench.store.commit_results(vec![batch], later).await.unwrap();
    assert_eq!(committed.fresh, []);
    assert_eq!(
        bench.counted(HistoryStep::Hour).await,
        [row("12:00", "ams-1", 1, 1)]
    );
}

#[tokio::test]
async fn what_comes_while_its_round_is_being_closed_was_never_missing() {
    let bench = Bench::new().await;
    bench.arrives(1, 0, "fra-1").await;
    bench.closes(0, &["fra-1"]).await;
    assert_eq!(bench.store.open_results().await.unwrap(), []);
    assert_eq!(
        bench.counted(HistoryStep::Hour).await,
        [row("12:00", "fra-1", 1, 1)]
    );
    bench.arrives(2, 0, "fra-1").await;
    assert_eq!(
        bench.counted(HistoryStep::Hour).await,
        [row("12:00", "fra-1", 2, 2)],
        "nothing is left to take back"
    );
}

#[tokio::test]
async fn a_round_that_comes_again_is_missed_once() {
    let bench = Bench::new().await;
    bench.closes(1, &["ams-1", "fra-1"]).await;
    bench.store.set_back(bench.now).await.unwrap();
    bench.arrives(1, 1, "fra-1").await;
    bench.closes(1, &["ams-1"]).await;
    assert_eq!(
        bench.counted(HistoryStep::Hour).await,
        [row("12:00", "ams-1", 0, 1), row("12:00", "fra-1", 1, 1)]
    );
}

#[tokio::test]
async fn what_was_worked_out_from_time_is_held_against_the_rounds_that_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.db");
    let old = sqlx::SqlitePool::connect(&format!("sqlite://{}?mode=rwc", file.display()))
        .await
        .unwrap();
    super::super::super::migrate(&old, &super::super::super::MIGRATIONS[..7])
        .await
        .unwrap();
    let noon: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
    let at = |hours: i64| (noon + SignedDuration::from_hours(hours)).as_microsecond();
    // Span, hour, what worked, what was expected, and what is.
    let rows = [
        (3600, at(-1), 10, 60, 60),
        (3600, at(0), 20, 60, 22),
        (3600, at(1), 0, 60, 0),
        (3600, at(2), 59, 60, 60),
        (86_400, at(-36), 3, 1440, 1440),
        (86_400, at(-12), 89, 1440, 92),
    ];
    for (span, at, ok, expected, _) in rows {
        sqlx::query("INSERT INTO rollups VALUES (1, $1, $2, 1, $3, 0, 0, 0, $4, X'', NULL)")
            .bind(span)
            .bind(at)
            .bind(ok)
            .bind(expected)
            .execute(&old)
            .await
            .unwrap();
    }
    let minute = 60_000_000;
    // The first round that is there is of 12:10; nobody was missing in that of 14:00.
    for (number, (at, missing)) in [
        (at(0) + 10 * minute, 1),
        (at(0) + 50 * minute, 2),
        (at(2), 0),
        (at(2) + minute, 1),
    ]
    .into_iter()
    .enumerate()
    {
        sqlx::query("INSERT INTO rounds VALUES (1, $1, $2, 'partial', '', 1, 0, 0, $3, 0, 0, 0, $1, 0)")
            .bind(at)
            .bind(vec![u8::try_from(number).unwrap(); 16])
            .bind(missing)
            .execute(&old)
            .await
            .unwrap();
    }
    old.close().await;
    let store = Sqlite::open(&file).await.unwrap();
    let found: Vec<(i64, i64, i64)> =
        sqlx::query_as("SELECT span, at, expected FROM rollups ORDER BY span, at")
            .fetch_all(&store.pool)
            .await
            .unwrap();
    let meant = rows.map(|(span, at, _, _, expected)| (span, at, expected));
    assert_eq!(found, meant);
}
