//! Every limit of the service, with its unit and its reason. Related limits are checked against
//! each
//! other at compile time.

/// Nodes per cluster (quota of Batch AI).
pub const MAX_NODES_PER_CLUSTER: u32 = 100;

/// Nodes of one job. A gang starts in one transaction of at most 100 items: two per node (the node
/// and its idle marker), the job, its queue entry, and one spare.
pub const MAX_GANG_NODES: u32 = 48;

/// Longest run time of a job, from the start of running: a week (quota of Batch AI). It is also the
/// default.
pub const MAX_WALL_CLOCK_SECONDS: u64 = 7 * 24 * 3600;

/// Interval of a node's heartbeats. A control plane that cannot hold requests pays for each one, so
/// not more often than recovery needs.
pub const HEARTBEAT_SECONDS: u64 = 10;

/// How soon an agent asks again that may get a job, in milliseconds, where requests cannot be held.
/// Each request is paid for (docs/aws.md, "What a node-hour costs"), and a job starts within two
/// seconds.
pub const IDLE_ASK_MILLIS: u64 = 1500;

/// The same for a member of a gang that waits for the others.
pub const GANG_ASK_MILLIS: u64 = 1000;

/// How much later than the interval an agent may ask, in per cent: nodes that started together do
/// not ask together.
pub const ASK_JITTER_PERCENT: u64 = 10;

/// A node that does not report for this long is silent. Several heartbeats, so that a slow network
/// or one lost request does not count.
pub const LEASE_SECONDS: u64 = 45;

/// A silent node is lost after this time, unless the cloud reports that its instance has ended: then
/// it is lost at once. Before that, an outage of the control plane or the network is more likely
/// than a hanging agent. So an outage of [`OUTAGE_SECONDS`] costs no running job.
pub const SILENCE_SECONDS: u64 = 15 * 60;

/// The same where many nodes of a cluster are silent: that is most likely our own outage. Their
/// instances are paid for meanwhile, and hung nodes hold their jobs for as long.
pub const MASS_SILENCE_SECONDS: u64 = 30 * 60;

/// The outage of the agents' endpoint that costs no running job.
pub const OUTAGE_SECONDS: u64 = 10 * 60;

/// A control plane that did nothing for this long was not running (a suspended laptop, a stopped
/// process), and leases do not count that time. Several intervals of the schedule.
pub const PAUSE_SECONDS: u64 = 10;

/// How long a request of an agent is held while nothing changes: shorter than the heartbeat
/// interval, so that held requests alone renew the lease.
pub const LONG_POLL_SECONDS: u64 = 8;

/// From the launch to the agent's first report. EC2 boots a GPU image within about five minutes.
pub const LAUNCH_DEADLINE_SECONDS: u64 = 15 * 60;

/// For mounts and set-up task of a node. A set-up task may install a framework from the network.
pub const PREPARE_DEADLINE_SECONDS: u64 = 60 * 60;

/// Between SIGTERM and SIGKILL when a job is stopped on request: enough to write a checkpoint of a
/// small model, short enough to wait for.
pub const STOP_GRACE_SECONDS: u64 = 10;

/// EC2 announces the interruption of a spot instance two minutes before (EC2 User Guide, "Spot
/// Instance interruption notices").
pub const SPOT_NOTICE_SECONDS: u64 = 120;

/// For the final report of a stopped attempt, beyond its grace period: flushing of output and one
/// heartbeat.
pub const STOP_REPORT_SECONDS: u64 = 30;

/// How long an attempt may exceed its wall clock limit before the control plane stops it. The
/// agent, which knows when the process started, stops it first.
pub const WALL_CLOCK_SLACK_SECONDS: u64 = 60;

/// How often a job is requeued because nodes were lost. Far above what spot markets do to a job of
/// a week, low enough to end a job that destroys its own nodes.
pub const MAX_INFRASTRUCTURE_LOSSES: u32 = 50;

/// Number of nodes on which a job is tried when the node itself cannot run it. One bad node is the
/// node's failure; with three different ones the job is the more likely cause.
pub const MAX_NODE_FAILURES: usize = 3;

/// Errors shown on a cluster, newest first: enough to see a pattern, small enough to store.
pub const MAX_CLUSTER_ERRORS: usize = 10;

/// A stored error, in bytes of its JSON: a message and a few details, such as paths and the last
/// output of a command. Ten of them are a small part of a cluster's record. Longer output belongs
/// into a log file.
pub const MAX_ERROR_BYTES: usize = 2 * 1024;

