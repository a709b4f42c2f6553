//! Measures the service on this machine and HyperQueue in the same run, and prints a table. Stops all
//! processes that it started, also after an error or a signal.

mod bodies;
mod client;
mod hyperqueue;
mod machine;
mod measures;
mod options;
mod processes;
mod profile;
mod report;
mod samples;
mod scratch;
mod service;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use options::Options;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    // Orphaned processes become children of this process, so that they are found at the end.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let outcome = run(Options::parse());
    processes::kill_descendants();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("benchmark: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// On one thread, because the client shares the cores with the measured processes.
#[tokio::main(flavor = "current_thread")]
async fn run(options: Options) -> Result<ExitCode> {
    let mut interrupt =
        signal(SignalKind::interrupt()).context("cannot install a signal handler")?;
    let mut terminate =
        signal(SignalKind::terminate()).context("cannot install a signal handler")?;
    let json = options.json.clone();
    let setup = options.into_setup()?;
    let mut report = report::Report::new(&setup)?;
    eprintln!("{}", report.heading());
    let outcome = tokio::select! {
        outcome = measures::all(&setup, &mut report) => outcome.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    };
    // Also after a failure or Ctrl-C: the figures so far are valid.
    report.finish(outcome.as_ref().is_ok_and(|code| *code == ExitCode::SUCCESS));
    show(&report, json.as_deref())?;
    outcome
}

fn show(report: &report::Report, json: Option<&Path>) -> Result<()> {
    if report.is_empty() {
        return Ok(());
    }
    println!("{}", report.table());
    if let Some(path) = json {
        let text = format!("{:#}\n", report.json());
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
