//! The SFTP server and the client as programs, for the tests. A node has them as commands of the agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|command| command == "client") {
        return ssh::client::run(arguments);
    }
    match ssh::sftp::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sftp-server: {error}");
            ExitCode::FAILURE
        }
    }
}
