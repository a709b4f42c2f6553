//! The template of the stack and what it includes: linters from PyPI, the checks of
//! `python/template_checks.py`, and the user data of nodes.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

use aws::Variables;
use aws::settings::{ApiSettings, FilesSettings, ReconcilerSettings};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::template::TOOLS;

/// An environment of its own: it needs other versions of the same packages.
const CHECKOV: &str = "
checkov==3.3.30
";

/// Large regions with different numbers of zones. Not every type of resource exists everywhere.
const REGIONS: &[&str] =
    &["us-east-1", "us-west-1", "us-west-2", "eu-central-1", "eu-west-1", "ap-northeast-1"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn script(name: &str) -> PathBuf {
    root().join("tests/python").join(name)
}

/// Runs a program of an environment in the root of the repository, without credentials and without a
/// home directory. Returns whether it succeeded, and its output.
fn outcome(python: &Path, program: &str, arguments: &[&str]) -> (bool, String, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(python.with_file_name(program));
    command
        .args(arguments)
        .current_dir(root())
        .env("HOME", home.path())
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("SAM_CLI_TELEMETRY", "0")
        .env_remove("AWS_PROFILE");
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// As [`outcome`], of a program that must succeed. Returns its standard output.
#[track_caller]
fn run(python: &Path, program: &str, arguments: &[&str]) -> String {
    let (success, output, log) = outcome(python, program, arguments);
    assert!(success, "{program} {arguments:?}:\n{output}{log}");
    output
}

#[track_caller]
fn run_script(python: &Path, name: &str, arguments: &[&str]) -> String {
    let path = script(name);
    let mut all = vec![path.to_str().unwrap()];
    all.extend(arguments);
    run(python, "python", &all)
}

#[test]
fn sam_and_cfn_lint_accept_the_template() {
    let python = tests::python::environment(TOOLS);
    let output = run(&python, "sam", &["validate", "--lint", "--template", "template.yaml"]);
    assert!(output.contains("is a valid SAM Template"), "{output}");
    let mut arguments = vec!["--template", "template.yaml", "--regions"];
    arguments.extend(REGIONS);
    run(&python, "cfn-lint", &arguments);
}

#[test]
fn shellcheck_accepts_the_scripts_and_the_template_has_their_last_version() {
    let python = tests::python::environment(TOOLS);
    run(&python, "shellcheck", &["infra/user-data.sh"]);
    run(&python, "python", &["infra/embed.py", "--check"]);
}

#[test]
fn checkov_finds_nothing_but_the_listed_exceptions() {
    let python = tests::python::environment(TOOLS);
    let transformed = run_script(&python, "template_load.py", &[]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("template.json");
    std::fs::write(&file, transformed).unwrap();
    let python = tests::python::environment(CHECKOV);
    run_script(&python, "template_checkov.py", &[file.to_str().unwrap()]);
}

#[test]
fn the_stack_has_what_the_service_relies_on() {
    let python = tests::python::environment(TOOLS);
    run_script(&python, "template_checks.py", &[]);
}

#[test]
fn every_check_of_the_template_can_fail() {
    let python = tests::python::environment(TOOLS);
    run_script(&python, "template_checks.py", &["--mutations"]);
}

#[test]
fn a_call_without_permission_is_found() {
    let python = tests::python::environment(TOOLS);
    let file = tempfile::NamedTempFile::new().unwrap();
    let program = script("template_roles.py");
    let arguments = [program.to_str().unwrap(), "--check", file.path().to_str().unwrap()];
    let check = |calls: &str| {
        std::fs::write(file.path(), calls).unwrap();
        outcome(&python, "python", &arguments)
    };
    let (accepted, output, log) = check(r#"{"recovery": ["ec2:TerminateInstances"]}"#);
    assert!(accepted, "{output}{log}");
    assert!(output.contains("recovery never needs ec2:DescribeInstances"), "{output}");
    let (accepted, output, log) = check(r#"{"api": ["ec2:TerminateInstances"]}"#);
    assert!(!accepted && output.contains("api calls ec2:TerminateInstances"), "{output}{log}");
}

/// The script runs against a metadata service and a bucket that check each request; the keeper reads
/// what it leaves.
#[test]
fn the_user_data_prepares_a_node() {
    let python = tests::python::environment(TOOLS);
    let output = run_script(&python, "template_user_data.py", &[]);
    let request: processes::keeper::Request = serde_json::from_str(output.trim()).unwrap();
    assert_eq!(request.command[1], "agent", "{request:?}");
    assert!(request.user.is_none() && request.group.is_none(), "{request:?}");
    assert!(request.file.ends_with("var/lib/batchai/keeper"), "{request:?}");
}

/// What the dashboard and the alarms show is what the functions record.
#[test]
fn dashboard_and_alarms_name_the_metrics_of_the_service() {
    let root = root();
    let dashboard = std::fs::read_to_string(root.join("infra/dashboard.json")).unwrap();
    let template = std::fs::read_to_string(root.join("template.yaml")).unwrap();
    for name in control::metrics::NAMES {
        assert!(dashboard.contains(name), "the dashboard does not show {name}");
    }
    let own = dashboard.split("[\"batchai\", \"").skip(1).map(|it| it.split('"').next().unwrap());
    let alarmed = template
        .split("Namespace: batchai")
        .skip(1)
        .map(|it| it.split_once("MetricName: ").unwrap().1.split_whitespace().next().unwrap());
    let named: Vec<_> = own.chain(alarmed).collect();
    assert!(named.len() > 7, "{named:?}");
    for name in named {
        assert!(control::metrics::NAMES.contains(&name), "nobody records {name}");
    }
}

/// Read by the AWS SDK.
const OF_THE_SDK: &[&str] = &["AWS_USE_DUALSTACK_ENDPOINT"];

/// Read by every function for its log, and by the provider of instances.
const OF_OTHERS: &[&str] = &["STACK_NAME", "LAUNCH_TEMPLATE_ID", "SUBNETS", "ON_DEMAND_FALLBACK"];

#[test]
fn every_function_reads_the_variables_that_the_template_sets() {
    use control::Function;
    let python = tests::python::environment(TOOLS);
    let printed = run_script(&python, "template_environment.py", &[]);
    let set: BTreeMap<String, BTreeSet<String>> = serde_json::from_str(&printed).unwrap();
    let reconciler = |function| {
        move |variables: &Variables<'_>| ReconcilerSettings::parse(function, variables).map(drop)
    };
    type Parse<'a> = &'a dyn Fn(&Variables<'_>) -> Result<(), aws::EnvironmentError>;
    let functions: [(&str, Parse<'_>); 6] = [
        ("api", &|variables| ApiSettings::parse(variables).map(drop)),
        ("files", &|variables| FilesSettings::parse(variables).map(drop)),
        ("dispatcher", &reconciler(Function::Dispatcher)),
        ("autoscaler", &reconciler(Function::Autoscaler)),
        ("recovery", &reconciler(Function::Recovery)),
        ("provisioner", &reconciler(Function::Provisioner)),
    ];
    assert_eq!(set.len(), functions.len(), "{set:?}");
    for (name, parse) in functions {
        let set = &set[name];
        let read = RefCell::new(BTreeSet::new());
        let find = |variable: &str| {
            read.borrow_mut().insert(variable.to_owned());
            let value = match variable {
                "NODE_ROLE_ARN" => "arn:aws:iam::123456789012:role/node",
                _ => "7",
            };
            set.contains(variable).then(|| value.to_owned())
        };
        parse(&Variables::new(&find)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let read = read.into_inner();
        let unset: Vec<_> = read.difference(set).collect();
        assert!(unset.is_empty(), "{name} reads {unset:?}, which the template does not set");
        let is_ours = |it: &&String| ![OF_THE_SDK, OF_OTHERS].concat().contains(&it.as_str());
        let unread: Vec<_> = set.difference(&read).filter(is_ours).collect();
        assert!(unread.is_empty(), "{name} does not read {unread:?}");
    }
}
