//! The toolkits of the contract: which program a job runs, and in how many processes.
//!
//! The settings are kept as they were sent; what is absent has the contract's default when the job
//! runs, not before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exactly one block of settings, under its name in the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Toolkit {
    #[serde(rename = "customToolkitSettings")]
    Custom(CustomToolkit),
    #[serde(rename = "cntkSettings")]
    Cntk(Cntk),
    #[serde(rename = "pyTorchSettings")]
    PyTorch(PyTorch),
    #[serde(rename = "tensorFlowSettings")]
    TensorFlow(TensorFlow),
    #[serde(rename = "caffeSettings")]
    Caffe(Caffe),
    #[serde(rename = "caffe2Settings")]
    Caffe2(Caffe2),
    #[serde(rename = "chainerSettings")]
    Chainer(Chainer),
    #[serde(rename = "customMpiSettings")]
    CustomMpi(CustomMpi),
    #[serde(rename = "horovodSettings")]
    Horovod(Horovod),
}

impl Toolkit {
    pub fn custom(command_line: impl Into<String>) -> Self {
        Self::Custom(CustomToolkit { command_line: command_line.into() })
    }

    /// `toolType`.
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
}

/// The command line runs once, on the first node of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CustomToolkitSettings")]
pub struct CustomToolkit {
    pub command_line: String,
}

/// A BrainScript configuration or a Python script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CNTKsettings")]
pub struct Cntk {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_type: Option<CntkLanguage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_script_file_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum CntkLanguage {
    BrainScript,
    Python,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PyTorchSettings")]
pub struct PyTorch {
    pub python_script_file_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communication_backend: Option<CommunicationBackend>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum CommunicationBackend {
    #[serde(rename = "TCP")]
    Tcp,
    Gloo,
    #[serde(rename = "MPI")]
    Mpi,
    // Not in the contract, but in later documents of the service.
    #[serde(rename = "NCCL")]
    Nccl,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TensorFlowSettings")]
pub struct TensorFlow {
    pub python_script_file_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_command_line_args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_command_line_args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_server_command_line_args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_server_count: Option<u32>,
}

/// A solver configuration or a Python script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CaffeSettings")]
pub struct Caffe {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_script_file_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Caffe2Settings")]
pub struct Caffe2 {
    pub python_script_file_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChainerSettings")]
pub struct Chainer {
    pub python_script_file_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

/// The command line is run by MPI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CustomMpiSettings")]
pub struct CustomMpi {
    pub command_line: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HorovodSettings")]
pub struct Horovod {
    pub python_script_file_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_interpreter_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line_args: Option<String>,
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
