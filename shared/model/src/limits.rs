//! Every limit of the service, with its unit and its reason. Related limits are checked against
//! each other at compile time.

/// Nodes per cluster: the quota of the Batch AI service.
pub const MAX_NODES_PER_CLUSTER: u32 = 100;

/// Nodes of one job: a gang starts in one transaction of at most 100 items, with two per node
/// (the node and its idle marker), the job, its queue entry, and one to spare.
pub const MAX_GANG_NODES: u32 = 48;

/// A job runs a week at most, counted from the start of running (quota of the Batch AI service),
/// which is also what it gets when it does not say.
pub const MAX_WALL_CLOCK_SECONDS: u64 = 7 * 24 * 3600;

/// A node says that it lives at least this often: what a control plane that cannot hold a request
/// pays for, so not more often than recovery needs.
pub const HEARTBEAT_SECONDS: u64 = 10;

/// A node that was not heard of for so long is asked after and, if gone, replaced. Several
/// heartbeats, so that a slow network or one lost request does not cost a node.
pub const LEASE_SECONDS: u64 = 45;

/// A silent node whose instance is known to run is kept so long before it is given up: an outage of
/// the control plane, or of the network, is likelier than an agent that hangs, and costs no job.
pub const SILENCE_SECONDS: u64 = 10 * 60;

/// A control plane that did nothing for so long was not running (a suspended laptop, a stopped
/// process): no lease ran meanwhile. Several intervals of the schedule.
pub const PAUSE_SECONDS: u64 = 10;

/// How long a request of an agent is held while there is nothing to say: under the heartbeat, so
/// that held requests alone keep the lease.
pub const LONG_POLL_SECONDS: u64 = 8;

/// From launch to the first word of the agent. EC2 boots a GPU image within about five minutes.
pub const LAUNCH_DEADLINE_SECONDS: u64 = 15 * 60;

/// Mounts and setup task of a node, which may install a framework from the network.
pub const PREPARE_DEADLINE_SECONDS: u64 = 60 * 60;

/// What a process gets between SIGTERM and SIGKILL when its job is stopped on request: long enough
/// to write a checkpoint of a small model, short enough to wait for.
pub const STOP_GRACE_SECONDS: u64 = 10;

/// EC2 announces the end of a spot instance two minutes before.
pub const SPOT_NOTICE_SECONDS: u64 = 120;

/// What the last word of a stopped attempt may take beyond its grace: flushing, one heartbeat.
pub const STOP_REPORT_SECONDS: u64 = 30;

/// How far the control plane lets an attempt run over its wall clock before it stops it itself;
/// the agent, which knows when the process started, is to do it first.
pub const WALL_CLOCK_SLACK_SECONDS: u64 = 60;

/// How often a job is put back into the queue because nodes were lost. Far above what spot markets
/// do to a week-long job, low enough to end a job that itself destroys its nodes.
pub const MAX_INFRASTRUCTURE_LOSSES: u32 = 50;

/// On how many nodes a job is tried when the node itself cannot run it. One bad node is the node's
/// failure; three different ones are more likely the job's.
pub const MAX_NODE_FAILURES: usize = 3;

/// Errors shown on a cluster, newest first: enough to see a pattern, small enough to store.
pub const MAX_CLUSTER_ERRORS: usize = 10;

/// An error as it is stored, in bytes of its JSON: a message, and a handful of details such as paths
/// and what a command printed last. Ten of them stay a small part of a cluster, and the few that a
/// job keeps a small part of the job. More belongs into a log file.
pub const MAX_ERROR_BYTES: usize = 2 * 1024;

/// An error as an agent reports it: the service adds which node it was.
pub const MAX_REPORTED_ERROR_BYTES: usize = MAX_ERROR_BYTES - 128;

/// Why an agent lost what it ran, in bytes of its JSON: kept with every run of a job, so one sentence.
pub const MAX_REASON_BYTES: usize = 128;

/// An IP address as text: the longest is one of IPv6 that ends like one of IPv4. A job keeps those of
/// its gang.
pub const MAX_ADDRESS_BYTES: usize = 45;

/// The id of a node or of an instance. EC2's have 19 characters.
pub const MAX_MACHINE_ID_BYTES: usize = 64;

/// First and longest pause after failures in a row (launches, preparations, removals).
pub const BACKOFF_FIRST_SECONDS: u64 = 5;
pub const BACKOFF_LONGEST_SECONDS: u64 = 600;

/// Nodes per launch: the answer is recorded in one transaction of at most 100 items, with two per
/// node (the node and the owner of its instance) and up to four when some are withdrawn (the
/// cluster and three meters), each of which takes one item only.
pub const MAX_NODES_PER_LAUNCH: usize = 48;

