//! Clusters.

use super::told;
use crate::fixtures::{self, body, cluster_body, mount_body};
use crate::request::{ClusterRequest, parse_cluster_create, parse_cluster_update};
use crate::{ImageReference, Violations, ids};
use model::{Cluster, NodeDeallocation, ScaleSettings, VmPriority};
use serde_json::{Value, json};

fn parse(changes: Value) -> Result<ClusterRequest, Violations> {
    parse_cluster_create(&body(cluster_body(), changes))
}

fn check(changes: Value) -> String {
    told(parse(changes))
}

/// The cluster that a request makes.
fn made(request: ClusterRequest) -> Cluster {
    let suffix = ids::setup_output_path_suffix(
        &fixtures::names(),
        &fixtures::cluster().name,
        &fixtures::uid(2),
    );
    let seal = |value: &str| format!("sealed {} bytes", value.len());
    let (spec, scale) = request.into_spec(seal, |_| Some(fixtures::uid(7)), suffix).unwrap();
    Cluster { spec, scale, ..fixtures::cluster() }
}

fn everything() -> Value {
    json!({
        "vmPriority": "LowPriority",
        "scaleSettings": { "autoScale": { "minimumNodeCount": 1, "maximumNodeCount": 4 } },
        "virtualMachineConfiguration.imageReference":
            { "publisher": "microsoft-ads", "offer": "linux", "sku": "ubuntu" },
        "nodeSetup.setupTask": {
            "commandLine": "apt install -y numactl",
            "environmentVariables": [{ "name": "A", "value": "$HOME" }],
            "secrets": [{ "name": "B", "value": "hunter2" }],
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        },
        "nodeSetup.mountVolumes": {
            "azureFileShares": [],
            "fileServers": [mount_body("nfs")],
            "unmanagedFileSystems":
                [{ "mountCommand": "mount -t tmpfs none", "relativeMountPath": "memory" }],
        },
        "extensions": { "unknown": 1 },
    })
}

#[test]
fn what_is_not_said_has_defaults() {
    let request = parse(json!({})).unwrap();
    let requeue = NodeDeallocation::Requeue;
    let no_nodes =
        ScaleSettings::Manual { target_node_count: 0, node_deallocation_option: requeue };
    assert_eq!(request.scale, no_nodes);
    assert_eq!(request.vm_priority, VmPriority::Dedicated);
    assert_eq!(request.image, ImageReference::default());
    assert_eq!(request.setup_task, None);
    assert_eq!(request.mounts, None);
    assert_eq!(request.user_account.admin_user_ssh_public_key, None);
}

