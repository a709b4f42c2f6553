//! From the toolkit of a job to the processes of one node: pure. One file per toolkit; the match in [`plan`] names them
//! all. Text of the user is text for bash, expanded on the node where the process runs (docs/contract.md, "Toolkits").

mod caffe;
mod caffe2;
mod chainer;
mod cntk;
mod custom;
mod custom_mpi;
mod horovod;
mod mpi;
mod ports;
mod program;
mod pytorch;
mod tensorflow;

pub use ports::{on_one_machine, ssh as ssh_port};

use protocol::{Assignment, Toolkit};

/// What one node starts for a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchPlan {
    /// Started at once. Empty where the master's processes start those of this node, if any.
    pub processes: Vec<Process>,
    /// Variables of the preparation and of every process.
    pub variables: Vec<(String, String)>,
    /// Places of each node in the host file of MPI.
    pub slots: u32,
}

/// A process of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// For bash.
    pub command_line: String,
    /// Added to those of the job.
    pub variables: Vec<(String, String)>,
    /// Between `stdout` or `stderr` and `.txt` in the names of its output files, such as `-wk-0`.
    pub label: String,
}

/// The nodes of a job, as one of them sees them.
#[derive(Clone, Copy, Debug)]
pub struct Gang<'a> {
    /// Private addresses, the master first; never empty.
    pub hosts: &'a [String],
    /// Position of this node in `hosts`.
    pub rank: usize,
    /// GPUs of this node, as `CUDA_VISIBLE_DEVICES` names them. The others have as many.
    pub gpus: &'a [String],
}

impl<'a> Gang<'a> {
    /// The gang of an assignment.
    pub fn of(assignment: &'a Assignment, gpus: &'a [String]) -> Self {
        Self { hosts: &assignment.hosts, rank: assignment.rank as usize, gpus }
    }

    fn nodes(&self) -> usize {
        self.hosts.len()
    }

    fn master(&self) -> &'a str {
        self.hosts.first().map_or("localhost", String::as_str)
    }

    fn is_master(&self) -> bool {
        self.rank == 0
    }
}

/// The processes of this node.
pub fn plan(assignment: &Assignment, gpus: &[String]) -> LaunchPlan {
    let gang = Gang::of(assignment, gpus);
    let mut plan = match &assignment.toolkit {
        Toolkit::Custom => custom::plan(gang, &assignment.command_line),
        Toolkit::CustomMpi { command_line, process_count } => {
            custom_mpi::plan(gang, command_line, *process_count)
        }
        Toolkit::Horovod(settings) => horovod::plan(gang, settings),
        Toolkit::Chainer(settings) => chainer::plan(gang, settings),
        Toolkit::Cntk(settings) => cntk::plan(gang, settings),
        Toolkit::Caffe(settings) => caffe::plan(gang, settings),
        Toolkit::Caffe2(settings) => caffe2::plan(gang, settings),
        Toolkit::PyTorch { processes, backend } => {
            pytorch::plan(gang, processes, backend.as_deref())
        }
        Toolkit::TensorFlow(settings) => tensorflow::plan(gang, settings),
    };
    plan.slots = plan.slots.max(1);
    plan.variables.extend(mpi::variables(gang.hosts));
    plan
}

fn variable(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

#[cfg(test)]
mod testing;
