//! The command line: parses the arguments and calls the function of the command.

use crate::commands::{
    cluster, completion, demo, doctor, experiment, file_server, group, job, local, login, logout,
    man, node, portal, profile, role, run, status, sweep, token, usage, workspace,
};
use crate::context::{self, Context};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::options::{self, GlobalOptions, OnCommandLine};
use crate::{failure, log, stderr, vm_size};
use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Run machine-learning jobs on clusters that scale with the queue.
///
/// `batchai local` runs the whole service on this machine. The other commands are clients of that
/// service, or after `batchai login` of any other one with the Azure Batch AI API, version 2018-05-01,
/// such as a stack on AWS.
#[derive(Parser)]
#[command(name = "batchai", version, max_term_width = 100, after_long_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Local(local::Arguments),
    Demo(demo::Arguments),
    /// Run a command in a copy of a directory on nodes, and bring back its output
    #[command(after_help = run::HELP)]
    Run(run::Arguments),
    Login(login::Arguments),
    Logout(logout::Arguments),
    /// Manage profiles: the services that you signed in to
    #[command(subcommand)]
    Profile(profile::Command),
    Doctor(doctor::Arguments),
    Portal(portal::Arguments),
    /// Manage resource groups, which contain workspaces
    #[command(subcommand)]
    Group(group::Command),
    /// Manage workspaces, which contain clusters, file servers and experiments
    #[command(subcommand, visible_alias = "ws")]
    Workspace(workspace::Command),
    /// Manage file servers: shared directories that clusters mount
    #[command(subcommand, visible_alias = "fs")]
    FileServer(file_server::Command),
    /// Manage clusters and scale them
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Manage experiments, which group jobs
    #[command(subcommand, visible_alias = "exp")]
    Experiment(experiment::Command),
    /// Submit jobs, wait for them, read their output
    #[command(subcommand)]
    Job(job::Command),
    /// Run a job with different parameters, and compare the runs
    #[command(after_help = sweep::HELP)]
    Sweep(sweep::Arguments),
    #[command(alias = "list-usages")]
    Usage(usage::Arguments),
    Status(status::Arguments),
    /// Manage role assignments
    #[command(subcommand)]
    Role(role::Command),
    /// Manage access tokens (`batchai local` only)
    #[command(subcommand)]
    Token(token::Command),
    Completion(completion::Arguments),
    Man(man::Arguments),
    /// Interrupt nodes for testing (`batchai local` only)
    #[command(subcommand)]
    Node(node::Command),
}

const EXAMPLES: &str = "\
Examples:
  batchai demo             Train eight models on a cluster that loses a node; takes about a minute
  batchai local            Run the service on this machine, then in another terminal:

  export BATCHAI_WORKSPACE=vision BATCHAI_EXPERIMENT=digits
  batchai workspace create vision
  batchai file-server create nfs
  batchai file-server upload nfs train.py
  batchai cluster create spot --vm-priority lowpriority --min 0 --max 4 --nfs nfs
  batchai experiment create digits
  batchai job submit -f job.json -n first --cluster spot
  batchai job logs first --follow
  batchai job wait first && echo done
  batchai status                      # clusters, nodes and the queue

Settings come from, in this order:
  options; environment variables (BATCHAI_ENDPOINT, BATCHAI_TOKEN, BATCHAI_SUBSCRIPTION,
  BATCHAI_RESOURCE_GROUP, BATCHAI_WORKSPACE, BATCHAI_EXPERIMENT); the profile (--profile,
  BATCHAI_PROFILE, else the default one); the data directory of `batchai local`.
  The token of a profile is sent to the endpoint of the profile only. A data directory (--data-dir,
  BATCHAI_DATA_DIR) or the profile `local` selects `batchai local` instead of the default profile.

