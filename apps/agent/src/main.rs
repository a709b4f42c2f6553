//! The agent as a program of its own: what `batchai agent` and `batchai supervise` do, for nodes that
//! carry nothing else and for the agent's tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|word| word.to_str()) {
        Some("agent") => agent::main(arguments),
        Some(agent::SUPERVISE) => agent::supervisor_main(arguments),
        _ => {
            eprintln!("usage: batchai-agent agent {}", agent::USAGE);
            ExitCode::from(2)
        }
    }
}
