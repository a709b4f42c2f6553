//! `batchai job logs`: prints an output file of a job, and follows it across attempts.

use super::outage::OutageTolerance;
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::{LogTail, OutputFile, Piece, Progress, STDOUTERR, list_files};
use crate::name_argument::ResourceName;
use crate::resources::{ExecutionState, Job};
use anyhow::{Result, bail};
use clap::Args;
use std::io::Write as _;
use std::time::Duration;

pub const HELP: &str = "\
Examples:
  batchai job logs first                                # the output so far
  batchai job logs first --follow                       # until the job has ended
  batchai job logs first --file stderr.txt
  batchai job logs first --file attempt-1/stdout.txt    # an earlier attempt

If the job is requeued, --follow continues with the output of the next attempt and prints a line
on stderr. TensorFlow jobs write one file per process, such as stdout-wk-0.txt; list them with
`batchai job files first`.";

const PAUSE: Duration = Duration::from_millis(300);

#[derive(Args)]
pub struct LogsArguments {
    #[command(flatten)]
    name: ResourceName,
    /// Follow the output until the job has ended
    #[arg(short, long)]
    follow: bool,
    /// File to print
    #[arg(long, default_value = "stdout.txt")]
    file: String,
    /// Id of the output directory
    #[arg(short, long, value_name = "ID", default_value = STDOUTERR)]
    directory_id: String,
}

pub async fn run(context: &Context, arguments: LogsArguments) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[&arguments.name]);
    let job: Job = context.client.get(&address).await?.read()?;
    let file = OutputFile::new(&arguments.directory_id, &arguments.file);
    let mut tail = LogTail::new(address, file, job);
    let mut outage = OutageTolerance::default();
    loop {
        let advanced = tail.advance(&context.client).await;
        let Some((pieces, progress)) = outage.check(advanced).await? else { continue };
        for piece in pieces {
            show(context, piece)?;
        }
        match progress {
            Progress::More => {}
            Progress::AwaitingMove => tokio::time::sleep(PAUSE).await,
            Progress::CaughtUp if arguments.follow => tokio::time::sleep(PAUSE).await,
            Progress::CaughtUp | Progress::Done => break,
        }
    }
    if !tail.was_found() {
        explain_absence(context, &tail, &arguments).await?;
    }
    if arguments.follow {
        context.output.message(format_args!("-- {}: {}", arguments.name, outcome(tail.job())));
    }
    Ok(Exit::SUCCESS)
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

/// No output is an error only after the job has started: then the file name is wrong.
async fn explain_absence(
    context: &Context,
    tail: &LogTail,
    arguments: &LogsArguments,
) -> Result<()> {
    let LogsArguments { name, file, directory_id, .. } = arguments;
    let job = tail.job();
    if job.attempt_number() == 0 && !job.has_ended() {
        let reason = job.waiting_reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        context.output.message(format_args!("{name} has not started{reason}"));
        return Ok(());
    }
    let address = context.scope.jobs()?.join(&[name]);
    let files = list_files(&context.client, &address, directory_id, ".").await?;
    let names: Vec<_> = files.into_iter().map(|file| file.name).collect();
    if names.is_empty() && !job.has_ended() {
        context.output.message(format_args!("{name} has no output yet"));
        return Ok(());
    }
    let listed = if names.is_empty() { "no files".to_owned() } else { names.join(", ") };
    bail!("{name} has no file {file} in the output directory {directory_id}, which has: {listed}")
}

fn outcome(job: &Job) -> String {
    match (job.properties.execution_state, job.first_error()) {
        (ExecutionState::Failed, Some(error)) => format!("failed: {error}"),
        (state, _) => state.to_string(),
    }
}
