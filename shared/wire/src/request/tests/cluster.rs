//! Clusters.

use super::violations_of;
use crate::fixtures::{
    self, ABSENT, azure_container, azure_share, body, cluster_body, key_vault, mount_body,
};
use crate::request::{ClusterRequest, parse_cluster_create, parse_cluster_update};
use crate::{ImageReference, Violations, ids};
use model::{Cluster, NodeDeallocation, ScaleSettings, VmPriority};
use serde_json::{Value, json};

pub(super) fn parse(changes: Value) -> Result<ClusterRequest, Violations> {
    parse_cluster_create(&body(cluster_body(), changes))
}

pub(super) fn check(changes: Value) -> String {
    violations_of(parse(changes))
}

/// The cluster that a request makes.
fn made(request: ClusterRequest) -> Cluster {
    let suffix = ids::setup_output_path_suffix(
        &fixtures::names(),
        &fixtures::cluster().name,
        &fixtures::uid(2),
    );
    let seal = |value: &str| format!("sealed {} bytes", value.len());
    let (spec, scale) = request
        .into_spec(seal, Some("hashed".to_owned()), |_| Some(fixtures::uid(7)), suffix)
        .unwrap();
    Cluster { spec, scale, ..fixtures::cluster() }
}

pub(super) fn everything() -> Value {
    json!({
        "vmPriority": "LowPriority",
        "scaleSettings": { "autoScale": { "minimumNodeCount": 1, "maximumNodeCount": 4 } },
        "virtualMachineConfiguration.imageReference":
            { "publisher": "microsoft-ads", "offer": "linux", "sku": "ubuntu" },
        "nodeSetup.setupTask": {
            "commandLine": "apt install -y numactl",
            "environmentVariables": [{ "name": "A", "value": "$HOME" }],
            "secrets": [
                { "name": "B", "value": "hunter2" },
                { "name": "C", "valueSecretReference": key_vault() },
            ],
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        },
        "nodeSetup.mountVolumes": {
            "azureFileShares": [azure_share("share")],
            "azureBlobFileSystems": [azure_container("data")],
            "fileServers": [mount_body("nfs")],
            "unmanagedFileSystems":
                [{ "mountCommand": "mount -t tmpfs none", "relativeMountPath": "memory" }],
        },
        "nodeSetup.performanceCountersSettings": { "appInsightsReference": {
            "component": { "id": "/subscriptions/0/components/c" },
            "instrumentationKey": "hunter2",
        } },
        "extensions": {
            "idleSecondsBeforeScaleDown": 60,
            "alternateVmSizes": ["g5.xlarge"],
            "securityGroups": ["sg-0123456789abcdef0"],
            "capacityReservation": "cr-0123456789abcdef0",
            "replaceOnRebalance": true,
        },
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
#[expect(clippy::too_many_lines, reason = "one snapshot of a whole document")]
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
      "password": "hashed",
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
          },
          {
            "name": "C",
            "reference": {
              "sourceVault": {
                "id": "/subscriptions/0/vaults/v"
              },
              "secretUrl": "https://v.vault.azure.net/secrets/s"
            }
          }
        ],
        "std_out_err_path_prefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "std_out_err_path_suffix": "00000000-0000-0000-0000-000000000000/demo_group/workspaces/demo/clusters/gpus/02020202-0202-4202-8202-020202020202"
      },
      "mounts": {
        "azureFileShares": [
          {
            "accountName": "storage",
            "azureFileUrl": "https://storage.file.core.windows.net/share",
            "credentials": {
              "sealed": "sealed 7 bytes"
            },
            "relativeMountPath": "share",
            "fileMode": "0777",
            "directoryMode": "0777"
          }
        ],
        "azureBlobFileSystems": [
          {
            "accountName": "storage",
            "containerName": "data",
            "credentials": {
              "reference": {
                "sourceVault": {
                  "id": "/subscriptions/0/vaults/v"
                },
                "secretUrl": "https://v.vault.azure.net/secrets/s"
              }
            },
            "relativeMountPath": "data"
          }
        ],
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
      "performance_counters": {
        "appInsightsReference": {
          "component": {
            "id": "/subscriptions/0/components/c"
          },
          "sealed": "sealed 7 bytes"
        }
      },
      "extensions": {
        "idleSecondsBeforeScaleDown": 60,
        "alternateVmSizes": [
          "g5.xlarge"
        ],
        "securityGroups": [
          "sg-0123456789abcdef0"
        ],
        "capacityReservation": "cr-0123456789abcdef0",
        "replaceOnRebalance": true
      }
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
    assert!(differs("virtualMachineConfiguration.imageReference", json!(ABSENT)));
    assert!(differs("nodeSetup.setupTask", json!(ABSENT)));
    assert!(differs("nodeSetup.mountVolumes", json!(ABSENT)));
    assert!(differs("nodeSetup.mountVolumes.fileServers", json!([mount_body("other")])));
    let secrets = |name: &str| {
        let referring = json!({ "name": "C", "valueSecretReference": key_vault() });
        json!([{ "name": name, "value": "x" }, referring])
    };
    assert!(differs("nodeSetup.setupTask.secrets", secrets("D")));
    assert!(!differs("nodeSetup.setupTask.secrets", secrets("B")));
    assert!(differs("nodeSetup.setupTask.secrets.1", json!({ "name": "C", "value": "x" })));
    let shares = "nodeSetup.mountVolumes.azureFileShares.0";
    assert!(!differs(&format!("{shares}.credentials.accountKey"), json!("another")));
    assert!(!differs(&format!("{shares}.fileMode"), json!("0777")));
    assert!(differs(&format!("{shares}.fileMode"), json!("0700")));
    let containers = "nodeSetup.mountVolumes.azureBlobFileSystems.0";
    assert!(differs(&format!("{containers}.containerName"), json!("other")));
    assert!(differs(&format!("{containers}.credentials"), json!({ "accountKey": "x" })));
    let insights = "nodeSetup.performanceCountersSettings.appInsightsReference";
    assert!(!differs(&format!("{insights}.instrumentationKey"), json!("another")));
    assert!(differs(&format!("{insights}.component.id"), json!("other")));
    assert!(differs("nodeSetup.performanceCountersSettings", json!(ABSENT)));
    assert!(differs("extensions", json!(ABSENT)));
    assert!(differs("extensions.idleSecondsBeforeScaleDown", json!(61)));
    assert!(differs("extensions.securityGroups", json!([])));
    assert!(differs("extensions.replaceOnRebalance", json!(false)));
    assert!(differs("extensions.capacityReservation", json!("cr-01234567")));
    assert!(differs("subnet", json!({ "id": "/subscriptions/0/subnets/a" })));
}

