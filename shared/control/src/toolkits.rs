//! The toolkit of a job as a message to its nodes.

use model::Toolkit as Settings;
use model::toolkit::CommunicationBackend;
use protocol::{Processes, Program, Python, TensorFlow, Toolkit};

/// What an agent of an earlier release does with a toolkit that it does not know.
const UNKNOWN_TOOLKIT: &str = "echo 'The agent of this node is too old for the toolkit of the job: replace the node' >&2; exit 1";

/// The command line of an assignment, and its toolkit.
pub(crate) fn toolkit(settings: &Settings) -> (String, Toolkit) {
    let toolkit = match settings {
        Settings::Custom(it) => return (it.command_line.clone(), Toolkit::Custom),
        Settings::CustomMpi(it) => Toolkit::CustomMpi {
            command_line: it.command_line.clone(),
            process_count: it.process_count,
        },
        Settings::Horovod(it) => {
            let program = python(&it.python_script_file_path, &it.python_interpreter_path);
            Toolkit::Horovod(processes(program, &it.command_line_args, it.process_count))
        }
        Settings::Chainer(it) => {
            let program = python(&it.python_script_file_path, &it.python_interpreter_path);
            Toolkit::Chainer(processes(program, &it.command_line_args, it.process_count))
        }
        Settings::Cntk(it) => {
            let script =
                python_or_nothing(&it.python_script_file_path, &it.python_interpreter_path);
            let program = configuration_or(&it.config_file_path, script);
            Toolkit::Cntk(processes(program, &it.command_line_args, it.process_count))
        }
        Settings::Caffe(it) => {
            let script =
                python_or_nothing(&it.python_script_file_path, &it.python_interpreter_path);
            let program = configuration_or(&it.config_file_path, script);
            Toolkit::Caffe(processes(program, &it.command_line_args, it.process_count))
        }
        Settings::Caffe2(it) => {
            let program = python(&it.python_script_file_path, &it.python_interpreter_path);
            Toolkit::Caffe2(processes(program, &it.command_line_args, None))
        }
        Settings::PyTorch(it) => {
            let program = python(&it.python_script_file_path, &it.python_interpreter_path);
            let processes = processes(program, &it.command_line_args, it.process_count);
            let backend = it.communication_backend.map(|backend| name(backend).to_owned());
            Toolkit::PyTorch { processes, backend }
        }
        Settings::TensorFlow(it) => Toolkit::TensorFlow(TensorFlow {
            python: script(&it.python_script_file_path, &it.python_interpreter_path),
            master_arguments: text(&it.master_command_line_args),
            worker_arguments: text(&it.worker_command_line_args),
            parameter_server_arguments: text(&it.parameter_server_command_line_args),
            worker_count: it.worker_count,
            parameter_server_count: it.parameter_server_count,
        }),
    };
    (UNKNOWN_TOOLKIT.to_owned(), toolkit)
}

fn processes(
    program: Program,
    arguments: &Option<String>,
    process_count: Option<u32>,
) -> Processes {
    Processes { program, arguments: text(arguments), process_count }
}

fn python(path: &str, interpreter: &Option<String>) -> Program {
    Program::Python(script(path, interpreter))
}

/// Requests have either a configuration or a script.
fn python_or_nothing(path: &Option<String>, interpreter: &Option<String>) -> Program {
    python(path.as_deref().unwrap_or_default(), interpreter)
}

fn configuration_or(path: &Option<String>, otherwise: Program) -> Program {
    path.clone().map_or(otherwise, |path| Program::Configuration { path })
}

fn script(path: &str, interpreter: &Option<String>) -> Python {
    Python { script: path.to_owned(), interpreter: interpreter.clone() }
}

fn text(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

fn name(backend: CommunicationBackend) -> &'static str {
    match backend {
        CommunicationBackend::Tcp => "tcp",
        CommunicationBackend::Gloo => "gloo",
        CommunicationBackend::Mpi => "mpi",
        CommunicationBackend::Nccl => "nccl",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::toolkit::{Caffe, Cntk, PyTorch};
    use serde_json::json;

    fn message(settings: Settings) -> serde_json::Value {
        serde_json::to_value(toolkit(&settings).1).unwrap()
    }

    #[test]
    fn an_older_agent_fails_what_it_does_not_know() {
        let (command_line, custom) = toolkit(&Settings::custom("true"));
        assert_eq!((command_line.as_str(), custom), ("true", Toolkit::Custom));
        let (command_line, _) = toolkit(&Settings::Caffe(Caffe::default()));
        assert!(command_line.ends_with("exit 1"), "{command_line}");
    }

    #[test]
    fn a_configuration_or_a_script_is_the_program() {
        let solver = Caffe { config_file_path: Some("s".into()), ..Caffe::default() };
        let program = json!({"kind": "configuration", "path": "s"});
        assert_eq!(message(Settings::Caffe(solver)), json!({"kind": "caffe", "program": program}));
        let cntk = Cntk {
            python_script_file_path: Some("a.py".into()),
            command_line_args: Some("-n 5".into()),
            process_count: Some(8),
            ..Cntk::default()
        };
        let program = json!({"kind": "python", "script": "a.py"});
        let expected =
            json!({"kind": "cntk", "program": program, "arguments": "-n 5", "processCount": 8});
        assert_eq!(message(Settings::Cntk(cntk)), expected);
    }

    #[test]
    fn a_backend_is_a_field_beside_the_processes() {
        let pytorch = PyTorch {
            python_script_file_path: "a.py".into(),
            python_interpreter_path: Some("python3".into()),
            command_line_args: None,
            process_count: Some(2),
            communication_backend: Some(CommunicationBackend::Nccl),
        };
        let program = json!({"kind": "python", "script": "a.py", "interpreter": "python3"});
        let expected =
            json!({"kind": "pyTorch", "program": program, "processCount": 2, "backend": "nccl"});
        let message = message(Settings::PyTorch(pytorch));
        assert_eq!(message, expected);
        assert_eq!(
            serde_json::to_value(serde_json::from_value::<Toolkit>(message).unwrap()).unwrap(),
            expected
        );
    }
}
