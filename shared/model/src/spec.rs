//! What users ask for: the parts of the contract that the service acts on.
//!
//! Field names are those of API 2018-05-01 (camelCase), so that wire types can carry these structs
//! as they are; only what differs on the wire (secrets, durations, read-only fields) has a type of
//! its own there.

use crate::{
    ContainerSettings, MountVolumes, PerformanceCounters, SecretVariable, Toolkit, limits,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `vmPriority`: whether machines may be taken away (EC2 spot) or not.
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
    #[default]
    Dedicated,
    LowPriority,
}

/// `schedulingPriority`. Ordered by its rank in the queue: high comes first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Priority {
    High,
    #[default]
    Normal,
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

/// `nodeDeallocationOption`: what becomes of a job whose node a shrinking cluster gives up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NodeDeallocation {
    #[default]
    Requeue,
    Terminate,
    WaitForJobCompletion,
}

/// `scaleSettings`: exactly one of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ScaleSettings {
    #[serde(rename_all = "camelCase")]
    Manual { target_node_count: u32, node_deallocation_option: NodeDeallocation },
    #[serde(rename_all = "camelCase")]
    AutoScale { minimum_node_count: u32, maximum_node_count: u32, initial_node_count: u32 },
}

impl ScaleSettings {
    /// The most nodes that these settings ever allow.
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

    pub fn deallocation(self) -> NodeDeallocation {
        match self {
            Self::Manual { node_deallocation_option, .. } => node_deallocation_option,
            Self::AutoScale { .. } => NodeDeallocation::Requeue,
        }
    }
}

/// `userAccountSettings`; the password is checked for presence and then forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UserAccountSettings")]
pub struct UserAccount {
    pub admin_user_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_user_ssh_public_key: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariable {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InputDirectory {
    pub id: String,
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputDirectory {
    pub id: String,
    pub path_prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_suffix: Option<String>,
}

/// `nodeSetup.setupTask`: runs on every node before it takes jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupTask {
    pub command_line: String,
    pub environment: Vec<EnvironmentVariable>,
    pub secrets: Vec<SecretVariable>,
    pub std_out_err_path_prefix: String,
    pub std_out_err_path_suffix: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    pub vm_size: String,
    pub vm_priority: VmPriority,
    pub image: serde_json::Value,
    pub user_account: UserAccount,
    pub setup_task: Option<SetupTask>,
    pub mounts: Option<MountVolumes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_counters: Option<PerformanceCounters>,
    pub subnet_id: Option<String>,
    #[serde(default, skip_serializing_if = "ClusterExtensions::is_empty")]
    pub extensions: ClusterExtensions,
}

/// What this project adds to the settings of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterExtensions {
    /// How long idle nodes beyond demand stay; otherwise what the service is set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds_before_scale_down: Option<u32>,
    /// Machine sizes that do as well as `vmSize`, best first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate_vm_sizes: Option<Vec<String>>,
}

impl ClusterExtensions {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileServerSpec {
    pub vm_size: String,
    /// Kept as it was sent: nobody can log in to a file server, so there is nothing to allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ips_to_allow: Option<Vec<String>>,
    pub user_account: UserAccount,
    pub disk_size_in_gb: u32,
    pub disk_count: u32,
    pub caching_type: String,
    pub storage_account_type: String,
    pub subnet_id: Option<String>,
}

/// What a job gets that does not set `maxWallClockTime`. It is left out of the record: a job is read
/// and written several times, and each started kilobyte is paid for.
fn longest() -> u64 {
    limits::MAX_WALL_CLOCK_SECONDS
}

fn is_longest(seconds: &u64) -> bool {
    *seconds == longest()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    pub node_count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerSettings>,
    pub toolkit: Toolkit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<String>,
    pub std_out_err_path_prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<MountVolumes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_directories: Option<Vec<InputDirectory>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_directories: Option<Vec<OutputDirectory>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<EnvironmentVariable>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<SecretVariable>>,
    #[serde(default = "longest", skip_serializing_if = "is_longest")]
    pub max_wall_clock_seconds: u64,
    /// How often the job runs again when its own command has failed; not at all unless it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
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
    fn settings_bound_the_number_of_nodes() {
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

    #[test]
    fn extensions_that_say_nothing_are_empty() {
        assert!(ClusterExtensions::default().is_empty());
        let idle =
            ClusterExtensions { idle_seconds_before_scale_down: Some(1), alternate_vm_sizes: None };
        assert!(!idle.is_empty());
    }
}
