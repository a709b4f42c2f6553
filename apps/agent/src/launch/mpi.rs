//! Processes that MPI starts: `mpirun` runs on the master and starts the ranks of the other nodes over SSH.

use super::program::quoted;
use super::{Gang, LaunchPlan, custom, variable};

/// The command line under `mpirun`, `process_count` times. Each rank is a shell of its own, which expands the text.
pub fn plan(gang: Gang<'_>, command_line: &str, process_count: Option<u32>) -> LaunchPlan {
    let nodes = u32::try_from(gang.nodes()).unwrap_or(u32::MAX).max(1);
    let count = process_count.unwrap_or(nodes);
    let command_line = format!(
        "mpirun -n {count} --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c {}",
        quoted(command_line)
    );
    LaunchPlan { slots: count.div_ceil(nodes), ..custom::plan(gang, &command_line) }
}

/// Without `mpirun` where there is a single process.
pub fn plan_unless_single(
    gang: Gang<'_>,
    command_line: &str,
    process_count: Option<u32>,
) -> LaunchPlan {
    let single = process_count.map_or(gang.nodes() == 1, |count| count == 1);
    if single { custom::plan(gang, command_line) } else { plan(gang, command_line, process_count) }
}

/// Settings of Open MPI for every `mpirun` of a job, also one that the user calls. What a command line sets has
/// precedence (Open MPI documentation, "MCA parameters").
pub fn variables(hosts: &[String]) -> Vec<(String, String)> {
    // Jobs may run as root; without these, `mpirun` needs --allow-run-as-root.
    let mut settings =
        vec![variable("OMPI_ALLOW_RUN_AS_ROOT", 1), variable("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", 1)];
    if super::on_one_machine(hosts) {
        // Nodes of one machine: ranks of two nodes must not take each other for neighbours with common memory.
        settings.push(variable("OMPI_MCA_btl", "tcp,self"));
        settings.push(variable("OMPI_MCA_btl_tcp_if_include", "lo"));
        settings.push(variable("OMPI_MCA_oob_tcp_if_include", "lo"));
    } else {
        settings.push(variable("OMPI_MCA_btl_tcp_if_exclude", "docker0,lo"));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::testing::table;

    #[test]
    fn ranks_are_spread_over_the_nodes() {
        let plan = |nodes, count| table(nodes, 4, |gang| super::plan(gang, "a '$X'", count));
        assert_eq!(
            plan(1, None),
            r#"0 []: mpirun -n 1 --hostfile "$AZ_BATCHAI_MPI_HOST_FILE" bash -c 'a '\''$X'\'''"#
        );
        assert_eq!(
            plan(2, Some(7)),
            r#"0 []: mpirun -n 7 --hostfile "$AZ_BATCHAI_MPI_HOST_FILE" bash -c 'a '\''$X'\'''
0 slots 4
1 nothing
1 slots 4"#
        );
    }

    #[test]
    fn one_process_needs_no_mpi() {
        let plan = |nodes, count| table(nodes, 4, |gang| plan_unless_single(gang, "a", count));
        assert_eq!(plan(1, None), "0 []: a");
        assert_eq!(plan(2, Some(1)), "0 []: a\n1 nothing");
        assert!(plan(1, Some(2)).starts_with("0 []: mpirun -n 2 "));
        assert!(plan(2, None).starts_with("0 []: mpirun -n 2 "));
    }

    #[test]
    fn nodes_of_one_machine_speak_over_its_loopback_interface() {
        let names = |hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|it| (*it).to_owned()).collect();
            let variables = variables(&hosts).into_iter().map(|(name, _)| name);
            variables.filter(|name| name.contains("btl")).collect::<Vec<_>>()
        };
        let local = ["OMPI_MCA_btl", "OMPI_MCA_btl_tcp_if_include"];
        assert_eq!(names(&["127.0.1.1", "127.0.1.2"]), local);
        assert_eq!(names(&["10.0.0.5", "10.0.0.4"]), ["OMPI_MCA_btl_tcp_if_exclude"]);
    }
}
