//! Records as the service keeps them, around a spec that came from a request; and what no body
//! that is made of them has.

use model::{
    Cluster, ClusterSpec, FileServer, FileServerSpec, FileServerState, Job, JobSpec, JobState,
    Lifecycle, Name, ScaleSettings, Timestamp, Uid, Workspace, WorkspaceNames,
};
use serde_json::Value;
use std::collections::BTreeMap;

pub fn uid() -> Uid {
    Uid::from_bytes([1; 16])
}

fn names() -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new("0"),
        resource_group: Name::new("g"),
        workspace: Name::new("w"),
    }
}

pub fn workspace(location: String, tags: Option<BTreeMap<String, String>>) -> Workspace {
    Workspace {
        names: names(),
        uid: uid(),
        version: 1,
        location,
        tags,
        created_at: Timestamp(0),
        etag: uid(),
        modified_at: Timestamp(0),
        lifecycle: Lifecycle::Active,
    }
}

pub fn cluster(spec: ClusterSpec, scale: ScaleSettings) -> Cluster {
    Cluster {
        workspace: uid(),
        names: names(),
        name: Name::new("c"),
        uid: uid(),
        location: Name::new("here"),
        version: 1,
        spec,
        scale,
        created_at: Timestamp(0),
        etag: uid(),
        modified_at: Timestamp(0),
        state: Lifecycle::Active,
        scheduled: true,
        planned_nodes: 0,
        allocation: model::Allocation { resizing: false, since: Timestamp(0) },
        health: model::Backoff::CLEAR,
        avoided_pools: Vec::new(),
        launch_rate: model::LaunchRate::NONE,
        errors: Vec::new(),
    }
}

pub fn job(spec: JobSpec, cluster: wire::ClusterId) -> Job {
    Job {
        experiment: uid(),
        names: model::JobNames {
            workspace: names(),
            experiment: Name::new("e"),
            job: Name::new("j"),
        },
        uid: uid(),
        version: 1,
        cluster: model::ClusterRef { workspace: uid(), name: "c".to_owned(), uid: uid() },
        cluster_names: model::ClusterNames { workspace: Some(cluster.names), name: cluster.name },
        cluster_mounts: Vec::new(),
        spec,
        submitted_at: Timestamp(0),
        state: JobState::Queued { since: Timestamp(0) },
        attempts: Vec::new(),
        deletion: None,
        has_metrics: false,
    }
}

pub fn file_server(spec: FileServerSpec) -> FileServer {
    FileServer {
        workspace: uid(),
        names: names(),
        name: Name::new("f"),
        uid: uid(),
        version: 1,
        spec,
        created_at: Timestamp(0),
        etag: uid(),
        modified_at: Timestamp(0),
        state: FileServerState::Ready { since: Timestamp(0) },
        share: model::FileShare::Directory,
        removal: model::Backoff::CLEAR,
        error: None,
    }
}

/// Whether any value is `null`, which stands in no body.
pub fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}
