//! What an assignment starts: the settings of the job's toolkit, from which each node plans its own processes.
//! Settings are as the user sent them; the agent applies the defaults of absent ones.

use serde::{Deserialize, Serialize};

/// The toolkit of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Toolkit {
    /// `commandLine` of the assignment, once, on the master.
    #[default]
    Custom,
    /// A command line under MPI.
    CustomMpi {
        /// For bash.
        command_line: String,
        /// Default: one on each node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process_count: Option<u32>,
    },
    /// Under MPI.
    Horovod(Processes),
    /// Under MPI.
    Chainer(Processes),
    /// Under MPI where it has several processes.
    Cntk(Processes),
    /// Under MPI where it has several processes.
    Caffe(Processes),
    /// One process on each node.
    Caffe2(Processes),
    /// One process for each rank, or under MPI.
    PyTorch {
        /// What runs.
        #[serde(flatten)]
        processes: Processes,
        /// `communicationBackend` in small letters: tcp, gloo, mpi or nccl.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<String>,
    },
    /// A master, workers and parameter servers.
    TensorFlow(TensorFlow),
}

impl Toolkit {
    /// Whether it is the custom toolkit, which is left out of messages.
    pub fn is_custom(&self) -> bool {
        *self == Self::Custom
    }
}

/// A program and the number of its processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processes {
    /// What each process runs.
    pub program: Program,
    /// Text for bash behind the program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arguments: String,
    /// Default: one on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

/// The program of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Program {
    /// A Python script.
    Python(Python),
    /// A configuration of CNTK (BrainScript) or a solver of Caffe.
    Configuration {
        /// May refer to variables.
        path: String,
    },
}

/// A Python script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Python {
    /// May refer to variables.
    pub script: String,
    /// Default: `python`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
}

/// The roles of a TensorFlow job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TensorFlow {
    /// What every role runs.
    pub python: Python,
    /// Text for bash behind the script: of the master, which is the first worker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub master_arguments: String,
    /// The same for the other workers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker_arguments: String,
    /// The same for the parameter servers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parameter_server_arguments: String,
    /// Default: one on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_count: Option<u32>,
    /// Default: one for several workers, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_server_count: Option<u32>,
}
