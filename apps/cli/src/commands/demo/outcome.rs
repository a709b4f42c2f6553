//! Collects the results: through the API like a user, and from the files of the file server, which
//! also show duplicate results.

use super::deployment::Deployment;
use super::monitor::Monitor;
use super::report::{Findings, JobReport, Report};
use super::sweep::{JobPlan, OUTPUT_ID};
use super::tracked_job::TrackedJob;
use crate::client::Client;
use crate::log_tail::{download_link, list_files};
use anyhow::{Context as _, Result};
use resources::time;
use resources::{Attempt, Job};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

const RESULT: &str = "result.json";

/// The fields of the training script's result that the report uses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrainingResult {
    test_accuracy: f64,
    resumed_from_epoch: Option<u32>,
    times_resumed: u32,
}

pub async fn collect(
    deployment: &Deployment,
    monitor: &Monitor,
    elapsed: Duration,
) -> Result<Report> {
    let mut jobs = Vec::new();
    for (plan, tracked) in deployment.plans.iter().zip(&monitor.jobs) {
        let report = job_report(deployment, plan, tracked).await;
        jobs.push(report.with_context(|| format!("cannot read the results of {}", plan.name))?);
    }
    let mut listed = Vec::new();
    for json in deployment.client.list(&deployment.jobs).await? {
        listed.push(json.read::<Job>()?.name);
    }
    let interrupted = monitor.interruption.job().map(|job| deployment.plans[job].name.clone());
    let findings = Findings {
        planned: deployment.plans.iter().map(|plan| plan.name.clone()).collect(),
        listed,
        result_files: count_files(&deployment.files, RESULT)
            .context("cannot read the file server")?,
        nodes_left: monitor.cluster.properties.current_node_count,
        interrupted,
    };
    Ok(Report::new(jobs, findings, deployment.files.clone(), elapsed))
}

async fn job_report(
    deployment: &Deployment,
    plan: &JobPlan,
    tracked: &TrackedJob,
) -> Result<JobReport> {
    let address = deployment.jobs.join(&[&plan.name]);
    let job: Job = deployment.client.get(&address).await?.read()?;
    let entries = list_files(&deployment.client, &address, OUTPUT_ID, ".").await?;
    let results: Vec<_> = entries.iter().filter(|entry| entry.name == RESULT).collect();
    let result = match results.first() {
        Some(file) => {
            Some(download_json::<TrainingResult>(&deployment.client, &download_link(file)?).await?)
        }
        None => None,
    };
    Ok(JobReport {
        name: plan.name.clone(),
        parameters: plan.parameters(),
        epochs: plan.epochs,
        state: job.properties.execution_state.to_string(),
        exit_code: job.exit_code(),
        attempts: u32::try_from(job.attempts().len()).unwrap_or(u32::MAX),
        seconds: job.attempts().iter().map(seconds).sum(),
        results: results.len(),
        test_accuracy: result.as_ref().map(|result| result.test_accuracy),
        times_resumed: result.as_ref().map_or(0, |result| result.times_resumed),
        resumed_from_epoch: result.as_ref().and_then(|result| result.resumed_from_epoch),
        logged_resume: tracked.log().resumed,
    })
}

async fn download_json<T: for<'de> Deserialize<'de>>(
    client: &Client,
    link: &reqwest::Url,
) -> Result<T> {
    let bytes = client
        .download(link)
        .await?
        .bytes()
        .await
        .context("the connection closed during the download")?;
    serde_json::from_slice(&bytes).context("the result is not valid JSON")
}

fn seconds(attempt: &Attempt) -> f64 {
    let parse = |text: &Option<String>| text.as_deref().and_then(time::parse);
    let (Some(start), Some(end)) = (parse(&attempt.start_time), parse(&attempt.end_time)) else {
        return 0.0;
    };
    end.duration_since(start).as_secs_f64()
}

fn count_files(directory: &Path, name: &str) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            count += count_files(&entry.path(), name)?;
        } else if entry.file_name() == name {
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_in_all_subdirectories() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/d"] {
            std::fs::create_dir_all(directory.path().join(path)).unwrap();
            std::fs::write(directory.path().join(path).join(RESULT), "{}").unwrap();
        }
        assert_eq!(count_files(directory.path(), RESULT).unwrap(), 2);
    }
}
