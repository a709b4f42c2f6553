//! Jobs.

use super::violations_of;
use crate::fixtures::{self, ABSENT, azure_share, body, job_body, key_vault, mount_body};
use crate::request::{JobRequest, parse_job_create};
use crate::{ClusterId, Violations};
use model::{Job, limits};
use serde_json::{Value, json};

fn parse(changes: Value) -> Result<JobRequest, Violations> {
    parse_job_create(&body(job_body(), changes))
}

fn check(changes: Value) -> String {
    violations_of(parse(changes))
}

/// The job that a request makes.
fn made(request: JobRequest) -> Job {
    let spec =
        request.into_spec(|value| format!("{} bytes", value.len()), |_| Some(fixtures::uid(7)));
    Job { spec: spec.unwrap(), ..fixtures::job() }
}

#[test]
fn workers_share_the_gpus_of_the_nodes() {
    let check = |nodes, workers: Value, vm_size| {
        let settings = json!({ "pythonScriptFilePath": "a.py", "workerCount": workers });
        let changes = json!({
            "nodeCount": nodes, "customToolkitSettings": ABSENT, "tensorFlowSettings": settings,
        });
        match parse(changes).unwrap().check_workers(vm_size) {
            Ok(()) => "ok".to_owned(),
            Err(violations) => violations.to_string(),
        }
    };
    let cases = [
        (2, json!(2), "STANDARD_NC6"),
        (2, json!(8), "STANDARD_NC24"),
        (2, json!(2), "STANDARD_D1"),
        (2, json!(ABSENT), "STANDARD_D1"),
    ];
    for (nodes, workers, vm_size) in cases {
        assert_eq!(check(nodes, workers, vm_size), "ok");
    }
    assert_eq!(
        check(2, json!(9), "STANDARD_NC24"),
        "properties.tensorFlowSettings.workerCount must be at most 8, the number of GPUs of 2 node(s) of size STANDARD_NC24, but is 9"
    );
    assert_eq!(parse(json!({})).unwrap().check_workers("STANDARD_D1"), Ok(()));
}

