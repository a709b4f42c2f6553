//! Builders for the tests of decisions and reactions. Ids are made from short names; all times are
//! [`NOW`].

use model::*;

/// The time of all records.
pub const NOW: Timestamp = Timestamp(1_000_000_000);

/// The uid for a name. Equal names give equal uids.
pub fn uid(text: &str) -> Uid {
    let mut bytes = [0u8; 16];
    for (index, byte) in text.bytes().enumerate() {
        bytes[index % 16] = bytes[index % 16].wrapping_mul(31).wrapping_add(byte);
    }
    Uid::from_bytes(bytes)
}

/// The id `n{number}`.
pub fn node_id(number: usize) -> NodeId {
    NodeId::parse(&format!("n{number}")).expect("letters and digits")
}

/// Names of the workspace of all records.
pub fn names() -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new("s"),
        resource_group: Name::new("g"),
        workspace: Name::new("w"),
    }
}

/// The cluster `c` with one core per node.
pub fn cluster(scale: ScaleSettings) -> Cluster {
    Cluster {
        workspace: uid("w"),
        names: names(),
        name: Name::new("c"),
        uid: uid("c"),
        location: Name::new("here"),
        version: 1,
        spec: ClusterSpec {
            vm_size: "STANDARD_D1".into(),
            vm_priority: VmPriority::Dedicated,
            image: Default::default(),
            user_account: UserAccount {
                admin_user_name: "u".into(),
                admin_user_ssh_public_key: None,
            },
            administrator_password_hash: None,
            setup_task: None,
            mounts: None,
            performance_counters: None,
            subnet_id: None,
            extensions: ClusterExtensions::default(),
        },
        scale,
        created_at: NOW,
        etag: uid("e"),
        modified_at: NOW,
        state: ClusterState::Active,
        scheduled: true,
        planned_nodes: 0,
        allocation: Allocation { resizing: false, since: NOW },
        health: Backoff::CLEAR,
        avoided_pools: vec![],
        launch_rate: LaunchRate::NONE,
        errors: vec![],
    }
}

/// The cluster with manual scaling.
pub fn manual_cluster(target_node_count: u32) -> Cluster {
    let node_deallocation_option = NodeDeallocation::Requeue;
    cluster(ScaleSettings::Manual { target_node_count, node_deallocation_option })
}

/// The cluster with automatic scaling.
pub fn auto_cluster(minimum_node_count: u32, maximum_node_count: u32) -> Cluster {
    cluster(ScaleSettings::AutoScale {
        minimum_node_count,
        maximum_node_count,
        initial_node_count: 0,
    })
}

/// The cluster, being deleted.
pub fn deleting(mut cluster: Cluster) -> Cluster {
    cluster.state = ClusterState::Deleting { operation: uid("op"), since: NOW };
    cluster
}

/// A reference to the job of this name.
pub fn job_ref(name: &str) -> JobRef {
    JobRef { experiment: uid("x"), name: name.into(), uid: uid(name) }
}

/// The queue entry of the job of this name, with an hour of wall clock.
pub fn queued(name: &str, node_count: u32) -> QueueEntry {
    QueueEntry {
        job: job_ref(name),
        rank: Priority::Normal.rank(),
        submitted_at: NOW,
        node_count,
        max_wall_clock_seconds: 3600,
        sweep: None,
    }
}

/// The same entry as a run of a sweep with a limit.
pub fn of_sweep(entry: QueueEntry, sweep: &str, max_parallel: u32) -> QueueEntry {
    let limit = SweepLimit { name: Name::new(sweep).key(), max_parallel };
    QueueEntry { sweep: Some(limit), ..entry }
}

/// Sets the wall clock limit.
pub trait WallClock {
    /// The same with this wall clock limit in seconds.
    fn wall_clock(self, seconds: u64) -> Self;
}

impl WallClock for QueueEntry {
    fn wall_clock(mut self, seconds: u64) -> Self {
        self.max_wall_clock_seconds = seconds;
        self
    }
}

