//! `--watch`: repeats what a command prints.

use crate::context::{self, Context};
use crate::exit::Exit;
use crate::output::Output;
use anyhow::Result;
use clap::Args;
use resources::time;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

#[derive(Args)]
pub struct WatchArguments {
    /// Repeat until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Seconds between two requests of --watch
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 2,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    interval: u64,
}

/// Clears the terminal and moves to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints once, or with `--watch` until Ctrl-C. A terminal is cleared each time.
pub async fn repeat(
    context: &Context,
    arguments: &WatchArguments,
    mut print: impl AsyncFnMut(&Output) -> Result<()>,
) -> Result<Exit> {
    if !arguments.watch {
        print(&context.output).await?;
        return Ok(Exit::SUCCESS);
    }
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        if std::io::stdout().is_terminal() {
            write!(std::io::stdout().lock(), "{CLEAR}")?;
        }
        // Relative times and the width of the terminal change.
        let width = context::terminal_width();
        let output = Output { now: time::now(), width, ..context.output.clone() };
        print(&output).await?;
        let pause = tokio::time::sleep(Duration::from_secs(arguments.interval));
        tokio::select! {
            _ = &mut stop => return Ok(Exit::INTERRUPTED),
            () = pause => {}
        }
    }
}