Exit status:
  0      Success; for `job wait`, `job logs` and `job submit --wait`: the job succeeded
  1      Failure; for `job wait`, `job logs` and `job submit --wait`: the job failed without an exit
         code; for `doctor`: there is a problem
  2      Invalid command line
  124    `job wait --timeout` timed out
  130    Interrupted by Ctrl-C
  other  For `job wait`, `job logs` and `job submit --wait`: the exit code of the failed job

With `-o json` and `-o yaml`, an error is one JSON object on stderr, with the fields code, message and
hint in the field error.";

pub fn main(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    if vm_size::is_asked_for(&arguments) {
        return list_sizes(&arguments, &environment).into();
    }
    let parsed = command().try_get_matches_from(&arguments).and_then(|matches| {
        let mut cli = Cli::from_arg_matches(&matches)?;
        cli.global.on_command_line = OnCommandLine::of(&matches);
        Ok(cli)
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && asks_for_json(&arguments) => {
            return failure::report_usage(&error).into();
        }
        Err(error) => error.exit(),
    };
    let format = cli.global.output;
    log::start(log_filter(&cli), &environment);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            stderr::message(format_args!("error: cannot start the async runtime: {error}"));
            return Exit::FAILURE.into();
        }
    };
    let exit =
        runtime.block_on(execute(cli, environment)).unwrap_or_else(|e| failure::report(&e, format));
    // Do not wait for a thread that is blocked on the terminal.
    runtime.shutdown_background();
    exit.into()
}

/// Whether a command line that cannot be parsed asks for output that programs read.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let is_format = |text: &str| ["json", "yaml"].contains(&text);
    let prefixes = ["-o", "--output="];
    words.windows(2).any(|pair| ["-o", "--output"].contains(&pair[0]) && is_format(pair[1]))
        || words.iter().any(|word| {
            prefixes.iter().filter_map(|prefix| word.strip_prefix(prefix)).any(is_format)
        })
}

/// `--vm-size '?'` needs no other argument of its command.
fn list_sizes(arguments: &[OsString], environment: &Environment) -> Exit {
    let global = command()
        .ignore_errors(true)
        .try_get_matches_from(arguments)
        .and_then(|matches| GlobalOptions::from_arg_matches(&matches));
    let global = match global {
        Ok(global) => global,
        Err(error) => error.exit(),
    };
    let format = global.output;
    match vm_size::list(&context::output(&global, environment)) {
        Ok(exit) => exit,
        Err(error) => failure::report(&error, format),
    }
}

/// The whole command line.
pub fn command() -> clap::Command {
    options::hide_unused(Cli::command())
}

async fn execute(cli: Cli, environment: Environment) -> Result<Exit> {
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
        Command::Run(arguments) => run::run(context(global)?, arguments).await,
        Command::Login(arguments) => login::run(global, environment, arguments).await,
        Command::Logout(arguments) => logout::run(global, environment, arguments).await,
        Command::Profile(command) => profile::run(global, environment, command).await,
        Command::Doctor(arguments) => {
            let data_dir = context::data_dir(&global, &environment).ok();
            doctor::run(context(global)?, environment, data_dir, arguments).await
        }
        Command::Portal(arguments) => portal::run(context(global)?, arguments).await,
        Command::Group(command) => group::run(context(global)?, command).await,
        Command::Usage(arguments) => usage::run(context(global)?, arguments).await,
        Command::Role(command) => role::run(context(global)?, command).await,
        Command::Token(command) => token::run(context(global)?, command).await,
        Command::Workspace(command) => workspace::run(context(global)?, command).await,
        Command::FileServer(command) => file_server::run(context(global)?, command).await,
        Command::Cluster(command) => cluster::run(context(global)?, command).await,
        Command::Experiment(command) => experiment::run(context(global)?, command).await,
        Command::Job(command) => job::run(context(global)?, command).await,
        Command::Sweep(arguments) => sweep::run(context(global)?, arguments).await,
        Command::Status(arguments) => status::run(context(global)?, arguments).await,
        Command::Completion(arguments) => completion::run(self::command(), &arguments),
        Command::Man(arguments) => {
            man::run(self::command(), &context::output(&global, &environment), &arguments)
        }
        Command::Node(command) => node::run(context(global)?, command).await,
    }
}

