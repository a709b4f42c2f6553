//! Fixtures of the unit tests: resources in typical states, request bodies, rendered results.

use crate::Violations;
use model::*;
use serde::Serialize;
use serde_json::{Value, json};

/// 2018-06-06T20:46:53.03Z, and `seconds` later.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp(1_528_318_013_030).plus_seconds(seconds)
}

pub fn uid(byte: u8) -> Uid {
    Uid::from_bytes([byte; 16])
}

/// The body, indented. No body contains `null` (docs/contract.md, "REST conventions").
pub fn pretty(body: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(body).expect("bodies serialize");
    assert!(!text.contains("null"), "{text}");
    text
}

/// The messages of a refusal.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Violations>) -> Vec<String> {
    let violations = result.expect_err("should be refused");
    violations.iter().map(|violation| violation.message.clone()).collect()
}

pub fn names() -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new("00000000-0000-0000-0000-000000000000"),
        resource_group: Name::new("demo_group"),
        workspace: Name::new("demo"),
    }
}

pub fn user_account() -> UserAccount {
    UserAccount { admin_user_name: "demo".to_owned(), admin_user_ssh_public_key: None }
}

pub fn file_server_mount() -> FileServerMount {
    FileServerMount {
        id: crate::ids::file_server_id(&names(), &Name::new("nfs")),
        uid: uid(7),
        share: model::FileShare::Directory,
        source_directory: None,
        relative_mount_path: "nfs".to_owned(),
        mount_options: Some("rw".to_owned()),
    }
}

pub fn cluster() -> Cluster {
    Cluster {
        workspace: uid(1),
        names: names(),
        name: Name::new("gpus"),
        uid: uid(2),
        location: Name::new("eastus"),
        version: 1,
        spec: ClusterSpec {
            vm_size: "STANDARD_NC6".to_owned(),
            vm_priority: VmPriority::Dedicated,
            image: crate::ImageReference::default().to_stored(),
            user_account: user_account(),
            administrator_password_hash: None,
            setup_task: None,
            mounts: None,
            performance_counters: None,
            subnet_id: None,
            extensions: ClusterExtensions::default(),
        },
        scale: ScaleSettings::Manual {
            target_node_count: 1,
            node_deallocation_option: NodeDeallocation::Requeue,
        },
        created_at: at(0),
        etag: uid(3),
        modified_at: at(0),
        state: Lifecycle::Active,
        scheduled: true,
        planned_nodes: 1,
        allocation: Allocation { resizing: true, since: at(1) },
        health: Backoff::CLEAR,
        avoided_pools: vec![],
        launch_rate: LaunchRate::NONE,
        errors: Vec::new(),
    }
}

/// A node of [`cluster`] in a state.
pub fn node(number: u8, state: NodeState) -> Node {
    Node {
        id: NodeId::new(&uid(number), false),
        cluster: cluster().reference(),
        version: 1,
        launch: uid(9),
        created_at: at(0),
        seen_at: at(0),
        state,
        charge: cluster().charge(),
        offering: model::Offering::Single,
        price: model::Price::NotAsked,
        login_port: None,
        metrics: None,
        sweep: None,
        rebalance_recommended_at: None,
        ready_at: None,
        end: None,
        removal: Backoff::CLEAR,
    }
}

pub fn instance() -> Instance {
    Instance { id: "i-1".to_owned(), address: "10.0.0.4".to_owned() }
}

pub fn job() -> Job {
    Job {
        experiment: uid(4),
        names: JobNames {
            workspace: names(),
            experiment: Name::new("first"),
            job: Name::new("train"),
        },
        uid: uid(5),
        version: 1,
        cluster: cluster().reference(),
        cluster_names: ClusterNames { workspace: None, name: cluster().name },
        cluster_mounts: Vec::new(),
        spec: JobSpec {
            priority: Priority::Normal,
            node_count: 1,
            container: None,
            toolkit: Toolkit::custom("python train.py"),
            preparation: None,
            std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".to_owned(),
            mounts: None,
            input_directories: None,
            output_directories: None,
            environment: None,
            secrets: None,
            max_wall_clock_seconds: 604_800,
            max_retries: None,
            sweep: None,
        },
        submitted_at: at(0),
        state: JobState::Queued { since: at(0) },
        attempts: Vec::new(),
        deletion: None,
        has_metrics: false,
    }
}

