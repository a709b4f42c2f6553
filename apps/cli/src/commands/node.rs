//! `batchai node …`: what only the service on this machine can do to its nodes.

use crate::client::is_not_found;
use crate::context::Context;
use crate::exit::Exit;
use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Take a node away, as the cloud does with low-priority machines
    #[command(after_help = INTERRUPT_HELP)]
    Interrupt(InterruptArguments),
}

const INTERRUPT_HELP: &str = "\
A job on the node gets SIGTERM and the time of the notice to write a checkpoint; then it goes back
to its place in the queue and runs again on another node. With --notice-seconds 0 the node is gone
at once, as when a machine breaks.

  batchai cluster nodes spot              The nodes of a cluster
  batchai job show first                  The nodes of a job's attempts";

#[derive(Args)]
pub struct InterruptArguments {
    /// Its id
    #[arg(value_parser = crate::cli::name)]
    node: String,
    /// How long before it goes the node is told; 0 for no warning at all
    #[arg(long, value_name = "N", default_value_t = 30)]
    notice_seconds: u32,
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    match command {
        Command::Interrupt(arguments) => interrupt(&context, arguments).await,
    }
}

async fn interrupt(context: &Context, arguments: InterruptArguments) -> Result<Exit> {
    let InterruptArguments { node, notice_seconds } = arguments;
    let path = ["nodes", &node, "interrupt"];
    let body = json!({ "noticeSeconds": notice_seconds });
    match context.client.post_local(&path, &body).await {
        Ok(()) => {
            context.output.say(match notice_seconds {
                0 => format!("Node {node} is taken away."),
                seconds => format!("Node {node} is told that it goes within {seconds} s."),
            });
            Ok(Exit::SUCCESS)
        }
        Err(error) if is_not_found(&error) => Err(anyhow!(
            "there is no node {node} here: `batchai cluster nodes NAME` shows those of a cluster \
             (only `batchai local` can take nodes away on request)"
        )),
        Err(error) => Err(error),
    }
}
