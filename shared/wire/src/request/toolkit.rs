//! Which program a job runs: exactly one of the toolkit settings of the contract.

use crate::codes;
use crate::read::Fields;
use crate::rules;

const CUSTOM: &str = "customToolkitSettings";

/// The other toolkits of the contract, and what to write instead while they are not supported.
const NOT_SUPPORTED: [(&str, &str); 8] = [
    ("cntkSettings", "python {pythonScriptFilePath} {commandLineArgs}"),
    ("pyTorchSettings", "python {pythonScriptFilePath} {commandLineArgs}"),
    ("tensorFlowSettings", "python {pythonScriptFilePath} {masterCommandLineArgs}"),
    ("caffeSettings", "caffe train --solver={configFilePath} {commandLineArgs}"),
    ("caffe2Settings", "python {pythonScriptFilePath} {commandLineArgs}"),
    ("chainerSettings", "mpirun -n {processCount} python {pythonScriptFilePath} {commandLineArgs}"),
    ("customMpiSettings", "mpirun -n {processCount} {commandLine}"),
    ("horovodSettings", "mpirun -n {processCount} python {pythonScriptFilePath} {commandLineArgs}"),
];

/// Reads the command line of the custom toolkit, which runs once, on the first node of the job.
pub(super) fn command_line(properties: &Fields<'_>) -> Option<String> {
    let others = NOT_SUPPORTED.iter().filter(|(toolkit, _)| properties.has(toolkit));
    for (toolkit, example) in others.clone() {
        let Some(place) = properties.optional(toolkit) else { continue };
        place.refuse(
            codes::TOOLKIT_NOT_SUPPORTED,
            &format!(
                "is not supported: this version runs customToolkitSettings only; give its commandLine instead, for example `{example}`"
            ),
        );
    }
    let custom = properties.optional(CUSTOM);
    let given = others.clone().count() + usize::from(custom.is_some());
    if given > 1 {
        let mut names: Vec<&str> = others.map(|(toolkit, _)| *toolkit).collect();
        names.extend(custom.is_some().then_some(CUSTOM));
        properties.invalid(&format!(
            "must have the settings of exactly one toolkit, but has {}",
            names.join(", ")
        ));
    }
    if given == 0 {
        properties
            .invalid("must have the settings of a toolkit, such as customToolkitSettings with its commandLine");
    }
    rules::command_line(&custom?.object()?.required("commandLine")?)
}
