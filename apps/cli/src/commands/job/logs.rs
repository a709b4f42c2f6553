//! `batchai job logs`: prints an output file of a job, and follows it across attempts.

use super::outage::OutageTolerance;
use super::{describe, failure_report, node_output};
use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::{LogTail, OutputFile, Piece, Progress, STDOUTERR, list_files};
use crate::name_argument::ResourceName;
use anyhow::{Result, bail};
use clap::Args;
use resources::{ExecutionState, Job};
use std::io::Write as _;
use std::time::Duration;

pub const HELP: &str = "\
Examples:
  batchai job logs first                     # the output so far
  batchai job logs first --follow            # until the job has ended
  batchai job logs first --tail 20 --follow  # from the last 20 lines on
  batchai job logs first --file stderr.txt
  batchai job logs first --attempt 1         # an earlier attempt

A job that waits shows why, with --follow until it runs. If it is requeued, --follow continues with the
output of the next attempt. Of a failed job, the end of stderr and the reason are printed on stderr.
Output that is on no file server stays on the node: its end is shown when the job has ended.
TensorFlow jobs write one file per process, such as stdout-wk-0.txt; list them with
`batchai job files first`.

Exits with 0 if the job succeeded or has not ended, with the exit code of a failed job, and with 1 if it
has none.";

const PAUSE: Duration = Duration::from_millis(300);

#[derive(Args)]
pub struct LogsArguments {
    #[command(flatten)]
    pub name: ResourceName,
    #[command(flatten)]
    pub options: LogsOptions,
}

#[derive(Args)]
pub struct LogsOptions {
    /// Follow the output until the job has ended
    #[arg(short, long)]
    pub follow: bool,
    /// File to print
    #[arg(long, default_value = "stdout.txt")]
    pub file: String,
    /// Id of the output directory
    #[arg(
        short,
        long,
        visible_alias = "output-directory-id",
        value_name = "ID",
        default_value = STDOUTERR
    )]
    pub directory_id: String,
    /// Start with the last N lines
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Print the output of this attempt; 1 is the first one
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    pub attempt: Option<u32>,
}

pub async fn run(context: &Context, arguments: LogsArguments) -> Result<Exit> {
    let LogsArguments { name, options } = arguments;
    print(context, &name, &options).await
}

/// Prints the output of the job `name`.
pub async fn print(context: &Context, name: &str, options: &LogsOptions) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[name]);
    let job: Job = context.client.get(&address).await?.read()?;
    let file = OutputFile::new(&options.directory_id, &file_of_attempt(&job, options)?);
    let mut tail = LogTail::new(address.clone(), file, job);
    if let Some(lines) = options.tail {
        tail.start_with_last_lines(lines);
    }
    let mut outage = OutageTolerance::default();
    let mut last_reason = String::new();
    loop {
        let advanced = match tail.advance(&context.client).await {
            Err(error) if node_output::is_on_node(&error, &options.directory_id) => {
                return node_output::print(context, &address, options).await;
            }
            advanced => advanced,
        };
        let Some((pieces, progress)) = outage.check(advanced).await? else { continue };
        for piece in pieces {
            show(context, piece)?;
        }
        if options.follow {
            show_reason(context, tail.job(), &mut last_reason);
        }
        match progress {
            Progress::More => {}
            Progress::AwaitingMove => tokio::time::sleep(PAUSE).await,
            Progress::CaughtUp if options.follow => tokio::time::sleep(PAUSE).await,
            Progress::CaughtUp | Progress::Done => break,
        }
    }
    let job = tail.job();
    if !tail.was_found() {
        explain_absence(context, job, options).await?;
    }
    match job.properties.execution_state {
        ExecutionState::Failed => {
            let shown = (options.directory_id.as_str(), options.file.as_str());
            failure_report::print(context, &address, job, shown).await;
            Ok(Exit::of(job))
        }
        ExecutionState::Succeeded => {
            if options.follow {
                context.output.message(format_args!("-- {}", describe(job)));
            }
            Ok(Exit::SUCCESS)
        }
        ExecutionState::Queued
        | ExecutionState::Running
        | ExecutionState::Terminating
        | ExecutionState::Unknown => Ok(Exit::SUCCESS),
    }
}

/// The path of the file in the output directory. The files of earlier attempts are in directories of
/// their own.
fn file_of_attempt(job: &Job, options: &LogsOptions) -> Result<String> {
    let file = &options.file;
    let latest = job.attempt_number();
    match options.attempt {
        None => Ok(file.clone()),
        Some(number) if number == 0 || number > latest => {
            bail!("{} has no attempt {number}; it has had {latest}", job.name)
        }
        Some(number) if number == latest => Ok(file.clone()),
        Some(number) => Ok(format!("attempt-{number}/{file}")),
    }
}

fn show(context: &Context, piece: Piece) -> Result<()> {
    match piece {
        Piece::AttemptStarted(number) => {
            context.output.message(format_args!("-- attempt {number} started"));
        }
        Piece::Text(text) => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&text)?;
            stdout.flush()?;
        }
    }
    Ok(())
}

/// Says why the job waits, whenever that has changed.
pub fn show_reason(context: &Context, job: &Job, last_reason: &mut String) {
    match job.properties.execution_state {
        ExecutionState::Queued => {
            let reason = describe(job);
            if reason != *last_reason {
                context.output.message(format_args!("-- {reason}"));
                *last_reason = reason;
            }
        }
        ExecutionState::Running
        | ExecutionState::Terminating
        | ExecutionState::Succeeded
        | ExecutionState::Failed
        | ExecutionState::Unknown => last_reason.clear(),
    }
}

/// No output is an error only after the job has started and did not fail: then the file name is wrong.
async fn explain_absence(context: &Context, job: &Job, options: &LogsOptions) -> Result<()> {
    let LogsOptions { file, directory_id, .. } = options;
    let name = &job.name;
    if job.attempt_number() == 0 && !job.has_ended() {
        context.output.message(format_args!("-- {}", describe(job)));
        return Ok(());
    }
    let address: Address = context.scope.jobs()?.join(&[name]);
    let files = match list_files(&context.client, &address, directory_id, ".").await {
        Ok(files) => files,
        Err(_) if job.has_failed() => return Ok(()),
        Err(error) => return Err(error),
    };
    let names: Vec<_> = files.into_iter().map(|file| file.name).collect();
    if names.is_empty() && !job.has_ended() {
        context.output.message(format_args!("{name} has no output yet"));
        return Ok(());
    }
    if names.is_empty() && job.has_failed() {
        return Ok(());
    }
    let listed = if names.is_empty() { "no files".to_owned() } else { names.join(", ") };
    bail!("{name} has no file {file} in the output directory {directory_id}, which has: {listed}")
}
