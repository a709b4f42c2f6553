//! Typed ids and names, and the references between records.

use crate::limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A unique id that is never reused, unlike a name (a lower-case UUID).
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Uid(String);

impl Uid {
    /// A version 4 UUID with these random bits.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
    }

    /// An id from outside the service. Only the form of a UUID is accepted.
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(|uuid| Self(uuid.to_string()))
    }

    /// The id as lower-case text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A resource name. It is displayed as its creator spelled it and compared without regard to case,
/// as Azure Resource Manager compares all names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// A name in this spelling.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The name as its creator spelled it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The spelling in table keys: lower case.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The full name of a workspace, in its creator's spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceNames {
    /// Name (id) of the subscription.
    pub subscription: Name,
    /// Name of the resource group.
    pub resource_group: Name,
    /// Name of the workspace.
    pub workspace: Name,
}

impl WorkspaceNames {
    /// `properties.resourceId` of an operation: `{sub}${rg}${workspace}`.
    pub fn operation_key(&self) -> String {
        format!("{}${}${}", self.subscription, self.resource_group, self.workspace)
    }

    /// The same for a cluster, file server or experiment of the workspace:
    /// `{sub}${rg}${workspace}${name}`.
    pub fn child_operation_key(&self, name: &Name) -> String {
        format!("{}${name}", self.operation_key())
    }
}

/// A reference to a cluster: its key in the table, and the uid that distinguishes it from a later
/// cluster of the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterRef {
    /// Uid of the workspace.
    pub workspace: Uid,
    /// Name of the cluster in lower case.
    pub name: String,
    /// Uid of the cluster.
    pub uid: Uid,
}

/// A reference to a job, like [`ClusterRef`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobRef {
    /// Uid of the experiment.
    pub experiment: Uid,
    /// Name of the job in lower case.
    pub name: String,
    /// Uid of the job.
    pub uid: Uid,
}

/// One run of a job. Reports that name an older attempt are ignored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The job.
    pub job: JobRef,
    /// Number of the attempt, from 1.
    pub number: u32,
}

/// The id of a node, in the form that Batch AI used: `tvm-{16 hex digits}`, with the suffix `-p`
/// for a low-priority node.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct NodeId(String);

impl NodeId {
    /// An id from the first 16 digits of `unique`.
    pub fn new(unique: &Uid, low_priority: bool) -> Self {
        let digits: String = unique.as_str().chars().filter(|c| *c != '-').take(16).collect();
        Self(format!("tvm-{digits}{}", if low_priority { "-p" } else { "" }))
    }

    /// An id from outside the service. Only letters, digits and `-` are accepted, so that it can be
    /// part of a path.
    pub fn parse(text: &str) -> Option<Self> {
        is_plain_id(text).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the text has only letters, digits and `-`, and at most [`limits::MAX_MACHINE_ID_BYTES`].
pub(crate) fn is_plain_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=limits::MAX_MACHINE_ID_BYTES).contains(&text.len()) && text.chars().all(plain)
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The id of one request for instances. It is the idempotency token of the launch and the tag of
/// every instance that it creates.
pub type LaunchId = Uid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_uuids_in_lower_case() {
        let text = "01234567-89AB-4DEF-8123-456789ABCDEF";
        let uid = Uid::parse(text).unwrap();
        assert_eq!(uid.as_str(), text.to_lowercase());
        assert_eq!(Uid::parse("cluster"), None);
        let (one, two) = (Uid::from_bytes([1; 16]), Uid::from_bytes([2; 16]));
        assert_ne!(one, two);
        assert_eq!(Uid::parse(one.as_str()), Some(one));
    }

    #[test]
    fn names_keep_their_spelling_and_ignore_case() {
        let name = Name::new("MyCluster");
        assert_eq!((name.as_str(), name.key().as_str()), ("MyCluster", "mycluster"));
        assert_eq!(name, Name::new("mycluster"));
        assert_ne!(name, Name::new("mycluster2"));
    }

    #[test]
    fn operation_keys_contain_the_names() {
        let names = WorkspaceNames {
            subscription: Name::new("S"),
            resource_group: Name::new("G"),
            workspace: Name::new("W"),
        };
        assert_eq!(names.operation_key(), "S$G$W");
        assert_eq!(names.child_operation_key(&Name::new("C")), "S$G$W$C");
    }

    #[test]
    fn node_ids_are_safe_in_paths() {
        let unique = Uid::parse("01234567-89ab-4def-8123-456789abcdef").unwrap();
        let dedicated = NodeId::new(&unique, false);
        assert_eq!(dedicated.as_str(), "tvm-0123456789ab4def");
        assert_eq!(NodeId::new(&unique, true).as_str(), "tvm-0123456789ab4def-p");
        assert_eq!(NodeId::parse(dedicated.as_str()), Some(dedicated));
        let longest = "n".repeat(64);
        assert!(NodeId::parse(&longest).is_some());
        let too_long = "n".repeat(65);
        for text in ["", "a/b", "..", "a b", "é", &too_long] {
            assert_eq!(NodeId::parse(text), None, "{text:?}");
        }
    }
}
