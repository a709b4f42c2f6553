//! PyTorch: the ranks in blocks over the nodes, with the variables of Batch AI and those of `torchrun`; or under
//! `mpirun` with the backend MPI.

use super::{Gang, LaunchPlan, Process, mpi, ports, program, variable};
use protocol::Processes;

pub fn plan(gang: Gang<'_>, settings: &Processes, backend: Option<&str>) -> LaunchPlan {
    let Processes { program, arguments, process_count } = settings;
    let command_line = program::program(program, arguments, str::to_owned);
    if backend == Some("mpi") {
        let variables = vec![variable("AZ_BATCHAI_PYTORCH_BACKEND", "mpi")];
        return LaunchPlan { variables, ..mpi::plan(gang, &command_line, *process_count) };
    }
    let world = process_count.map_or(gang.nodes(), |count| count as usize);
    let (first, local) = block(world, gang.nodes(), gang.rank);
    let process = |index: usize| {
        let rank = first + index;
        Process {
            command_line: command_line.clone(),
            variables: vec![
                variable("AZ_BATCHAI_TASK_INDEX", rank),
                variable("RANK", rank),
                variable("LOCAL_RANK", index),
                variable("LOCAL_WORLD_SIZE", local),
            ],
            label: format!("-{rank}"),
        }
    };
    let processes = (0..local).map(process).collect();
    LaunchPlan { processes, variables: variables(gang, world, backend), slots: 1 }
}

fn variables(gang: Gang<'_>, world: usize, backend: Option<&str>) -> Vec<(String, String)> {
    let (address, port) = (gang.master(), ports::rendezvous(gang.master()));
    let mut variables = vec![
        variable("AZ_BATCHAI_PYTORCH_INIT_METHOD", format!("tcp://{address}:{port}")),
        variable("MASTER_ADDR", address),
        variable("MASTER_PORT", port),
        variable("WORLD_SIZE", world),
    ];
    variables.extend(backend.map(|backend| variable("AZ_BATCHAI_PYTORCH_BACKEND", backend)));
    variables
}

/// The first rank of a node, and the number of its ranks. Nodes differ by one rank at most.
fn block(world: usize, nodes: usize, node: usize) -> (usize, usize) {
    let (each, more) = (world / nodes, world % nodes);
    (each * node + more.min(node), each + usize::from(node < more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::testing::{processes, table};

    #[test]
    fn a_job_of_one_process() {
        let plan = table(1, 1, |gang| plan(gang, &processes("--lr 1", None), None));
        assert_eq!(
            plan,
            "0 [-0] AZ_BATCHAI_TASK_INDEX=0 RANK=0 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1: python $S/a.py --lr 1
0 AZ_BATCHAI_PYTORCH_INIT_METHOD=tcp://10.0.0.5:29500
0 MASTER_ADDR=10.0.0.5
0 MASTER_PORT=29500
0 WORLD_SIZE=1"
        );
    }

    #[test]
    fn ranks_are_in_blocks() {
        let plan = table(2, 2, |gang| plan(gang, &processes("", Some(3)), Some("nccl")));
        let shared = |node| {
            format!(
                "{node} AZ_BATCHAI_PYTORCH_INIT_METHOD=tcp://10.0.0.5:29500
{node} MASTER_ADDR=10.0.0.5
{node} MASTER_PORT=29500
{node} WORLD_SIZE=3
{node} AZ_BATCHAI_PYTORCH_BACKEND=nccl"
            )
        };
        assert_eq!(
            plan,
            format!(
                "0 [-0] AZ_BATCHAI_TASK_INDEX=0 RANK=0 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2: python $S/a.py
0 [-1] AZ_BATCHAI_TASK_INDEX=1 RANK=1 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2: python $S/a.py
{}
1 [-2] AZ_BATCHAI_TASK_INDEX=2 RANK=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1: python $S/a.py
{}",
                shared(0),
                shared(1)
            )
        );
    }

    #[test]
    fn every_rank_is_on_one_node() {
        for world in 1..20 {
            for nodes in 1..8 {
                let ranks: Vec<usize> = (0..nodes)
                    .map(|node| block(world, nodes, node))
                    .flat_map(|(first, count)| first..first + count)
                    .collect();
                assert_eq!(ranks, (0..world).collect::<Vec<_>>(), "{world} on {nodes}");
            }
        }
    }

    #[test]
    fn the_mpi_backend_is_started_by_mpi() {
        let plan = table(2, 2, |gang| plan(gang, &processes("", Some(4)), Some("mpi")));
        assert_eq!(
            plan,
            "0 []: mpirun -n 4 --hostfile \"$AZ_BATCHAI_MPI_HOST_FILE\" bash -c 'python $S/a.py'
0 AZ_BATCHAI_PYTORCH_BACKEND=mpi
0 slots 2
1 nothing
1 AZ_BATCHAI_PYTORCH_BACKEND=mpi
1 slots 2"
        );
    }
}
