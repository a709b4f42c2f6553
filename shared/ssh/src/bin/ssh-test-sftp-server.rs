//! The SFTP server as a program, for the tests. A node has it as a command of the agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ssh::sftp::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sftp-server: {error}");
            ExitCode::FAILURE
        }
    }
}
