//! The `batchai` binary: the node agent, the supervisor of a command, the keeper of a machine, or the
//! command line.

mod cli;
mod client;
mod commands;
mod confirm;
mod context;
mod description;
mod environment;
mod exit;
mod failure;
mod json;
mod log;
mod log_tail;
mod name_argument;
mod names;
mod options;
mod output;
mod profiles;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod screens;
mod secret;
mod sign_in;
mod stderr;
mod transfer;
mod utf8_tail;
mod vm_size;
mod watch;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    // The hidden commands start once per node and once per job: they skip the set-up of the command
    // line.
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some("agent") => wiring::agent(arguments.split_off(2)),
        Some("supervise") => wiring::supervisor(arguments.split_off(2)),
        Some("ssh-server") => wiring::ssh_server(arguments.split_off(2)),
        Some("sftp-server") => wiring::sftp_server(arguments.split_off(2)),
        Some("enter") => wiring::enter(arguments.split_off(2)),
        Some("ssh-client") => wiring::ssh_client(arguments.split_off(2)),
        Some("ssh-login") => wiring::ssh_login(arguments.split_off(2)),
        Some("keep") => wiring::keeper(),
        _ => cli::main(arguments, environment::Environment::read()),
    }
}
