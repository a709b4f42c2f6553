//! Plans as text, for the tables of the toolkits.

use super::{Gang, LaunchPlan};
use protocol::{Processes, Program, Python};

pub const HOSTS: [&str; 3] = ["10.0.0.5", "10.0.0.4", "10.0.0.6"];

/// The plans of the first `nodes` hosts, a line per process: node, output label, variables, command line.
pub fn table(nodes: usize, gpus: usize, plan: impl Fn(Gang<'_>) -> LaunchPlan) -> String {
    let hosts: Vec<String> = HOSTS[..nodes].iter().map(|it| (*it).to_owned()).collect();
    let gpus: Vec<String> = (0..gpus).map(|index| index.to_string()).collect();
    let mut lines = Vec::new();
    for rank in 0..nodes {
        let plan = plan(Gang { hosts: &hosts, rank, gpus: &gpus });
        for process in &plan.processes {
            let variables: Vec<String> =
                process.variables.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            let label = &process.label;
            lines.push(format!("{rank} [{label}]{}: {}", variables.concat(), process.command_line));
        }
        if plan.processes.is_empty() {
            lines.push(format!("{rank} nothing"));
        }
        for (name, value) in &plan.variables {
            lines.push(format!("{rank} {name}={value}"));
        }
        if plan.slots > 1 {
            lines.push(format!("{rank} slots {}", plan.slots));
        }
    }
    lines.join("\n")
}

pub fn python(script: &str) -> Python {
    Python { script: script.to_owned(), interpreter: None }
}

pub fn processes(arguments: &str, process_count: Option<u32>) -> Processes {
    let program = Program::Python(python("$S/a.py"));
    Processes { program, arguments: arguments.to_owned(), process_count }
}

pub fn configured(arguments: &str, process_count: Option<u32>) -> Processes {
    let program = Program::Configuration { path: "$S/net".to_owned() };
    Processes { program, arguments: arguments.to_owned(), process_count }
}
