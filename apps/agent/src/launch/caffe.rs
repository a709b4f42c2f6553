//! Caffe: a Python script or a solver, under `mpirun` where it has several processes.

use super::{Gang, LaunchPlan, mpi, program};
use protocol::Processes;

pub fn plan(gang: Gang<'_>, settings: &Processes) -> LaunchPlan {
    let Processes { program, arguments, process_count } = settings;
    let solver = |path: &str| format!("caffe train --solver={path}");
    let command_line = program::program(program, arguments, solver);
    mpi::plan_unless_single(gang, &command_line, *process_count)
}

#[cfg(test)]
mod tests {
    use crate::launch::testing::{configured, processes, table};

    #[test]
    fn a_script_or_a_solver() {
        let script = table(1, 4, |gang| super::plan(gang, &processes("", None)));
        assert_eq!(script, "0 []: python $S/a.py");
        let solver = |nodes, count| {
            table(nodes, 4, |gang| super::plan(gang, &configured("-gpu all", count)))
        };
        assert_eq!(solver(1, None), "0 []: caffe train --solver=$S/net -gpu all");
        assert_eq!(solver(2, Some(1)), "0 []: caffe train --solver=$S/net -gpu all\n1 nothing");
        assert_eq!(
            solver(2, None),
            "0 []: mpirun -n 2 --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c 'caffe train --solver=$S/net -gpu all'\n1 nothing"
        );
    }
}
