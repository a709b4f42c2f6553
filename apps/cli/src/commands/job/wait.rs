//! `batchai job wait`: reports the changes of jobs until they have ended.

use super::outage::OutageTolerance;
use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::on_nodes;
use anyhow::Result;
use clap::Args;
use resources::time;
use resources::{ExecutionState, Job};
use std::time::Duration;
use tokio::time::Instant;

pub const HELP: &str = "\
Prints each change on stderr: why the job waits, on which nodes it runs, why an attempt ended.
Exits with 0 if the job succeeded, with the exit code of a failed job, with 1 if it has none, and
with 124 after --timeout. With several jobs, waits for all of them, and exits with the status of the
first one that failed.";

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Args)]
pub struct WaitArguments {
    /// Names of jobs
    #[arg(value_parser = crate::names::resource_name, required_unless_present = "named")]
    names: Vec<String>,
    /// Name of a job, as in the Azure CLI
    #[arg(
        short = 'n',
        long = "name",
        value_name = "NAME",
        id = "named",
        value_parser = crate::names::resource_name
    )]
    named: Vec<String>,
    /// Stop waiting after this time; the jobs continue
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Seconds between two requests [default: from 0.25 to 2]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    interval: Option<u64>,
}

/// How long and how often to ask.
#[derive(Clone, Copy, Default)]
pub struct Patience {
    pub timeout: Option<Duration>,
    /// The pause between requests; None for a short one that grows.
    pub interval: Option<Duration>,
}

pub async fn run(context: &Context, arguments: WaitArguments) -> Result<Exit> {
    let WaitArguments { names, named, timeout, interval } = arguments;
    let jobs = context.scope.jobs()?;
    let addresses: Vec<_> =
        names.iter().chain(&named).map(|name| jobs.join(&[name.as_str()])).collect();
    let patience = Patience {
        timeout: timeout.map(Duration::from_secs),
        interval: interval.map(Duration::from_secs),
    };
    until_end(context, &addresses, patience).await
}

/// A job that is waited for, and what is known of it.
struct Awaited<'a> {
    address: &'a Address,
    answer: Option<Json>,
    job: Option<Job>,
    last_line: String,
}

/// Reports every change of the jobs; prints them when all have ended. The exit status is that of the
/// first one that failed.
pub async fn until_end(
    context: &Context,
    addresses: &[Address],
    patience: Patience,
) -> Result<Exit> {
    let begin = Instant::now();
    let mut outage = OutageTolerance::default();
    let mut pause = FIRST_PAUSE;
    let new = |address| Awaited { address, answer: None, job: None, last_line: String::new() };
    let mut jobs: Vec<_> = addresses.iter().map(new).collect();
    loop {
        for awaited in jobs.iter_mut().filter(|it| !it.has_ended()) {
            let answer = context.client.get(awaited.address).await;
            let Some(answer) = outage.check(answer).await? else { continue };
            if let Some(line) = awaited.update(answer)? {
                context.output.message(line);
                pause = FIRST_PAUSE;
            }
        }
        if jobs.iter().all(Awaited::has_ended) {
            return end(context, jobs);
        }
        let left = patience.timeout.map(|timeout| timeout.saturating_sub(begin.elapsed()));
        if left == Some(Duration::ZERO) {
            for awaited in jobs.iter().filter(|it| !it.has_ended()) {
                context.output.message(awaited.timed_out());
            }
            return Ok(Exit::TIMED_OUT);
        }
        let wanted = patience.interval.unwrap_or(pause);
        tokio::time::sleep(left.map_or(wanted, |left| wanted.min(left))).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

impl Awaited<'_> {
    /// Takes a new answer; returns a line if it says something new.
    fn update(&mut self, answer: Json) -> Result<Option<&str>> {
        let job: Job = answer.read()?;
        let line = describe(&job);
        (self.answer, self.job) = (Some(answer), Some(job));
        let is_new = line != self.last_line;
        self.last_line = line;
        Ok(is_new.then_some(self.last_line.as_str()))
    }

    fn has_ended(&self) -> bool {
        self.job.as_ref().is_some_and(Job::has_ended)
    }

    fn timed_out(&self) -> String {
        match &self.job {
            Some(job) => {
                format!("Timed out; {} is still {}.", job.name, job.properties.execution_state)
            }
            None => "Timed out; the state of the job is unknown.".to_owned(),
        }
    }
}

fn end(context: &Context, jobs: Vec<Awaited<'_>>) -> Result<Exit> {
    let exits = jobs.iter().filter_map(|it| it.job.as_ref()).map(Exit::of);
    let exit = exits.into_iter().find(|exit| *exit != Exit::SUCCESS).unwrap_or(Exit::SUCCESS);
    let answers: Vec<Json> = jobs.into_iter().filter_map(|it| it.answer).collect();
    if !context.output.is_quiet() {
        match answers.as_slice() {
            [one] => context.output.details::<Job>(one)?,
            _ => context.output.list::<Job>(answers, "")?,
        }
    }
    Ok(exit)
}

/// One line that describes the current state.
pub fn describe(job: &Job) -> String {
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
