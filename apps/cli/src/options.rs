//! The options that every command takes.

use crate::names::{group_name, resource_name};
use crate::output::Format;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// URL of the service [default: from the file `endpoint` in the data directory, else
    /// http://127.0.0.1:8470]
    #[arg(
        long,
        global = true,
        env = "BATCHAI_ENDPOINT",
        value_name = "URL",
        hide_env_values = true
    )]
    pub endpoint: Option<String>,

    /// Data directory of `batchai local` [default: ~/.local/share/batchai]
    #[arg(
        long,
        global = true,
        env = "BATCHAI_DATA_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,

    /// Subscription id [default: 00000000-0000-0000-0000-000000000000]
    #[arg(
        long,
        global = true,
        env = "BATCHAI_SUBSCRIPTION",
        value_name = "ID",
        hide_env_values = true,
        hide_default_value = true,
        default_value = DEFAULT_SUBSCRIPTION,
        value_parser = resource_name
    )]
    pub subscription: String,

    /// Resource group
    #[arg(
        short = 'g',
        long,
        global = true,
        env = "BATCHAI_RESOURCE_GROUP",
        value_name = "NAME",
        hide_env_values = true,
        default_value = DEFAULT_RESOURCE_GROUP,
        value_parser = group_name
    )]
    pub resource_group: String,

    /// Workspace
    #[arg(
        short,
        long,
        global = true,
        env = "BATCHAI_WORKSPACE",
        value_name = "NAME",
        hide_env_values = true,
        value_parser = resource_name
    )]
    pub workspace: Option<String>,

    /// Experiment; needed by `batchai job`
    #[arg(
        short,
        long,
        global = true,
        env = "BATCHAI_EXPERIMENT",
        value_name = "NAME",
        hide_env_values = true,
        value_parser = resource_name
    )]
    pub experiment: Option<String>,

    /// Output format
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    pub output: Format,

    /// Log requests to stderr, and debug messages of `batchai local` (BATCHAI_LOG sets a filter)
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

pub const DEFAULT_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
pub const DEFAULT_RESOURCE_GROUP: &str = "batchai";
