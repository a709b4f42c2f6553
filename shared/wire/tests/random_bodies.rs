//! Whatever a body says, it is answered: accepted as something that can be kept and shown, or
//! refused with reasons. And no secret is in any answer.

mod kept;

use kept::{has_null, uid};
use model::{Timestamp, Waiting, WaitingReason};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{FileServerView, NodeCounts, Violations};

const SECRET: &str = "correct horse battery staple";
const SERVER: &str =
    "/subscriptions/0/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/fileServers/nfs";

const VIEW: FileServerView = FileServerView {
    mount_point: String::new(),
    public_ip: String::new(),
    internal_ip: String::new(),
    local_path: None,
};

fn azure_share() -> Value {
    json!({
        "accountName": "account",
        "azureFileUrl": "https://account.file.core.windows.net/share",
        "credentials": { "accountKey": SECRET },
        "relativeMountPath": "share",
    })
}

fn azure_container() -> Value {
    json!({
        "accountName": "account",
        "containerName": "container",
        "credentials": { "accountKeySecretReference": key_vault() },
        "relativeMountPath": "container",
    })
}

fn key_vault() -> Value {
    json!({ "sourceVault": { "id": "/vault" }, "secretUrl": "https://vault/secrets/a" })
}

fn cluster_body() -> Value {
    json!({ "properties": {
        "vmSize": "STANDARD_NC6",
        "vmPriority": "dedicated",
        "scaleSettings": { "manual": { "targetNodeCount": 1, "nodeDeallocationOption": "requeue" } },
        "virtualMachineConfiguration": { "imageReference": {
            "publisher": "Canonical", "offer": "UbuntuServer", "sku": "16.04-LTS" } },
        "userAccountSettings": { "adminUserName": "demo", "adminUserPassword": SECRET },
        "nodeSetup": {
            "setupTask": {
                "commandLine": "true",
                "environmentVariables": [{ "name": "A", "value": "1" }],
                "secrets": [{ "name": "B", "value": SECRET }],
                "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            },
            "mountVolumes": {
                "fileServers": [{ "fileServer": { "id": SERVER }, "relativeMountPath": "nfs" }],
                "unmanagedFileSystems": [{ "mountCommand": "mount", "relativeMountPath": "a" }],
                "azureFileShares": [azure_share()],
                "azureBlobFileSystems": [azure_container()],
                "extensions": {
                    "s3Buckets": [{ "bucket": "lab", "prefix": "a", "readOnly": true,
                        "relativeMountPath": "s3", "mountOptions": "--allow-delete" }],
                    "lustreFileSystems": [{ "dnsName": "fs-0.fsx.eu-west-1.amazonaws.com",
                        "mountName": "abc", "relativeMountPath": "fast", "mountOptions": "flock" }],
                },
            },
            "performanceCountersSettings": { "appInsightsReference": {
                "component": { "id": "/component" }, "instrumentationKey": SECRET } },
        },
        "subnet": { "id": "/subscriptions/0/subnets/a" },
        "extensions": { "idleSecondsBeforeScaleDown": 60, "alternateVmSizes": ["g5.xlarge"],
            "securityGroups": ["sg-0123456789abcdef0"], "capacityReservation": "cr-0123456789abcdef0",
            "replaceOnRebalance": true },
    } })
}

fn job_body() -> Value {
    json!({ "properties": {
        "cluster": { "id": SERVER.replace("fileServers", "clusters") },
        "schedulingPriority": "low",
        "nodeCount": 2,
        "containerSettings": { "shmSize": "1g", "imageSourceRegistry": {
            "image": "ubuntu", "credentials": { "username": "me", "password": SECRET } } },
        "tensorFlowSettings": { "pythonScriptFilePath": "train.py", "workerCount": 2 },
        "jobPreparation": { "commandLine": "true" },
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "mountVolumes": {
            "azureFileShares": [azure_share()],
            "fileServers": [{ "fileServer": { "id": SERVER }, "relativeMountPath": "nfs" }] },
        "inputDirectories": [{ "id": "A", "path": "/a" }],
        "outputDirectories": [{ "id": "A", "pathPrefix": "/a", "pathSuffix": "b" }],
        "environmentVariables": [{ "name": "A", "value": "1" }],
        "secrets": [
            { "name": "B", "value": SECRET }, { "name": "C", "valueSecretReference": key_vault() }],
        "extensions": { "maxRetries": 1 },
        "constraints": { "maxWallClockTime": "PT1H" },
    } })
}

fn file_server_body() -> Value {
    json!({ "properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {
            "publicIPsToAllow": ["10.0.0.0/8"],
            "userAccountSettings": { "adminUserName": "demo", "adminUserSshPublicKey": "ssh-rsa A" },
        },
        "dataDisks": { "diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS" },
    } })
}

fn workspace_body() -> Value {
    json!({ "location": "eastus", "tags": { "a": "b" } })
}

/// Any JSON, with texts that are prone to mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(String::new()),
        Just("..".to_owned()),
        Just("/".to_owned()),
        Just("\0".to_owned()),
        Just("P7D".to_owned()),
        Just(SERVER.to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u32..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "id",
        "name",
        "value",
        "properties",
        "location",
        "tags",
        "manual",
        "autoScale",
        "nodeCount",
        "commandLine",
        "relativeMountPath",
        "fileServers",
        "maxWallClockTime",
        "secrets",
    ]);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

