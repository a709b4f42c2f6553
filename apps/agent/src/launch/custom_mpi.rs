//! Custom MPI: any command line under `mpirun`, even a single time.

use super::{Gang, LaunchPlan, mpi};

pub fn plan(gang: Gang<'_>, command_line: &str, process_count: Option<u32>) -> LaunchPlan {
    mpi::plan(gang, command_line, process_count)
}

#[cfg(test)]
mod tests {
    use crate::launch::testing::table;

    #[test]
    fn the_command_runs_once_per_node_by_default() {
        let plan = |nodes| table(nodes, 4, |gang| super::plan(gang, "./a.out $DATA", None));
        let line = |count| {
            format!(
                "mpirun -n {count} --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c './a.out $DATA'"
            )
        };
        assert_eq!(plan(1), format!("0 []: {}", line(1)));
        assert_eq!(plan(2), format!("0 []: {}\n1 nothing", line(2)));
    }
}
