//! Months of rows, made by the database itself.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::Fleet;
use super::sample::{self, Noise};
use crate::store::latency::{Latency, encode_stages};
use crate::store::{CheckRecord, Sqlite, StoreError};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// Different rows that all the others are like.
const SAMPLES: usize = 500;

/// Runs of each check.
const RUNS: i64 = 500;

/// About what the document of a run of fifty vantage points takes.
const DOCUMENT: usize = 40_000;

pub(super) async fn fill(
    store: &Sqlite,
    checks: &[Arc<CheckRecord>],
    fleet: Fleet,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let begun = Instant::now();
    samples(store).await?;
    let hour = now.as_second() / HOUR * HOUR;
    let mut results = 0;
    for ago in (1..=fleet.raw_days * 24).rev() {
        results += one_hour(store, hour - ago * HOUR).await?;
    }
    let hours = sums(store, HOUR, hour, fleet.days * 24).await?;
    let days = sums(store, DAY, now.as_second() / DAY * DAY, 365).await?;
    let rounds = rounds(store, hour, fleet.days).await?;
    for check in checks {
        runs(store, check.no, hour).await?;
    }
    store
        .bulk("PRAGMA wal_checkpoint(TRUNCATE)".into(), Vec::new())
        .await?;
    Ok(vec![format!(
        "filled with {results} results, {hours} hours, {days} days, {rounds} rounds, {} runs in {:.0} s",
        RUNS * fleet.checks,
        begun.elapsed().as_secs_f64()
    )])
}

async fn samples(store: &Sqlite) -> Result<(), StoreError> {
    store
        .bulk(
            "CREATE TABLE sample (no INTEGER PRIMARY KEY, stages BLOB, hour BLOB, day BLOB)".into(),
            Vec::new(),
        )
        .await?;
    let mut noise = Noise(7);
    for no in 0..SAMPLES {
        let blobs = vec![
            encode_stages(&sample::stages(&mut noise)),
            latency(&mut noise, 60).encode(),
            latency(&mut noise, 1440).encode(),
        ];
        store
            .bulk(format!("INSERT INTO sample VALUES ({no}, $1, $2, $3)"), blobs)
            .await?;
    }
    Ok(())
}

fn latency(noise: &mut Noise, probes: usize) -> Latency {
    let mut latency = Latency::default();
    for _ in 0..probes {
        let stages = sample::stages(noise);
        latency.add(None, stages.iter().map(|(_, duration)| *duration).sum());
        for (stage, duration) in stages {
            latency.add(Some(stage), duration);
        }
    }
    latency
}

/// In the order in which they would have come: pages fill as they do then. One in a hundred failed.
async fn one_hour(store: &Sqlite, from: i64) -> Result<u64, StoreError> {
    let statement = format!(
        "WITH RECURSIVE minute(m) AS (SELECT 0 UNION ALL SELECT m + 1 FROM minute WHERE m < 59) \
         INSERT INTO results SELECT checks.no, check_agents.no, \
         unhex(printf('%012x7%03x', ({from} + 60 * m) * 1000, abs(random()) % 4096) || hex(randomblob(8))), \
         ({from} + 60 * m) * 1000000 + abs(random()) % 60000000, ({from} + 60 * m) * 1000000, \
         CASE WHEN abs(random()) % 100 = 0 THEN 2 ELSE 0 END, NULL, NULL, 130000 + abs(random()) % 30000, stages, 1 \
         FROM minute, checks, check_agents JOIN sample ON sample.no = (m * 7 + check_agents.no * 13) % {SAMPLES} \
         ORDER BY m"
    );
    store.bulk(statement, Vec::new()).await
}

async fn sums(store: &Sqlite, span: i64, last: i64, count: i64) -> Result<u64, StoreError> {
    let (blob, rounds) = if span == HOUR { ("hour", 60) } else { ("day", 1440) };
    let statement = format!(
        "WITH RECURSIVE span(n) AS (SELECT {count} UNION ALL SELECT n - 1 FROM span WHERE n > 1) \
         INSERT OR IGNORE INTO rollups SELECT checks.no, {span}, ({last} - n * {span}) * 1000000, check_agents.no, \
         {rounds} - 1, 0, 1, 0, {rounds}, {blob}, 1 \
         FROM span, checks, check_agents JOIN sample ON sample.no = (n * 7 + check_agents.no * 13) % {SAMPLES}"
    );
    store.bulk(statement, Vec::new()).await
}

async fn rounds(store: &Sqlite, last: i64, days: i64) -> Result<u64, StoreError> {
    let minutes = days * 1440;
    let statement = format!(
        "WITH RECURSIVE minute(m) AS (SELECT {minutes} UNION ALL SELECT m - 1 FROM minute WHERE m > 1) \
         INSERT OR IGNORE INTO rounds SELECT checks.no, ({last} - 60 * m) * 1000000, randomblob(16), \
         CASE WHEN m % 100 = 0 THEN 'partial' ELSE 'healthy' END, 'every vantage point can use it', \
         50, 0, 0, 0, 0, 0, 0, ({last} - 60 * m) * 1000000, 0, '' FROM minute, checks"
    );
    store.bulk(statement, Vec::new()).await
}

async fn runs(store: &Sqlite, check_no: i64, last: i64) -> Result<u64, StoreError> {
    let statement = format!(
        "WITH RECURSIVE run(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM run WHERE n < {RUNS}) \
         INSERT INTO runs (id, started_at, target, verdict, summary, document, target_key, check_no, is_first) \
         SELECT lower(hex(randomblob(16))), ({last} - n * 3600) * 1000000, 'imap.example.org', 'partial', \
         'some can not use it', $1, 'imap.example.org 993/tls', {check_no}, 0 FROM run"
    );
    store.bulk(statement, vec![vec![7; DOCUMENT]]).await
}