/// Entries of the queue that one dispatch looks at. Behind a head that waits for nodes, deeper
/// entries hardly ever fit, and each one is read on every dispatch.
pub const BACKFILL_DEPTH: usize = 64;

/// Finished operations can be polled for a day, as the contract's clients never poll longer.
pub const OPERATION_SECONDS: u64 = 24 * 3600;

/// How long the directory of a file server may take. It is one system call; what does not work for a
/// minute (no space, a root that is not mounted) does not work by itself.
pub const FILE_SERVER_DEADLINE_SECONDS: u64 = 60;

/// Role assignments per subscription (quota of Azure): all are read to check a new one.
pub const MAX_ROLE_ASSIGNMENTS: usize = 2000;

/// Tokens that the service gave out: all are read to find one by its name.
pub const MAX_TOKENS: usize = 1000;

/// Lifetime of a token that has one: a year.
pub const MAX_TOKEN_SECONDS: u32 = 365 * 24 * 3600;

/// Clusters of a region (the service's quota was 20, up to 200 on request).
pub const MAX_CLUSTERS_DEFAULT: u32 = 200;

/// Cores of a region for each priority, when the service is not told otherwise.
pub const MAX_CORES_DEFAULT: u32 = 1000;

/// Cores of the whole service, when the service is not told otherwise: one region of one
/// subscription can reach its limits of both priorities.
pub const MAX_TOTAL_CORES_DEFAULT: u32 = 2 * MAX_CORES_DEFAULT;

/// Body of a request. An item of the table has at most 400 KiB: this leaves a third of it for what is
/// added later (see `growth`) and for what sealing adds to secrets.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// A command line: the kernel takes 128 KiB for one argument.
pub const MAX_COMMAND_LINE_BYTES: usize = 64 * 1024;

/// Environment variables and secrets of a job, together with their values.
pub const MAX_ENVIRONMENT_BYTES: usize = 128 * 1024;

/// File servers that a cluster or a job mounts: each is written in the transaction that creates it,
/// beside at most ten other items.
pub const MAX_FILE_SERVER_MOUNTS: usize = 30;

/// Input and output directories, and mounts of each kind: each becomes a variable or a mount.
pub const MAX_DIRECTORIES: usize = 100;

/// Source addresses that may reach a file server (limit of the contract).
pub const MAX_IP_RANGES: usize = 400;

/// How long a cluster may keep idle nodes beyond demand: a day, since forgotten nodes cost money.
pub const MAX_IDLE_SECONDS: u32 = 24 * 3600;

/// The name of a machine size: ours and those of the clouds have up to 30 characters.
pub const MAX_VM_SIZE_BYTES: usize = 64;

/// Machine sizes that a cluster may take instead of its own.
pub const MAX_ALTERNATE_VM_SIZES: usize = 10;

/// How often a job may run again because its own command failed.
pub const MAX_RETRIES: u32 = 10;

/// Entries per page of a list (contract: `maxresults` 1..1000, default 1000).
pub const MAX_PAGE: u32 = 1000;

/// What may be asked for as the lifetime of download links, and the default (contract).
pub const LINK_MINUTES: (u32, u32, u32) = (5, 600, 60);

/// How long download links live at most: a link is a permission that travels without its owner.
pub const MAX_LINK_MINUTES: u32 = 60;

/// `Retry-After` of long-running operations, in seconds. Without it the clients wait 30 s.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// How long idle nodes above demand stay, when the service is not told otherwise. As long as a
/// machine takes to boot, or scaling would swing.
pub const IDLE_SECONDS_DEFAULT: u64 = 300;

const _: () =
    assert!(LEASE_SECONDS > 3 * HEARTBEAT_SECONDS, "one lost heartbeat must not cost a node");
const _: () = assert!(LONG_POLL_SECONDS < HEARTBEAT_SECONDS);
const _: () =
    assert!(STOP_REPORT_SECONDS > 2 * HEARTBEAT_SECONDS, "a stop is heard at a heartbeat");
const _: () = assert!(2 * MAX_NODES_PER_LAUNCH + 3 <= 100, "one transaction holds an answer");
const _: () = assert!(MAX_GANG_NODES * 2 + 3 <= 100, "one transaction starts a gang");
const _: () = assert!(2 * MAX_FILE_SERVER_MOUNTS + 10 <= 100, "one transaction creates a cluster");
const _: () = assert!(SILENCE_SECONDS > LEASE_SECONDS && PAUSE_SECONDS < LEASE_SECONDS);
const _: () = assert!(MAX_COMMAND_LINE_BYTES + MAX_ENVIRONMENT_BYTES < MAX_BODY_BYTES);
