//! The rounds of the benchmark.

use crate::events::{Prepared, prepare};
use crate::process::{cpu_time, peak_resident_bytes};
use ::tests::lambda_runtime::Function;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The function that does nothing.
pub const HELLO: &str = "hello";

/// In the order of the table: what the others are compared with, and those of the template.
pub const FUNCTIONS: [&str; 7] =
    [HELLO, "api", "dispatcher", "autoscaler", "recovery", "files", "provisioner"];

/// Binaries by function.
pub type Programs = BTreeMap<&'static str, PathBuf>;

/// What was measured of a function.
#[derive(Default)]
pub struct Figures {
    pub function: &'static str,
    pub binary_bytes: u64,
    /// From the start of the process until it asked for an event, by round.
    pub starts: Vec<Duration>,
    /// The CPU time of the start, by round.
    pub starts_cpu: Vec<Duration>,
    /// The first invocation of a process, by round: connections are opened.
    pub first_invocations: Vec<Duration>,
    pub invocations: Vec<Duration>,
    /// The mean CPU time of a warm invocation.
    pub invocation_cpu: Duration,
    /// The most memory resident, after all invocations.
    pub peak_resident_bytes: u64,
}

/// The binaries in a directory of cargo (`DIR/NAME`) or of cargo-lambda (`DIR/NAME/bootstrap`).
pub fn programs(directory: &Path) -> Result<Programs> {
    let mut found = Programs::new();
    for name in FUNCTIONS {
        let candidates = [directory.join(name).join("bootstrap"), directory.join(name)];
        let program = candidates.iter().find(|it| it.is_file());
        ensure!(
            program.is_some(),
            "there is no function {name} in {}: build all of them, see docs/development.md",
            directory.display()
        );
        found.extend(program.map(|it| (name, it.clone())));
    }
    Ok(found)
}

/// Starts every function `rounds` times, and invokes the last process of each `invocations` times.
pub async fn all(programs: &Programs, rounds: u32, invocations: u32) -> Result<Vec<Figures>> {
    eprintln!("starting the emulators");
    let prepared = prepare(programs).await?;
    let mut all = Vec::new();
    for function in FUNCTIONS {
        let binary_bytes = std::fs::metadata(&programs[function])?.len();
        all.push(Figures { function, binary_bytes, ..Figures::default() });
    }
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for figures in &mut all {
            let process = start(&prepared, programs, figures).await?;
            if round == rounds {
                warm(&prepared, process, figures, invocations).await?;
            }
        }
    }
    Ok(all)
}

/// Starts a function and invokes it once.
async fn start(
    prepared: &Prepared,
    programs: &Programs,
    figures: &mut Figures,
) -> Result<Function> {
    let name = figures.function;
    let mut function = prepared.stack.start_function(name, &programs[name], &[]).await;
    figures.starts.push(function.ready().await?);
    figures.starts_cpu.push(cpu_time(function.process_id())?);
    let first = invoke(prepared, &mut function, name).await?;
    figures.first_invocations.push(first);
    Ok(function)
}

async fn warm(
    prepared: &Prepared,
    mut function: Function,
    figures: &mut Figures,
    invocations: u32,
) -> Result<()> {
    let process = function.process_id();
    let before = cpu_time(process)?;
    for _ in 0..invocations {
        figures.invocations.push(invoke(prepared, &mut function, figures.function).await?);
    }
    figures.invocation_cpu = (cpu_time(process)? - before) / invocations;
    figures.peak_resident_bytes = peak_resident_bytes(process)?;
    Ok(())
}

async fn invoke(prepared: &Prepared, function: &mut Function, name: &str) -> Result<Duration> {
    let event = prepared.events[name].clone();
    let begin = Instant::now();
    let answer = function.invoke(event).await?;
    let duration = begin.elapsed();
    ensure!(is_success(&answer), "{name} answered {answer}\n{}", function.log());
    Ok(duration)
}

fn is_success(answer: &Value) -> bool {
    let status = answer.get("statusCode").is_none_or(|status| *status == 200);
    let failures = answer["batchItemFailures"].as_array();
    status && failures.is_none_or(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failed_invocation_is_no_figure() {
        assert!(is_success(&json!({"statusCode": 200, "body": ""})));
        assert!(is_success(&json!({"batchItemFailures": []})));
        assert!(!is_success(&json!({"statusCode": 404})));
        assert!(!is_success(&json!({"batchItemFailures": [{"itemIdentifier": "1"}]})));
    }

    #[test]
    fn a_missing_function_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for name in FUNCTIONS.iter().filter(|name| **name != "files") {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let error = programs(directory.path()).unwrap_err().to_string();
        assert!(error.contains("no function files"), "{error}");
        std::fs::create_dir(directory.path().join("files")).unwrap();
        std::fs::write(directory.path().join("files/bootstrap"), "").unwrap();
        let found = programs(directory.path()).unwrap();
        assert_eq!(found["files"], directory.path().join("files/bootstrap"));
    }
}
