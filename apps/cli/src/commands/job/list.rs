//! `batchai job list`: the jobs of an experiment, with the reason why queued ones wait.

use crate::client::{Address, Client};
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::Output;
use crate::watch::{self, WatchArguments};
use anyhow::Result;
use clap::{Args, ValueEnum};
use resources::natural;
use resources::{ExecutionState, Job};

pub const HELP: &str = "\
Examples:
  batchai job list --state queued,running --sort submitted
  batchai job list --watch
  batchai job list -o name --state failed";

#[derive(Args)]
pub struct ListArguments {
    /// Only jobs in these states, separated by commas
    #[arg(long, value_name = "STATES", value_delimiter = ',')]
    state: Vec<State>,
    /// Order of the jobs
    #[arg(long, value_name = "ORDER", default_value = "name")]
    sort: Order,
    #[command(flatten)]
    watch: WatchArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Queued,
    Running,
    Terminating,
    Succeeded,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// By name: sw-2 before sw-10
    Name,
    /// By state, queued jobs first
    State,
    /// By the time of submission, oldest first
    Submitted,
    /// By the time of the end, oldest first; jobs that have not ended last
    Ended,
}

/// A job, and the answer that it was read from.
pub struct Listed {
    pub answer: Json,
    pub job: Job,
}

pub async fn run(context: &Context, arguments: ListArguments) -> Result<Exit> {
    let jobs = context.scope.jobs()?;
    let none = match arguments.state.is_empty() {
        true => "No jobs. To submit one, run: batchai job submit -f job.json --cluster NAME",
        false => "No jobs in these states.",
    };
    watch::repeat(context, &arguments.watch, async |output: &Output| {
        let mut listed = read(&context.client, &jobs).await?;
        listed.retain(|it| arguments.includes(it.job.properties.execution_state));
        sort(&mut listed, arguments.sort);
        output.list::<Job>(listed.into_iter().map(|it| it.answer).collect(), none)
    })
    .await
}

/// All jobs of an experiment.
pub async fn read(client: &Client, jobs: &Address) -> Result<Vec<Listed>> {
    let answers = client.list(jobs).await?;
    answers.into_iter().map(Listed::of).collect()
}

impl Listed {
    fn of(answer: Json) -> Result<Self> {
        let job = answer.read()?;
        Ok(Self { answer, job })
    }
}

impl ListArguments {
    fn includes(&self, state: ExecutionState) -> bool {
        let wanted = match state {
            ExecutionState::Queued => State::Queued,
            ExecutionState::Running => State::Running,
            ExecutionState::Terminating => State::Terminating,
            ExecutionState::Succeeded => State::Succeeded,
            ExecutionState::Failed => State::Failed,
            ExecutionState::Unknown => return self.state.is_empty(),
        };
        self.state.is_empty() || self.state.contains(&wanted)
    }
}

fn sort(jobs: &mut [Listed], order: Order) {
    jobs.sort_by(|one, other| natural::compare(&one.job.name, &other.job.name));
    // Stable: equal ones stay in the order of their names. Times in the form of ISO 8601 sort as text.
    match order {
        Order::Name => {}
        Order::State => jobs.sort_by_key(|it| it.job.properties.execution_state),
        Order::Submitted => jobs.sort_by_key(|it| it.job.properties.creation_time.clone()),
        Order::Ended => jobs.sort_by_key(|it| {
            let end = it.job.end_time().map(str::to_owned);
            (end.is_none(), end)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sorted(order: Order) -> String {
        let job = |name: &str, state: &str, created: &str, ended: Option<&str>| {
            let job = json!({ "name": name, "properties": { "executionState": state,
                "creationTime": created, "executionInfo": { "endTime": ended } } });
            Listed::of(Json::parse(&job.to_string()).unwrap()).unwrap()
        };
        let mut jobs = vec![
            job("sw-10", "succeeded", "2026-01-03T00:00:00Z", Some("2026-01-04T00:00:00Z")),
            job("sw-2", "queued", "2026-01-02T00:00:00Z", None),
            job("sw-1", "failed", "2026-01-01T00:00:00Z", Some("2026-01-05T00:00:00Z")),
        ];
        sort(&mut jobs, order);
        jobs.iter().map(|it| it.job.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn jobs_are_sorted() {
        assert_eq!(sorted(Order::Name), "sw-1 sw-2 sw-10");
        assert_eq!(sorted(Order::State), "sw-2 sw-10 sw-1");
        assert_eq!(sorted(Order::Submitted), "sw-1 sw-2 sw-10");
        assert_eq!(sorted(Order::Ended), "sw-10 sw-1 sw-2");
    }
}
