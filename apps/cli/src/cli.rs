//! The command line: what can be said, and which function does it.

use crate::commands::{
    cluster, demo, experiment, file_server, group, job, local, node, role, token, usage, workspace,
};
use crate::context::{self, Context};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::Format;
use crate::{failure, log, talk};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Batch AI: describe compute, jobs and storage; the rest is done for you.
///
/// `batchai local` runs the whole service on this machine; the other commands talk to it, or to
/// any other service with the Batch AI API of version 2018-05-01.
#[derive(Parser)]
#[command(name = "batchai", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
#[command(next_help_heading = "Service and scope")]
pub struct Global {
    /// Address of the service [default: as the file `endpoint` in the data directory says, else http://127.0.0.1:8470]
    #[arg(
        long,
        global = true,
        env = "BATCHAI_ENDPOINT",
        value_name = "URL",
        hide_env_values = true
    )]
    pub endpoint: Option<String>,

    /// Directory of the service on this machine [default: ~/.local/share/batchai]
    #[arg(
        long,
        global = true,
        env = "BATCHAI_DATA_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,

    /// Subscription id
    #[arg(
        long,
        global = true,
        env = "BATCHAI_SUBSCRIPTION",
        value_name = "ID",
        hide_env_values = true,
        hide_default_value = true,
        default_value = "00000000-0000-0000-0000-000000000000",
        value_parser = name
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
        default_value = "batchai",
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
        value_parser = name
    )]
    pub workspace: Option<String>,

    /// Experiment, for commands about jobs
    #[arg(
        short,
        long,
        global = true,
        env = "BATCHAI_EXPERIMENT",
        value_name = "NAME",
        hide_env_values = true,
        value_parser = name
    )]
    pub experiment: Option<String>,

    /// What is printed
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    pub output: Format,

    /// Say more of what happens underneath (BATCHAI_LOG filters it in detail)
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    Local(local::Arguments),
    Demo(demo::Arguments),
    /// Resource groups: what holds workspaces
    #[command(subcommand)]
    Group(group::Command),
    /// Workspaces: the top of everything else
    #[command(subcommand, visible_alias = "ws")]
    Workspace(workspace::Command),
    /// File servers: directories that clusters mount
    #[command(subcommand, visible_alias = "fs")]
    FileServer(file_server::Command),
    /// Clusters: nodes for jobs, a fixed number or as many as there is work
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Experiments: groups of jobs
    #[command(subcommand, visible_alias = "exp")]
    Experiment(experiment::Command),
    /// Jobs: submit, watch, read what they wrote
    #[command(subcommand)]
    Job(job::Command),
    Usage(usage::Arguments),
    /// Roles: who may do what, and where
    #[command(subcommand)]
    Role(role::Command),
    /// Tokens of the service on this machine
    #[command(subcommand)]
    Token(token::Command),
    /// Nodes of the service on this machine
    #[command(subcommand)]
    Node(node::Command),
}

const EXAMPLES: &str = "\
Start here:
  batchai demo                          A sweep of eight jobs, with a lost node, in about a minute
  batchai local                         The service on this machine; then, in another terminal:

  export BATCHAI_WORKSPACE=vision BATCHAI_EXPERIMENT=digits
  batchai workspace create vision
  batchai file-server create nfs        Its directory is shown: put data and scripts there
  batchai cluster create spot --vm-priority lowpriority --min 0 --max 4 --nfs nfs
  batchai experiment create digits
  batchai job submit -f job.json -n first --cluster spot
  batchai job logs first --follow
  batchai job wait first && echo done

Exit status:
  0    done; with `job wait`: the job succeeded
  1    failed; with `job wait`: the job failed without an exit code that could be passed on
  2    the command line makes no sense
  124  `job wait --timeout` has passed
  130  Ctrl-C
  any other, from `job wait` and `job submit --wait`: the exit code of the failed job";

/// Of workspaces, clusters, file servers, experiments and jobs, as the contract has it.
pub fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c == '-' || c == '_' || c.is_alphanumeric();
    if text.chars().all(allowed) && (1..=64).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("names have 1 to 64 letters, digits, hyphens and underscores".to_owned())
    }
}

pub fn group_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| "-_.()".contains(c) || c.is_alphanumeric();
    let dots = text.chars().all(|c| c == '.');
    if text.chars().all(allowed) && !dots && text.chars().count() <= 90 {
        Ok(text.to_owned())
    } else {
        Err("resource groups have 1 to 90 letters, digits, and characters of -_.()".to_owned())
    }
}

pub fn main(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    log::start(log_filter(&cli), &environment);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            talk::say(format_args!("error: cannot start: {error}"));
            return Exit::FAILURE.into();
        }
    };
    let exit = runtime.block_on(run(cli, environment)).unwrap_or_else(|e| failure::report(&e));
    // A thread that still waits for the terminal must not hold us up.
    runtime.shutdown_background();
    exit.into()
}

async fn run(cli: Cli, environment: Environment) -> Result<Exit> {
    let Cli { global, command } = cli;
    let context = |global| Context::new(global, &environment);
    match command {
        Command::Local(arguments) => {
            let data_dir = context::data_dir(&global, &environment)?;
            let output = context::output(&global, &environment);
            local::run(output, data_dir, environment, arguments).await
        }
        Command::Demo(arguments) => {
            demo::run(context::output(&global, &environment), arguments).await
        }
        Command::Group(command) => group::run(context(global)?, command).await,
        Command::Usage(arguments) => usage::run(context(global)?, arguments).await,
        Command::Role(command) => role::run(context(global)?, command).await,
        Command::Token(command) => token::run(context(global)?, command).await,
        Command::Workspace(command) => workspace::run(context(global)?, command).await,
        Command::FileServer(command) => file_server::run(context(global)?, command).await,
        Command::Cluster(command) => cluster::run(context(global)?, command).await,
        Command::Experiment(command) => experiment::run(context(global)?, command).await,
        Command::Job(command) => job::run(context(global)?, command).await,
        Command::Node(command) => node::run(context(global)?, command).await,
    }
}

/// The service tells what it does; a client is quiet unless asked.
fn log_filter(cli: &Cli) -> &'static str {
    match (&cli.command, cli.global.verbose) {
        (Command::Local(_), false) => "info",
        (Command::Local(_), true) => "debug,hyper=info,hyper_util=info,aws=info",
        (_, false) => "error",
        (_, true) => "batchai=debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let known = argument.get_help().is_some();
                assert!(known, "{} {} has no help", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        check(&command);
    }

    #[test]
    fn names_are_those_of_the_contract() {
        assert!(name("digits-1_a").is_ok() && name(&"x".repeat(64)).is_ok());
        for text in ["", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert!(group_name("my.group_(1)").is_ok() && group_name("..").is_err());
    }
}