/// An error that an agent reports, in bytes of its JSON. The service adds the id of the node.
pub const MAX_REPORTED_ERROR_BYTES: usize = MAX_ERROR_BYTES - 128;

/// The GPUs of a node whose metrics are stored. No EC2 instance type has more.
pub const MAX_MEASURED_GPUS: usize = 16;

/// Metrics of a job, the first that it reports. All curves together are a record of a few KB, which is written while
/// the job runs, and listed with it.
pub const MAX_JOB_METRICS: usize = 8;

/// Points of the curve of a metric: enough to see its course and to compare runs.
pub const MAX_METRIC_POINTS: usize = 16;

/// The name of a metric.
pub const MAX_METRIC_NAME_BYTES: usize = 64;

/// The highest step of a metric: every reader of JSON represents it exactly.
pub const MAX_METRIC_STEP: u64 = 1 << 53;

/// The reason for which an agent lost its processes, in bytes of its JSON. It is stored with every
/// attempt, so one sentence.
pub const MAX_REASON_BYTES: usize = 128;

/// What was observed of a shortage on a node, in bytes of its JSON: one sentence with a path. It is stored with every
/// attempt that failed.
pub const MAX_EVIDENCE_BYTES: usize = 256;

/// The end of an output file that the service stores, of a job whose files it cannot read, in bytes of its JSON: the
/// last hundred lines or so, with the traceback of a script. Each KB is a write unit at the end of such a job
/// (docs/aws.md, "What a node-hour costs").
pub const MAX_OUTPUT_TAIL_BYTES: usize = 16 * 1024;

/// The output files of a node whose end is stored: standard output and standard error of one process.
pub const MAX_OUTPUT_TAILS: usize = 2;

/// An IP address as text; the longest is an IPv6 address with an embedded IPv4 address. A job
/// stores those of its gang.
pub const MAX_ADDRESS_BYTES: usize = 45;

/// The id of a node or an instance. EC2 ids have 19 characters.
pub const MAX_MACHINE_ID_BYTES: usize = 64;

/// First pause after a failure (of a launch, a preparation, a removal).
pub const BACKOFF_FIRST_SECONDS: u64 = 5;
/// Longest pause after consecutive failures.
pub const BACKOFF_LONGEST_SECONDS: u64 = 600;

/// Nodes per launch. The answer is recorded in one transaction of at most 100 items: two per node
/// (the node and the owner of its instance) and up to five when some are withdrawn (the cluster,
/// three meters, and one record of all that have ended). A withdrawn node takes only one item.
pub const MAX_NODES_PER_LAUNCH: usize = 48;

/// Launches of one cluster per minute: enough for a queue of gangs, which are launched one by one, and
/// few enough that clusters do not use up the rate at which EC2 accepts calls of an account.
pub const MAX_LAUNCHES_PER_MINUTE: u32 = 20;

/// How long launches avoid a pool that had no capacity. Spot capacity changes within minutes.
pub const POOL_WITHOUT_CAPACITY_SECONDS: u64 = 180;

/// The same for a limit of the account, which changes with the account's other instances.
pub const POOL_AT_LIMIT_SECONDS: u64 = 600;

/// The same for a size that is not offered: a day.
pub const POOL_NOT_OFFERED_SECONDS: u64 = 24 * 3600;

/// Pools that a cluster avoids: a launch has at most eleven sizes, and a region has a few zones. They are
/// stored in its record.
pub const MAX_AVOIDED_POOLS: usize = 32;

/// The id of a subnet. EC2 ids have 24 characters.
pub const MAX_SUBNET_ID_BYTES: usize = 64;

/// An instance that the provider does not know is taken as ended when its node is this old. Younger
/// ones may not be visible yet: EC2 is eventually consistent, and forgets an instance an hour after its
/// end.
pub const UNKNOWN_INSTANCE_SECONDS: u64 = 2 * LAUNCH_DEADLINE_SECONDS;

/// Queue entries that one dispatch reads. Behind a job that waits for nodes, deeper entries rarely
/// fit, and each one is read on every dispatch.
pub const BACKFILL_DEPTH: usize = 64;

/// How long a finished operation can be polled: a day. No client of the API polls longer.
pub const OPERATION_SECONDS: u64 = 24 * 3600;

