//! The agent as a program of its own, for nodes that have nothing else installed and for the agent's tests: `batchai agent`,
//! `supervise`, `enter`, `ssh-server`, `ssh-login`, `sftp-server`, `ssh-client` and `keep`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|word| word.to_str()) {
        Some("agent") => agent::main(arguments),
        Some(agent::SUPERVISE) => agent::supervisor_main(arguments),
        Some(agent::SSH_SERVER) => agent::ssh_server_main(arguments),
        Some(agent::SFTP_SERVER) => agent::sftp_server_main(arguments),
        Some(agent::ENTER) => agent::enter_main(arguments),
        Some(agent::SSH_CLIENT) => agent::ssh_client_main(arguments),
        Some(agent::SSH_LOGIN) => agent::ssh_login_main(arguments),
        Some("keep") => processes::keeper::main(),
        _ => {
            eprintln!("usage: batchai-agent agent {}", agent::USAGE);
            ExitCode::from(2)
        }
    }
}
