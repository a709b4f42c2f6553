//! `batchai node …`: actions on nodes that only `batchai local` supports.

use crate::client::is_not_found;
use crate::context::Context;
use crate::exit::Exit;
use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Interrupt a node, as the cloud does with spot instances
    #[command(after_help = INTERRUPT_HELP)]
    Interrupt(InterruptArguments),
}

const INTERRUPT_HELP: &str = "\
A job on the node receives SIGTERM and has the time of the notice to write a checkpoint. Then it
returns to its place in the queue and runs again on another node. With --notice-seconds 0 the node
is killed at once, like a machine that fails.

Find the id of a node:
  batchai cluster nodes spot    # the nodes of a cluster
  batchai job show first        # the nodes of a job";

#[derive(Args)]
pub struct InterruptArguments {
    /// Id of the node
    #[arg(value_parser = crate::names::resource_name)]
    node: String,
    /// Seconds between the notice and the end of the node; 0 for no notice
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
            context.output.message(match notice_seconds {
                0 => format!("Node {node} was killed."),
                seconds => format!("Node {node} has notice and ends within {seconds}s."),
            });
            Ok(Exit::SUCCESS)
        }
        Err(error) if is_not_found(&error) => Err(anyhow!(
            "no node {node}. List the nodes of a cluster: batchai cluster nodes NAME. Only \
             `batchai local` supports this command"
        )),
        Err(error) => Err(error),
    }
}
