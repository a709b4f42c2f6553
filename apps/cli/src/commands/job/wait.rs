//! `batchai job wait`: reports the changes of a job until it has ended.

use super::outage::OutageTolerance;
use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::on_nodes;
use crate::resources::{ExecutionState, Job};
use crate::time;
use anyhow::Result;
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;

pub const HELP: &str = "\
Prints each change on stderr: why the job waits, on which nodes it runs, why an attempt ended.
Exits with 0 if the job succeeded, with the exit code of a failed job, with 1 if it has none, and
with 124 after --timeout.";

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Args)]
pub struct WaitArguments {
    /// Name of the job
    #[arg(value_parser = crate::names::resource_name)]
    name: String,
    /// Stop waiting after this time; the job continues
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub async fn run(context: &Context, arguments: WaitArguments) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[&arguments.name]);
    until_end(context, &address, arguments.timeout.map(Duration::from_secs)).await
}

/// Reports every change; prints the job when it has ended.
pub async fn until_end(
    context: &Context,
    address: &Address,
    timeout: Option<Duration>,
) -> Result<Exit> {
    let begin = Instant::now();
    let mut outage = OutageTolerance::default();
    let mut pause = FIRST_PAUSE;
    let mut state = None;
    let mut last_line = String::new();
    loop {
        if let Some(answer) = outage.check(context.client.get(address).await).await? {
            let job: Job = answer.read()?;
            state = Some(job.properties.execution_state);
            let line = describe(&job);
            if line != last_line {
                context.output.message(&line);
                last_line = line;
                pause = FIRST_PAUSE;
            }
            if job.has_ended() {
                return end(context, &answer, &job);
            }
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(begin.elapsed()));
        if left == Some(Duration::ZERO) {
            context.output.message(match state {
                Some(state) => format!("Timed out; the job is still {state}."),
                None => "Timed out; the state of the job is unknown.".to_owned(),
            });
            return Ok(Exit::TIMED_OUT);
        }
        tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

fn end(context: &Context, answer: &Json, job: &Job) -> Result<Exit> {
    if !context.output.is_quiet() {
        context.output.details::<Job>(answer)?;
    }
    Ok(Exit::of(job))
}

/// One line that describes the current state.
fn describe(job: &Job) -> String {
    let name = &job.name;
    let ran = match (job.start_time().and_then(time::parse), job.end_time().and_then(time::parse)) {
        (Some(start), Some(end)) => {
            format!(" after {}", time::format(time::elapsed(start, end)))
        }
        _ => String::new(),
    };
    match job.properties.execution_state {
        ExecutionState::Queued => {
            let again = match job.attempts().last() {
                Some(last) => {
                    format!(" again: {}", last.result.as_deref().unwrap_or("the attempt was lost"))
                }
                None => String::new(),
            };
            let reason = job.waiting_reason().map(|reason| format!(". {reason}"));
            format!("{name} is queued{again}{}", reason.unwrap_or_default())
        }
        ExecutionState::Running => match job.attempts().last() {
            Some(last) => {
                format!("{name} is running {}, attempt {}", on_nodes(&last.nodes), last.number)
            }
            None => format!("{name} is running"),
        },
        ExecutionState::Terminating => format!("{name} is being terminated"),
        ExecutionState::Succeeded => format!("{name} succeeded{ran}"),
        ExecutionState::Failed => {
            let exit = job.exit_code().map(|code| format!(" with exit code {code}"));
            let error = job.first_error().map(|error| format!(": {error}"));
            let (exit, error) = (exit.unwrap_or_default(), error.unwrap_or_default());
            format!("{name} failed{exit}{ran}{error}")
        }
        ExecutionState::Unknown => {
            format!("{name} has a state that this version of batchai does not know")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(properties: serde_json::Value) -> String {
        let job = json!({ "name": "first", "properties": properties });
        describe(&serde_json::from_value(job).unwrap())
    }

    #[test]
    fn every_state_has_its_line() {
        let lost = json!([{ "number": 1, "nodes": ["tvm-1-p"], "result": "node tvm-1-p was interrupted" }]);
        let twice = json!([{ "number": 1 }, { "number": 2, "nodes": ["tvm-2-p", "tvm-3-p"] }]);
        let times = json!({ "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:01:05Z",
            "exitCode": 3, "errors": [{ "code": "JobFailed", "message": "Job failed with non-zero exit code" }] });
        let lines = [
            line(
                json!({ "executionState": "queued", "extensions": { "attempts": [], "waitingReason": { "message": "Waits for 1 free node of cluster spot." } } }),
            ),
            line(json!({ "executionState": "queued", "extensions": { "attempts": lost } })),
            line(json!({ "executionState": "running", "extensions": { "attempts": twice } })),
            line(
                json!({ "executionState": "running", "executionInfo": { "startTime": "2026-01-01T00:00:00Z" } }),
            ),
            line(json!({ "executionState": "terminating" })),
            line(json!({ "executionState": "succeeded", "executionInfo": times })),
            line(json!({ "executionState": "failed", "executionInfo": times })),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        first is queued. Waits for 1 free node of cluster spot.
        first is queued again: node tvm-1-p was interrupted
        first is running on tvm-2-p and 1 more, attempt 2
        first is running
        first is being terminated
        first succeeded after 1m 5s
        first failed with exit code 3 after 1m 5s: Job failed with non-zero exit code (JobFailed)
        ");
    }
}
