//! Domain values as items: a key, what conditions look at, and the value itself as one JSON text.
//!
//! Conditions need three or four attributes; everything else is only ever read and written whole.
//! As one text it costs a fifth of what a tree of attributes costs to send, check and store.

use crate::Error;
use crate::key::{self, IdleMarker, Key};
use crate::schema::EXPIRES_AT;
use aws_sdk_dynamodb::types::AttributeValue;
use model::{
    AccessToken, Attempt, Cluster, ClusterRef, Experiment, FileServer, FileServerState,
    FileServerUser, Job, Lifecycle, Node, NodeId, Operation, QueueEntry, ResourceGroup,
    RoleAssignment, Subscription, Timestamp, Uid, Wake, Workspace,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

pub(crate) type Item = HashMap<String, AttributeValue>;

const BODY: &str = "body";
pub(crate) const VERSION: &str = "version";
pub(crate) const UID: &str = "uid";
/// Whether something may still be done with the resource (`active`).
pub(crate) const STATE: &str = "state";
pub(crate) const ACTIVE: &str = "active";
pub(crate) const INACTIVE: &str = "inactive";
pub(crate) const AWAKE: &str = "awake";
pub(crate) const SEEN_AT: &str = "seen_at";
/// What a meter of usage stands at.
pub(crate) const COUNT: &str = "count";

/// A value that is stored as an item.
pub(crate) trait Stored: Serialize + DeserializeOwned {
    /// What conditions look at, beside the key.
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        Vec::new()
    }

    /// Takes over what is written without rewriting the body.
    fn absorb(&mut self, _item: &Item) {}
}

/// A stored value that has one place in the table.
pub(crate) trait Record: Stored {
    fn key(&self) -> Key;
}

/// A record whose writes carry the version they were planned on.
pub(crate) trait Versioned: Record {
    fn version(&self) -> u64;
    fn next_version(&self) -> Self;
}

/// Which node a machine is: an interruption notice names the machine only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceOwner {
    pub instance: String,
    pub cluster: ClusterRef,
    pub node: NodeId,
}

pub(crate) fn to_item<R: Record>(record: &R) -> Result<Item, Error> {
    item_at(record.key(), record)
}

fn item_at<S: Stored>(key: Key, value: &S) -> Result<Item, Error> {
    let mut item = key.attributes();
    let body = serde_json::to_string(value).map_err(Error::other)?;
    item.insert(BODY.to_owned(), AttributeValue::S(body));
    item.extend(value.attributes().into_iter().map(|(name, value)| (name.to_owned(), value)));
    Ok(item)
}

pub(crate) fn from_item<S: Stored>(item: &Item) -> Result<S, Error> {
    let Some(AttributeValue::S(body)) = item.get(BODY) else {
        return Err(Error::other("an item without a body"));
    };
    let mut value: S = serde_json::from_str(body).map_err(Error::other)?;
    value.absorb(item);
    Ok(value)
}

/// The number of a counter.
pub(crate) fn count(item: &Item) -> Result<u32, Error> {
    match item.get(COUNT) {
        Some(AttributeValue::N(count)) => count.parse().map_err(Error::other),
        _ => Err(Error::other("a counter without a count")),
    }
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn activity(uid: &Uid, active: bool) -> [(&'static str, AttributeValue); 2] {
    let state = if active { ACTIVE } else { INACTIVE };
    [(UID, AttributeValue::S(uid.to_string())), (STATE, AttributeValue::S(state.to_owned()))]
}

fn is_active(lifecycle: &Lifecycle) -> bool {
    !lifecycle.is_deleting()
}

macro_rules! versioned {
    ($($record:ty: |$it:ident| $key:expr;)*) => {$(
        impl Record for $record {
            fn key(&self) -> Key {
                let $it = self;
                $key
            }
        }

        impl Versioned for $record {
            fn version(&self) -> u64 {
                self.version
            }

            fn next_version(&self) -> Self {
                Self { version: self.version + 1, ..self.clone() }
            }
        }
    )*};
}

versioned! {
    ResourceGroup: |it| key::resource_group(&it.subscription, &it.name);
    Workspace: |it| key::workspace(
        &it.names.subscription, &it.names.resource_group, &it.names.workspace);
    Experiment: |it| key::child(&it.workspace, "exp", it.name.as_str());
    FileServer: |it| key::child(&it.workspace, "fs", it.name.as_str());
    Cluster: |it| key::child(&it.workspace, "cluster", it.name.as_str());
    Job: |it| key::job(&it.experiment, it.names.job.as_str());
    Attempt: |it| key::attempt(&it.cluster.uid, &it.id.job.uid);
    Node: |it| key::node(&it.cluster.uid, &it.id);
}

impl Stored for ResourceGroup {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        with_version(self.version, activity(&self.uid, is_active(&self.lifecycle)))
    }
}

impl Stored for Workspace {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        with_version(self.version, activity(&self.uid, is_active(&self.lifecycle)))
    }
}

