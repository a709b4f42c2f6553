//! Measures commits and reads per second on this disk: `cargo run --release -p sqlite --example
//! throughput`.
//!
//! Each commit is like one of the service: six conditional writes with bodies of 0.3 to 2 KB.
//! Compare figures of one run only; a flush takes from 0.1 ms to some milliseconds, by machine and
//! load.

use sqlite::Sqlite;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Attributes, Body, Condition, Key, Range, Storage, Write, WriteKind};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SECONDS: u64 = 3;

fn key(pk: String, sk: String) -> Key {
    Key { pk, sk }
}

fn body(number: usize, bytes: usize) -> Body {
    let head = format!("{{\"number\":{number},\"text\":\"");
    Body::text(format!("{head}{}\"}}", "x".repeat(bytes)))
}

fn put(key: Key, version: u64, bytes: usize) -> Write {
    let condition = match version {
        0 => Condition::Absent,
        _ => Condition::Unchanged { version: version - 1, seen_at: None },
    };
    let attributes = Attributes {
        version: Some(version),
        uid: Some("0b7f5f0e-51fd-4a0c-9dc7-6f5f3e0f0a11".to_owned()),
        active: Some(true),
        ..Attributes::default()
    };
    let body = body(version as usize, bytes);
    Write { key, kind: WriteKind::Put { attributes, body }, condition }
}

/// The three commits of a job: creation, start and end.
fn commits(submitter: usize, job: usize) -> [Vec<Write>; 3] {
    let job_key = || key(format!("exp#{submitter}"), format!("job#{job:06}"));
    let queued = || key(format!("cl#{submitter}"), format!("queue#1#{job:013}"));
    let node = || key(format!("cl#{submitter}"), "node#1".to_owned());
    let idle = || key(format!("cl#{submitter}"), "idle#1".to_owned());
    let usage = || key(format!("usage#{submitter}"), "meter#cores".to_owned());
    let cluster = || key(format!("ws#{submitter}"), "cluster#c".to_owned());
    let check = |condition| Write { key: cluster(), kind: WriteKind::Check, condition };
    let delete = |key, condition| Write { key, kind: WriteKind::Delete, condition };
    let add = |more, condition| Write { key: usage(), kind: WriteKind::Add(more), condition };
    let marker =
        || Write { key: idle(), kind: put(idle(), 0, 50).kind, condition: Condition::Always };
    let operation = |state: &str, bytes| {
        let key = key(format!("op#{submitter}#{job}#{state}"), "op".to_owned());
        put(key, 0, bytes)
    };
    let version = job as u64 * 2;
    [
        vec![
            put(job_key(), 0, 1400),
            put(queued(), 0, 300),
            operation("put", 400),
            check(Condition::Present),
            add(1, Condition::CountAtMost(1 << 40)),
            delete(key("nobody".to_owned(), format!("{submitter}")), Condition::Absent),
        ],
        vec![
            put(job_key(), 1, 1800),
            delete(queued(), Condition::Present),
            put(node(), version, 900),
            delete(idle(), Condition::Always),
            check(Condition::Present),
            add(1, Condition::CountAtMost(1 << 40)),
        ],
        vec![
            put(job_key(), 2, 1900),
            put(node(), version + 1, 900),
            marker(),
            check(Condition::Present),
            add(-2, Condition::CountAtLeast(2)),
            operation("end", 400),
        ],
    ]
}

async fn prepare(store: &Sqlite, submitter: usize) -> Outcome<()> {
    let cluster = key(format!("ws#{submitter}"), "cluster#c".to_owned());
    Ok(store.commit(vec![put(cluster, 0, 2000)]).await?)
}

async fn submit(store: Arc<Sqlite>, submitter: usize, until: Instant) -> Outcome<Vec<Duration>> {
    prepare(&store, submitter).await?;
    let mut taken = Vec::new();
    for job in 0.. {
        for writes in commits(submitter, job) {
            if Instant::now() > until {
                return Ok(taken);
            }
            let start = Instant::now();
            store.commit(writes).await?;
            taken.push(start.elapsed());
        }
    }
    Ok(taken)
}

async fn measure_commits(submitters: usize) -> Outcome<()> {
    let directory = tempfile::tempdir_in(".")?;
    let store = Arc::new(Sqlite::open(directory.path().join("batchai.db"))?);
    let start = Instant::now();
    let until = start + Duration::from_secs(SECONDS);
    let start_one = |submitter| tokio::spawn(submit(Arc::clone(&store), submitter, until));
    let running: Vec<_> = (0..submitters).map(start_one).collect();
    let mut taken = Vec::new();
    for one in running {
        taken.extend(one.await??);
    }
    let seconds = start.elapsed().as_secs_f64();
    taken.sort();
    let at = |share: f64| taken[(taken.len() as f64 * share) as usize].as_micros();
    println!(
        "{submitters:>3} submitters: {:>6.0} commits/s; p50 {} us, p99 {} us, p99.9 {} us, most {} us",
        taken.len() as f64 / seconds,
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.999_999),
    );
    Ok(())
}

async fn measure_reads(writing: bool) -> Outcome<()> {
    const JOBS: usize = 20_000;
    let directory = tempfile::tempdir_in(".")?;
    let path = directory.path().join("batchai.db");
    let store = Arc::new(Sqlite::open(&path)?);
    for some in (0..JOBS).collect::<Vec<_>>().chunks(50) {
        let job = |job: &usize| put(key("exp#0".to_owned(), format!("job#{job:06}")), 0, 1400);
        store.commit(some.iter().map(job).collect()).await?;
    }
    drop(store);
    let start = Instant::now();
    let store = Arc::new(Sqlite::open(&path)?);
    let megabytes = std::fs::metadata(&path)?.len() / 1024 / 1024;
    println!("opened and checked {megabytes} MiB in {} ms", start.elapsed().as_millis());
    let until = Instant::now() + Duration::from_secs(3 * SECONDS);
    let writer = writing.then(|| tokio::spawn(submit(Arc::clone(&store), 1, until)));
    let mut random = 1_usize;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % JOBS
    };
    let suffix = if writing { " beside a writer" } else { "" };
    let mut count = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(SECONDS) {
        let found = store.get(&key("exp#0".to_owned(), format!("job#{:06}", next()))).await?;
        assert!(found.is_some());
        count += 1;
    }
    println!("{:>6} gets/s{suffix}", count / SECONDS);
    let (mut count, mut items) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(SECONDS) {
        let after = Some(format!("job#{:06}", next()));
        let range =
            Range { pk: "exp#0".to_owned(), prefix: "job#".to_owned(), after, limit: Some(20) };
        items += store.range(&range).await?.len() as u64;
        count += 1;
    }
    println!("{:>6} ranges/s of {} items{suffix}", count / SECONDS, items / count);
    if let Some(writer) = writer {
        let mut taken = writer.await??;
        taken.sort();
        let count = taken.len() as u64 / 3 / SECONDS;
        println!(
            "{count:>6} commits/s by one writer beside them, p50 {} us",
            taken[taken.len() / 2].as_micros()
        );
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let only = std::env::args().nth(1);
    let measures = |name: &str| only.as_deref().is_none_or(|only| only == name);
    runtime.block_on(async {
        for submitters in [1, 4, 16, 64] {
            if measures("commits") {
                tokio::spawn(measure_commits(submitters)).await??;
            }
        }
        for writing in [false, true] {
            if measures("reads") {
                tokio::spawn(measure_reads(writing)).await??;
            }
        }
        Ok(())
    })
}
