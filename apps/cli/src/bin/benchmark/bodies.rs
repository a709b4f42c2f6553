//! Paths and request bodies of the resources of the benchmark.

use hyper::body::Bytes;
use serde_json::{Value, json};

const SCOPE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/bench/providers/Microsoft.BatchAI/workspaces/bench";

/// The path and query of a resource of the benchmark's workspace, such as `/clusters/c`.
pub fn path(resource: &str) -> String {
    format!("{SCOPE}{resource}?api-version=2018-05-01")
}

/// The path and query of one page of a list.
pub fn page(collection: &str, entries: usize) -> String {
    format!("{}&maxresults={entries}", path(collection))
}

pub fn workspace() -> Value {
    json!({"location": "local"})
}

pub fn file_server() -> Value {
    let account = json!({"adminUserName": "bench", "adminUserPassword": "unused"});
    json!({"properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {"userAccountSettings": account},
        "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
    }})
}

pub fn cluster(nodes: usize) -> Value {
    let server = format!("{SCOPE}/fileServers/nfs");
    json!({"properties": {
        "vmSize": "STANDARD_D1",
        "scaleSettings": {"manual": {"targetNodeCount": nodes}},
        "userAccountSettings": {"adminUserName": "bench", "adminUserPassword": "unused"},
        "nodeSetup": {"mountVolumes": {"fileServers": [
            {"fileServer": {"id": server}, "relativeMountPath": "nfs"},
        ]}},
    }})
}

/// The body of a PATCH that changes the number of nodes; running jobs run to completion.
pub fn resize(nodes: usize) -> Value {
    json!({"properties": {"scaleSettings": {"manual": {
        "targetNodeCount": nodes,
        "nodeDeallocationOption": "waitforjobcompletion",
    }}}})
}

/// A job on one node of the cluster `c`, serialized once for all PUTs.
pub fn job(command_line: &str) -> Bytes {
    let job = json!({"properties": {
        "cluster": {"id": format!("{SCOPE}/clusters/c")},
        "nodeCount": 1,
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "customToolkitSettings": {"commandLine": command_line},
    }});
    job.to_string().into()
}