/// How long the record of an ended node is kept: a week, so that the nodes of a weekend can be examined on Monday.
/// A cluster that replaces all its nodes every hour has some megabytes of them.
pub const ENDED_NODE_SECONDS: u64 = 7 * 24 * 3600;

/// The code of an error in the record of an ended node. The codes of EC2 have at most 40 characters.
pub const MAX_ERROR_CODE_BYTES: usize = 64;

/// For the creation of a file server's directory. It is one system call; what fails for a minute
/// (no space, a root that is not mounted) does not recover by itself.
pub const FILE_SERVER_DEADLINE_SECONDS: u64 = 60;

/// A pass that creates a file server's directory has ended after this time. It is one system call, or one call to
/// the cloud.
pub const FILE_SERVER_PASS_SECONDS: u64 = 120;

/// Role assignments per subscription (quota of Azure). All are read to check a new one.
pub const MAX_ROLE_ASSIGNMENTS: usize = 2000;

/// Issued tokens. All are read to find one by name.
pub const MAX_TOKENS: usize = 1000;

/// Longest lifetime of a token that expires: a year.
pub const MAX_TOKEN_SECONDS: u32 = 365 * 24 * 3600;

/// Default quota of clusters per region. Batch AI allowed 20, and up to 200 on request.
pub const MAX_CLUSTERS_DEFAULT: u32 = 200;

/// Default quota of cores per region and priority.
pub const MAX_CORES_DEFAULT: u32 = 1000;

/// Default quota of cores of the whole service: one region of one subscription can reach its limits
/// of both priorities.
pub const MAX_TOTAL_CORES_DEFAULT: u32 = 2 * MAX_CORES_DEFAULT;

/// Body of a request. An item of the table has at most 400 KiB: this leaves a third of it for later
/// additions (see `growth`) and for the overhead of encrypted secrets.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// A command line. The kernel accepts 128 KiB for one argument.
pub const MAX_COMMAND_LINE_BYTES: usize = 64 * 1024;

/// All environment variables and secrets of a job with their values.
///
/// All may be one variable, for which the kernel accepts 128 KiB with its `=` and its final NUL.
pub const MAX_ENVIRONMENT_BYTES: usize = 128 * 1024 - 2;

/// File servers that a cluster or a job mounts. Each is written in the transaction that creates the
/// cluster or job, with at most ten other items.
pub const MAX_FILE_SERVER_MOUNTS: usize = 30;

/// Input directories, output directories, and mounts of each kind. Each becomes a variable or a
/// mount.
pub const MAX_DIRECTORIES: usize = 100;

/// Source addresses that may reach a file server (limit of the API).
pub const MAX_IP_RANGES: usize = 400;

/// Longest time for which a cluster may keep idle nodes beyond demand: a day, since forgotten nodes
/// cost money.
pub const MAX_IDLE_SECONDS: u32 = 24 * 3600;

/// The name of a VM size. Names of all clouds have up to 30 characters.
pub const MAX_VM_SIZE_BYTES: usize = 64;

/// VM sizes that a cluster may use instead of its own.
pub const MAX_ALTERNATE_VM_SIZES: usize = 10;

/// Security groups of a cluster: EC2 allows five per network interface, and the stack has one.
pub const MAX_SECURITY_GROUPS: usize = 4;

/// The id of a security group. EC2 ids have 20 characters.
pub const MAX_SECURITY_GROUP_ID_BYTES: usize = 20;

/// A capacity reservation. The ARN of a resource group has up to 225 characters.
pub const MAX_CAPACITY_RESERVATION_BYTES: usize = 256;

/// Upper limit of `maxRetries`: how often a job may run again after its own command failed.
pub const MAX_RETRIES: u32 = 10;

/// Parameters of a run of a sweep, and the bytes of a value: its command reads them as environment variables, and
/// tables show them.
pub const MAX_SWEEP_PARAMETERS: usize = 32;

/// See [`MAX_SWEEP_PARAMETERS`].
pub const MAX_SWEEP_VALUE_BYTES: usize = 256;

/// Upper limit of `maxParallel`: no cluster runs more jobs at a time.
pub const MAX_SWEEP_PARALLEL: u32 = MAX_NODES_PER_CLUSTER;

/// Upper limit of the runs that early stopping waits for.
pub const MAX_SWEEP_MINIMUM_RUNS: u32 = 100;

/// Entries per page of a list (`maxresults` of the API: 1 to 1000, default 1000).
pub const MAX_PAGE: u32 = 1000;

