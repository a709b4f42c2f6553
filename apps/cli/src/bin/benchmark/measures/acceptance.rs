//! PUTs of jobs per second on a cluster without nodes, so that no job starts.

use crate::bodies;
use crate::client::{Call, Pace, pace};
use crate::options::Setup;
use crate::report::{Report, Unit};
use crate::service::Service;
use anyhow::Result;

const CONNECTIONS: usize = 8;

pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let count = setup.sizes.requests;
    for round in 1..=setup.sizes.rounds {
        report.begin("acceptance", &format!("round {round}, {count} PUTs")).await;
        let service = Service::with_cluster(setup, 0).await?;
        let put = submit(&service, count).await?;
        report.add("PUT job, 8 connections", Unit::PerSecond, put.per_second);
        report.add("PUT job, p99", Unit::Millis, put.p99_millis);
        let client = put.client_cpu_millis_per_request;
        report.add("CPU per PUT, our client", Unit::CpuMillis, client);
    }
    Ok(())
}

/// Submits jobs `true` with the names `q0`, `q1`, … to the cluster.
pub async fn submit(service: &Service, count: usize) -> Result<Pace> {
    let body = bodies::job("true");
    let path = |number| bodies::path(&format!("/experiments/e/jobs/q{number}"));
    let put = move |number| Call::put(path(number), body.clone());
    pace(&service.access, CONNECTIONS, count, put).await
}
