//! Typed ids and names, and the references that records keep to each other.

use crate::limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A unique id that never comes again, however often a name is reused (a lower-case UUID).
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Uid(String);

impl Uid {
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
    }

    /// An id that came from outside; only the form of a UUID is accepted.
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(|uuid| Self(uuid.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A resource name: shown as its creator spelled it, found without regard to case
/// (Azure Resource Manager's rule for all names).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The spelling under which the table keeps it.
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
    pub subscription: Name,
    pub resource_group: Name,
    pub workspace: Name,
}

impl WorkspaceNames {
    /// `properties.resourceId` of an operation: `{sub}${rg}${workspace}`.
    pub fn operation_key(&self) -> String {
        format!("{}${}${}", self.subscription, self.resource_group, self.workspace)
    }

    /// The same for a cluster, file server or experiment: `{sub}${rg}${workspace}${name}`.
    pub fn child_operation_key(&self, name: &Name) -> String {
        format!("{}${name}", self.operation_key())
    }
}

/// Finds a cluster: its key in the table, and the uid that tells it from a later one of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterRef {
    pub workspace: Uid,
    /// Lower case.
    pub name: String,
    pub uid: Uid,
}

/// Finds a job, as [`ClusterRef`] finds a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobRef {
    pub experiment: Uid,
    /// Lower case.
    pub name: String,
    pub uid: Uid,
}

/// One run of a job. Numbers count from 1; what an older attempt says is ignored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptRef {
    pub job: JobRef,
    pub number: u32,
}

/// A node of a cluster, in the form of the Batch AI service: `tvm-` and, for low-priority nodes, `-p`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct NodeId(String);

impl NodeId {
    pub fn new(unique: &Uid, low_priority: bool) -> Self {
        let digits: String = unique.as_str().chars().filter(|c| *c != '-').take(16).collect();
        Self(format!("tvm-{digits}{}", if low_priority { "-p" } else { "" }))
    }

    /// An id that came from outside: letters, digits and `-` only, so that it can stand in a path.
    pub fn parse(text: &str) -> Option<Self> {
        is_plain_id(text).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Letters, digits and `-` only, and not too many.
pub(crate) fn is_plain_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=limits::MAX_MACHINE_ID_BYTES).contains(&text.len()) && text.chars().all(plain)
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One request for machines, whatever their number: the idempotency token of the launch, and the
/// tag on everything it brings up.
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
    fn names_are_shown_as_they_were_given_and_found_without_regard_to_case() {
        let name = Name::new("MyCluster");
        assert_eq!((name.as_str(), name.key().as_str()), ("MyCluster", "mycluster"));
        assert_eq!(name, Name::new("mycluster"));
        assert_ne!(name, Name::new("mycluster2"));
    }

    #[test]
    fn operations_name_their_resource() {
        let names = WorkspaceNames {
            subscription: Name::new("S"),
            resource_group: Name::new("G"),
            workspace: Name::new("W"),
        };
        assert_eq!(names.operation_key(), "S$G$W");
        assert_eq!(names.child_operation_key(&Name::new("C")), "S$G$W$C");
    }

    #[test]
    fn node_ids_can_stand_in_a_path() {
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