/// The number of values in a body, itself included.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// The value that comes at `index` when a body is read from its start.
fn at(value: &mut Value, index: usize) -> &mut Value {
    if index == 0 {
        return value;
    }
    let mut index = index - 1;
    let children: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(fields) => Box::new(fields.values_mut()),
        _ => unreachable!("the index is below the size"),
    };
    for child in children {
        let size = size(child);
        if index < size {
            return at(child, index);
        }
        index -= size;
    }
    unreachable!("the index is below the size")
}

/// A body that keeps all rules, with one or two of its values replaced by anything.
fn changed(body: Value) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any_json());
    prop::collection::vec(change, 0..3).prop_map(move |changes| {
        let mut body = body.clone();
        for (index, with) in changes {
            let index = index.index(size(&body));
            *at(&mut body, index) = with;
        }
        body.to_string().into_bytes()
    })
}

fn check_refusal(violations: &Violations) -> Result<(), TestCaseError> {
    let body = serde_json::to_value(violations.body()).expect("bodies serialize");
    let text = body.to_string();
    prop_assert!(!text.contains(SECRET) && !has_null(&body), "{}", text);
    for violation in violations.iter() {
        prop_assert!(!violation.code.is_empty() && !violation.message.is_empty());
        prop_assert!(violation.message.is_ascii(), "{}", violation.message);
    }
    Ok(())
}

fn check_answer(body: &impl serde::Serialize) -> Result<(), TestCaseError> {
    let body = serde_json::to_value(body).expect("bodies serialize");
    prop_assert!(!has_null(&body) && !body.to_string().contains(SECRET), "{}", body);
    Ok(())
}

fn waits() -> Waiting {
    let reason = WaitingReason::Nodes;
    Waiting { reason, message: "waits".to_owned(), since: Timestamp(0) }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Err(violations) = wire::parse_job_create(&bytes) {
            check_refusal(&violations)?;
        }
    }

    #[test]
    fn any_value(value in any_json()) {
        let bytes = value.to_string().into_bytes();
        let refusals = [
            wire::parse_workspace_create(&bytes).err(),
            wire::parse_workspace_update(&bytes).err(),
            wire::parse_cluster_create(&bytes).err(),
            wire::parse_cluster_update(&bytes).err(),
            wire::parse_file_server_create(&bytes).err(),
            wire::parse_job_create(&bytes).err(),
        ];
        for violations in refusals.iter().flatten() {
            check_refusal(violations)?;
        }
    }

    #[test]
    fn any_cluster(bytes in changed(cluster_body())) {
        match wire::parse_cluster_create(&bytes) {
            Err(violations) => check_refusal(&violations)?,
            Ok(request) => {
                let again = request.clone();
                let shown = format!("{again:?}");
                prop_assert!(!shown.contains(SECRET), "{}", shown);
                let suffix = "suffix".to_owned();
                let seal = |_: &str| "sealed".to_owned();
                let made = request.into_spec(seal, None, |_| Some(uid()), suffix);
                let (spec, scale) = made.expect("all file servers are there");
                let cluster = kept::cluster(spec, scale);
                check_answer(&wire::cluster(&cluster, &NodeCounts::default()))?;
                prop_assert!(again.is_same_as(&cluster));
            }
        }
    }

    #[test]
    fn any_job(bytes in changed(job_body())) {
        match wire::parse_job_create(&bytes) {
            Err(violations) => check_refusal(&violations)?,
            Ok(request) => {
                let again = request.clone();
                let shown = format!("{again:?}");
                prop_assert!(!shown.contains(SECRET), "{}", shown);
                let made = request.into_spec(|_| "sealed".to_owned(), |_| Some(uid()));
                let spec = made.expect("all file servers are there");
                let job = kept::job(spec, again.cluster.clone());
                check_answer(&wire::job(&job, Some(&waits()), model::Timestamp(0)))?;
                prop_assert!(again.is_same_as(&job));
            }
        }
    }

    #[test]
    fn any_file_server(bytes in changed(file_server_body())) {
        match wire::parse_file_server_create(&bytes) {
            Err(violations) => check_refusal(&violations)?,
            Ok(spec) => {
                let server = kept::file_server(spec.clone());
                check_answer(&wire::file_server(&server, &VIEW))?;
                prop_assert!(wire::is_same_file_server(&spec, &server));
            }
        }
    }

    #[test]
    fn any_workspace(bytes in changed(workspace_body())) {
        match wire::parse_workspace_create(&bytes) {
            Err(violations) => check_refusal(&violations)?,
            Ok(request) => {
                let workspace = kept::workspace(request.location, request.tags);
                check_answer(&wire::workspace(&workspace))?;
            }
        }
    }
}

/// The bodies that the properties start from keep all rules, or they would test little.
#[test]
fn the_bodies_that_are_changed_are_accepted() {
    let bytes = |value: Value| value.to_string().into_bytes();
    assert_eq!(wire::parse_cluster_create(&bytes(cluster_body())).err(), None);
    assert_eq!(wire::parse_job_create(&bytes(job_body())).err(), None);
    assert_eq!(wire::parse_file_server_create(&bytes(file_server_body())).err(), None);
    assert_eq!(wire::parse_workspace_create(&bytes(workspace_body())).err(), None);
}
