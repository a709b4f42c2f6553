//! Figures of the service on this machine, beside HyperQueue's taken in the same run. Nothing is
//! asserted; a table comes out. What was started is stopped, however this program ends.

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
    // Whatever loses its parent becomes a child of this process, and is found at the end.
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

/// On one thread: the client shares the cores with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn run(options: Options) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let json = options.json.clone();
    let setup = options.into_setup()?;
    let mut report = report::Report::new(&setup)?;
    eprintln!("{}", report.heading());
    let outcome = tokio::select! {
        outcome = measures::all(&setup, &mut report) => outcome.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    };
    // Also after a failure or Ctrl-C: what was measured until then holds.
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
