//! `batchai demo`: runs a sweep on a service of its own and verifies the results.
//!
//! It uses the service like a client: as a separate process, through the REST API. It exits with 1
//! unless every check of the results succeeds.

mod deployment;
mod interruption;
mod monitor;
mod outcome;
mod python;
mod report;
mod screen;
mod service;
mod setup;
mod sweep;
mod tracked_job;
mod training_log;

use crate::commands::portal;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::{Format, Output};
use crate::stderr;
use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use report::Report;
use screen::Screen;
use service::Service;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// The demonstration takes about a minute.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Run a demonstration: train eight models on a cluster that loses a node
///
/// Starts the service in a temporary directory and creates a file server and a low-priority cluster
/// of 0 to 4 nodes. Submits eight jobs that train models on images of handwritten digits. Interrupts
/// the node of one job, which returns to the queue and resumes from its checkpoint. Waits until the
/// cluster has scaled to zero, and verifies that every job has exactly one result.
#[derive(Args)]
#[command(after_help = "Requires Python 3 without further packages. Takes about a minute.")]
pub struct Arguments {
    /// Keep the service running at the end
    #[arg(long)]
    keep: bool,
    /// Maximum number of nodes of the cluster
    #[arg(long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: u32,
}

/// How the demonstration ended.
enum Outcome {
    Finished(Report),
    Interrupted,
}

pub async fn run(output: Output, arguments: Arguments) -> Result<Exit> {
    python::check().await?;
    let start = Instant::now();
    let root = tempfile::Builder::new()
        .prefix("batchai-demo-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let mut service = Service::spawn(root.path(), arguments.keep)?;
    let outcome = tokio::select! {
        outcome = run_sweep(&mut service, root.path(), arguments.nodes, start) => outcome,
        signal = stop_signal() => signal.map(|()| Outcome::Interrupted),
    };
    match outcome {
        Ok(Outcome::Finished(report)) if report.problems.is_empty() => {
            succeed(&output, &report, service, root, arguments.keep).await
        }
        Ok(Outcome::Finished(report)) => {
            show(&output, &report)?;
            for problem in &report.problems {
                stderr::message(format_args!("problem: {problem}"));
            }
            fail(service, root, anyhow!("a check of the results failed")).await
        }
        Ok(Outcome::Interrupted) => {
            stderr::message("\nInterrupted. Stopping the service and removing its data.");
            service.stop().await;
            Ok(Exit::INTERRUPTED)
        }
        Err(error) => fail(service, root, error).await,
    }
}

/// From the first request to the checks.
async fn run_sweep(
    service: &mut Service,
    root: &Path,
    nodes: u32,
    start: Instant,
) -> Result<Outcome> {
    let timed_out = || anyhow!("the demo did not finish within {}s", TIMEOUT.as_secs());
    let screen = Screen::new(start);
    let steps = async {
        let client = service.ready(root).await?;
        let link = portal::link(&client, &service::scope()).await?;
        screen.event(format_args!("To watch in a browser, open within a minute: {}", link.url));
        let sweep = async {
            let deployment = setup::create(client, nodes, &screen).await?;
            let mut monitor = monitor::Monitor::start(&deployment).await?;
            monitor.run_until_empty(&deployment, &screen).await?;
            outcome::collect(&deployment, &monitor, start.elapsed()).await
        };
        tokio::select! {
            biased;
            error = service.unexpected_exit(root) => Err(error),
            report = sweep => report,
        }
    };
    let report = tokio::time::timeout(TIMEOUT, steps).await.map_err(|_| timed_out())?;
    screen.close();
    Ok(Outcome::Finished(report?))
}

async fn succeed(
    output: &Output,
    report: &Report,
    service: Service,
    root: TempDir,
    keep: bool,
) -> Result<Exit> {
    show(output, report)?;
    let root = root.keep();
    if keep {
        output.message(service.instructions(&root));
        service.detach();
    } else {
        service.stop().await;
        let root = root.display();
        output.message(format_args!(
            "The service is stopped. To remove its files, run: rm -r '{root}'"
        ));
    }
    Ok(Exit::SUCCESS)
}

/// Keeps the files for an analysis. The error becomes text, so that `failure` adds no hint for the
/// user of a service.
async fn fail(service: Service, root: TempDir, error: anyhow::Error) -> Result<Exit> {
    service.stop().await;
    let root = root.keep();
    let shown = root.display();
    stderr::message(format_args!("The files of the demo are in {shown}; see service.log there."));
    Err(anyhow!("{error:#}"))
}

fn show(output: &Output, report: &Report) -> Result<()> {
    match output.format {
        Format::Table | Format::Wide => output.print(report.text(&output.layout())),
        Format::Json | Format::Yaml => output.value(&Json::parse(&serde_json::to_string(report)?)?),
        Format::Name => Ok(()),
    }
}

async fn stop_signal() -> Result<()> {
    let mut interrupt =
        signal(SignalKind::interrupt()).context("cannot install a signal handler")?;
    let mut terminate =
        signal(SignalKind::terminate()).context("cannot install a signal handler")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
