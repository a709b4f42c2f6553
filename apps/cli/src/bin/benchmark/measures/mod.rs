//! The measurements, one file each, in the order in which they run.

mod acceptance;
mod agent;
mod backlog;
mod latency;
mod reads;
mod throughput;

use crate::options::{Measurement, Setup};
use crate::report::Report;
use anyhow::Result;

/// Nodes, of one core each: HyperQueue's worker has as many cores.
const NODES: usize = 4;

const HYPERQUEUE: &str = "HyperQueue";

pub async fn all(setup: &Setup, report: &mut Report) -> Result<()> {
    for measurement in &setup.measurements {
        match measurement {
            Measurement::Throughput => throughput::measure(setup, report).await?,
            Measurement::Latency => latency::measure(setup, report).await?,
            Measurement::Acceptance => acceptance::measure(setup, report).await?,
            Measurement::Reads => reads::measure(setup, report).await?,
            Measurement::Agent => agent::measure(setup, report).await?,
            Measurement::Backlog => backlog::measure(setup, report).await?,
        }
    }
    if setup.profile {
        throughput::profile(setup, report).await?;
    }
    Ok(())
}
