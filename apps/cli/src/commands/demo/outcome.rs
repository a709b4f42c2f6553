//! Collects what the demonstration produced: through the API as a user would, and once more by
//! looking at the files themselves, where a doubled result could not hide.

use super::report::{Evidence, JobReport, Report};
use super::setup::Stage;
use super::sweep::{JobPlan, OUTPUT_ID};
use super::watch::{Watch, Watched};
use crate::client::Client;
use crate::log_tail::{download_link, list_files};
use crate::resources::{Attempt, Job};
use crate::time;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

const RESULT: &str = "result.json";

/// What the training script writes, as far as it is of interest here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrainingResult {
    test_accuracy: f64,
    resumed_from_epoch: Option<u32>,
    times_resumed: u32,
}

pub async fn collect(stage: &Stage, watch: &Watch, elapsed: Duration) -> Result<Report> {
    let mut jobs = Vec::new();
    for (plan, watched) in stage.plans.iter().zip(&watch.jobs) {
        let report = job_report(stage, plan, watched).await;
        jobs.push(report.with_context(|| format!("cannot read what {} did", plan.name))?);
    }
    let mut listed = Vec::new();
    for json in stage.client.list(&stage.jobs).await? {
        listed.push(json.read::<Job>()?.name);
    }
    let interrupted = watch.interruption.job().map(|job| stage.plans[job].name.clone());
    let evidence = Evidence {
        planned: stage.plans.iter().map(|plan| plan.name.clone()).collect(),
        listed,
        result_files: count_files(&stage.files, RESULT).context("cannot look at the files")?,
        nodes_left: watch.cluster.properties.current_node_count,
        interrupted,
    };
    Ok(Report::new(jobs, evidence, stage.files.clone(), elapsed))
}

async fn job_report(stage: &Stage, plan: &JobPlan, watched: &Watched) -> Result<JobReport> {
    let address = stage.jobs.join(&[&plan.name]);
    let job: Job = stage.client.get(&address).await?.read()?;
    let entries = list_files(&stage.client, &address, OUTPUT_ID, ".").await?;
    let results: Vec<_> = entries.iter().filter(|entry| entry.name == RESULT).collect();
    let result = match results.first() {
        Some(file) => {
            Some(download_json::<TrainingResult>(&stage.client, &download_link(file)?).await?)
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
        said_resumed: watched.log.resumed,
    })
}

async fn download_json<T: for<'de> Deserialize<'de>>(
    client: &Client,
    link: &reqwest::Url,
) -> Result<T> {
    let bytes = client.download(link).await?.bytes().await.context("the download broke off")?;
    serde_json::from_slice(&bytes).context("it is not the expected JSON")
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
    fn every_result_is_found_however_deep() {
        let place = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/d"] {
            std::fs::create_dir_all(place.path().join(path)).unwrap();
            std::fs::write(place.path().join(path).join(RESULT), "{}").unwrap();
        }
        assert_eq!(count_files(place.path(), RESULT).unwrap(), 2);
    }
}
