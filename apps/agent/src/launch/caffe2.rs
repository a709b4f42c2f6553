//! Caffe2: one process on each node, which find each other through `$AZ_BATCHAI_SHARED_JOB_TEMP`.

use super::{Gang, LaunchPlan, Process, program, variable};
use protocol::Processes;

pub fn plan(gang: Gang<'_>, settings: &Processes) -> LaunchPlan {
    let Processes { program, arguments, process_count: _ } = settings;
    let process = Process {
        command_line: program::program(program, arguments, str::to_owned),
        variables: vec![variable("AZ_BATCHAI_TASK_INDEX", gang.rank)],
        label: format!("-{}", gang.rank),
    };
    LaunchPlan { processes: vec![process], ..LaunchPlan::default() }
}

#[cfg(test)]
mod tests {
    use crate::launch::testing::{processes, table};

    #[test]
    fn each_node_is_a_rank() {
        let arguments = "--shard_id $AZ_BATCHAI_TASK_INDEX";
        let plan = table(2, 4, |gang| super::plan(gang, &processes(arguments, None)));
        assert_eq!(
            plan,
            "0 [-0] AZ_BATCHAI_TASK_INDEX=0: python $S/a.py --shard_id $AZ_BATCHAI_TASK_INDEX
1 [-1] AZ_BATCHAI_TASK_INDEX=1: python $S/a.py --shard_id $AZ_BATCHAI_TASK_INDEX"
        );
    }
}