/// The service logs what it does; a client logs only errors unless asked.
fn log_filter(cli: &Cli) -> &'static str {
    let is_service = matches!(cli.command, Command::Local(_));
    match (is_service, cli.global.verbose) {
        (true, false) => "info",
        (true, true) => "debug,hyper=info,hyper_util=info,aws=info",
        (false, false) => "error",
        (false, true) => "batchai=debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_and_option_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let known = argument.get_help().is_some();
                assert!(known, "{} {} has no help", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = command();
        command.build();
        check(&command);
    }

    #[test]
    fn a_wrong_command_line_may_ask_for_json() {
        let asks =
            |line: &str| asks_for_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["b -o json x", "b --output yaml", "b -ojson", "b x --output=json"] {
            assert!(asks(line), "{line}");
        }
        for line in ["b -o table", "b json", "b -o", "b --output=table"] {
            assert!(!asks(line), "{line}");
        }
    }

    #[test]
    fn sizes_can_be_listed_without_the_other_arguments() {
        for line in ["b cluster create --vm-size ? -o json", "b -o json run -s ? -w x"] {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            assert!(vm_size::is_asked_for(&words), "{line}");
            let matches = command().ignore_errors(true).try_get_matches_from(&words).unwrap();
            let global = GlobalOptions::from_arg_matches(&matches).unwrap();
            assert_eq!(global.output, Format::Json, "{line}");
        }
    }

    #[test]
    fn help_lists_the_options_that_a_command_uses() {
        let mut command = command();
        command.build();
        let ids = ["profile", "endpoint", "data_dir", "subscription", "resource_group"];
        let ids = [&ids[..], &["workspace", "experiment"]].concat();
        let lines = command.get_subcommands().map(|command| {
            let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
            let shown = shown.map(|argument| argument.get_id().as_str());
            let shown: Vec<_> = shown.filter(|id| ids.contains(id)).collect();
            format!("{}: {}", command.get_name(), shown.join(" ")).trim_end().to_owned()
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
        local: data_dir
        demo:
        run: profile endpoint data_dir subscription resource_group workspace experiment
        login: profile endpoint data_dir subscription resource_group workspace experiment
        logout: profile
        profile: profile
        doctor: profile endpoint data_dir subscription resource_group workspace experiment
        portal: profile endpoint data_dir subscription resource_group workspace experiment
        group: profile endpoint data_dir subscription
        workspace: profile endpoint data_dir subscription resource_group
        file-server: profile endpoint data_dir subscription resource_group workspace
        cluster: profile endpoint data_dir subscription resource_group workspace
        experiment: profile endpoint data_dir subscription resource_group workspace
        job: profile endpoint data_dir subscription resource_group workspace experiment
        sweep: profile endpoint data_dir subscription resource_group workspace experiment
        usage: profile endpoint data_dir subscription
        status: profile endpoint data_dir subscription resource_group workspace
        role: profile endpoint data_dir subscription resource_group workspace
        token: profile endpoint data_dir
        completion:
        man:
        node: profile endpoint data_dir
        help:
        ");
    }

    /// Also where its help does not list them, before and after the command.
    #[test]
    fn every_command_accepts_the_scope() {
        for line in ["batchai usage -w w -e e -g g", "batchai -w w -e e -g g usage"] {
            let matches = command().try_get_matches_from(line.split(' ')).unwrap();
            let global = Cli::from_arg_matches(&matches).unwrap().global;
            let given = [global.workspace, global.experiment, global.resource_group];
            assert_eq!(given.map(Option::unwrap), ["w", "e", "g"], "{line}");
        }
    }
}