#[test]
fn a_request_becomes_a_cluster_without_its_secrets() {
    let request = parse(everything()).unwrap();
    assert!(!format!("{request:?}").contains("hunter2"), "{request:?}");
    let cluster = made(request);
    assert!(!format!("{cluster:?}").contains("hunter2"), "{cluster:?}");
    insta::assert_snapshot!(serde_json::to_string_pretty(&cluster.spec).unwrap(), @r#"
    {
      "vm_size": "STANDARD_NC6",
      "vm_priority": "lowpriority",
      "image": {
        "offer": "linux",
        "publisher": "microsoft-ads",
        "sku": "ubuntu",
        "version": "latest"
      },
      "user_account": {
        "adminUserName": "demo"
      },
      "setup_task": {
        "command_line": "apt install -y numactl",
        "environment": [
          {
            "name": "A",
            "value": "$HOME"
          }
        ],
        "secrets": [
          {
            "name": "B",
            "sealed": "sealed 7 bytes"
          }
        ],
        "std_out_err_path_prefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "std_out_err_path_suffix": "00000000-0000-0000-0000-000000000000/demo_group/workspaces/demo/clusters/gpus/02020202-0202-4202-8202-020202020202"
      },
      "mounts": {
        "fileServers": [
          {
            "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs",
            "uid": "07070707-0707-4707-8707-070707070707",
            "relativeMountPath": "nfs"
          }
        ],
        "unmanagedFileSystems": [
          {
            "mountCommand": "mount -t tmpfs none",
            "relativeMountPath": "memory"
          }
        ]
      },
      "subnet_id": null
    }
    "#);
}

#[test]
fn the_same_request_again_is_the_same_cluster() {
    let first = made(parse(everything()).unwrap());
    assert!(parse(everything()).unwrap().is_same_as(&first));
    assert!(!parse(json!({})).unwrap().is_same_as(&first));

    let differs = |path: &str, value: Value| {
        let mut changes = everything();
        changes[path] = value;
        !parse(changes).unwrap().is_same_as(&first)
    };
    assert!(!differs("vmSize", json!("standard_nc6")), "sizes have no case");
    assert!(differs("vmSize", json!("STANDARD_NC12")));
    assert!(differs("vmPriority", json!("dedicated")));
    assert!(differs("scaleSettings", json!({ "manual": { "targetNodeCount": 1 } })));
    assert!(differs("virtualMachineConfiguration.imageReference", Value::Null));
    assert!(differs("nodeSetup.setupTask", Value::Null));
    assert!(differs("nodeSetup.mountVolumes", Value::Null));
    assert!(differs("nodeSetup.mountVolumes.fileServers", json!([mount_body("other")])));
    assert!(differs("nodeSetup.setupTask.secrets", json!([{ "name": "C", "value": "x" }])));
    assert!(!differs("nodeSetup.setupTask.secrets", json!([{ "name": "B", "value": "x" }])));
    assert!(differs("subnet", json!({ "id": "/subscriptions/0/subnets/a" })));
}

#[test]
fn a_file_server_that_does_not_exist() {
    let request = parse(everything()).unwrap();
    assert_eq!(request.file_servers().count(), 1);
    let refused = request.into_spec(str::to_owned, |_| None, String::new());
    insta::assert_snapshot!(told(refused), @"FileServerNotFound: properties.nodeSetup.mountVolumes.fileServers[0].fileServer.id names a file server that does not exist: /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs");
}

#[test]
fn what_is_required() {
    insta::assert_snapshot!(told(parse_cluster_create(b"{}")), @"properties is required");
    insta::assert_snapshot!(told(parse_cluster_create(br#"{"properties":[]}"#)), @"properties must be an object, but is a list");
    insta::assert_snapshot!(told(parse_cluster_create(br#"{"properties":{}}"#)), @r#"
    properties.vmSize is required
    properties.userAccountSettings is required
    "#);
    insta::assert_snapshot!(
        check(json!({ "userAccountSettings": { "adminUserName": " " }, "vmSize": "a b" })), @r#"
        properties.vmSize must be the name of a machine size, such as STANDARD_NC6, but is "a b"
        properties.userAccountSettings.adminUserName must not be empty
        properties.userAccountSettings must have adminUserSshPublicKey or adminUserPassword
        "#);
    insta::assert_snapshot!(
        check(json!({ "userAccountSettings.adminUserPassword": "" })), @"properties.userAccountSettings.adminUserPassword must not be empty");
}

#[test]
fn scale_settings() {
    let scale = |settings: Value| check(json!({ "scaleSettings": settings }));
    insta::assert_snapshot!(scale(json!({ "manual": null })), @"ok");
    insta::assert_snapshot!(scale(json!({ "manual": { "targetNodeCount": 100 } })), @"ok");
    insta::assert_snapshot!(
        scale(json!({ "manual": { "targetNodeCount": 101, "nodeDeallocationOption": "keep" } })), @r#"
        properties.scaleSettings.manual.targetNodeCount must be a whole number from 0 to 100, but is 101
        properties.scaleSettings.manual.nodeDeallocationOption must be one of requeue, terminate, waitforjobcompletion, but is "keep"
        "#);
    insta::assert_snapshot!(scale(json!({ "manual": {}, "autoScale": {} })), @r#"
    properties.scaleSettings must have either manual or autoScale, not both
    properties.scaleSettings.manual.targetNodeCount is required
    properties.scaleSettings.autoScale.minimumNodeCount is required
    properties.scaleSettings.autoScale.maximumNodeCount is required
    "#);
    insta::assert_snapshot!(
        scale(json!({ "autoScale":
            { "minimumNodeCount": 3, "maximumNodeCount": 2, "initialNodeCount": 4 } })), @r#"
            properties.scaleSettings.autoScale must not have a minimumNodeCount (3) above its maximumNodeCount (2)
            properties.scaleSettings.autoScale must not have an initialNodeCount (4) above its maximumNodeCount (2)
            "#);
    insta::assert_snapshot!(
        scale(json!({ "autoScale": { "minimumNodeCount": -1, "maximumNodeCount": 1.5 } })), @r#"
        properties.scaleSettings.autoScale.minimumNodeCount must be a whole number from 0 to 100, but is -1
        properties.scaleSettings.autoScale.maximumNodeCount must be a whole number from 0 to 100, but is 1.5
        "#);
}

#[test]
fn an_update_has_to_say_something() {
    let update = |properties: Value| told(parse_cluster_update(&body(properties, json!({}))));
    insta::assert_snapshot!(update(json!({ "scaleSettings": { "manual": { "targetNodeCount": 3 } } })), @"ok");
    insta::assert_snapshot!(update(json!({})), @"properties.scaleSettings is required");
    insta::assert_snapshot!(update(json!({ "scaleSettings": {} })), @"properties.scaleSettings must have manual or autoScale");
    insta::assert_snapshot!(told(parse_cluster_update(b"{}")), @"properties is required");
}

#[test]
fn setup() {
    insta::assert_snapshot!(check(json!({ "nodeSetup.setupTask": {
        "commandLine": "  ",
        "environmentVariables": [{ "name": "1A", "value": "x" }, { "name": "A" }, "A=1"],
        "secrets": [{ "name": "B" }, { "name": "C", "valueSecretReference": {} }],
    } })), @r#"
    properties.nodeSetup.setupTask.commandLine must not be empty
    properties.nodeSetup.setupTask.environmentVariables[0].name must be letters, digits and underscores, not beginning with a digit, but is "1A"
    properties.nodeSetup.setupTask.environmentVariables[1].value is required
    properties.nodeSetup.setupTask.environmentVariables[2] must be an object, but is a string
    properties.nodeSetup.setupTask.secrets[0].value is required
    SecretReferenceNotSupported: properties.nodeSetup.setupTask.secrets[1].valueSecretReference is not supported in this version: give the secret itself as value; it is kept encrypted and never shown
    properties.nodeSetup.setupTask.stdOutErrPathPrefix is required
    "#);
    insta::assert_snapshot!(check(json!({
        "nodeSetup.performanceCountersSettings": {},
        "nodeSetup.mountVolumes": {
            "azureFileShares": [{}],
            "azureBlobFileSystems": "all",
            "fileServers": [mount_body("nfs"), mount_body("./nfs/"), { "fileServer": {} }],
            "unmanagedFileSystems": [{ "mountCommand": "mount", "relativeMountPath": "nfs" }],
        },
        "subnet": {},
        "virtualMachineConfiguration": { "imageReference": { "version": 1 } },
    })), @r#"
    properties.virtualMachineConfiguration.imageReference.publisher is required
    properties.virtualMachineConfiguration.imageReference.offer is required
    properties.virtualMachineConfiguration.imageReference.sku is required
    properties.virtualMachineConfiguration.imageReference.version must be a string, but is a number
    PerformanceCountersNotSupported: properties.nodeSetup.performanceCountersSettings is not supported: nodes cannot report to Azure Application Insights; leave it out
    MountNotSupported: properties.nodeSetup.mountVolumes.azureFileShares is not supported in this version: create a file server and mount it with fileServers
    MountNotSupported: properties.nodeSetup.mountVolumes.azureBlobFileSystems is not supported in this version: create a file server and mount it with fileServers
    properties.nodeSetup.mountVolumes.fileServers[2].fileServer.id is required
    properties.nodeSetup.mountVolumes.fileServers[2].relativeMountPath is required
    properties.nodeSetup.mountVolumes.fileServers[1] must not use the relativeMountPath "./nfs/" of another mount
    properties.nodeSetup.mountVolumes.unmanagedFileSystems[0] must not use the relativeMountPath "nfs" of another mount
    properties.subnet.id is required
    "#);
    insta::assert_snapshot!(check(json!({ "nodeSetup.mountVolumes.fileServers": [
        mount_body(""), mount_body("."), mount_body("/nfs"), mount_body("a/../../b"),
        { "fileServer": { "id": "nfs" }, "relativeMountPath": "a\0", "sourceDirectory": "/" },
    ] })), @r#"
    properties.nodeSetup.mountVolumes.fileServers[0].relativeMountPath must not be empty
    properties.nodeSetup.mountVolumes.fileServers[1].relativeMountPath must name a directory
    properties.nodeSetup.mountVolumes.fileServers[2].relativeMountPath must be a relative path, without `/` at its start
    properties.nodeSetup.mountVolumes.fileServers[3].relativeMountPath must not contain `..`
    properties.nodeSetup.mountVolumes.fileServers[4].fileServer.id must be the id of a file server, /subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.BatchAI/workspaces/{workspace}/fileservers/{name}, but is "nfs"
    properties.nodeSetup.mountVolumes.fileServers[4].sourceDirectory must be a relative path, without `/` at its start
    properties.nodeSetup.mountVolumes.fileServers[4].relativeMountPath must not contain NUL characters
    "#);
}