/// Entries of a queue that are read to explain why a job waits: they are 10 kB, and the place of a job beyond them
/// says little.
pub const EXPLAINED_QUEUE: usize = 50;

/// Clusters that are read to explain why the jobs of one page of a list wait. Experiments seldom use more, and a page
/// must not cost more than some hundred reads.
pub const MAX_EXPLAINED_CLUSTERS: usize = 8;

/// The largest file that can be uploaded: as large as can be downloaded at once, since the parts of a larger copy
/// do not fit into the memory of the function that makes it.
pub const MAX_FILE_BYTES: u64 = 2 << 40;

/// Most bytes of a file in one request. A Lambda function takes 6 MB, in which a body that is no text is base64, so
/// a third larger (AWS Lambda Developer Guide, "Lambda quotas").
pub const UPLOAD_CHUNK_BYTES: usize = 4 << 20;

/// Files of one request for upload links: their paths fit into a body.
pub const MAX_UPLOADS_PER_REQUEST: usize = 100;

/// The path of a file below the root of its file server. Percent-encoded it fits into a URL, which API Gateway and
/// Lambda take up to 8 KB long.
pub const MAX_FILE_PATH_BYTES: usize = 1024;

/// A name in a path (Linux, `NAME_MAX`).
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// After this time without a new byte, an upload that was not finished is removed: a client resumes it the next morning.
pub const UPLOAD_SECONDS: u64 = 24 * 3600;

/// The directory at the root of each file server that has uploads until they are whole, and removed trees until
/// their files are gone.
pub const TEMPORARY_FILES: &str = ".batchai-temp";

/// Minimum, maximum and default of the requested lifetime of download links, in minutes (API).
pub const LINK_MINUTES: (u32, u32, u32) = (5, 600, 60);

/// Actual upper limit of a link's lifetime, in minutes: everyone who has the link can use it.
pub const MAX_LINK_MINUTES: u32 = 60;

/// `Retry-After` of long-running operations, in seconds. Without it the clients wait 30 s.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// Default time for which idle nodes beyond demand are kept. As long as an instance takes to boot,
/// or scaling would oscillate.
pub const IDLE_SECONDS_DEFAULT: u64 = 300;

const _: () =
    assert!(LEASE_SECONDS > 3 * HEARTBEAT_SECONDS, "one lost heartbeat must not cost a node");
const _: () = assert!(LONG_POLL_SECONDS < HEARTBEAT_SECONDS);
const _: () = assert!(
    LEASE_SECONDS * 100 > 4 * HEARTBEAT_SECONDS * (100 + ASK_JITTER_PERCENT),
    "three lost requests do not cost a node"
);
const _: () = assert!(
    IDLE_ASK_MILLIS * (100 + ASK_JITTER_PERCENT) < 2000 * 100,
    "a job starts within two seconds"
);
const _: () = assert!(
    STOP_REPORT_SECONDS > 2 * HEARTBEAT_SECONDS,
    "an agent learns of a stop at a heartbeat"
);
const _: () =
    assert!(UPLOAD_CHUNK_BYTES / 3 * 4 + 64 * 1024 < 6 << 20, "a Lambda function takes a chunk");
const _: () = assert!(
    2 * MAX_OUTPUT_TAILS * (MAX_OUTPUT_TAIL_BYTES + MAX_FILE_NAME_BYTES) < MAX_BODY_BYTES,
    "a report takes the ends of the output"
);
const _: () = assert!(MAX_UPLOADS_PER_REQUEST * (MAX_FILE_PATH_BYTES + 256) <= MAX_BODY_BYTES);
const _: () = assert!(2 * MAX_NODES_PER_LAUNCH + 3 <= 100, "one transaction holds an answer");
const _: () = assert!(MAX_GANG_NODES * 2 + 3 <= 100, "one transaction starts a gang");
const _: () = assert!(2 * MAX_FILE_SERVER_MOUNTS + 10 <= 100, "one transaction creates a cluster");
const _: () = assert!(SILENCE_SECONDS > LEASE_SECONDS && PAUSE_SECONDS < LEASE_SECONDS);
const _: () = assert!(SILENCE_SECONDS >= OUTAGE_SECONDS + 2 * LEASE_SECONDS);
const _: () = assert!(MASS_SILENCE_SECONDS > SILENCE_SECONDS);
const _: () = assert!(MAX_COMMAND_LINE_BYTES + MAX_ENVIRONMENT_BYTES < MAX_BODY_BYTES);
