//! CNTK: a Python script or a BrainScript configuration, under `mpirun` where it has several processes.

use super::{Gang, LaunchPlan, mpi, program};
use protocol::Processes;

pub fn plan(gang: Gang<'_>, settings: &Processes) -> LaunchPlan {
    let Processes { program, arguments, process_count } = settings;
    let brain_script = |path: &str| format!("cntk configFile={path}");
    let command_line = program::program(program, arguments, brain_script);
    mpi::plan_unless_single(gang, &command_line, *process_count)
}

#[cfg(test)]
mod tests {
    use crate::launch::testing::{configured, processes, table};

    #[test]
    fn a_script_or_a_configuration() {
        let script =
            |nodes, count| table(nodes, 4, |gang| super::plan(gang, &processes("-n 5", count)));
        assert_eq!(script(1, None), "0 []: python $S/a.py -n 5");
        assert_eq!(
            script(2, Some(2)),
            "0 []: mpirun -n 2 --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c 'python $S/a.py -n 5'\n1 nothing"
        );
        let brain_script =
            |nodes| table(nodes, 4, |gang| super::plan(gang, &configured("rootDir=.", None)));
        assert_eq!(brain_script(1), "0 []: cntk configFile=$S/net rootDir=.");
        assert_eq!(
            brain_script(2),
            "0 []: mpirun -n 2 --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c 'cntk configFile=$S/net rootDir=.'\n1 nothing"
        );
    }
}