pub fn file_server() -> FileServer {
    FileServer {
        workspace: uid(1),
        names: names(),
        name: Name::new("nfs"),
        uid: uid(7),
        version: 1,
        spec: FileServerSpec {
            vm_size: "STANDARD_D1".to_owned(),
            public_ips_to_allow: None,
            user_account: user_account(),
            disk_size_in_gb: 10,
            disk_count: 2,
            caching_type: "none".to_owned(),
            storage_account_type: "Standard_LRS".to_owned(),
            subnet_id: None,
            data_retention: model::DataRetention::Delete,
        },
        created_at: at(0),
        etag: uid(8),
        modified_at: at(0),
        state: FileServerState::Creating { operation: uid(10), since: at(0) },
        share: model::FileShare::Directory,
        removal: Backoff::CLEAR,
        error: None,
    }
}

/// A request for a cluster, with everything that is required and no more.
pub fn cluster_body() -> Value {
    json!({
        "vmSize": "STANDARD_NC6",
        "userAccountSettings": { "adminUserName": "demo", "adminUserPassword": "a password" },
    })
}

pub fn job_body() -> Value {
    json!({
        "cluster": { "id": crate::ids::id_of_cluster(&cluster()) },
        "nodeCount": 1,
        "customToolkitSettings": { "commandLine": "python train.py" },
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
    })
}

pub fn file_server_body() -> Value {
    json!({
        "vmSize": "STANDARD_D1",
        "sshConfiguration": { "userAccountSettings": cluster_body()["userAccountSettings"] },
        "dataDisks": { "diskSizeInGB": 10, "diskCount": 2, "storageAccountType": "Standard_LRS" },
    })
}

/// The mount of a file server as a request has it.
pub fn mount_body(path: &str) -> Value {
    json!({ "fileServer": { "id": file_server_mount().id }, "relativeMountPath": path })
}

pub fn reference() -> KeyVaultSecretReference {
    KeyVaultSecretReference {
        source_vault: ResourceId { id: "/subscriptions/0/vaults/v".to_owned() },
        secret_url: "https://v.vault.azure.net/secrets/s".to_owned(),
    }
}

/// A reference to a secret as a request has it.
pub fn key_vault() -> Value {
    json!({
        "sourceVault": { "id": "/subscriptions/0/vaults/v" },
        "secretUrl": "https://v.vault.azure.net/secrets/s",
    })
}

/// Azure mounts as a request has them, with what is required and no more.
pub fn azure_share(path: &str) -> Value {
    json!({
        "accountName": "storage",
        "azureFileUrl": "https://storage.file.core.windows.net/share",
        "credentials": { "accountKey": "hunter2" },
        "relativeMountPath": path,
    })
}

pub fn azure_container(path: &str) -> Value {
    json!({
        "accountName": "storage",
        "containerName": "data",
        "credentials": { "accountKeySecretReference": key_vault() },
        "relativeMountPath": path,
    })
}

/// The bytes of a body whose `properties` are changed: paths with dots, and the new values there.
/// A value [`ABSENT`] removes the field.
pub fn body(mut properties: Value, changes: Value) -> Vec<u8> {
    for (path, value) in changes.as_object().expect("changes are an object") {
        let mut place = &mut properties;
        for name in path.split('.') {
            place = match name.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[name],
            };
        }
        *place = value.clone();
    }
    remove_absent(&mut properties);
    json!({ "properties": properties }).to_string().into_bytes()
}

/// The value of a field that [`body`] removes.
pub const ABSENT: &str = "<absent>";

fn remove_absent(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| *field != ABSENT);
            fields.values_mut().for_each(remove_absent);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_absent),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
