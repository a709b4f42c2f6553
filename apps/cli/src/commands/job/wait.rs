//! `batchai job wait`: what happens to a job until it has ended.

use super::patience::Patience;
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
Changes are told on stderr as they happen: why the job waits, where it runs, that a node was lost.
The exit status is 0 if the job succeeded, its exit code if it failed with one, else 1; 124 when
the time is over.";

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Args)]
pub struct WaitArguments {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    name: String,
    /// Give up after so many seconds; the job goes on
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub async fn run(context: &Context, arguments: WaitArguments) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[&arguments.name]);
    until_end(context, &address, arguments.timeout.map(Duration::from_secs)).await
}

/// Tells of every change; shows the job when it has ended.
pub async fn until_end(
    context: &Context,
    address: &Address,
    timeout: Option<Duration>,
) -> Result<Exit> {
    let begin = Instant::now();
    let mut patience = Patience::default();
    let mut pause = FIRST_PAUSE;
    let mut said = String::new();
    loop {
        if let Some(answer) = patience.bear(context.client.get(address).await).await? {
            let job: Job = answer.read()?;
            let line = describe(&job);
            if line != said {
                context.output.say(&line);
                said = line;
                pause = FIRST_PAUSE;
            }
            if job.has_ended() {
                return end(context, &answer, &job);
            }
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(begin.elapsed()));
        if left == Some(Duration::ZERO) {
            context.output.say("The time is over; the job goes on.");
            return Ok(Exit::TIMED_OUT);
        }
        tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

fn end(context: &Context, answer: &Json, job: &Job) -> Result<Exit> {
    match context.output.format {
        crate::output::Format::Json => context.output.print(answer.pretty())?,
        crate::output::Format::Table => context.output.details::<Job>(answer)?,
        crate::output::Format::Quiet => {}
    }
    Ok(Exit::of(job))
}

/// A line that changes when something happens that is worth telling.
fn describe(job: &Job) -> String {
    let name = &job.name;
    let ran = match (job.start_time().and_then(time::parse), job.end_time().and_then(time::parse)) {
        (Some(start), Some(end)) => {
            format!(" after {}", time::length(time::seconds_between(start, end)))
        }
        _ => String::new(),
    };
    match job.properties.execution_state {
        ExecutionState::Queued => {
            let again = match job.attempts().last() {
                Some(last) => {
                    format!(" again: {}", last.result.as_deref().unwrap_or("it was lost"))
                }
                None => String::new(),
            };
            let reason = job.waiting_reason().map(|reason| format!(". {reason}"));
            format!("{name} is queued{again}{}", reason.unwrap_or_default())
        }
        ExecutionState::Running => match job.attempts().last() {
            Some(last) => {
                format!("{name} runs {}, attempt {}", on_nodes(&last.nodes), last.number)
            }
            None => format!("{name} runs"),
        },
        ExecutionState::Terminating => format!("{name} is being stopped"),
        ExecutionState::Succeeded => format!("{name} succeeded{ran}"),
        ExecutionState::Failed => {
            let exit = job.exit_code().map(|code| format!(" with exit code {code}"));
            let error = job.first_error().map(|error| format!(": {error}"));
            let (exit, error) = (exit.unwrap_or_default(), error.unwrap_or_default());
            format!("{name} failed{exit}{ran}{error}")
        }
        ExecutionState::Unknown => format!("{name} is in a state that this command does not know"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(properties: serde_json::Value) -> String {
        let job = json!({ "name": "first", "properties": properties });
        describe(&serde_json::from_value(job).unwrap())
    }

    #[test]
    fn every_change_is_told_in_a_line() {
        let lost =
            json!([{ "number": 1, "nodes": ["tvm-1-p"], "result": "node tvm-1-p was taken away" }]);
        let twice = json!([{ "number": 1 }, { "number": 2, "nodes": ["tvm-2-p", "tvm-3-p"] }]);
        let times = json!({ "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:01:05Z",
            "exitCode": 3, "errors": [{ "code": "JobFailed", "message": "Job failed with non-zero exit code" }] });
        let lines = [
            told(
                json!({ "executionState": "queued", "extensions": { "attempts": [], "waitingReason": { "message": "Waits for 1 free node of cluster spot." } } }),
            ),
            told(json!({ "executionState": "queued", "extensions": { "attempts": lost } })),
            told(json!({ "executionState": "running", "extensions": { "attempts": twice } })),
            told(
                json!({ "executionState": "running", "executionInfo": { "startTime": "2026-01-01T00:00:00Z" } }),
            ),
            told(json!({ "executionState": "terminating" })),
            told(json!({ "executionState": "succeeded", "executionInfo": times })),
            told(json!({ "executionState": "failed", "executionInfo": times })),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        first is queued. Waits for 1 free node of cluster spot.
        first is queued again: node tvm-1-p was taken away
        first runs on tvm-2-p and 1 more, attempt 2
        first runs
        first is being stopped
        first succeeded after 1 min 5 s
        first failed with exit code 3 after 1 min 5 s: Job failed with non-zero exit code (JobFailed)
        ");
    }
}
