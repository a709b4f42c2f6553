//! Jobs per second with a long queue, compared with a short one, and the memory of many stored jobs.
//! The long queue is filled once and partly processed in each round; the short one is filled in a new
//! service each time.

use super::{NODES, acceptance};
use crate::client::Connection;
use crate::options::Setup;
use crate::processes::Memory;
use crate::report::{Report, Unit};
use crate::service::Service;
use anyhow::{Context as _, Result};
use std::time::{Duration, Instant};

/// The time between a load and the measurement of memory, so that temporary memory does not count.
const SETTLING: Duration = Duration::from_secs(2);

pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let (long, short) = (setup.sizes.long_queue, setup.sizes.short_queue);
    report.begin("backlog", &format!("{long} PUTs")).await;
    let service = Service::with_cluster(setup, 0).await?;
    measure_memory(report, &service, "idle").await?;
    let put = acceptance::submit(&service, long).await?;
    report.add(&format!("PUT job, 8 connections, {long} PUTs"), Unit::PerSecond, put.per_second);
    measure_memory(report, &service, &format!("{long} jobs stored")).await?;
    let mut connection = service.connect().await?;
    for round in 1..=setup.sizes.rounds {
        report.begin("backlog", &format!("round {round}, {short} queued")).await;
        let shallow = Service::with_cluster(setup, 0).await?;
        acceptance::submit(&shallow, short).await?;
        let of_short = rate(&mut shallow.connect().await?, short, short).await?;
        drop(shallow);
        report.begin("backlog", &format!("round {round}, {long} queued")).await;
        let of_long = rate(&mut connection, long, short).await?;
        let name = format!("jobs ended, {long} queued");
        report.add(&name, Unit::PerSecond, of_long);
        report.compare(&name, &format!("{short} queued"), of_short);
    }
    measure_memory(report, &service, "after that").await
}

async fn measure_memory(report: &mut Report, service: &Service, when: &str) -> Result<()> {
    tokio::time::sleep(SETTLING).await;
    let memory = Memory::of(service.pid())?;
    report.add(&format!("memory of the service, {when}, RSS"), Unit::Mebibytes, memory.resident);
    report.add(
        &format!("memory of the service, {when}, PSS"),
        Unit::Mebibytes,
        memory.proportional,
    );
    Ok(())
}

/// Runs nodes until three quarters of `window` jobs have ended, then removes the nodes. Jobs start in
/// the order of their numbers, so the end of one job shows how many have ended.
async fn rate(connection: &mut Connection, jobs: usize, window: usize) -> Result<f64> {
    let first = first_queued(connection, jobs).await?;
    // The first jobs run while the nodes are starting.
    let (from, to) = (first + window / 10, first + window * 8 / 10);
    connection.resize(NODES).await?;
    connection.wait_for_job(&name(from)).await?;
    let begin = Instant::now();
    connection.wait_for_job(&name(to)).await?;
    let seconds = begin.elapsed().as_secs_f64();
    connection.resize(0).await?;
    connection.wait_for_idle_nodes(0).await?;
    Ok((to - from) as f64 / seconds)
}

/// Binary search: all jobs below the result have ended, none from it on has started.
async fn first_queued(connection: &mut Connection, jobs: usize) -> Result<usize> {
    let (mut ended, mut queued) = (0, jobs);
    while ended < queued {
        let middle = ended.midpoint(queued);
        let job = connection.properties(&format!("/experiments/e/jobs/{}", name(middle))).await?;
        let state = job["executionState"].as_str().context("a job has no state")?;
        if state == "queued" {
            queued = middle;
        } else {
            ended = middle + 1;
        }
    }
    Ok(ended)
}

fn name(number: usize) -> String {
    format!("q{number}")
}
