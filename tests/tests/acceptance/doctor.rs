//! `batchai doctor` against a service on this machine, against one with planted problems, and against a
//! stack in an emulator of AWS, which the AWS CLI from PyPI asks.

use super::issuer::Issuer;
use super::service::Service;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tests::moto::Moto;
use tests::template::STACK;

/// The statuses by the name of the check, and the exit code.
struct Report {
    code: Option<i32>,
    checks: Vec<Value>,
}

impl Report {
    #[track_caller]
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let log = String::from_utf8_lossy(&output.stderr);
        let checks = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{log}"));
        Self { code: output.status.code(), checks }
    }

    #[track_caller]
    fn find(&self, name: &str) -> &Value {
        let found = self.checks.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no check {name} in {:#?}", self.checks))
    }

    #[track_caller]
    fn expect(&self, name: &str, status: &str, detail: &str) {
        let check = self.find(name);
        let text = check["detail"].as_str().unwrap();
        assert!(check["status"] == status && text.contains(detail), "{check:#}");
        let has_advice = check["advice"] != "";
        assert!(has_advice || status == "ok" || status == "skipped", "{check:#}");
    }

    fn status_of(&self, name: &str) -> &str {
        self.find(name)["status"].as_str().unwrap()
    }
}

#[tokio::test]
async fn a_sound_service_has_no_problem_and_a_broken_cluster_is_one() {
    let service = Service::start();
    let report = Report::of(&service.batchai(&["doctor", "-o", "json"]));
    // Of the machine of the tests only what every one has.
    let machine = ["disk", "ssh", "mpirun", "containers", "GPUs", "user namespaces"];
    let others = report.checks.iter().filter(|it| !machine.iter().any(|name| it["name"] == *name));
    assert!(others.clone().all(|check| check["status"] == "ok"), "{:#?}", report.checks);
    assert_eq!(report.code, Some(0));
    for name in ["data directory", "bash", "python3", "node addresses", "control groups"] {
        report.expect(name, "ok", "");
    }
    for name in machine {
        assert_ne!(report.status_of(name), "problem");
    }
    report.expect("version", "ok", env!("CARGO_PKG_VERSION"));
    report.expect("roles", "ok", "owner of the service");
    let table = service.batchai(&["doctor"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("encryption"));

    service.prepare(1).await;
    let secret = json!({ "name": "S", "valueSecretReference": {
        "sourceVault": { "id": "/vault" }, "secretUrl": "https://vault/secrets/s" } });
    let mut broken = super::api::cluster(json!({ "manual": { "targetNodeCount": 1 } }));
    broken["properties"]["nodeSetup"]["setupTask"] = json!({ "commandLine": "true",
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs", "secrets": [secret] });
    service.create("/clusters/broken", &broken).await;
    let report = Report::of(&service.batchai(&["doctor", "-o", "json"]));
    report.expect("cluster w/broken", "problem", "SecretReferenceNotProvided");
    assert_eq!(report.code, Some(1));
    let quiet = service.batchai(&["doctor", "-o", "quiet"]);
    let quiet = String::from_utf8_lossy(&quiet.stdout);
    assert!(quiet.lines().any(|line| line == "cluster w/broken"), "{quiet}");
    assert!(!quiet.lines().any(|line| line == "bash"), "{quiet}");

    // A secret that others can read.
    let token = service.data_dir().join("token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let report = Report::of(&service.batchai(&["doctor", "-o", "json"]));
    report.expect("data directory", "problem", "other users can read");

    // A token without a role, and one that does not exist.
    let token =
        String::from_utf8(service.batchai(&["token", "create", "alice", "-o", "quiet"]).stdout);
    let as_alice = |token: &str| {
        let mut command = super::service::program(service.data_dir());
        command
            .env("BATCHAI_TOKEN", token.trim())
            .args(["doctor", "-o", "json", "-w", "w", "-g", "g"]);
        Report::of(&command.output().unwrap())
    };
    let token = token.unwrap();
    let report = as_alice(&token);
    report.expect("roles", "warning", "has no role");
    let advice = report.find("roles")["advice"].as_str().unwrap().to_owned();
    let id = advice.split("--to ").nth(1).unwrap().split(' ').next().unwrap();
    let assigned = service.batchai(&["role", "assign", "reader", "--to", id]);
    assert!(assigned.status.success(), "{}", String::from_utf8_lossy(&assigned.stderr));
    as_alice(&token).expect("roles", "ok", "reader at /subscriptions/");
    let report = as_alice("nonsense");
    report.expect("token", "problem", "refused");
    report.expect("version", "ok", "");
    assert_eq!(report.code, Some(1));
}

fn asked(issuer: &Issuer, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(tests::binaries::build("batchai"));
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command.env("BATCHAI_TOKEN", "good").env("BATCHAI_ENDPOINT", &issuer.url).args(arguments);
    command
}

async fn report(mut command: Command) -> Report {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Report::of(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_of_another_service_are_found() {
    let (issuer, home) = (Issuer::start().await, tempfile::tempdir().unwrap());
    let doctor = ["doctor", "-o", "json"];
    let found = report(asked(&issuer, home.path(), &doctor)).await;
    found.expect("version", "warning", "does not tell its version");
    assert_eq!(found.code, Some(0), "a warning is no failure");

    issuer.facts().headers.insert("x-batchai-version", "99.1.0".to_owned());
    issuer
        .facts()
        .headers
        .insert("x-batchai-principal", "0a9f1ff0-d5b5-41cb-8b15-6956d969ad41".into());
    let subscription = "/subscriptions/00000000-0000-0000-0000-000000000000";
    let workspaces = format!("{subscription}/providers/Microsoft.BatchAI/workspaces");
    let workspace =
        format!("{subscription}/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w");
    let list = |items: Value| (200, json!({ "value": items }));
    {
        let answers = &mut issuer.facts().answers;
        let it = json!({ "id": workspace, "name": "w", "properties": {} });
        answers.insert(workspaces, list(json!([it])));
        let server = json!({ "name": "nfs", "properties": { "provisioningState": "failed" } });
        answers.insert(format!("{workspace}/fileServers"), list(json!([server])));
        let errors = json!([{ "code": "NodesSilent", "message": "Many nodes" }]);
        let counts = json!({ "unusableNodeCount": 2 });
        let cluster = json!({ "name": "c", "properties":
            { "errors": errors, "nodeStateCounts": counts } });
        answers.insert(format!("{workspace}/clusters"), list(json!([cluster])));
    }
    let found = report(asked(&issuer, home.path(), &doctor)).await;
    found.expect("version", "warning", "service 99.1.0");
    found.expect("roles", "warning", "0a9f1ff0-d5b5-41cb-8b15-6956d969ad41 has no role");
    found.expect("file server w/nfs", "problem", "could not be created");
    let clusters = found.checks.iter().filter(|check| check["name"] == "cluster w/c");
    let statuses: Vec<_> = clusters.map(|check| check["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["problem", "warning"], "silent, and unusable");
    assert_eq!(found.code, Some(1));

    let mut away = asked(&issuer, home.path(), &["doctor", "-o", "json"]);
    away.args(["--endpoint", "http://127.0.0.1:9"]);
    report(away).await.expect("endpoint", "problem", "cannot connect");
    let found =
        report(asked(&issuer, home.path(), &[&doctor[..], &["--stack", "lab"]].concat())).await;
    found.expect("stack", "skipped", "there is no program aws");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_others_can_read_is_a_problem() {
    let (issuer, home) = (Issuer::start().await, tempfile::tempdir().unwrap());
    let login = ["login", "--token-command", "echo good"];
    let mut command = asked(&issuer, home.path(), &login);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let doctor = ["doctor", "-o", "json"];
    report(asked(&issuer, home.path(), &doctor)).await.expect("profile", "ok", "default, in ");
    let file = home.path().join(".config/batchai/profiles.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let found = report(asked(&issuer, home.path(), &doctor)).await;
    found.expect("profile", "problem", "other users can read");
    assert_eq!(found.code, Some(1));
}

const AWS_CLI: &str = "
awscli==1.46.3
";

/// The AWS CLI with moto as AWS.
struct Region {
    moto: Moto,
    programs: tempfile::TempDir,
    outputs: BTreeMap<String, String>,
}

/// The AWS CLI 1 of PyPI sends requests for SQS to a name of AWS that clients of former days expect, whatever
/// `AWS_ENDPOINT_URL` says, unless an option names the endpoint. The AWS CLI 2 has no such exception.
const AWS: &str = r#"#!/bin/sh
exec '{aws}' --endpoint-url "$AWS_ENDPOINT_URL" "$@"
"#;

/// A directory with the program `aws`.
fn aws_cli() -> tempfile::TempDir {
    let aws = tests::python::environment(AWS_CLI).with_file_name("aws");
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("aws");
    std::fs::write(&program, AWS.replace("{aws}", aws.to_str().unwrap())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    programs
}

impl Region {
    fn deploy() -> Self {
        let moto = Moto::start();
        let stack = tests::template::deploy(moto.endpoint(), &[]);
        Self { moto, programs: aws_cli(), outputs: stack.outputs }
    }

    fn configure(&self, command: &mut Command) {
        command
            .env("PATH", format!("{}:/usr/bin:/bin", self.programs.path().display()))
            .env("AWS_ENDPOINT_URL", self.moto.endpoint())
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }

    /// Runs a command of the AWS CLI, with its arguments separated by spaces.
    #[track_caller]
    fn aws(&self, words: &str, more: &[&str]) {
        let mut command = Command::new(self.programs.path().join("aws"));
        self.configure(&mut command);
        let output = command.args(words.split(' ')).args(more).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn output(&self, name: &str) -> &str {
        &self.outputs[name]
    }

    /// The URL of the dead-letter queue of this name.
    fn dead_letters(&self, name: &str) -> &str {
        let mut urls = self.output("DeadLetterQueueUrls").split(',');
        let name = format!("/{STACK}-{name}");
        urls.find(|url| url.ends_with(&name)).expect("the stack has this queue")
    }

    fn doctor(&self, service: &Service, stack: &str) -> Report {
        let mut command = super::service::program(service.data_dir());
        self.configure(&mut command);
        Report::of(&command.args(["doctor", "-o", "json", "--stack", stack]).output().unwrap())
    }
}

#[test]
fn the_resources_of_a_stack_are_checked() {
    let (region, service) = (Region::deploy(), Service::start());
    let found = region.doctor(&service, "absent");
    found.expect("stack", "problem", "");
    assert_eq!(found.code, Some(1));

    // Nobody has uploaded the agent yet.
    let found = region.doctor(&service, STACK);
    found.expect("agent", "problem", "no node can start");
    found.expect("stack", "ok", "CREATE_COMPLETE");
    found.expect("endpoint of stack", "warning", "execute-api");
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let key = found.find("agent")["detail"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    let put = ["--bucket", region.output("ArtifactBucket"), "--key", &key, "--body"];
    region.aws("s3api put-object", &[&put[..], &[template.to_str().unwrap()]].concat());
    let found = region.doctor(&service, STACK);
    for name in
        ["agent", "alarms", "dead letters", "instances", "errors of functions", "permissions"]
    {
        assert_eq!(found.status_of(name), "ok", "{:#?}", found.checks);
    }
    found.expect("errors of functions", "ok", "none of 6");
    found.expect("dead letters", "ok", "none in 5 queues");
    assert_eq!(found.code, Some(0));

    plant(&region);
    let found = region.doctor(&service, STACK);
    found.expect("alarms", "problem", "in alarm: lab-Leaks-1AB");
    assert_eq!(found.find("alarms")["advice"], "Look at recovery");
    found.expect("permissions", "problem", "recovery: ");
    found.expect("dead letters", "problem", "2 in lab-dispatcher-dead.fifo, 1 in lab-events-dead");
    let advice = found.find("dead letters")["advice"].as_str().unwrap();
    let queue = "arn:aws:sqs:eu-west-1:123456789012:lab-dispatcher-dead.fifo";
    let redrive = format!("aws sqs start-message-move-task --source-arn {queue}");
    let purge = format!("aws sqs purge-queue --queue-url {}", region.dead_letters("events-dead"));
    for expected in ["/batchai/lab/dispatcher", &redrive, &purge] {
        assert!(advice.contains(expected), "{advice}");
    }
    // It may still boot.
    found.expect("instances", "ok", "1 exist, 1 of them are starting");
    assert_eq!(found.code, Some(1));
}

fn plant(region: &Region) {
    plant_dead_letters(region);
    let metric = "--metric-name M --namespace N --period 60 --evaluation-periods 1 --threshold 1 \
                  --comparison-operator GreaterThanThreshold --statistic Sum";
    for name in ["lab-Leaks-1AB", "lab-other-Leaks-1AB"] {
        let put = format!("cloudwatch put-metric-alarm --alarm-name {name} {metric}");
        region.aws(&put, &["--alarm-description", "Look at recovery"]);
        let set = format!("cloudwatch set-alarm-state --alarm-name {name} --state-value ALARM");
        region.aws(&set, &["--state-reason", "test"]);
    }
    let stream = "--log-group-name /batchai/lab/recovery --log-stream-name s";
    region.aws(&format!("logs create-log-stream {stream}"), &[]);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let message = "the call was refused: AccessDenied for ec2:TerminateInstances";
    let events = json!([
        { "timestamp": now, "message": "a quiet line" },
        { "timestamp": now, "message": message },
    ]);
    region.aws(&format!("logs put-log-events {stream}"), &["--log-events", &events.to_string()]);
    let tags = "ResourceType=instance,Tags=[{Key=batchai:stack,Value=lab}]";
    let run = "ec2 run-instances --image-id ami-12c6146b --instance-type t3.micro";
    region.aws(run, &["--tag-specifications", tags]);
}

/// Two hints, one of which somebody has received to read it, and an event.
fn plant_dead_letters(region: &Region) {
    let hints = region.dead_letters("dispatcher-dead.fifo");
    for id in ["1", "2"] {
        let send = format!("sqs send-message --queue-url {hints} --message-group-id {id}");
        region.aws(&send, &["--message-deduplication-id", id, "--message-body", "{}"]);
    }
    region.aws(&format!("sqs receive-message --queue-url {hints}"), &[]);
    let events = region.dead_letters("events-dead");
    region.aws(&format!("sqs send-message --queue-url {events} --message-body {{}}"), &[]);
}
