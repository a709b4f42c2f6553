//! Specifications: the parts of requests that the service acts on.
//!
//! Field names are those of API 2018-05-01 (camelCase), so that wire types can contain these
//! structs
//! unchanged. Only the parts that differ on the wire (secrets, durations, read-only fields) have
//! wire types of their own.

use crate::{
    ContainerSettings, MountVolumes, PerformanceCounters, SecretVariable, SweepRun, Toolkit, limits,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `vmPriority`: whether instances can be interrupted (EC2 spot) or not.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum VmPriority {
    /// On-demand instances.
    #[default]
    Dedicated,
    /// Spot instances.
    LowPriority,
}

/// `schedulingPriority`, in queue order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Priority {
    /// Before all others.
    High,
    /// The default.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// Position in the queue: lower comes first.
    pub fn rank(self) -> u8 {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }

    fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

/// `nodeDeallocationOption`: what happens to a job when a shrinking cluster removes its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NodeDeallocation {
    /// The job is requeued.
    #[default]
    Requeue,
    /// The job is terminated.
    Terminate,
    /// The node stays until the job has ended.
    WaitForJobCompletion,
}

/// `scaleSettings`: manual or automatic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ScaleSettings {
    /// A fixed number of nodes.
    #[serde(rename_all = "camelCase")]
    Manual {
        /// Number of nodes.
        target_node_count: u32,
        /// What happens to jobs on removed nodes.
        node_deallocation_option: NodeDeallocation,
    },
    /// The number of nodes follows the demand.
    #[serde(rename_all = "camelCase")]
    AutoScale {
        /// Fewest nodes.
        minimum_node_count: u32,
        /// Most nodes.
        maximum_node_count: u32,
        /// Nodes right after the creation.
        initial_node_count: u32,
    },
}

impl ScaleSettings {
    /// The most nodes that these settings allow.
    pub fn ceiling(self) -> u32 {
        match self {
            Self::Manual { target_node_count, .. } => target_node_count,
            Self::AutoScale { maximum_node_count, .. } => maximum_node_count,
        }
    }

    /// The fewest nodes that these settings keep.
    pub fn floor(self) -> u32 {
        match self {
            Self::Manual { target_node_count, .. } => target_node_count,
            Self::AutoScale { minimum_node_count, .. } => minimum_node_count,
        }
    }

    /// What happens to jobs on removed nodes.
    pub fn deallocation(self) -> NodeDeallocation {
        match self {
            Self::Manual { node_deallocation_option, .. } => node_deallocation_option,
            Self::AutoScale { .. } => NodeDeallocation::Requeue,
        }
    }
}

/// `userAccountSettings` without the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UserAccountSettings")]
pub struct UserAccount {
    /// Name of the administrator account.
    pub admin_user_name: String,
    /// SSH public key of the administrator account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_user_ssh_public_key: Option<String>,
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariable {
    /// Name of the variable.
    pub name: String,
    /// Value of the variable.
    pub value: String,
}

/// An input directory; its path is in the variable `AZ_BATCHAI_INPUT_{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InputDirectory {
    /// Id of the directory.
    pub id: String,
    /// Path on the node.
    pub path: String,
}

/// An output directory, created for the job; its path is in the variable `AZ_BATCHAI_OUTPUT_{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputDirectory {
    /// Id of the directory.
    pub id: String,
    /// Path before the part that the service generates.
    pub path_prefix: String,
    /// Path behind the part that the service generates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_suffix: Option<String>,
}

/// `nodeSetup.setupTask`: runs on every node before the node takes jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupTask {
    /// The command line.
    pub command_line: String,
    /// Environment variables.
    pub environment: Vec<EnvironmentVariable>,
    /// Secret environment variables.
    pub secrets: Vec<SecretVariable>,
    /// Path for its output before the part that the service generates.
    pub std_out_err_path_prefix: String,
    /// The part of that path that the service generates.
    pub std_out_err_path_suffix: String,
}

/// The specification of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// VM size, as sent.
    pub vm_size: String,
    /// Whether its instances can be interrupted.
    pub vm_priority: VmPriority,
    /// `imageReference`, as sent.
    pub image: serde_json::Value,
    /// Administrator account.
    pub user_account: UserAccount,
    /// Hash of the administrator's password (PBKDF2, as a PHC string).
    #[serde(default, rename = "password", skip_serializing_if = "Option::is_none")]
    pub administrator_password_hash: Option<String>,
    /// Set-up task of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_task: Option<SetupTask>,
    /// Volumes that each node mounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<MountVolumes>,
    /// Where nodes are to report performance counters. They do not; the cluster shows an error that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_counters: Option<PerformanceCounters>,
    /// ARM id of the subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// Settings that the API of 2018 does not have.
    #[serde(default, skip_serializing_if = "ClusterExtensions::is_empty")]
    pub extensions: ClusterExtensions,
}

