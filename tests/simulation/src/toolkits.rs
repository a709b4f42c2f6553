//! Jobs of every toolkit. What their processes do is a text that the toolkit passes on; which nodes have processes, and
//! which of them end the job, is that of the real launch plans.

use model::Toolkit;
use model::toolkit::{
    Caffe, Caffe2, Chainer, Cntk, CommunicationBackend, CustomMpi, Horovod, PyTorch, TensorFlow,
};
use protocol::{Assignment, Toolkit as Message};

/// The toolkit of the job with this number, whose processes do what the text says.
pub fn of_job(number: u32, text: String) -> Toolkit {
    let script = || "train.py".to_owned();
    let arguments = Some(text.clone());
    match number % 10 {
        0 => Toolkit::PyTorch(pytorch(arguments, None)),
        1 => Toolkit::custom(text),
        2 => Toolkit::TensorFlow(TensorFlow {
            python_script_file_path: script(),
            master_command_line_args: arguments.clone(),
            worker_command_line_args: arguments,
            python_interpreter_path: None,
            parameter_server_command_line_args: None,
            worker_count: None,
            parameter_server_count: None,
        }),
        3 => Toolkit::Caffe2(Caffe2 {
            python_script_file_path: script(),
            command_line_args: arguments,
            python_interpreter_path: None,
        }),
        4 => Toolkit::Horovod(Horovod {
            python_script_file_path: script(),
            command_line_args: arguments,
            python_interpreter_path: None,
            process_count: None,
        }),
        5 => Toolkit::Cntk(Cntk {
            python_script_file_path: Some(script()),
            command_line_args: arguments,
            ..Cntk::default()
        }),
        6 => Toolkit::Caffe(Caffe {
            config_file_path: Some("solver".to_owned()),
            command_line_args: arguments,
            ..Caffe::default()
        }),
        7 => Toolkit::Chainer(Chainer {
            python_script_file_path: script(),
            command_line_args: arguments,
            python_interpreter_path: None,
            process_count: None,
        }),
        8 => Toolkit::CustomMpi(CustomMpi { command_line: text, process_count: Some(2) }),
        _ => Toolkit::PyTorch(pytorch(arguments, Some(CommunicationBackend::Mpi))),
    }
}

fn pytorch(arguments: Option<String>, backend: Option<CommunicationBackend>) -> PyTorch {
    PyTorch {
        python_script_file_path: "train.py".to_owned(),
        command_line_args: arguments,
        communication_backend: backend,
        python_interpreter_path: None,
        process_count: None,
    }
}

/// What the processes of an assignment do.
pub fn text(assignment: &Assignment) -> &str {
    match &assignment.toolkit {
        Message::Custom => &assignment.command_line,
        Message::CustomMpi { command_line, .. } => command_line,
        Message::TensorFlow(settings) if assignment.rank == 0 => &settings.master_arguments,
        Message::TensorFlow(settings) => &settings.worker_arguments,
        Message::Cntk(processes)
        | Message::Caffe(processes)
        | Message::Caffe2(processes)
        | Message::Chainer(processes)
        | Message::Horovod(processes)
        | Message::PyTorch { processes, .. } => &processes.arguments,
    }
}

/// Where the processes of a job are, and which of them end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// On the first node; it starts those of the others, or there are none.
    First,
    /// On every node. The job ends with the first one, or with a failure of another.
    FirstAndWorkers,
    /// On every node. The job ends with the last one, or with a failure.
    Every,
}

/// The shape of an assignment.
pub fn shape(assignment: &Assignment) -> Shape {
    match assignment.toolkit {
        Message::TensorFlow(_) => Shape::FirstAndWorkers,
        Message::Caffe2(_) | Message::PyTorch { .. } if assignment.ends_with_every_node => {
            Shape::Every
        }
        Message::Custom
        | Message::CustomMpi { .. }
        | Message::Cntk(_)
        | Message::Caffe(_)
        | Message::Caffe2(_)
        | Message::Chainer(_)
        | Message::Horovod(_)
        | Message::PyTorch { .. } => Shape::First,
    }
}
