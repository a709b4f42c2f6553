//! The jobs of a whole workspace, and the order in which queued ones run.

use super::job::list::{self, Listed};
use crate::context::Context;
use anyhow::Result;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use resources::{ExecutionState, Experiment, Job};

/// How many experiments are read at a time.
const CONCURRENT: usize = 8;

/// A job and its experiment.
pub struct Entry {
    pub experiment: String,
    pub listed: Listed,
}

impl Entry {
    pub fn job(&self) -> &Job {
        &self.listed.job
    }

    pub fn state(&self) -> ExecutionState {
        self.job().properties.execution_state
    }
}

/// All jobs of the workspace, in the order of the experiments.
pub async fn jobs(context: &Context) -> Result<Vec<Entry>> {
    let experiments = context.scope.experiments()?;
    let mut names = Vec::new();
    for answer in context.client.list(&experiments).await? {
        names.push(answer.read::<Experiment>()?.name);
    }
    let read = names.into_iter().map(|experiment| {
        let address = experiments.join(&[&experiment, "jobs"]);
        async move {
            let jobs = list::read(&context.client, &address).await?;
            let entry = |listed| Entry { experiment: experiment.clone(), listed };
            anyhow::Ok(jobs.into_iter().map(entry).collect::<Vec<_>>())
        }
    });
    let read: Vec<Vec<Entry>> =
        stream::iter(read.collect::<Vec<_>>()).buffered(CONCURRENT).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// Sorts queued jobs as the service considers them: by priority, then by submission.
pub fn sort(queued: &mut [Entry]) {
    queued.sort_by_key(|entry| {
        let properties = &entry.job().properties;
        let rank = match properties.scheduling_priority.as_str() {
            "high" => 0,
            "low" => 2,
            _ => 1,
        };
        (rank, properties.creation_time.clone())
    });
}

/// Experiments and jobs, as read from the service.
#[cfg(test)]
pub fn entries(jobs: Vec<(&str, serde_json::Value)>) -> Vec<Entry> {
    let entry = |(experiment, job): (&str, serde_json::Value)| {
        let (answer, job) = crate::screens::answered(&job);
        Entry { experiment: experiment.to_owned(), listed: Listed { answer, job } }
    };
    jobs.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use serde_json::json;

    #[test]
    fn priority_comes_before_submission() {
        let entry = |name: &str, priority: &str, day: u32| {
            let job = json!({ "name": name, "properties": { "executionState": "queued",
                "schedulingPriority": priority, "creationTime": format!("2026-01-0{day}T00:00:00Z") } });
            let answer = Json::parse(&job.to_string()).unwrap();
            let job = answer.read().unwrap();
            Entry { experiment: "e".to_owned(), listed: Listed { answer, job } }
        };
        let mut queued = vec![
            entry("d", "low", 1),
            entry("c", "normal", 3),
            entry("b", "normal", 2),
            entry("a", "high", 4),
        ];
        sort(&mut queued);
        let names: Vec<_> = queued.iter().map(|entry| entry.job().name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