#[test]
fn a_file_server_that_does_not_exist() {
    let request = parse(everything()).unwrap();
    assert_eq!(request.file_servers().count(), 1);
    let refused = request.into_spec(str::to_owned, None, |_| None, String::new());
    insta::assert_snapshot!(violations_of(refused), @"FileServerNotFound: properties.nodeSetup.mountVolumes.fileServers[0].fileServer.id names a file server that does not exist: /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs");
}

#[test]
fn what_is_required() {
    insta::assert_snapshot!(violations_of(parse_cluster_create(b"{}")), @"properties is required");
    insta::assert_snapshot!(violations_of(parse_cluster_create(br#"{"properties":[]}"#)), @"properties must be an object, but is a list");
    insta::assert_snapshot!(violations_of(parse_cluster_create(br#"{"properties":{}}"#)), @r#"
    properties.vmSize is required
    properties.userAccountSettings is required
    "#);
    insta::assert_snapshot!(
        check(json!({ "userAccountSettings": { "adminUserName": " " }, "vmSize": "a b" })), @r#"
        properties.vmSize must be a VM size of Azure or an instance type of EC2, such as STANDARD_NC6 or g5.xlarge, but is "a b"
        properties.userAccountSettings.adminUserName must not be empty
        properties.userAccountSettings must have adminUserSshPublicKey or adminUserPassword
        "#);
    insta::assert_snapshot!(
        check(json!({ "userAccountSettings.adminUserPassword": "" })), @"properties.userAccountSettings.adminUserPassword must not be empty");
}

#[test]
fn scale_settings() {
    let scale = |settings: Value| check(json!({ "scaleSettings": settings }));
    insta::assert_snapshot!(scale(json!({})), @"ok");
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
    let update =
        |properties: Value| violations_of(parse_cluster_update(&body(properties, json!({}))));
    insta::assert_snapshot!(update(json!({ "scaleSettings": { "manual": { "targetNodeCount": 3 } } })), @"ok");
    insta::assert_snapshot!(update(json!({ "extensions": { "idleSecondsBeforeScaleDown": 5 } })), @"ok");
    insta::assert_snapshot!(update(json!({ "extensions": {} })), @"ok");
    insta::assert_snapshot!(update(json!({ "scaleSettings": {}, "extensions": [] })), @r"
    properties.scaleSettings must have manual or autoScale
    properties.extensions must be an object, but is a list
    ");
    insta::assert_snapshot!(update(json!({})), @"properties must have scaleSettings or extensions");
    insta::assert_snapshot!(update(json!({ "scaleSettings": {} })), @"properties.scaleSettings must have manual or autoScale");
    insta::assert_snapshot!(violations_of(parse_cluster_update(b"{}")), @"properties is required");
}

#[test]
fn machine_sizes() {
    let size = |size: &str| check(json!({ "vmSize": size }));
    for good in ["STANDARD_D1", "Standard_NC6s_v3", "STANDARD_D2s_v3", "standard_a1", "g5.xlarge"] {
        assert_eq!(size(good), "ok", "{good}");
    }
    for bad in ["STANDARD_A0", "Standard_DS2", "STANDARD_DS13-4_v2", "standard_gs5"] {
        assert_ne!(size(bad), "ok", "{bad}");
    }
    insta::assert_snapshot!(size("STANDARD_DS1_V2"), @"properties.vmSize must not be STANDARD_A0 or a size with premium storage (STANDARD_DS, STANDARD_GS), but is STANDARD_DS1_V2; a cluster can have any other size");
    insta::assert_snapshot!(size("nonsense"), @r#"properties.vmSize must be a VM size of Azure or an instance type of EC2, such as STANDARD_NC6 or g5.xlarge, but is "nonsense""#);
    insta::assert_snapshot!(size("STANDARD_NC7"), @r#"properties.vmSize must be a VM size of Azure or an instance type of EC2, such as STANDARD_NC6 or g5.xlarge, but is "STANDARD_NC7"; did you mean STANDARD_NC6?"#);
}

#[test]
fn azure_mounts() {
    insta::assert_snapshot!(check(json!({ "nodeSetup.mountVolumes": {
        "azureFileShares": [azure_share("a"), azure_share("b/../c"), {}, {
            "accountName": "a.b",
            "azureFileUrl": "storage/share",
            "credentials": { "accountKey": "hunter2", "accountKeySecretReference": key_vault() },
            "relativeMountPath": "d",
            "fileMode": "rwx",
            "directoryMode": "0999",
        }],
        "azureBlobFileSystems": [azure_container("./a/"), {
            "accountName": 1,
            "containerName": "a/b",
            "credentials": {},
            "relativeMountPath": "e",
        }],
    } })), @r#"
    properties.nodeSetup.mountVolumes.azureFileShares[1].relativeMountPath must not contain `..`
    properties.nodeSetup.mountVolumes.azureFileShares[2].accountName is required
    properties.nodeSetup.mountVolumes.azureFileShares[2].azureFileUrl is required
    properties.nodeSetup.mountVolumes.azureFileShares[2].credentials is required
    properties.nodeSetup.mountVolumes.azureFileShares[2].relativeMountPath is required
    properties.nodeSetup.mountVolumes.azureFileShares[3].accountName must be the name of a storage account, 3 to 24 letters, digits, dashes or underscores, but is "a.b"
    properties.nodeSetup.mountVolumes.azureFileShares[3].azureFileUrl must be the URL of a file share, https://{account}.file.core.windows.net/{share}, or of a directory of it
    properties.nodeSetup.mountVolumes.azureFileShares[3].credentials must have either accountKey or accountKeySecretReference, not both
    properties.nodeSetup.mountVolumes.azureFileShares[3].fileMode must be an octal file mode, such as 0777, but is "rwx"
    properties.nodeSetup.mountVolumes.azureFileShares[3].directoryMode must be an octal file mode, such as 0777, but is "0999"
    properties.nodeSetup.mountVolumes.azureBlobFileSystems[1].accountName must be a string, but is a number
    properties.nodeSetup.mountVolumes.azureBlobFileSystems[1].containerName must be the name of a blob container, 1 to 63 letters, digits, dashes or underscores, but is "a/b"
    properties.nodeSetup.mountVolumes.azureBlobFileSystems[1].credentials must have accountKey or accountKeySecretReference
    properties.nodeSetup.mountVolumes.azureBlobFileSystems[0] must not use the relativeMountPath "./a/" of another mount
    "#);
}

#[test]
fn mounts_beyond_the_contract() {
    let mounts = |buckets: Value, lustre: Value| {
        check(json!({ "nodeSetup.mountVolumes": {
            "fileServers": [mount_body("nfs")],
            "extensions": { "s3Buckets": buckets, "lustreFileSystems": lustre },
        } }))
    };
    let bucket = json!({ "bucket": "lab", "relativeMountPath": "s3", "prefix": "a/b",
        "readOnly": true, "mountOptions": "--allow-delete" });
    let lustre = json!({ "dnsName": "fs-0.fsx.eu-west-1.amazonaws.com", "mountName": "abc",
        "relativeMountPath": "fast", "mountOptions": "flock" });
    assert_eq!(mounts(json!([bucket]), json!([lustre])), "ok");
    insta::assert_snapshot!(mounts(
        json!([
            { "bucket": "..", "relativeMountPath": "nfs", "prefix": "../a", "readOnly": "yes" },
            { "bucket": "lab", "relativeMountPath": "./nfs" },
            { "bucket": "b".repeat(64), "relativeMountPath": "long" },
        ]),
        json!([{ "dnsName": "fs-0", "mountName": "a/b", "mountOptions": "-o flock" }]),
    ), @r#"
    properties.nodeSetup.mountVolumes.extensions.s3Buckets[0].bucket must be the name of an S3 bucket, but is ".."
    properties.nodeSetup.mountVolumes.extensions.s3Buckets[0].prefix must not contain `..`
    properties.nodeSetup.mountVolumes.extensions.s3Buckets[0].readOnly must be true or false, but is a string
    properties.nodeSetup.mountVolumes.extensions.s3Buckets[2].bucket must not contain `..` or a name that is too long
    properties.nodeSetup.mountVolumes.extensions.lustreFileSystems[0].dnsName must be a DNS name, but is "fs-0"
    properties.nodeSetup.mountVolumes.extensions.lustreFileSystems[0].mountName must be the mount name of a file system of FSx for Lustre, letters and digits, but is "a/b"
    properties.nodeSetup.mountVolumes.extensions.lustreFileSystems[0].relativeMountPath is required
    properties.nodeSetup.mountVolumes.extensions.lustreFileSystems[0].mountOptions must be mount options separated by commas, such as rw,noatime, but is "-o flock"
    properties.nodeSetup.mountVolumes.extensions.s3Buckets[1] must not use the relativeMountPath "./nfs" of another mount
    "#);
}

#[test]
fn options_of_a_file_server_are_options() {
    let mount = |options: &str| {
        let mut mount = mount_body("nfs");
        mount["mountOptions"] = json!(options);
        check(json!({ "nodeSetup.mountVolumes.fileServers": [mount] }))
    };
    assert_eq!(mount("rw,noatime"), "ok");
    assert_eq!(
        mount("rw -o accesspoint=x"),
        "properties.nodeSetup.mountVolumes.fileServers[0].mountOptions must be mount options separated by commas, such as rw,noatime, but is \"rw -o accesspoint=x\""
    );
}

#[test]
fn performance_counters() {
    let counters =
        |settings: Value| check(json!({ "nodeSetup.performanceCountersSettings": settings }));
    insta::assert_snapshot!(counters(json!({})), @"properties.nodeSetup.performanceCountersSettings.appInsightsReference is required");
    insta::assert_snapshot!(counters(json!({ "appInsightsReference": {} })), @r"
    properties.nodeSetup.performanceCountersSettings.appInsightsReference.component is required
    properties.nodeSetup.performanceCountersSettings.appInsightsReference must have instrumentationKey or instrumentationKeySecretReference
    ");
    insta::assert_snapshot!(counters(json!({ "appInsightsReference": {
        "component": { "id": "/c" }, "instrumentationKeySecretReference": { "secretUrl": "s" } } })), @r"
        properties.nodeSetup.performanceCountersSettings.appInsightsReference.instrumentationKeySecretReference.sourceVault is required
        properties.nodeSetup.performanceCountersSettings.appInsightsReference.instrumentationKeySecretReference.secretUrl must be the ARN of a secret of AWS Secrets Manager or of a parameter of SSM, or a URL such as https://{vault}.vault.azure.net/secrets/{name}
        ");
}

#[test]
fn setup() {
    insta::assert_snapshot!(check(json!({ "nodeSetup.setupTask": {
        "commandLine": "  ",
        "environmentVariables": [{ "name": "1A", "value": "x" }, { "name": "A" }, "A=1"],
        "secrets": [{ "name": "B" }, { "name": "C", "valueSecretReference": {} },
                    { "name": "D", "value": "hunter2", "valueSecretReference": key_vault() }],
    } })), @r#"
    properties.nodeSetup.setupTask.commandLine must not be empty
    properties.nodeSetup.setupTask.environmentVariables[0].name must be letters, digits and underscores, not beginning with a digit, but is "1A"
    properties.nodeSetup.setupTask.environmentVariables[1].value is required
    properties.nodeSetup.setupTask.environmentVariables[2] must be an object, but is a string
    properties.nodeSetup.setupTask.secrets[0] must have value or valueSecretReference
    properties.nodeSetup.setupTask.secrets[1].valueSecretReference.sourceVault is required
    properties.nodeSetup.setupTask.secrets[1].valueSecretReference.secretUrl is required
    properties.nodeSetup.setupTask.secrets[2] must have either value or valueSecretReference, not both
    properties.nodeSetup.setupTask.stdOutErrPathPrefix is required
    "#);
    insta::assert_snapshot!(check(json!({
        "nodeSetup.mountVolumes": {
            "azureFileShares": [],
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
    properties.nodeSetup.mountVolumes.azureBlobFileSystems must be a list, but is a string
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

/// An absent field and `null` mean the same to a reader, but the document has no `null`.
#[test]
fn null_is_refused_wherever_a_field_is_read() {
    for field in ["subnet", "scaleSettings", "scaleSettings.manual", "nodeSetup", "extensions"] {
        let expected = format!("properties.{field} must not be null; leave the field out instead");
        assert_eq!(check(json!({ field: null })), expected);
    }
    let password = "userAccountSettings.adminUserPassword";
    let expected = format!("properties.{password} must not be null; leave the field out instead");
    assert_eq!(check(json!({ password: null })), expected);
    let update = crate::parse_cluster_update(br#"{"properties":{"scaleSettings":null}}"#);
    let expected = "properties.scaleSettings must not be null; leave the field out instead";
    assert_eq!(super::violations_of(update), expected);
    let tags = crate::parse_workspace_update(br#"{"tags":null}"#);
    assert_eq!(super::violations_of(tags), "tags must not be null; leave the field out instead");
}
