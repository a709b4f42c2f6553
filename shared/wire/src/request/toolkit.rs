//! The program of a job: exactly one of the toolkit settings of the contract.

use crate::read::{Fields, Place};
use crate::rules;
use model::Toolkit;
use model::toolkit::*;

const LANGUAGE: [(&str, CntkLanguage); 2] =
    [("BrainScript", CntkLanguage::BrainScript), ("Python", CntkLanguage::Python)];

const BACKEND: [(&str, CommunicationBackend); 4] = [
    ("TCP", CommunicationBackend::Tcp),
    ("Gloo", CommunicationBackend::Gloo),
    ("MPI", CommunicationBackend::Mpi),
    ("NCCL", CommunicationBackend::Nccl),
];

type Reader = fn(&Fields<'_>) -> Option<Toolkit>;

/// The settings of all toolkits, in the order of the contract.
const BLOCKS: [(&str, Reader); 9] = [
    ("cntkSettings", cntk),
    ("pyTorchSettings", py_torch),
    ("tensorFlowSettings", tensor_flow),
    ("caffeSettings", caffe),
    ("caffe2Settings", caffe2),
    ("chainerSettings", chainer),
    ("customToolkitSettings", custom),
    ("customMpiSettings", custom_mpi),
    ("horovodSettings", horovod),
];

/// Reads the settings of the one toolkit; violations in the settings of others are reported too.
pub(super) fn toolkit(properties: &Fields<'_>) -> Option<Toolkit> {
    let given = properties.exactly_one_of(&BLOCKS.map(|(name, _)| name));
    match given.len() {
        0 => properties.invalid(
            "must have the settings of a toolkit, such as customToolkitSettings with its commandLine",
        ),
        1 => {}
        _ => properties.invalid(&format!(
            "must have the settings of exactly one toolkit, but has {}",
            given.join(", ")
        )),
    }
    let read = |(name, read): (&str, Reader)| {
        let settings = properties.optional(name)?;
        Some(settings.object().and_then(|fields| read(&fields)))
    };
    let read: Vec<Option<Toolkit>> = BLOCKS.into_iter().filter_map(read).collect();
    read.into_iter().next()?
}

/// Checks rules that depend on the number of nodes too.
pub(super) fn check_width(properties: &Fields<'_>, toolkit: Option<&Toolkit>, nodes: Option<u32>) {
    let (Some(Toolkit::TensorFlow(settings)), Some(nodes)) = (toolkit, nodes) else { return };
    let count = settings.parameter_server_count.filter(|count| *count > nodes);
    if let Some(count) = count {
        properties.invalid(&format!(
            "must not have a tensorFlowSettings.parameterServerCount ({count}) above its nodeCount ({nodes})"
        ));
    }
}

/// The contract does not require the command line, but without one there is nothing to run.
fn custom(settings: &Fields<'_>) -> Option<Toolkit> {
    let command_line = command_line(settings);
    Some(Toolkit::Custom(CustomToolkit { command_line: command_line? }))
}

fn custom_mpi(settings: &Fields<'_>) -> Option<Toolkit> {
    let command_line = command_line(settings);
    let process_count = count(settings, "processCount");
    Some(Toolkit::CustomMpi(CustomMpi { command_line: command_line?, process_count }))
}

fn cntk(settings: &Fields<'_>) -> Option<Toolkit> {
    let language_type =
        settings.optional("languageType").and_then(|place| rules::one_of(&place, &LANGUAGE));
    let program = program(settings);
    let wrong = match language_type {
        Some(CntkLanguage::BrainScript) => program.script.as_ref().map(|_| "pythonScriptFilePath"),
        Some(CntkLanguage::Python) => program.config.as_ref().map(|_| "configFilePath"),
        None => None,
    };
    if let (Some(field), Some(language)) = (wrong, language_type) {
        settings.invalid(&format!("must not have {field}, as its languageType is {language:?}"));
    }
    Some(Toolkit::Cntk(Cntk {
        language_type,
        config_file_path: program.config,
        python_script_file_path: program.script,
        python_interpreter_path: program.interpreter,
        command_line_args: arguments(settings, "commandLineArgs"),
        process_count: count(settings, "processCount"),
    }))
}

fn caffe(settings: &Fields<'_>) -> Option<Toolkit> {
    let program = program(settings);
    Some(Toolkit::Caffe(Caffe {
        config_file_path: program.config,
        python_script_file_path: program.script,
        python_interpreter_path: program.interpreter,
        command_line_args: arguments(settings, "commandLineArgs"),
        process_count: count(settings, "processCount"),
    }))
}

fn py_torch(settings: &Fields<'_>) -> Option<Toolkit> {
    let script = script(settings);
    let python_interpreter_path = path(settings, "pythonInterpreterPath");
    let command_line_args = arguments(settings, "commandLineArgs");
    let process_count = count(settings, "processCount");
    let communication_backend =
        settings.optional("communicationBackend").and_then(|place| rules::one_of(&place, &BACKEND));
    Some(Toolkit::PyTorch(PyTorch {
        python_script_file_path: script?,
        python_interpreter_path,
        command_line_args,
        process_count,
        communication_backend,
    }))
}

fn tensor_flow(settings: &Fields<'_>) -> Option<Toolkit> {
    let script = script(settings);
    let python_interpreter_path = path(settings, "pythonInterpreterPath");
    let master_command_line_args = arguments(settings, "masterCommandLineArgs");
    let worker_command_line_args = arguments(settings, "workerCommandLineArgs");
    let parameter_server_command_line_args = arguments(settings, "parameterServerCommandLineArgs");
    let worker_count = count(settings, "workerCount");
    let servers = settings.optional("parameterServerCount");
    let parameter_server_count =
        servers.and_then(|place| place.whole_number(0..=rules::LARGEST_NUMBER));
    Some(Toolkit::TensorFlow(TensorFlow {
        python_script_file_path: script?,
        python_interpreter_path,
        master_command_line_args,
        worker_command_line_args,
        parameter_server_command_line_args,
        worker_count,
        parameter_server_count,
    }))
}

fn caffe2(settings: &Fields<'_>) -> Option<Toolkit> {
    let script = script(settings);
    let python_interpreter_path = path(settings, "pythonInterpreterPath");
    let command_line_args = arguments(settings, "commandLineArgs");
    Some(Toolkit::Caffe2(Caffe2 {
        python_script_file_path: script?,
        python_interpreter_path,
        command_line_args,
    }))
}

fn chainer(settings: &Fields<'_>) -> Option<Toolkit> {
    let script = script(settings);
    let python_interpreter_path = path(settings, "pythonInterpreterPath");
    let command_line_args = arguments(settings, "commandLineArgs");
    let process_count = count(settings, "processCount");
    Some(Toolkit::Chainer(Chainer {
        python_script_file_path: script?,
        python_interpreter_path,
        command_line_args,
        process_count,
    }))
}

fn horovod(settings: &Fields<'_>) -> Option<Toolkit> {
    let script = script(settings);
    let python_interpreter_path = path(settings, "pythonInterpreterPath");
    let command_line_args = arguments(settings, "commandLineArgs");
    let process_count = count(settings, "processCount");
    Some(Toolkit::Horovod(Horovod {
        python_script_file_path: script?,
        python_interpreter_path,
        command_line_args,
        process_count,
    }))
}

/// The program of CNTK and Caffe.
struct Program {
    config: Option<String>,
    script: Option<String>,
    interpreter: Option<String>,
}

/// Either a configuration file of the toolkit, or a script with its interpreter.
fn program(settings: &Fields<'_>) -> Program {
    rules::either(settings, "configFilePath", "pythonScriptFilePath");
    if settings.has("pythonInterpreterPath") && !settings.has("pythonScriptFilePath") {
        settings.invalid("must not have pythonInterpreterPath without pythonScriptFilePath");
    }
    Program {
        config: path(settings, "configFilePath"),
        script: path(settings, "pythonScriptFilePath"),
        interpreter: path(settings, "pythonInterpreterPath"),
    }
}

fn command_line(settings: &Fields<'_>) -> Option<String> {
    rules::command_line(&settings.required("commandLine")?)
}

fn script(settings: &Fields<'_>) -> Option<String> {
    rules::non_empty(&settings.required("pythonScriptFilePath")?)
}

fn path(settings: &Fields<'_>, name: &str) -> Option<String> {
    rules::non_empty(&settings.optional(name)?)
}

fn arguments(settings: &Fields<'_>, name: &str) -> Option<String> {
    rules::arguments(&settings.optional(name)?)
}

/// An optional number of processes, at least one.
fn count(settings: &Fields<'_>, name: &str) -> Option<u32> {
    settings
        .optional(name)
        .and_then(|place: Place<'_>| place.whole_number(1..=rules::LARGEST_NUMBER))
}
