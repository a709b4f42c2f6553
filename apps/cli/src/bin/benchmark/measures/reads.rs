//! GETs of a job and of a page of jobs, and the memory while many clients poll.

use super::acceptance;
use crate::bodies;
use crate::client::{Call, Connection, pace};
use crate::options::Setup;
use crate::processes::Memory;
use crate::report::{Report, Unit};
use crate::service::Service;
use anyhow::Result;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

const CONNECTIONS: usize = 4;

/// Jobs of the list; each answer has all of them.
const ENTRIES: usize = 50;

/// Clients with one connection each, which send ten requests per second for some seconds.
const POLLERS: usize = 100;
const PERIOD: Duration = Duration::from_millis(100);
const POLLING: Duration = Duration::from_secs(4);

pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let gets = setup.sizes.requests;
    for round in 1..=setup.sizes.rounds {
        report
            .begin("reads", &format!("round {round}, {gets} GETs, {POLLERS} polling clients"))
            .await;
        let service = Service::with_cluster(setup, 0).await?;
        acceptance::submit(&service, ENTRIES).await?;
        let job = bodies::path("/experiments/e/jobs/q0");
        let get_job = {
            let job = job.clone();
            move |_| Call::get(job.clone())
        };
        let get = pace(&service.access, CONNECTIONS, gets, get_job).await?;
        report.add("GET job, 4 connections", Unit::PerSecond, get.per_second);
        report.add("GET job, p99", Unit::Millis, get.p99_millis);
        let page = bodies::page("/experiments/e/jobs", ENTRIES);
        let lists = gets / 5;
        let get_list = move |_| Call::get(page.clone());
        let list = pace(&service.access, CONNECTIONS, lists, get_list).await?;
        report.add("GET list of 50 jobs, 4 connections", Unit::PerSecond, list.per_second);
        report.add("GET list of 50 jobs, p99", Unit::Millis, list.p99_millis);
        let memory = polled(&service, &job).await?;
        report.add("RSS while 100 clients poll", Unit::Mebibytes, memory.resident);
    }
    Ok(())
}

async fn polled(service: &Service, path: &str) -> Result<Memory> {
    let mut pollers = JoinSet::new();
    for number in 0..POLLERS {
        let (access, path) = (service.access.clone(), path.to_owned());
        pollers.spawn(async move {
            // Spread over the period.
            sleep(PERIOD * number as u32 / POLLERS as u32).await;
            let mut connection = Connection::open(&access).await?;
            loop {
                connection.send(Call::get(path.clone())).await?;
                sleep(PERIOD).await;
            }
            #[expect(unreachable_code, reason = "gives the return type of the task")]
            anyhow::Ok(())
        });
    }
    sleep(POLLING).await;
    let memory = Memory::of(service.pid())?;
    if let Some(failed) = pollers.try_join_next() {
        failed??;
    }
    Ok(memory)
}
