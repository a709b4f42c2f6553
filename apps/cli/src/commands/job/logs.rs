//! `batchai job logs`

use super::patience::Patience;
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::{LogTail, Piece, Place, Progress, STDOUTERR, list_files};
use crate::resources::{ExecutionState, Job};
use anyhow::{Result, bail};
use clap::Args;
use std::io::Write as _;
use std::time::Duration;

pub const HELP: &str = "\
Examples:
  batchai job logs first                             What it printed so far
  batchai job logs first --follow                    As it comes, until the job has ended
  batchai job logs first --file stderr.txt
  batchai job logs first --file attempt-1/stdout.txt   Of the attempt whose node was lost

When --follow sees the job run again, it says so on stderr and goes on with the new output.
TensorFlow jobs write stdout-wk-0.txt and so on: see `batchai job files first`.";

const PAUSE: Duration = Duration::from_millis(300);

#[derive(Args)]
pub struct LogsArguments {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    name: String,
    /// Go on until the job has ended
    #[arg(short, long)]
    follow: bool,
    /// Which file
    #[arg(long, default_value = "stdout.txt")]
    file: String,
    /// Id of the output directory that holds it
    #[arg(short, long, value_name = "ID", default_value = STDOUTERR)]
    directory_id: String,
}

pub async fn run(context: &Context, arguments: LogsArguments) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[&arguments.name]);
    let job: Job = context.client.get(&address).await?.read()?;
    let place = Place::new(&arguments.directory_id, &arguments.file);
    let mut tail = LogTail::new(address, place, job);
    let mut patience = Patience::default();
    loop {
        let advanced = tail.advance(&context.client).await;
        let Some((pieces, progress)) = patience.bear(advanced).await? else { continue };
        for piece in pieces {
            show(context, piece)?;
        }
        match progress {
            Progress::More => {}
            Progress::Moving => tokio::time::sleep(PAUSE).await,
            Progress::CaughtUp if arguments.follow => tokio::time::sleep(PAUSE).await,
            Progress::CaughtUp | Progress::Done => break,
        }
    }
    if !tail.was_found() {
        explain_absence(context, &tail, &arguments).await?;
    }
    if arguments.follow {
        context.output.say(format_args!("-- {}: {}", arguments.name, outcome(tail.job())));
    }
    Ok(Exit::SUCCESS)
}

fn show(context: &Context, piece: Piece) -> Result<()> {
    match piece {
        Piece::AttemptBegins(number) => {
            context.output.say(format_args!("-- attempt {number} begins"));
        }
        Piece::Text(text) => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&text)?;
            stdout.flush()?;
        }
    }
    Ok(())
}

/// A job that has not begun has printed nothing, which is no error; a wrong file name is one.
async fn explain_absence(
    context: &Context,
    tail: &LogTail,
    arguments: &LogsArguments,
) -> Result<()> {
    let LogsArguments { name, file, directory_id, .. } = arguments;
    let job = tail.job();
    if job.attempt_number() == 0 && !job.has_ended() {
        let reason = job.waiting_reason().map(|reason| format!(". {reason}")).unwrap_or_default();
        context.output.say(format_args!("{name} has not begun{reason}"));
        return Ok(());
    }
    let address = context.scope.jobs()?.join(&[name]);
    let files = list_files(&context.client, &address, directory_id, ".").await?;
    let names: Vec<_> = files.into_iter().map(|file| file.name).collect();
    if names.is_empty() && !job.has_ended() {
        context.output.say(format_args!("{name} has not printed anything yet"));
        return Ok(());
    }
    let there = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    bail!("{name} has no file {file} in {directory_id}; there is {there}")
}

fn outcome(job: &Job) -> String {
    match (job.properties.execution_state, job.first_error()) {
        (ExecutionState::Failed, Some(error)) => format!("failed: {error}"),
        (state, _) => state.to_string(),
    }
}
