//! Chainer (ChainerMN): as Horovod, a Python script under `mpirun`, even a single time.

use super::{Gang, LaunchPlan, horovod};
use protocol::Processes;

pub fn plan(gang: Gang<'_>, settings: &Processes) -> LaunchPlan {
    horovod::plan(gang, settings)
}

#[cfg(test)]
mod tests {
    use crate::launch::testing::{processes, table};

    #[test]
    fn the_script_runs_in_each_rank() {
        let settings = processes("--gpu", Some(4));
        assert_eq!(
            table(2, 4, |gang| super::plan(gang, &settings)),
            "0 []: mpirun -n 4 --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c 'python $S/a.py --gpu'
0 slots 2
1 nothing
1 slots 2"
        );
    }
}