/// The queued job of this name.
pub fn job(name: &str, node_count: u32) -> Job {
    Job {
        experiment: uid("x"),
        names: JobNames { workspace: names(), experiment: Name::new("x"), job: Name::new(name) },
        uid: uid(name),
        version: 1,
        cluster: manual_cluster(0).reference(),
        cluster_names: ClusterNames { workspace: None, name: Name::new("c") },
        cluster_mounts: vec![MountPoint {
            relative_mount_path: "nfs".into(),
            file_server: uid("f"),
            source_directory: None,
            kind: StorageKind::FileServer,
        }],
        spec: JobSpec {
            priority: Priority::Normal,
            node_count,
            container: None,
            toolkit: Toolkit::custom("true"),
            preparation: None,
            std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
            mounts: None,
            input_directories: None,
            output_directories: None,
            environment: None,
            secrets: None,
            max_wall_clock_seconds: 3600,
            max_retries: None,
            sweep: None,
        },
        submitted_at: NOW,
        state: JobState::Queued { since: NOW },
        attempts: vec![],
        deletion: None,
        has_metrics: false,
    }
}

/// A job that started at [`NOW`] on the nodes with these numbers.
pub fn running_job(name: &str, nodes: &[usize], wall_clock_seconds: u64) -> Job {
    let mut job = job(name, nodes.len() as u32);
    job.spec.max_wall_clock_seconds = wall_clock_seconds;
    let nodes = nodes.iter().map(|number| (node_id(*number), instance(*number).address));
    job.start(nodes.collect(), NOW).expect("it is queued");
    job
}

/// The instance `i-{number}`.
pub fn instance(number: usize) -> Instance {
    Instance { id: format!("i-{number}"), address: format!("127.0.1.{number}") }
}

/// A launching node of this launch.
pub fn launching(number: usize, launch: &str) -> Node {
    let cluster = manual_cluster(1);
    Node::launching(node_id(number), cluster.reference(), uid(launch), cluster.charge(), NOW)
}

/// A launch of the nodes with these numbers.
pub fn launch_of(name: &str, numbers: &[usize]) -> Launch {
    let request = LaunchRequest {
        launch: uid(name),
        cluster: manual_cluster(1).reference(),
        nodes: numbers.iter().copied().map(node_id).collect(),
        vm_size: "STANDARD_D1".into(),
        alternate_vm_sizes: vec![],
        priority: VmPriority::Dedicated,
        is_gang: false,
        placement: Placement::default(),
    };
    Launch::new(request, NOW)
}

/// The instance `i-{number}` of a launch that does not name its nodes.
pub fn launched(number: usize) -> LaunchedInstance {
    let Instance { id, address } = instance(number);
    LaunchedInstance { id, address: Some(address), node: None, offering: Offering::Single }
}

/// A node in this state.
pub fn node(number: usize, state: NodeState) -> Node {
    Node {
        id: node_id(number),
        cluster: manual_cluster(0).reference(),
        version: 1,
        launch: uid("l"),
        created_at: NOW,
        seen_at: NOW,
        state,
        charge: manual_cluster(0).charge(),
        offering: Offering::Single,
        price: Price::NotAsked,
        login_port: None,
        metrics: None,
        sweep: None,
        rebalance_recommended_at: None,
        ready_at: None,
        end: None,
        removal: Backoff::CLEAR,
    }
}

/// What the provider says of an instance in this zone.
pub fn in_zone(zone: &str) -> Offering {
    let (zone, vm_size) = (zone.to_owned(), "t3.micro".to_owned());
    Offering::Described { zone, vm_size, priority: VmPriority::Dedicated }
}

/// The node, with this offering.
pub fn offered(node: Node, offering: Offering) -> Node {
    Node { offering, ..node }
}

/// A node that is idle since this time.
pub fn idle(number: usize, since: Timestamp) -> Node {
    node(number, NodeState::Idle { instance: instance(number), since })
}

/// A node that runs the first attempt of this job.
pub fn running(number: usize, job: &str) -> Node {
    let attempt = AttemptRef { job: job_ref(job), number: 1 };
    let (instance, ends_by) = (instance(number), NOW.plus_seconds(3600));
    node(number, NodeState::Running { instance, attempt, since: NOW, ends_by })
}
