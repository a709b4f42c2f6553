//! The time from just before the submission of a job until its process reads the clock, on an idle
//! cluster, one job at a time. On both sides the process is a `bash` that writes its clock to a file
//! without starting another process.

use super::{HYPERQUEUE, NODES};
use crate::bodies;
use crate::client::{Call, Connection};
use crate::options::Setup;
use crate::report::{Report, Unit};
use crate::samples::percentile;
use crate::service::Service;
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// The pause after each job, so that everything is idle again; the same for HyperQueue.
const PAUSE: Duration = Duration::from_millis(10);

/// The polling interval for the file of a job. The service is not polled meanwhile, because that would
/// add to the measured time.
const POLL: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(60);

const NAMES: [(usize, &str); 2] =
    [(50, "submission to first process, p50"), (99, "submission to first process, p99")];

pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let jobs = setup.sizes.latency_jobs;
    for round in 1..=setup.sizes.rounds {
        report.begin("latency", &format!("round {round}, {jobs} jobs, this service")).await;
        let service = Service::with_cluster(setup, NODES).await?;
        let ours = run(&service, jobs).await?;
        drop(service);
        for (percent, name) in NAMES {
            report.add(name, Unit::Millis, percentile(&ours, percent));
        }
        let Some(hyperqueue) = &setup.hyperqueue else { continue };
        report.begin("latency", &format!("round {round}, {jobs} jobs, {HYPERQUEUE}")).await;
        let mut theirs = hyperqueue.latency(jobs, &setup.scratch).await?;
        theirs.sort_by(f64::total_cmp);
        for (percent, name) in NAMES {
            report.compare(name, HYPERQUEUE, percentile(&theirs, percent));
        }
    }
    Ok(())
}

/// Sorted milliseconds.
async fn run(service: &Service, jobs: usize) -> Result<Vec<f64>> {
    let mut connection = service.connect().await?;
    // The first job runs with cold caches and does not count, as on the other side.
    one(&mut connection, service.directory(), "first").await?;
    let mut millis = Vec::with_capacity(jobs);
    for number in 0..jobs {
        let times = one(&mut connection, service.directory(), &number.to_string()).await?;
        millis.push(times.since_submission);
    }
    millis.sort_by(f64::total_cmp);
    Ok(millis)
}

/// When the process of a job began, in milliseconds.
pub struct Times {
    /// Since just before the PUT.
    pub since_submission: f64,
    /// Since its answer. The agent gets the job at the same time.
    pub since_acceptance: f64,
}

/// Runs one job.
pub async fn one(connection: &mut Connection, directory: &Path, name: &str) -> Result<Times> {
    let clock = directory.join(format!("clock-{name}"));
    let body = bodies::job(&format!("echo $EPOCHREALTIME > {}", clock.display()));
    let call = Call::put(bodies::path(&format!("/experiments/e/jobs/l{name}")), body);
    let before = epoch_seconds()?;
    connection.send(call).await?;
    let accepted = epoch_seconds()?;
    let started = read_clock(&clock).await?;
    connection.wait_for_job(&format!("l{name}")).await?;
    tokio::time::sleep(PAUSE).await;
    Ok(Times {
        since_submission: (started - before) * 1000.0,
        since_acceptance: (started - accepted) * 1000.0,
    })
}

async fn read_clock(path: &Path) -> Result<f64> {
    let begin = Instant::now();
    loop {
        // The file exists before its line is written.
        if let Ok(text) = std::fs::read_to_string(path)
            && text.ends_with('\n')
        {
            // In some locales the clock has a decimal comma.
            return text
                .trim()
                .replace(',', ".")
                .parse()
                .context("cannot parse the clock that bash wrote");
        }
        ensure!(begin.elapsed() < TIMEOUT, "no process wrote {}", path.display());
        tokio::time::sleep(POLL).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "compared with the clock that a job's shell reads")]
fn epoch_seconds() -> Result<f64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64())
}
