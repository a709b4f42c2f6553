//! The toolkits of the API: the program that a job runs, and the number of its processes.
//!
//! Settings are stored as they were sent. The defaults of absent settings are applied when the job
//! runs, not before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The toolkit settings of a job: exactly one block, under its name in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Toolkit {
    /// Any command line.
    #[serde(rename = "customToolkitSettings")]
    Custom(CustomToolkit),
    /// Microsoft Cognitive Toolkit.
    #[serde(rename = "cntkSettings")]
    Cntk(Cntk),
    /// PyTorch.
    #[serde(rename = "pyTorchSettings")]
    PyTorch(PyTorch),
    /// TensorFlow.
    #[serde(rename = "tensorFlowSettings")]
    TensorFlow(TensorFlow),
    /// Caffe.
    #[serde(rename = "caffeSettings")]
    Caffe(Caffe),
    /// Caffe2.
    #[serde(rename = "caffe2Settings")]
    Caffe2(Caffe2),
    /// Chainer.
    #[serde(rename = "chainerSettings")]
    Chainer(Chainer),
    /// Any command line, started by MPI.
    #[serde(rename = "customMpiSettings")]
    CustomMpi(CustomMpi),
    /// Horovod.
    #[serde(rename = "horovodSettings")]
    Horovod(Horovod),
}

impl Toolkit {
    /// The custom toolkit with this command line.
    pub fn custom(command_line: impl Into<String>) -> Self {
        Self::Custom(CustomToolkit { command_line: command_line.into() })
    }

    /// `toolType` of the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Custom(_) => "custom",
            Self::Cntk(_) => "cntk",
            Self::PyTorch(_) => "pytorch",
            Self::TensorFlow(_) => "tensorflow",
            Self::Caffe(_) => "caffe",
            Self::Caffe2(_) => "caffe2",
            Self::Chainer(_) => "chainer",
            Self::CustomMpi(_) => "custommpi",
            Self::Horovod(_) => "horovod",
        }
    }

    /// Whether the job ends when every process of every node has ended: the processes are alike, and none starts the
    /// others. Otherwise it ends with the command of the first node.
    pub fn ends_with_every_node(&self) -> bool {
        match self {
            Self::Caffe2(_) => true,
            Self::PyTorch(settings) => {
                settings.communication_backend != Some(CommunicationBackend::Mpi)
            }
            Self::Custom(_)
            | Self::Cntk(_)
            | Self::TensorFlow(_)
            | Self::Caffe(_)
            | Self::Chainer(_)
            | Self::CustomMpi(_)
            | Self::Horovod(_) => false,
        }
    }
}

/// The command line runs once, on the first node of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CustomToolkitSettings")]
pub struct CustomToolkit {
    /// The command line.
    pub command_line: String,
}

/// A BrainScript configuration or a Python script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CNTKsettings")]
pub struct Cntk {
    /// Language of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_type: Option<CntkLanguage>,
    /// Path of the BrainScript configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file_path: Option<String>,
    /// Path of the Python script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_script_file_path: Option<String>,
    /// Path of the Python interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    /// Arguments of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    /// Number of processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

/// Language of a CNTK program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum CntkLanguage {
    /// BrainScript.
    BrainScript,
    /// Python.
    Python,
}

/// A Python script that uses PyTorch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PyTorchSettings")]
pub struct PyTorch {
    /// Path of the Python script.
    pub python_script_file_path: String,
    /// Path of the Python interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    /// Arguments of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    /// Number of processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
    /// Backend of distributed training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communication_backend: Option<CommunicationBackend>,
}

/// Backend of distributed training with PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum CommunicationBackend {
    /// TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// Gloo.
    Gloo,
    /// MPI.
    #[serde(rename = "MPI")]
    Mpi,
    // Not in the swagger of 2018-05-01, but in later documents of the service.
    /// NCCL.
    #[serde(rename = "NCCL")]
    Nccl,
}

/// A Python script that uses TensorFlow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TensorFlowSettings")]
pub struct TensorFlow {
    /// Path of the Python script.
    pub python_script_file_path: String,
    /// Path of the Python interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    /// Arguments of the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_command_line_args: Option<String>,
    /// Arguments of the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_command_line_args: Option<String>,
    /// Arguments of the parameter servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_server_command_line_args: Option<String>,
    /// Number of workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_count: Option<u32>,
    /// Number of parameter servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_server_count: Option<u32>,
}

/// A solver configuration or a Python script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CaffeSettings")]
pub struct Caffe {
    /// Path of the solver configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file_path: Option<String>,
    /// Path of the Python script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_script_file_path: Option<String>,
    /// Path of the Python interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    /// Arguments of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    /// Number of processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

/// A Python script that uses Caffe2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Caffe2Settings")]
pub struct Caffe2 {
    /// Path of the Python script.
    pub python_script_file_path: String,
    /// Path of the Python interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    /// Arguments of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
}

/// A Python script that uses Chainer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChainerSettings")]
pub struct Chainer {
    /// Path of the Python script.
    pub python_script_file_path: String,
    /// Path of the Python interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    /// Arguments of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    /// Number of processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

/// A command line that MPI starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CustomMpiSettings")]
pub struct CustomMpi {
    /// The command line.
    pub command_line: String,
    /// Number of processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

/// A Python script that uses Horovod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HorovodSettings")]
pub struct Horovod {
    /// Path of the Python script.
    pub python_script_file_path: String,
    /// Path of the Python interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    /// Arguments of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    /// Number of processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_tool_type() {
        let mpi = CustomMpi { command_line: "m".into(), process_count: None };
        let names = [
            Toolkit::custom("c"),
            Toolkit::Cntk(Cntk::default()),
            Toolkit::Caffe(Caffe::default()),
            Toolkit::CustomMpi(mpi),
        ];
        let names = names.map(|toolkit| toolkit.name());
        assert_eq!(names, ["custom", "cntk", "caffe", "custommpi"]);
        let custom = CustomToolkit { command_line: "c".into() };
        assert_eq!(Toolkit::custom("c"), Toolkit::Custom(custom));
    }
}
