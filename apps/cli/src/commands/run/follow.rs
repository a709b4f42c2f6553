//! A run until its end: why it waits, what it prints, its outputs.

use super::description::OUT;
use super::messages;
use crate::client::Address;
use crate::commands::job::OutageTolerance;
use crate::commands::job::{describe, download_all};
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::{LogTail, OutputFile, Piece, Progress, STDOUTERR, list_files};
use anyhow::Result;
use resources::{ExecutionState, Job};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(300);

/// Follows the job; Ctrl-C leaves it running.
pub async fn until_end(
    context: &Context,
    address: &Address,
    name: &str,
    out: &Path,
) -> Result<Exit> {
    let job = tokio::select! {
        followed = follow(context, address) => followed?,
        _ = tokio::signal::ctrl_c() => {
            context.output.message(messages::detached(&context.scope, name));
            return Ok(Exit::INTERRUPTED);
        }
    };
    download(context, address, out).await?;
    context.output.message(describe(&job));
    Ok(Exit::of(&job))
}

/// Prints state and output until the job has ended; returns it.
async fn follow(context: &Context, address: &Address) -> Result<Job> {
    let job = || async { context.client.get(address).await?.read::<Job>() };
    let tail = |job, file| LogTail::new(address.clone(), OutputFile::new(STDOUTERR, file), job);
    let mut stdout = tail(job().await?, "stdout.txt");
    let mut stderr = tail(job().await?, "stderr.txt");
    let mut outage = OutageTolerance::default();
    let mut last_line = String::new();
    loop {
        let advanced = stdout.advance(&context.client).await;
        let Some((pieces, first)) = outage.check(advanced).await? else { continue };
        say(context, stdout.job(), &mut last_line);
        show(context, pieces, &mut std::io::stdout().lock(), true)?;
        let advanced = stderr.advance(&context.client).await;
        let Some((pieces, second)) = outage.check(advanced).await? else { continue };
        show(context, pieces, &mut std::io::stderr().lock(), false)?;
        match (first, second) {
            (Progress::Done, Progress::Done) => return job().await,
            (Progress::More, _) | (_, Progress::More) => {}
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What the job waits for, and where it runs, when that changes. Its end is said last.
fn say(context: &Context, job: &Job, last_line: &mut String) {
    match job.properties.execution_state {
        ExecutionState::Queued | ExecutionState::Running | ExecutionState::Terminating => {}
        ExecutionState::Succeeded | ExecutionState::Failed | ExecutionState::Unknown => return,
    }
    let line = describe(job);
    if line != *last_line {
        context.output.message(&line);
        *last_line = line;
    }
}

fn show(
    context: &Context,
    pieces: Vec<Piece>,
    to: &mut impl Write,
    with_attempts: bool,
) -> Result<()> {
    for piece in pieces {
        match piece {
            Piece::AttemptStarted(number) if with_attempts && number > 1 => {
                context.output.message(format_args!("-- attempt {number} started"));
            }
            Piece::AttemptStarted(_) => {}
            Piece::Text(text) => {
                to.write_all(&text)?;
                to.flush()?;
            }
        }
    }
    Ok(())
}

async fn download(context: &Context, address: &Address, out: &Path) -> Result<()> {
    if list_files(&context.client, address, OUT, ".").await?.is_empty() {
        return Ok(());
    }
    let count = download_all(context, address, OUT, ".", out).await?;
    context.output.message(messages::downloaded(usize::try_from(count)?, out));
    Ok(())
}
