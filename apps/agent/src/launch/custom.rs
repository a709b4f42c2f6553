//! The custom toolkit: the command runs once, on the master, whatever the number of nodes.

use super::{Gang, LaunchPlan, Process};

pub fn plan(gang: Gang<'_>, command_line: &str) -> LaunchPlan {
    let process = Process { command_line: command_line.to_owned(), ..Process::default() };
    let processes = if gang.is_master() { vec![process] } else { Vec::new() };
    LaunchPlan { processes, ..LaunchPlan::default() }
}

#[cfg(test)]
mod tests {
    use crate::launch::testing::table;

    #[test]
    fn the_command_is_run_once() {
        let plan = |nodes| table(nodes, 4, |gang| super::plan(gang, "echo $X; ls"));
        assert_eq!(plan(1), "0 []: echo $X; ls");
        assert_eq!(plan(2), "0 []: echo $X; ls\n1 nothing");
    }
}
