//! `batchai demo`: the whole service at work, from an empty machine to checked results.
//!
//! It uses the service as anybody would: as a process of its own, through the REST API, with the
//! commands' own client. It ends with everything verified, or with exit status 1.

mod interruption;
mod outcome;
mod python;
mod report;
mod screen;
mod service;
mod setup;
mod sweep;
mod training_log;
mod watch;

use crate::exit::Exit;
use crate::output::{Format, Output};
use crate::talk;
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

/// It takes about a minute. A demonstration that hangs is one that failed.
const DEADLINE: Duration = Duration::from_secs(300);

/// See it work: a sweep of eight training jobs, one of which loses its node
///
/// Starts a service of its own in a temporary directory, with a file server and a low-priority
/// cluster of 0 to 4 nodes; submits eight jobs that learn to read handwritten digits; takes a node
/// away from one of them, which goes back to the queue and resumes from its checkpoint; waits
/// until the cluster is empty again; and checks that every job gave its result exactly once.
#[derive(Args)]
#[command(
    after_help = "It needs Python 3 (nothing but its standard library), and takes about a minute."
)]
pub struct Arguments {
    /// Leave the service running for you to look at; its files stay anyway
    #[arg(long)]
    keep: bool,
    /// Most nodes of the cluster
    #[arg(long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: u32,
}

/// How the demonstration ended.
enum End {
    Finished(Report),
    Stopped,
}

pub async fn run(output: Output, arguments: Arguments) -> Result<Exit> {
    python::check().await?;
    let begin = Instant::now();
    let place = tempfile::Builder::new()
        .prefix("batchai-demo-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let mut service = Service::spawn(place.path(), arguments.keep)?;
    let end = tokio::select! {
        end = play(&mut service, place.path(), arguments.nodes, begin) => end,
        signal = stop_signal() => signal.map(|()| End::Stopped),
    };
    match end {
        Ok(End::Finished(report)) if report.problems.is_empty() => {
            succeed(&output, &report, service, place, arguments.keep).await
        }
        Ok(End::Finished(report)) => {
            show(&output, &report)?;
            for problem in &report.problems {
                talk::say(format_args!("problem: {problem}"));
            }
            fail(service, place, anyhow!("the demonstration did not go as it has to")).await
        }
        Ok(End::Stopped) => {
            talk::say("\nStopping the service and removing its data.");
            service.stop().await;
            Ok(Exit::INTERRUPTED)
        }
        Err(error) => fail(service, place, error).await,
    }
}

/// Everything from the first request to the last check.
async fn play(service: &mut Service, place: &Path, nodes: u32, begin: Instant) -> Result<End> {
    let too_late = || anyhow!("it was not done within {} s", DEADLINE.as_secs());
    let screen = Screen::new(begin);
    let acts = async {
        let client = service.ready(place).await?;
        let rest = async {
            let stage = setup::prepare(client, nodes, &screen).await?;
            let mut watch = watch::Watch::begin(&stage).await?;
            watch.until_empty(&stage, &screen).await?;
            outcome::collect(&stage, &watch, begin.elapsed()).await
        };
        tokio::select! {
            biased;
            error = service.death(place) => Err(error),
            report = rest => report,
        }
    };
    let report = tokio::time::timeout(DEADLINE, acts).await.map_err(|_| too_late())?;
    screen.close();
    Ok(End::Finished(report?))
}

async fn succeed(
    output: &Output,
    report: &Report,
    service: Service,
    place: TempDir,
    keep: bool,
) -> Result<Exit> {
    show(output, report)?;
    let place = place.keep();
    if keep {
        output.say(service.how_to_reach(&place));
        service.release();
    } else {
        service.stop().await;
        output.say(format_args!(
            "The service is stopped; everything stays in {}, to be removed when you have seen it.",
            place.display()
        ));
    }
    Ok(Exit::SUCCESS)
}

/// What is needed to find out why stays. The error becomes mere text: what is advised to those who
/// use a service does not help here.
async fn fail(service: Service, place: TempDir, error: anyhow::Error) -> Result<Exit> {
    service.stop().await;
    let place = place.keep();
    let shown = place.display();
    talk::say(format_args!(
        "Everything is kept in {shown}; the service's log is service.log there."
    ));
    Err(anyhow!("{error:#}"))
}

fn show(output: &Output, report: &Report) -> Result<()> {
    match output.format {
        Format::Table => output.print(report.text(output.color)),
        Format::Json => output.print(serde_json::to_string_pretty(report)?),
        Format::Quiet => Ok(()),
    }
}

async fn stop_signal() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
