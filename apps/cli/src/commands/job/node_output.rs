//! The output of a job whose files the service cannot read: they are on its nodes, which report the end of them when an
//! attempt has ended.

use super::logs::{LogsOptions, show_reason};
use super::outage::OutageTolerance;
use super::{describe, failure_report};
use crate::client::{Address, Client, ServiceError};
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::{STDOUTERR, last_lines};
use anyhow::{Result, bail};
use resources::{ExecutionState, Job};
use serde::Deserialize;
use std::io::Write as _;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(500);

/// The end of an output file of a node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeOutput {
    pub name: String,
    pub node_id: String,
    pub is_master: bool,
    pub attempt: u32,
    /// Bytes of the whole file.
    pub content_length: u64,
    pub text: String,
}

impl NodeOutput {
    /// What it is, if the text alone does not show it: the end of a longer file, or the output of another node.
    fn heading(&self) -> Option<String> {
        let Self { name, node_id, content_length, text, .. } = self;
        let length = text.len() as u64;
        if length < *content_length {
            let bytes = format!("{length} of {content_length} bytes");
            return Some(format!("-- the end of {name} of node {node_id}, {bytes}:"));
        }
        (!self.is_master).then(|| format!("-- {name} of node {node_id}:"))
    }
}

/// Whether the service has answered that it cannot read the standard output of a job.
pub fn is_on_node(error: &anyhow::Error, directory_id: &str) -> bool {
    let codes = ["OutputDirectoryNotFound", "OutputDirectoryNotReadable"];
    let refused = error.downcast_ref::<ServiceError>();
    directory_id == STDOUTERR && refused.is_some_and(|it| codes.contains(&it.code.as_str()))
}

/// What the nodes of a job have reported, the master first.
pub async fn reported(client: &Client, job: &Address) -> Result<Vec<NodeOutput>> {
    let entries = client.list(&job.join(&["logTails"])).await?;
    entries.iter().map(|entry| entry.read()).collect()
}

/// `batchai job logs` of such a job.
pub async fn print(context: &Context, address: &Address, options: &LogsOptions) -> Result<Exit> {
    let mut outage = OutageTolerance::default();
    let mut last_reason = String::new();
    let mut is_explained = false;
    let job = loop {
        let answer = context.client.get(address).await;
        let Some(answer) = outage.check(answer).await? else { continue };
        let job: Job = answer.read()?;
        if job.has_ended() {
            break job;
        }
        if !is_explained && job.properties.execution_state == ExecutionState::Running {
            context.output.message(whereabouts(&job, &options.file));
            is_explained = true;
        }
        if !options.follow {
            break job;
        }
        show_reason(context, &job, &mut last_reason);
        tokio::time::sleep(PAUSE).await;
    };
    let outputs = reported(&context.client, address).await?;
    show(context, &job, &outputs, options)?;
    if job.has_failed() {
        failure_report::print(context, address, &job, (STDOUTERR, &options.file)).await;
    } else if options.follow {
        context.output.message(format_args!("-- {}", describe(&job)));
    }
    Ok(if job.has_ended() { Exit::of(&job) } else { Exit::SUCCESS })
}

/// Where the output is while the job runs, and how to see it.
fn whereabouts(job: &Job, file: &str) -> String {
    let properties = &job.properties;
    let nodes = job.attempts().last().map(|it| it.nodes.as_slice()).unwrap_or_default();
    let node = nodes.first().map_or("its node", String::as_str);
    let prefix = properties.std_out_err_path_prefix.trim_end_matches('/');
    let path =
        format!("{prefix}/{}/stdouterr/{file}", properties.job_output_directory_path_segment);
    // A session does not have the variables of the job.
    let command = if prefix.contains('$') { String::new() } else { format!(" -- tail -f {path}") };
    format!(
        "-- the output of {0} is on {node}, in {path}; its end is shown here when the job has ended\n-- to see it now: batchai job exec {0}{command}",
        job.name
    )
}

fn show(context: &Context, job: &Job, outputs: &[NodeOutput], options: &LogsOptions) -> Result<()> {
    if let (Some(asked), Some(first)) = (options.attempt, outputs.first())
        && asked != first.attempt
    {
        bail!("of {} only the output of attempt {} is kept", job.name, first.attempt);
    }
    let wanted: Vec<_> = outputs.iter().filter(|it| it.name == options.file).collect();
    if wanted.is_empty() && !outputs.is_empty() && job.has_ended() && !job.has_failed() {
        let names: Vec<_> = outputs.iter().map(|it| it.name.as_str()).collect();
        context.output.message(format_args!(
            "nothing is kept of {}; there is: {}",
            options.file,
            names.join(", ")
        ));
    }
    for output in wanted {
        if let Some(heading) = output.heading() {
            context.output.message(heading);
        }
        let text = output.text.as_bytes();
        let start = options.tail.and_then(|lines| last_lines(text, lines)).unwrap_or(0);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&text[start..])?;
        stdout.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(prefix: &str) -> Job {
        serde_json::from_value(json!({ "name": "first", "properties": {
            "executionState": "running", "stdOutErrPathPrefix": prefix,
            "jobOutputDirectoryPathSegment": "s/g/jobs/first/u",
            "extensions": { "attempts": [{ "number": 1, "nodes": ["tvm-1-p"] }] },
        }}))
        .unwrap()
    }

    #[test]
    fn a_running_job_says_where_its_output_is() {
        insta::assert_snapshot!(whereabouts(&job("/data/"), "stdout.txt"), @"
        -- the output of first is on tvm-1-p, in /data/s/g/jobs/first/u/stdouterr/stdout.txt; its end is shown here when the job has ended
        -- to see it now: batchai job exec first -- tail -f /data/s/g/jobs/first/u/stdouterr/stdout.txt
        ");
        let variable = whereabouts(&job("$AZ_BATCHAI_JOB_TEMP"), "stdout.txt");
        assert!(variable.ends_with("batchai job exec first"), "{variable}");
    }

    #[test]
    fn what_is_not_the_whole_output_of_the_master_has_a_heading() {
        let output = |is_master, content_length| NodeOutput {
            name: "stdout.txt".into(),
            node_id: "tvm-1-p".into(),
            is_master,
            attempt: 1,
            content_length,
            text: "text\n".into(),
        };
        assert_eq!(output(true, 5).heading(), None);
        let end = output(true, 99).heading();
        assert_eq!(
            end.as_deref(),
            Some("-- the end of stdout.txt of node tvm-1-p, 5 of 99 bytes:")
        );
        let other = output(false, 5).heading();
        assert_eq!(other.as_deref(), Some("-- stdout.txt of node tvm-1-p:"));
    }
}
