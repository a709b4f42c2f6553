//! Durable jobs per second: jobs `true`, submitted one by one, from the first submission to the last
//! end; and the CPU time per job by kind of process.

use super::{HYPERQUEUE, NODES};
use crate::bodies;
use crate::client::{Call, pace};
use crate::options::Setup;
use crate::processes::{Cpu, own_cpu_seconds};
use crate::profile::Recording;
use crate::report::{Report, Unit};
use crate::service::Service;
use anyhow::{Result, ensure};
use std::time::Instant;

/// Connections for submissions. HyperQueue's client has one, which is not its bottleneck.
const CONNECTIONS: usize = 4;

const RATE: &str = "durable jobs, 4 connections, 4 nodes";
const OWN_CPU: &str = "CPU per job, all but its shell";
const SHELL_CPU: &str = "CPU per job, its shell";

/// One round with this service.
struct Round {
    /// From the first PUT to the end of the last job.
    seconds: f64,
    /// From the first PUT to the last answer.
    accepted_seconds: f64,
    cpu: Cpu,
    client_cpu_seconds: f64,
}

pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let jobs = setup.sizes.jobs;
    let per_job = |seconds: f64| seconds * 1000.0 / jobs as f64;
    for round in 1..=setup.sizes.rounds {
        report.begin("throughput", &format!("round {round}, {jobs} jobs, this service")).await;
        let service = Service::with_cluster(setup, NODES).await?;
        let ours = run(&service, jobs).await?;
        drop(service);
        let cpu = ours.cpu;
        report.add(RATE, Unit::PerSecond, jobs as f64 / ours.seconds);
        report.add("jobs accepted meanwhile", Unit::PerSecond, jobs as f64 / ours.accepted_seconds);
        let own = cpu.service + cpu.agents + cpu.supervisors;
        report.add(OWN_CPU, Unit::CpuMillis, per_job(own));
        report.add("  service", Unit::CpuMillis, per_job(cpu.service));
        report.add("  agents", Unit::CpuMillis, per_job(cpu.agents));
        report.add("  supervisors", Unit::CpuMillis, per_job(cpu.supervisors));
        report.add(SHELL_CPU, Unit::CpuMillis, per_job(cpu.jobs));
        report.add("CPU per job, our client", Unit::CpuMillis, per_job(ours.client_cpu_seconds));
        let Some(hyperqueue) = &setup.hyperqueue else { continue };
        report.begin("throughput", &format!("round {round}, {jobs} jobs, {HYPERQUEUE}")).await;
        let theirs = hyperqueue.throughput(jobs, &setup.scratch).await?;
        report.compare(RATE, HYPERQUEUE, jobs as f64 / theirs.seconds);
        report.compare(
            "jobs accepted meanwhile",
            HYPERQUEUE,
            jobs as f64 / theirs.accepted_seconds,
        );
        report.compare(OWN_CPU, HYPERQUEUE, per_job(theirs.own_cpu_seconds));
        report.compare(SHELL_CPU, HYPERQUEUE, per_job(theirs.jobs_cpu_seconds));
    }
    Ok(())
}

/// An additional round with `perf`, whose figures do not count.
pub async fn profile(setup: &Setup, report: &mut Report) -> Result<()> {
    report.begin("profile", &format!("{} jobs with perf", setup.sizes.jobs)).await;
    let service = Service::with_cluster(setup, NODES).await?;
    let recording = Recording::start(service.pid(), service.directory())?;
    run(&service, setup.sizes.jobs).await?;
    println!("{}\n", recording.shares()?);
    Ok(())
}

async fn run(service: &Service, jobs: usize) -> Result<Round> {
    let mut connection = service.connect().await?;
    let body = bodies::job("true");
    let cpu_before = Cpu::of(service.pid())?;
    let client_before = own_cpu_seconds()?;
    let begin = Instant::now();
    let put = move |number| Call::put(job_path(number), body.clone());
    pace(&service.access, CONNECTIONS, jobs, put).await?;
    let accepted_seconds = begin.elapsed().as_secs_f64();
    // Jobs start in the order of submission, so when the last ones have ended, all have.
    for number in (jobs.saturating_sub(NODES + CONNECTIONS)..jobs).rev() {
        connection.wait_for_job(&format!("t{number}")).await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let cpu = Cpu::of(service.pid())?.since(cpu_before);
    let client_cpu_seconds = own_cpu_seconds()? - client_before;
    let counts = connection.properties("/clusters/c").await?;
    ensure!(counts["nodeStateCounts"]["runningNodeCount"] == 0, "a job is still running: {counts}");
    Ok(Round { seconds, accepted_seconds, cpu, client_cpu_seconds })
}

fn job_path(number: usize) -> String {
    bodies::path(&format!("/experiments/e/jobs/t{number}"))
}
