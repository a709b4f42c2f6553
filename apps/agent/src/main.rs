//! The agent as a program of its own: `batchai agent`, `supervise`, `ssh-server`, `ssh-login`, `sftp-server` and `keep`, for nodes that
//! have nothing else installed and for the agent's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|word| word.to_str()) {
        Some("agent") => agent::main(arguments),
        Some(agent::SUPERVISE) => agent::supervisor_main(arguments),
        Some(agent::SSH_SERVER) => agent::ssh_server_main(arguments),
        Some(agent::SSH_LOGIN) => agent::ssh_login_main(arguments),
        Some(agent::SFTP_SERVER) => agent::sftp_server_main(),
        Some("keep") => processes::keeper::main(),
        _ => {
            eprintln!("usage: batchai-agent agent {}", agent::USAGE);
            ExitCode::from(2)
        }
    }
}