/// Settings of a cluster that this project adds to the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterExtensions {
    /// Seconds that idle nodes beyond demand are kept. Default: the setting of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds_before_scale_down: Option<u32>,
    /// VM sizes that may be used instead of `vmSize`, best first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate_vm_sizes: Option<Vec<String>>,
    /// Ids of security groups of EC2 that nodes get besides that of the stack. Without effect on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    /// The capacity reservation of EC2 that nodes use: its id, or the ARN of a resource group of reservations.
    /// Without effect on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_reservation: Option<String>,
    /// Whether a node is replaced when EC2 recommends that (rebalance recommendation). Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_on_rebalance: Option<bool>,
}

impl ClusterExtensions {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of the files of a file server that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DataRetention {
    /// They are deleted.
    #[default]
    Delete,
    /// They stay, in a directory that no file server uses.
    Keep,
}

impl DataRetention {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The specification of a file server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileServerSpec {
    /// VM size, as sent. Without effect.
    pub vm_size: String,
    /// Stored as sent, without effect: nobody can log in to a file server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ips_to_allow: Option<Vec<String>>,
    /// Administrator account. Without effect.
    pub user_account: UserAccount,
    /// Size of each disk in GB. Without effect.
    pub disk_size_in_gb: u32,
    /// Number of disks. Without effect.
    pub disk_count: u32,
    /// Caching type of the disks. Without effect.
    pub caching_type: String,
    /// Storage account type of the disks. Without effect.
    pub storage_account_type: String,
    /// ARM id of the subnet.
    pub subnet_id: Option<String>,
    /// What becomes of its files when it is deleted.
    #[serde(default, skip_serializing_if = "DataRetention::is_default")]
    pub data_retention: DataRetention,
}

/// Default of `maxWallClockTime`. The default is left out of the stored record: a job is read and
/// written several times, and every kilobyte that is begun is charged.
fn default_wall_clock_seconds() -> u64 {
    limits::MAX_WALL_CLOCK_SECONDS
}

fn is_default_wall_clock(seconds: &u64) -> bool {
    *seconds == default_wall_clock_seconds()
}

/// The specification of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Priority in the queue.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// Number of nodes of the gang.
    pub node_count: u32,
    /// Container in which the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerSettings>,
    /// The program to run.
    pub toolkit: Toolkit,
    /// Command line that prepares each node for the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<String>,
    /// Path of the job's standard output and error, before the part that the service generates.
    pub std_out_err_path_prefix: String,
    /// Volumes that are mounted for the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<MountVolumes>,
    /// Input directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_directories: Option<Vec<InputDirectory>>,
    /// Output directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_directories: Option<Vec<OutputDirectory>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<EnvironmentVariable>>,
    /// Secret environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<SecretVariable>>,
    /// Longest run time of an attempt, in seconds.
    #[serde(default = "default_wall_clock_seconds", skip_serializing_if = "is_default_wall_clock")]
    pub max_wall_clock_seconds: u64,
    /// How often the job is run again after its own command failed. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// The sweep of which it is a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Box<SweepRun>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_priority_comes_first() {
        let ranks = [Priority::High, Priority::Normal, Priority::Low].map(Priority::rank);
        assert_eq!(ranks, [0, 1, 2]);
    }

    #[test]
    fn scale_settings_bound_the_number_of_nodes() {
        let manual = ScaleSettings::Manual {
            target_node_count: 3,
            node_deallocation_option: NodeDeallocation::Terminate,
        };
        assert_eq!((manual.floor(), manual.ceiling()), (3, 3));
        assert_eq!(manual.deallocation(), NodeDeallocation::Terminate);
        let auto = ScaleSettings::AutoScale {
            minimum_node_count: 2,
            maximum_node_count: 5,
            initial_node_count: 4,
        };
        assert_eq!((auto.floor(), auto.ceiling()), (2, 5));
        assert_eq!(auto.deallocation(), NodeDeallocation::Requeue);
    }

    /// Jobs are read and written several times, and every kilobyte that is begun is charged.
    #[test]
    fn defaults_are_left_out_of_the_stored_record() {
        let default = limits::MAX_WALL_CLOCK_SECONDS;
        let keys = |priority, max_wall_clock_seconds| {
            let spec = JobSpec {
                priority,
                max_wall_clock_seconds,
                node_count: 1,
                container: None,
                toolkit: crate::Toolkit::custom("true"),
                preparation: None,
                std_out_err_path_prefix: String::new(),
                mounts: None,
                input_directories: None,
                output_directories: None,
                environment: None,
                secrets: None,
                max_retries: None,
                sweep: None,
            };
            let stored = serde_json::to_value(&spec).unwrap();
            assert_eq!(serde_json::from_value::<JobSpec>(stored.clone()).unwrap(), spec);
            ["priority", "max_wall_clock_seconds"].map(|key| stored.get(key).is_some())
        };
        assert_eq!(keys(Priority::Normal, default), [false, false]);
        assert_eq!(keys(Priority::Low, default), [true, false]);
        assert_eq!(keys(Priority::Normal, default - 1), [false, true]);
    }

    #[test]
    fn extensions_without_values_are_empty() {
        assert!(ClusterExtensions::default().is_empty());
        let idle = ClusterExtensions {
            idle_seconds_before_scale_down: Some(1),
            ..ClusterExtensions::default()
        };
        assert!(!idle.is_empty());
    }
}
