//! `batchai cluster resize` and `batchai cluster auto-scale`

use crate::commands::changed;
use crate::context::Context;
use crate::exit::Exit;
use crate::resources::Cluster;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

#[derive(Args)]
pub struct ResizeArguments {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    name: String,
    /// Number of nodes
    #[arg(short, long, value_name = "N")]
    target: u32,
    /// What becomes of jobs on nodes that go
    #[arg(long, value_name = "WHAT", default_value = "requeue")]
    deallocation: Deallocation,
}

#[derive(Clone, Copy, ValueEnum)]
enum Deallocation {
    /// They run again later
    Requeue,
    /// They fail
    Terminate,
    /// Their nodes go when they are done
    #[value(name = "waitforjobcompletion", alias = "wait")]
    Wait,
}

#[derive(Args)]
pub struct AutoScaleArguments {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    name: String,
    /// Fewest nodes
    #[arg(long, value_name = "N")]
    min: u32,
    /// Most nodes
    #[arg(long, value_name = "N")]
    max: u32,
}

pub async fn resize(context: &Context, arguments: ResizeArguments) -> Result<Exit> {
    let option = match arguments.deallocation {
        Deallocation::Requeue => "requeue",
        Deallocation::Terminate => "terminate",
        Deallocation::Wait => "waitforjobcompletion",
    };
    let manual = json!({ "targetNodeCount": arguments.target, "nodeDeallocationOption": option });
    change(context, &arguments.name, json!({ "manual": manual })).await
}

pub async fn auto_scale(context: &Context, arguments: AutoScaleArguments) -> Result<Exit> {
    let AutoScaleArguments { name, min, max } = arguments;
    let limits = json!({ "minimumNodeCount": min, "maximumNodeCount": max });
    change(context, &name, json!({ "autoScale": limits })).await
}

async fn change(context: &Context, name: &str, scale_settings: Value) -> Result<Exit> {
    let address = context.scope.clusters()?.join(&[name]);
    let body = json!({ "properties": { "scaleSettings": scale_settings } });
    changed::<Cluster>(context, context.client.patch(&address, &body).await?)
}
