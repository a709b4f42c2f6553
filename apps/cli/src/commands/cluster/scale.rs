//! `batchai cluster resize` and `batchai cluster auto-scale`: change the scale settings.

use crate::commands::print_changed;
use crate::context::Context;
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use anyhow::Result;
use clap::{Args, ValueEnum};
use resources::Cluster;
use serde_json::{Value, json};

#[derive(Args)]
pub struct ResizeArguments {
    #[command(flatten)]
    name: ResourceName,
    /// Number of nodes
    #[arg(short, long, value_name = "N")]
    target: u32,
    /// What to do with jobs on nodes that are removed
    #[arg(long, value_name = "ACTION", default_value = "requeue")]
    deallocation: Deallocation,
}

#[derive(Clone, Copy, ValueEnum)]
enum Deallocation {
    /// Stop and requeue them
    Requeue,
    /// Terminate them; they fail
    Terminate,
    /// Let them run to completion, then remove the nodes
    #[value(name = "waitforjobcompletion", alias = "wait")]
    Wait,
}

#[derive(Args)]
pub struct AutoScaleArguments {
    #[command(flatten)]
    name: ResourceName,
    /// Minimum number of nodes
    #[arg(long, value_name = "N")]
    min: u32,
    /// Maximum number of nodes
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
    print_changed::<Cluster>(context, context.client.patch(&address, &body).await?)
}
