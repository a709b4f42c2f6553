//! The options that every command accepts. The help of a command lists those that matter to it.

use crate::names::{group_name, resource_name};
use crate::output::{Format, Query};
use crate::profiles::{ProfileChoice, profile_name};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};
use std::path::PathBuf;

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Profile of `batchai login`, or `local` for `batchai local` [default: see `batchai profile`]
    #[arg(
        long,
        global = true,
        env = "BATCHAI_PROFILE",
        value_name = "NAME",
        hide_env_values = true,
        value_parser = profile_name
    )]
    pub profile: Option<String>,

    /// URL of the service [default: of the profile, else from the file `endpoint` in the data
    /// directory, else http://127.0.0.1:8470]
    #[arg(
        long,
        global = true,
        env = "BATCHAI_ENDPOINT",
        value_name = "URL",
        hide_env_values = true
    )]
    pub endpoint: Option<String>,

    /// Data directory of `batchai local`, which commands then use instead of the default profile
    /// [default: ~/.local/share/batchai]
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
        value_parser = resource_name
    )]
    pub subscription: Option<String>,

    /// Resource group [default: batchai]
    #[arg(
        short = 'g',
        long,
        global = true,
        env = "BATCHAI_RESOURCE_GROUP",
        value_name = "NAME",
        hide_env_values = true,
        value_parser = group_name
    )]
    pub resource_group: Option<String>,

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

    /// Print only what this JMESPath expression selects of the answer; with `-o name`, one plain value per
    /// line
    #[arg(long, global = true, value_name = "JMESPATH", value_parser = Query::parse)]
    pub query: Option<Query>,

    /// Log requests to stderr, and debug messages of `batchai local` (BATCHAI_LOG sets a filter)
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Which options are on the command line, and not from the environment.
    #[arg(skip)]
    pub on_command_line: OnCommandLine,
}

/// Where both an option and a variable decide about the same thing, the option does.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnCommandLine {
    pub profile: bool,
    pub data_dir: bool,
}

impl OnCommandLine {
    pub fn of(matches: &ArgMatches) -> Self {
        let given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        Self { profile: given("profile"), data_dir: given("data_dir") }
    }
}

impl GlobalOptions {
    /// Which profile to use. A data directory selects the local service, unless a profile is given in
    /// the same place.
    pub fn profile_choice(&self) -> ProfileChoice {
        let given = self.on_command_line;
        match (&self.profile, &self.data_dir) {
            (Some(_), Some(_)) if given.data_dir && !given.profile => ProfileChoice::LocalService,
            (Some(name), _) => ProfileChoice::Named(name.clone()),
            (None, Some(_)) => ProfileChoice::LocalService,
            (None, None) => ProfileChoice::Default,
        }
    }
}

/// The options that select a service.
const CONNECTION: [&str; 3] = ["profile", "endpoint", "data_dir"];

/// The options that select a place in the service, from the outside to the inside.
const SCOPE: [&str; 4] = ["subscription", "resource_group", "workspace", "experiment"];

/// Hides the options in the help of each command that does not use them. It accepts them nevertheless:
/// scripts add the same options to all commands.
pub fn hide_unused(mut command: Command) -> Command {
    let options: Vec<_> = command.get_arguments().cloned().collect();
    let commands: Vec<_> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in commands {
        let used = used_by(&name);
        let is_unused = |id: &str| {
            let selects = CONNECTION.contains(&id) || SCOPE.contains(&id);
            selects && !used.contains(&id)
        };
        let unused: Vec<_> =
            options.iter().filter(|option| is_unused(option.get_id().as_str())).collect();
        let hide = |command: Command| {
            let hidden = unused.iter().map(|option| (*option).clone().hide(true));
            command.args(hidden)
        };
        command = command.mut_subcommand(name, hide);
    }
    command
}

/// The options that a command uses. A command that is not listed uses all of them.
fn used_by(command: &str) -> Vec<&'static str> {
    let scope = |depth: usize| [&CONNECTION[..], &SCOPE[..depth]].concat();
    match command {
        "demo" | "completion" | "man" => Vec::new(),
        "local" => vec!["data_dir"],
        "logout" | "profile" => vec!["profile"],
        "node" | "token" => scope(0),
        "group" | "usage" => scope(1),
        "workspace" => scope(2),
        "cluster" | "experiment" | "file-server" | "role" | "status" => scope(3),
        _ => scope(SCOPE.len()),
    }
}

pub const DEFAULT_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
pub const DEFAULT_RESOURCE_GROUP: &str = "batchai";
