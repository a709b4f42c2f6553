//! Chainer (ChainerMN): a Python script under `mpirun`, even a single time.

use super::{Gang, LaunchPlan, mpi, program};
use protocol::Processes;

pub fn plan(gang: Gang<'_>, settings: &Processes) -> LaunchPlan {
    let Processes { program, arguments, process_count } = settings;
    // Only scripts are sent for this toolkit.
    let command_line = program::program(program, arguments, str::to_owned);
    mpi::plan(gang, &command_line, *process_count)
}

#[cfg(test)]
mod tests {
    use crate::launch::testing::{processes, table};

    #[test]
    fn the_script_runs_in_each_rank() {
        let plan = |nodes, count| {
            table(nodes, 4, |gang| super::plan(gang, &processes("--epochs 5", count)))
        };
        let line = |count| {
            format!(
                "mpirun -n {count} --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c 'python $S/a.py --epochs 5'"
            )
        };
        assert_eq!(plan(1, None), format!("0 []: {}", line(1)));
        assert_eq!(plan(2, None), format!("0 []: {}\n1 nothing", line(2)));
        let slots = "0 slots 4\n1 nothing\n1 slots 4";
        assert_eq!(plan(2, Some(8)), format!("0 []: {}\n{slots}", line(8)));
    }
}
