//! A secret exists only encrypted in the table and in the environment of its process: not in any file,
//! log, answer or message.

use super::api::{cluster, file_server};
use super::service::{Service, until};
use base64::Engine as _;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const OF_JOB: &str = "planted-job-5f21c0";
const OF_SETUP: &str = "planted-setup-91ab44";
const OF_ADMIN: &str = "planted-admin-0d77e2";
const OF_SERVER: &str = "planted-server-c3902b";
const OF_SHARE: &str = "planted-share-47ea1d";
const OF_REGISTRY: &str = "planted-registry-e6b013";
const OF_COUNTERS: &str = "planted-counters-2fd984";

const ALL: [&str; 7] = [OF_JOB, OF_SETUP, OF_ADMIN, OF_SERVER, OF_SHARE, OF_REGISTRY, OF_COUNTERS];

/// The secrets in files below `directory`.
fn leaks(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                found.extend(leaks_in(&path));
            }
        }
    }
    found
}

fn leaks_in(path: &PathBuf) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let holds = |secret: &&&str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    ALL.iter().filter(holds).map(|secret| format!("{secret} in {}", path.display())).collect()
}

#[track_caller]
fn check(service: &Service, moment: &str) {
    let leaks = leaks(service.root());
    assert!(leaks.is_empty(), "{moment}: {leaks:#?}");
}

/// A container engine that keeps the credentials that it is given, and finds no image.
fn engine_without_images(directory: &Path) -> PathBuf {
    let program = directory.join("docker");
    let text = r#"#!/bin/sh
case "$*" in
    --version|ps*) ;;
    *pull*) cp "$2/config.json" "$(dirname "$0")"; echo manifest unknown >&2; exit 1 ;;
    *) exit 1 ;;
esac
"#;
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

/// A command that waits for `release`, so that the files can be checked while it runs.
fn held(name: &str) -> String {
    let directory = "$AZ_BATCHAI_MOUNT_ROOT/nfs";
    format!(
        "touch {directory}/{name}.here; until [ -e {directory}/{name}.go ]; do sleep 0.05; done"
    )
}

async fn wait_for_start(service: &Service, name: &str) {
    let here = service.file_server().join(format!("{name}.here"));
    until(&format!("{name} starts"), async || here.exists().then_some(())).await;
}

fn release(service: &Service, name: &str) {
    fs::write(service.file_server().join(format!("{name}.go")), "").unwrap();
}

async fn check_during(service: &Service, name: &str) {
    wait_for_start(service, name).await;
    check(service, &format!("while {name} runs"));
    release(service, name);
}

/// Sends the credentials of storage, counters and a registry, which nodes on this machine do not need or cannot use.
async fn use_credentials(service: &Service) {
    let share = json!({ "azureFileShares": [{
        "accountName": "account",
        "azureFileUrl": "https://account.file.core.windows.net/share",
        "relativeMountPath": "share",
        "credentials": { "accountKey": OF_SHARE },
    }] });
    let mut elsewhere = cluster(json!({ "manual": { "targetNodeCount": 0 } }));
    elsewhere["properties"]["nodeSetup"] = json!({
        "mountVolumes": share,
        "performanceCountersSettings": { "appInsightsReference": {
            "component": { "id": "/counters" },
            "instrumentationKey": OF_COUNTERS,
        } },
    });
    service.create("/clusters/elsewhere", &elsewhere).await;
    let contained = json!({
        "mountVolumes": share,
        "containerSettings": { "imageSourceRegistry": {
            "image": "ubuntu",
            "credentials": { "username": "me", "password": OF_REGISTRY },
        } },
    });
    service.submit("contained", "true", contained).await;
    service.job_in("contained", "failed").await;
}

#[tokio::test]
async fn secrets_are_not_in_files_logs_or_answers() {
    let engine = tempfile::tempdir().unwrap();
    let program = engine_without_images(engine.path());
    let program = program.to_str().unwrap();
    let mut service = Service::start_with(&["--verbose", "--container-engine", program]);
    service.create("", &json!({ "location": "local" })).await;
    let mut server = file_server();
    server["properties"]["sshConfiguration"]["userAccountSettings"]["adminUserPassword"] =
        json!(OF_SERVER);
    service.create("/fileServers/nfs", &server).await;
    service.create("/experiments/e", &json!({})).await;
    let scale = json!({ "manual": { "targetNodeCount": 1 } });
    let mut body = cluster(scale);
    body["properties"]["userAccountSettings"]["adminUserPassword"] = json!(OF_ADMIN);
    body["properties"]["nodeSetup"]["setupTask"] = json!({
        "commandLine": format!("{}; echo -n $S | sha256sum", held("setup")),
        "secrets": [{ "name": "S", "value": OF_SETUP }],
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
    });
    service.create("/clusters/c", &body).await;
    check_during(&service, "setup").await;
    let hashed = "echo -n $S | sha256sum";
    let more = json!({
        "secrets": [{ "name": "S", "value": OF_JOB }],
        "jobPreparation": { "commandLine": format!("{}; {hashed}", held("preparation")) },
    });
    service.submit("j", &format!("{}; {hashed}", held("command")), more.clone()).await;
    check_during(&service, "preparation").await;
    check_during(&service, "command").await;
    let job = service.job_in("j", "succeeded").await;
    assert_eq!(job["properties"]["secrets"], json!([{ "name": "S" }]), "{job:#}");
    let hash = service.output("j", ".", "stdout.txt").await;
    // Both commands had the secret: the hashes are equal, and not of the empty text.
    assert_eq!(hash, service.output("j", ".", "stdout-job_prep.txt").await);
    let none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert!(!hash.starts_with(none), "{hash}");
    check(&service, "after the job");

    use_credentials(&service).await;
    // The engine had them, in a file that is gone.
    let account = base64::engine::general_purpose::STANDARD.encode(format!("me:{OF_REGISTRY}"));
    let given = fs::read_to_string(engine.path().join("config.json")).unwrap();
    assert!(given.contains(&account), "{given}");
    check(&service, "with credentials");

    for path in ["", "/fileServers", "/fileServers/nfs", "/clusters", "/clusters/elsewhere"] {
        service.get(path).await;
    }
    for path in ["/experiments/e/jobs", "/experiments/e/jobs/j", "/experiments/e/jobs/contained"] {
        service.get(path).await;
    }
    // An error answer has no secrets either.
    let mut wrong = more;
    wrong["nodeCount"] = json!(OF_JOB.len() * 1000);
    wrong["secrets"] = json!([{ "name": "not a name", "value": OF_JOB }, { "value": OF_JOB },
        { "name": "S", "value": [OF_JOB] }, { "name": "T", "value": OF_JOB, "more": 1 }]);
    let body = super::api::job("true", wrong);
    service.put("/experiments/e/jobs/wrong", &body).await.error(400);
    service.put("/experiments/e/jobs/j", &body).await.error(400);
    let answers = service.answers.lock().unwrap().join("\n");
    for secret in ALL {
        assert!(!answers.contains(secret), "{secret} is in an answer");
    }
    assert_eq!(service.stop(), Some(0));
    check(&service, "after the end");
}
