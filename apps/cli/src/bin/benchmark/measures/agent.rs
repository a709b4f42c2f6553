//! What a node costs: its processes while it is idle, the time from the acceptance of a job to its first instruction, and
//! the output that a job can write.

use super::{NODES, latency};
use crate::bodies;
use crate::client::{Call, Connection};
use crate::options::Setup;
use crate::processes::{Cpu, Memory, with_subcommand};
use crate::report::{Report, Unit};
use crate::samples::percentile;
use crate::service::Service;
use anyhow::Result;
use std::time::Duration;

/// How long idle agents are watched: some held requests long.
const IDLE: Duration = Duration::from_secs(30);

const START: [(usize, &str); 2] =
    [(50, "acceptance to first instruction, p50"), (99, "acceptance to first instruction, p99")];

pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    for round in 1..=setup.sizes.rounds {
        report.begin("agent", &format!("round {round}, idle for {} s", IDLE.as_secs())).await;
        let service = Service::with_cluster(setup, NODES).await?;
        let mut connection = service.connect().await?;
        // Each node keeps the supervisor of its first job for the next one.
        for number in 0..2 * NODES {
            latency::one(&mut connection, service.directory(), &format!("warm{number}")).await?;
        }
        idle(&service, report).await?;
        let jobs = setup.sizes.latency_jobs;
        report.begin("agent", &format!("round {round}, {jobs} jobs")).await;
        let mut millis = Vec::with_capacity(jobs);
        for number in 0..jobs {
            let name = number.to_string();
            let times = latency::one(&mut connection, service.directory(), &name).await?;
            millis.push(times.since_acceptance);
        }
        millis.sort_by(f64::total_cmp);
        for (percent, name) in START {
            report.add(name, Unit::Millis, percentile(&millis, percent));
        }
        output(&service, &mut connection, setup.sizes.output_mebibytes, report).await?;
    }
    Ok(())
}

/// Figures per node.
async fn idle(service: &Service, report: &mut Report) -> Result<()> {
    let before = Cpu::of(service.pid())?;
    tokio::time::sleep(IDLE).await;
    let cpu = Cpu::of(service.pid())?.since(before);
    let minutes = IDLE.as_secs_f64() / 60.0 * NODES as f64;
    report.add("CPU of an idle agent per minute", Unit::CpuMillis, cpu.agents * 1000.0 / minutes);
    for kind in ["agent", "keep", "supervise"] {
        let processes = with_subcommand(service.pid(), kind);
        let mut memory = 0.0;
        for pid in &processes {
            memory += Memory::of(*pid)?.proportional;
        }
        let each = memory / processes.len().max(1) as f64;
        report.add(&format!("memory of a process `{kind}`, PSS"), Unit::Mebibytes, each);
    }
    Ok(())
}

/// A job that writes to its standard output as fast as it can.
async fn output(
    service: &Service,
    connection: &mut Connection,
    mebibytes: usize,
    report: &mut Report,
) -> Result<()> {
    report.begin("agent", &format!("{mebibytes} MiB of output")).await;
    let times = service.directory().join("output-times");
    let bytes = mebibytes << 20;
    let line = format!(
        "a=$EPOCHREALTIME; head -c {bytes} /dev/zero; echo $a $EPOCHREALTIME > {}",
        times.display()
    );
    let before = Cpu::of(service.pid())?;
    let path = bodies::path("/experiments/e/jobs/output");
    connection.send(Call::put(path, bodies::job(&line))).await?;
    connection.wait_for_job("output").await?;
    let cpu = Cpu::of(service.pid())?.since(before);
    let text = std::fs::read_to_string(times)?.replace(',', ".");
    let clocks: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    let [from, to] = clocks[..] else { anyhow::bail!("the job wrote no times: {text}") };
    report.add("output of a job, MiB", Unit::PerSecond, mebibytes as f64 / (to - from));
    let own = (cpu.agents + cpu.supervisors) * 1000.0;
    report.add("CPU of agent and supervisor meanwhile", Unit::CpuMillis, own);
    Ok(())
}