fn everything() -> Value {
    json!({
        "schedulingPriority": "High",
        "jobPreparation": { "commandLine": "pip install torch" },
        "mountVolumes": {
            "fileServers": [mount_body("nfs")], "azureFileShares": [azure_share("share")] },
        "containerSettings": {
            "imageSourceRegistry": {
                "serverUrl": "registry.example",
                "image": "ubuntu:18.04",
                "credentials": { "username": "me", "password": "hunter2" },
            },
            "shmSize": "1g",
        },
        "inputDirectories": [{ "id": "DATA", "path": "$AZ_BATCHAI_MOUNT_ROOT/nfs/data" }],
        "outputDirectories": [
            { "id": "MODEL", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs", "pathSuffix": "model" },
            { "id": "DATA", "pathPrefix": "$AZ_BATCHAI_JOB_TEMP_DIR" },
        ],
        "environmentVariables": [{ "name": "_a1", "value": "" }],
        "secrets": [{ "name": "B", "value": "hunter2" }],
        "constraints": { "maxWallClockTime": "PT1H30M" },
        "extensions": { "maxRetries": 3 },
        "unknown": null,
    })
}

#[test]
fn a_small_request_becomes_a_job() {
    let request = parse(json!({})).unwrap();
    assert_eq!(
        request.cluster,
        ClusterId::parse(&crate::ids::id_of_cluster(&fixtures::cluster())).unwrap()
    );
    assert_eq!(made(request), fixtures::job());
}

#[test]
fn a_request_becomes_a_job_without_its_secrets() {
    let request = parse(everything()).unwrap();
    assert!(!format!("{request:?}").contains("hunter2"), "{request:?}");
    assert!(!format!("{:?}", made(request.clone())).contains("hunter2"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&made(request).spec).unwrap(), @r#"
    {
      "priority": "high",
      "node_count": 1,
      "container": {
        "imageSourceRegistry": {
          "serverUrl": "registry.example",
          "image": "ubuntu:18.04",
          "credentials": {
            "username": "me",
            "sealed": "7 bytes"
          }
        },
        "shmSize": "1g"
      },
      "toolkit": {
        "customToolkitSettings": {
          "commandLine": "python train.py"
        }
      },
      "preparation": "pip install torch",
      "std_out_err_path_prefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
      "mounts": {
        "azureFileShares": [
          {
            "accountName": "storage",
            "azureFileUrl": "https://storage.file.core.windows.net/share",
            "credentials": {
              "sealed": "7 bytes"
            },
            "relativeMountPath": "share",
            "fileMode": "0777",
            "directoryMode": "0777"
          }
        ],
        "fileServers": [
          {
            "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs",
            "uid": "07070707-0707-4707-8707-070707070707",
            "relativeMountPath": "nfs"
          }
        ]
      },
      "input_directories": [
        {
          "id": "DATA",
          "path": "$AZ_BATCHAI_MOUNT_ROOT/nfs/data"
        }
      ],
      "output_directories": [
        {
          "id": "MODEL",
          "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
          "pathSuffix": "model"
        },
        {
          "id": "DATA",
          "pathPrefix": "$AZ_BATCHAI_JOB_TEMP_DIR"
        }
      ],
      "environment": [
        {
          "name": "_a1",
          "value": ""
        }
      ],
      "secrets": [
        {
          "name": "B",
          "sealed": "7 bytes"
        }
      ],
      "max_wall_clock_seconds": 5400,
      "max_retries": 3
    }
    "#);
}

#[test]
fn the_same_request_again_is_the_same_job() {
    let first = made(parse(everything()).unwrap());
    assert!(parse(everything()).unwrap().is_same_as(&first));

    let differs = |path: &str, value: Value| {
        let mut changes = everything();
        changes[path] = value;
        !parse(changes).unwrap().is_same_as(&first)
    };
    let spelled_otherwise =
        crate::ids::id_of_cluster(&fixtures::cluster()).replace("workspaces", "Workspace");
    assert!(!differs("cluster.id", json!(spelled_otherwise)));
    assert!(differs("cluster.id", json!(spelled_otherwise.replace("gpus", "cpus"))));
    assert!(differs("nodeCount", json!(2)));
    assert!(differs("schedulingPriority", json!(ABSENT)));
    assert!(differs("jobPreparation", json!(ABSENT)));
    assert!(differs("customToolkitSettings.commandLine", json!("true")));
    assert!(differs("stdOutErrPathPrefix", json!("/data")));
    assert!(differs("mountVolumes", json!({})));
    assert!(differs("inputDirectories", json!([])));
    assert!(differs("outputDirectories", json!(ABSENT)));
    assert!(differs("environmentVariables", json!([{ "name": "_a1", "value": "x" }])));
    assert!(differs("secrets", json!(ABSENT)));
    assert!(!differs("secrets", json!([{ "name": "B", "value": "x" }])));
    assert!(!differs("constraints.maxWallClockTime", json!("PT90M")));
    assert!(differs("constraints", json!(ABSENT)));
    let registry = "containerSettings.imageSourceRegistry";
    assert!(!differs(&format!("{registry}.credentials.password"), json!("another")));
    assert!(differs(&format!("{registry}.credentials.username"), json!("you")));
    assert!(differs(&format!("{registry}.credentials"), json!(ABSENT)));
    assert!(differs(&format!("{registry}.image"), json!("debian")));
    assert!(differs("containerSettings.shmSize", json!(ABSENT)));
    assert!(differs("containerSettings", json!(ABSENT)));
    assert!(differs("extensions.maxRetries", json!(4)));
    assert!(differs("extensions", json!(ABSENT)));
}

#[test]
fn what_is_required() {
    insta::assert_snapshot!(violations_of(parse_job_create(br#"{"properties":{}}"#)), @r#"
    properties.cluster is required
    properties.nodeCount is required
    properties must have the settings of a toolkit, such as customToolkitSettings with its commandLine
    properties.stdOutErrPathPrefix is required
    "#);
    insta::assert_snapshot!(check(json!({
        "cluster.id": "/subscriptions/0/resourceGroups/g/clusters/c",
        "nodeCount": "1",
        "schedulingPriority": "urgent",
        "customToolkitSettings": {},
        "jobPreparation": {},
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs/../..",
    })), @r#"
    properties.cluster.id must be the id of a cluster, /subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.BatchAI/workspaces/{workspace}/clusters/{name}, but is "/subscriptions/0/resourceGroups/g/clusters/c"
    properties.schedulingPriority must be one of low, normal, high, but is "urgent"
    properties.nodeCount must be a whole number from 1 to 48, but is a string
    properties.customToolkitSettings.commandLine is required
    properties.jobPreparation.commandLine is required
    properties.stdOutErrPathPrefix must not contain `..`
    "#);
    let too_many = limits::MAX_GANG_NODES + 1;
    insta::assert_snapshot!(check(json!({ "nodeCount": too_many })), @"properties.nodeCount must be a whole number from 1 to 48, but is 49");
}

#[test]
fn toolkits() {
    insta::assert_snapshot!(check(json!({ "customToolkitSettings": ABSENT })), @"properties must have the settings of a toolkit, such as customToolkitSettings with its commandLine");
    insta::assert_snapshot!(check(json!({
        "customToolkitSettings": ABSENT,
        "tensorFlowSettings": { "pythonScriptFilePath": "train.py" },
    })), @"ok");
    insta::assert_snapshot!(check(json!({
        "horovodSettings": {},
    })), @r"
    properties must have the settings of exactly one toolkit, but has customToolkitSettings, horovodSettings
    properties.horovodSettings.pythonScriptFilePath is required
    ");
}

#[test]
fn settings_of_toolkits() {
    let toolkit = |name: &str, settings: Value| {
        check(json!({ "customToolkitSettings": ABSENT, name: settings }))
    };
    let script = || json!({ "pythonScriptFilePath": "a.py" });
    for name in ["pyTorch", "tensorFlow", "caffe", "caffe2", "chainer", "horovod", "cntk"] {
        assert_eq!(toolkit(&format!("{name}Settings"), script()), "ok", "{name}");
    }
    insta::assert_snapshot!(toolkit("pyTorchSettings", json!({
        "processCount": 0, "communicationBackend": "Gossip", "commandLineArgs": 1,
    })), @r#"
    properties.pyTorchSettings.pythonScriptFilePath is required
    properties.pyTorchSettings.commandLineArgs must be a string, but is a number
    properties.pyTorchSettings.processCount must be a whole number from 1 to 2147483647, but is 0
    properties.pyTorchSettings.communicationBackend must be one of TCP, Gloo, MPI, NCCL, but is "Gossip"
    "#);
    insta::assert_snapshot!(toolkit("pyTorchSettings", json!({
        "pythonScriptFilePath": "a.py", "processCount": 1, "communicationBackend": "nccl",
    })), @"ok");
    insta::assert_snapshot!(toolkit("tensorFlowSettings", json!({
        "pythonScriptFilePath": " ", "workerCount": 0, "parameterServerCount": -1,
    })), @r"
    properties.tensorFlowSettings.pythonScriptFilePath must not be empty
    properties.tensorFlowSettings.workerCount must be a whole number from 1 to 2147483647, but is 0
    properties.tensorFlowSettings.parameterServerCount must be a whole number from 0 to 2147483647, but is -1
    ");
    insta::assert_snapshot!(toolkit("tensorFlowSettings", json!({
        "pythonScriptFilePath": "a.py", "workerCount": 8, "parameterServerCount": 2,
    })), @"properties must not have a tensorFlowSettings.parameterServerCount (2) above its nodeCount (1)");
    insta::assert_snapshot!(toolkit("customMpiSettings", json!({})), @"properties.customMpiSettings.commandLine is required");
    insta::assert_snapshot!(toolkit("caffeSettings", json!({})), @"properties.caffeSettings must have configFilePath or pythonScriptFilePath");
    insta::assert_snapshot!(toolkit("caffeSettings", json!({
        "configFilePath": "a", "pythonScriptFilePath": "b", "pythonInterpreterPath": "c",
    })), @"properties.caffeSettings must have either configFilePath or pythonScriptFilePath, not both");
    insta::assert_snapshot!(toolkit("cntkSettings", json!({
        "languageType": "R", "configFilePath": "a", "pythonInterpreterPath": "c",
    })), @r#"
    properties.cntkSettings.languageType must be one of BrainScript, Python, but is "R"
    properties.cntkSettings must not have pythonInterpreterPath without pythonScriptFilePath
    "#);
    insta::assert_snapshot!(
        toolkit("cntkSettings", json!({ "languageType": "python", "configFilePath": "a" })), @"properties.cntkSettings must not have configFilePath, as its languageType is Python");
    insta::assert_snapshot!(toolkit("cntkSettings", json!({
        "languageType": "BrainScript", "pythonScriptFilePath": "a.py",
    })), @"properties.cntkSettings must not have pythonScriptFilePath, as its languageType is BrainScript");
    insta::assert_snapshot!(
        toolkit("cntkSettings", json!({ "languageType": "brainscript", "configFilePath": "a" })), @"ok");
}

#[test]
fn containers() {
    let container = |settings: Value| check(json!({ "containerSettings": settings }));
    insta::assert_snapshot!(
        container(json!({ "imageSourceRegistry": { "image": "ubuntu" } })), @"ok");
    insta::assert_snapshot!(container(json!({})), @"properties.containerSettings.imageSourceRegistry is required");
    insta::assert_snapshot!(container(json!({
        "imageSourceRegistry": { "image": "a b", "serverUrl": "", "credentials": {} },
        "shmSize": "much",
    })), @r#"
    properties.containerSettings.imageSourceRegistry.serverUrl must be the address of a registry, without blanks
    properties.containerSettings.imageSourceRegistry.image must be the name of an image, without blanks, but is "a b"
    properties.containerSettings.imageSourceRegistry.credentials.username is required
    properties.containerSettings.imageSourceRegistry.credentials must have password or passwordSecretReference
    properties.containerSettings.shmSize must be a size as Docker takes it, such as 64M or 2g, but is "much"
    "#);
    insta::assert_snapshot!(container(json!({ "imageSourceRegistry": {
        "image": "ubuntu",
        "credentials": {
            "username": "me", "password": "hunter2", "passwordSecretReference": key_vault() },
    } })), @"properties.containerSettings.imageSourceRegistry.credentials must have either password or passwordSecretReference, not both");
}

#[test]
fn retries() {
    let retries =
        |extensions: Value| parse(json!({ "extensions": extensions })).unwrap().max_retries;
    assert_eq!(retries(json!({})), None);
    assert_eq!(retries(json!({ "maxRetries": 10 })), Some(10));
    insta::assert_snapshot!(check(json!({ "extensions.maxRetries": 11 })), @"properties.extensions.maxRetries must be a whole number from 0 to 10, but is 11");
}

#[test]
fn directories() {
    insta::assert_snapshot!(check(json!({
        "inputDirectories": [{ "id": "A", "path": "/a" }, { "id": "A", "path": "/b" }, {}],
        "outputDirectories": [
            { "id": "my-model", "pathPrefix": "" },
            { "id": "stdouterr", "pathPrefix": "/a", "pathSuffix": "../b" },
            { "id": "B", "pathPrefix": "/a", "pathSuffix": "/b" },
        ],
    })), @r#"
    properties.inputDirectories[2].id is required
    properties.inputDirectories[2].path is required
    properties.inputDirectories[1] must not have the id A of another entry
    properties.outputDirectories[0].id must be 1 to 64 letters, digits or underscores, but is "my-model"
    properties.outputDirectories[0].pathPrefix must not be empty
    properties.outputDirectories[1] must not have the id stdouterr, under which standard output is listed
    properties.outputDirectories[1].pathSuffix must not contain `..`
    properties.outputDirectories[2].pathSuffix must be a relative path, without `/` at its start
    "#);
    let many: Vec<Value> = (0..=limits::MAX_DIRECTORIES)
        .map(|number| json!({ "id": format!("A{number}"), "path": "/a" }))
        .collect();
    insta::assert_snapshot!(check(json!({ "inputDirectories": many })), @"properties.inputDirectories must have at most 100 entries, but has 101");
}

#[test]
fn environment() {
    insta::assert_snapshot!(check(json!({
        "environmentVariables": [{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }],
        "secrets": [{ "name": "A", "value": "hunter2\0" }, { "name": "A", "value": "hunter2" },
                    { "name": "B", "value": 12345 }],
    })), @r#"
    properties.secrets[0].value must not contain NUL characters
    properties.secrets[2].value must be a string, but is a number
    properties.environmentVariables[1] must not set A a second time
    properties.secrets[1] must not set A a second time
    "#);
    let long = "x".repeat(limits::MAX_ENVIRONMENT_BYTES);
    insta::assert_snapshot!(check(json!({ "secrets": [{ "name": "A", "value": long }] })), @"properties must not have more than 131070 bytes of environmentVariables and secrets, but has 131071");
    let long = "x".repeat(limits::MAX_COMMAND_LINE_BYTES + 1);
    insta::assert_snapshot!(check(json!({ "customToolkitSettings.commandLine": long })), @"properties.customToolkitSettings.commandLine must have at most 65536 bytes, but has 65537; put the commands into a script file");
}

#[test]
fn wall_clock_time() {
    let seconds = |text: &str| {
        parse(json!({ "constraints.maxWallClockTime": text }))
            .map(|request| request.max_wall_clock_seconds)
            .ok()
    };
    assert_eq!(seconds("P7D"), Some(604_800));
    assert_eq!(seconds("PT1S"), Some(1));
    assert_eq!(seconds("7.00:00:00"), Some(604_800), "the default as the swagger writes it");
    assert_eq!(seconds("01:30:00"), Some(5400));
    for wrong in [
        "PT0S",
        "P7DT1S",
        "P1M",
        "00:00:00",
        "1:2",
        "8.00:00:00",
        "0:10000000000000000:0",
        "",
        "x.y",
    ] {
        assert_eq!(seconds(wrong), None, "{wrong}");
    }
    assert_eq!(parse(json!({ "constraints": {} })).unwrap().max_wall_clock_seconds, 604_800);
    insta::assert_snapshot!(check(json!({ "constraints.maxWallClockTime": "P8D" })), @r#"properties.constraints.maxWallClockTime must be an ISO 8601 duration above zero and up to P7D, such as PT1H30M, but is "P8D""#);
}
