//! Small records for the table's suite.

use control::ports::Ids;
use control::system::RandomIds;
use model::{
    Allocation, Cluster, ClusterExtensions, ClusterRef, ClusterSpec, Experiment, FileServer,
    FileServerSpec, FileServerState, Job, JobNames, JobRef, JobSpec, JobState, LaunchHealth,
    Lifecycle, Name, Node, NodeId, Priority, QueueEntry, ScaleSettings, Timestamp, Toolkit, Uid,
    UserAccount, VmPriority, Workspace, WorkspaceNames,
};

pub const NOW: Timestamp = Timestamp(1_530_000_000_000);

pub fn uid() -> Uid {
    RandomIds.uid()
}

/// In a subscription of its own, so that no test sees another's.
pub fn names(workspace: &str) -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new(uid().to_string()),
        resource_group: Name::new("Group"),
        workspace: Name::new(workspace),
    }
}

pub fn workspace(names: WorkspaceNames) -> Workspace {
    Workspace {
        names,
        uid: uid(),
        version: 1,
        location: "eu-west-1".to_owned(),
        tags: None,
        created_at: NOW,
        etag: uid(),
        modified_at: NOW,
        lifecycle: Lifecycle::Active,
    }
}

pub fn experiment() -> Experiment {
    Experiment {
        workspace: uid(),
        names: names("w"),
        name: Name::new("e"),
        uid: uid(),
        version: 1,
        created_at: NOW,
        etag: uid(),
        modified_at: NOW,
        lifecycle: Lifecycle::Active,
    }
}

fn account() -> UserAccount {
    UserAccount { admin_user_name: "u".to_owned(), admin_user_ssh_public_key: None }
}

pub fn file_server(state: FileServerState) -> FileServer {
    let spec = FileServerSpec {
        vm_size: "STANDARD_D2".to_owned(),
        public_ips_to_allow: None,
        user_account: account(),
        disk_size_in_gb: 10,
        disk_count: 1,
        caching_type: "none".to_owned(),
        storage_account_type: "Standard_LRS".to_owned(),
        subnet_id: None,
    };
    FileServer {
        workspace: uid(),
        names: names("w"),
        name: Name::new("f"),
        uid: uid(),
        version: 1,
        spec,
        created_at: NOW,
        etag: uid(),
        modified_at: NOW,
        state,
    }
}

pub fn cluster() -> Cluster {
    Cluster {
        workspace: uid(),
        names: names("w"),
        name: Name::new("c"),
        uid: uid(),
        location: Name::new("here"),
        version: 1,
        spec: ClusterSpec {
            vm_size: "STANDARD_NC6".to_owned(),
            vm_priority: VmPriority::Dedicated,
            image: serde_json::Value::Null,
            user_account: account(),
            setup_task: None,
            mounts: None,
            performance_counters: None,
            subnet_id: None,
            extensions: ClusterExtensions::default(),
        },
        scale: ScaleSettings::AutoScale {
            minimum_node_count: 0,
            maximum_node_count: 4,
            initial_node_count: 0,
        },
        created_at: NOW,
        etag: uid(),
        modified_at: NOW,
        state: Lifecycle::Active,
        awake: true,
        planned_nodes: 0,
        allocation: Allocation { resizing: false, since: NOW },
        health: LaunchHealth::HEALTHY,
        errors: Vec::new(),
    }
}

pub fn cluster_ref() -> ClusterRef {
    cluster().reference()
}

pub fn node(cluster: &ClusterRef) -> Node {
    Node::launching(
        NodeId::new(&uid(), false),
        cluster.clone(),
        uid(),
        self::cluster().charge(),
        NOW,
    )
}

pub fn entry(name: &str, rank: u8, submitted_at: i64, node_count: u32) -> QueueEntry {
    QueueEntry {
        job: JobRef { experiment: uid(), name: name.to_owned(), uid: uid() },
        rank,
        submitted_at: Timestamp(submitted_at),
        node_count,
        max_wall_clock_seconds: 60,
    }
}

pub fn job(experiment: &Uid, name: &str, command_line: String) -> Job {
    Job {
        experiment: experiment.clone(),
        names: JobNames { workspace: names("w"), experiment: Name::new("e"), job: Name::new(name) },
        uid: uid(),
        version: 1,
        cluster: cluster_ref(),
        cluster_id: "/subscriptions/s".to_owned(),
        cluster_mounts: Vec::new(),
        spec: JobSpec {
            priority: Priority::Normal,
            node_count: 1,
            container: None,
            toolkit: Toolkit::custom(command_line),
            preparation: None,
            std_out_err_path_prefix: "/mnt".to_owned(),
            mounts: None,
            input_directories: None,
            output_directories: None,
            environment: None,
            secrets: None,
            max_wall_clock_seconds: 60,
            max_retries: None,
        },
        submitted_at: NOW,
        etag: uid(),
        state: JobState::Queued { since: NOW },
        attempts: Vec::new(),
        deletion: None,
    }
}