impl Stored for Experiment {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        with_version(self.version, activity(&self.uid, is_active(&self.lifecycle)))
    }
}

impl Stored for FileServer {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let ready = matches!(self.state, FileServerState::Ready { .. });
        with_version(self.version, activity(&self.uid, ready))
    }
}

impl Stored for Cluster {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let activity = activity(&self.uid, is_active(&self.state));
        with_version(
            self.version,
            activity.into_iter().chain([(AWAKE, AttributeValue::Bool(self.awake))]),
        )
    }
}

impl Stored for Job {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        with_version(self.version, [])
    }
}

impl Stored for Attempt {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        with_version(self.version, [])
    }
}

impl Stored for Node {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let seen_at = number(u64::try_from(self.seen_at.0).unwrap_or(0));
        with_version(self.version, [(SEEN_AT, seen_at)])
    }

    /// A heartbeat writes this attribute only.
    fn absorb(&mut self, item: &Item) {
        if let Some(AttributeValue::N(millis)) = item.get(SEEN_AT)
            && let Ok(millis) = millis.parse()
        {
            self.seen_at = Timestamp(millis);
        }
    }
}

impl Stored for Operation {
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![(EXPIRES_AT, AttributeValue::N(self.expires_at.to_string()))]
    }
}

impl Stored for FileServerUser {}
impl Stored for Subscription {}
impl Stored for RoleAssignment {}
impl Stored for AccessToken {}
impl Stored for InstanceOwner {}
impl Stored for Wake {}
impl Stored for IdleMarker {}
impl Stored for QueueEntry {}

fn with_version(
    version: u64,
    others: impl IntoIterator<Item = (&'static str, AttributeValue)>,
) -> Vec<(&'static str, AttributeValue)> {
    others.into_iter().chain([(VERSION, number(version))]).collect()
}

impl Record for FileServerUser {
    fn key(&self) -> Key {
        key::file_server_user(&self.file_server, &self.cluster)
    }
}

impl Record for Subscription {
    fn key(&self) -> Key {
        key::subscription(&self.id)
    }
}

impl Record for RoleAssignment {
    fn key(&self) -> Key {
        key::role_assignment(&self.scope, &self.id)
    }
}

impl Record for AccessToken {
    fn key(&self) -> Key {
        key::token(&self.digest)
    }
}

impl Record for Operation {
    fn key(&self) -> Key {
        key::operation(&self.id)
    }
}

impl Record for InstanceOwner {
    fn key(&self) -> Key {
        key::instance(&self.instance)
    }
}

impl Record for Wake {
    fn key(&self) -> Key {
        key::awake(self.uid())
    }
}

/// The copy of a role assignment that is found by its principal.
pub(crate) fn principal_role_item(assignment: &RoleAssignment) -> Result<Item, Error> {
    item_at(key::principal_role(assignment), assignment)
}

/// A marker has no key of its own: it stands in the partition of its cluster.
pub(crate) fn idle_item(cluster: &ClusterRef, node: &NodeId) -> Result<Item, Error> {
    item_at(key::idle(&cluster.uid, node), &IdleMarker { node: node.clone() })
}

/// Likewise a queue entry.
pub(crate) fn queue_item(cluster: &ClusterRef, entry: &QueueEntry) -> Result<Item, Error> {
    item_at(key::queue_entry(&cluster.uid, entry), entry)
}
