//! Domain values as items: the key, the attributes, and the value as the body.

use crate::item::{Attributes, Body, Item, Key};
use crate::key::{self, IdleMarker};
use crate::{Error, WriteKind};
use model::{
    AccessToken, Cluster, ClusterRef, EndedNodes, Experiment, FileServer, FileServerState,
    FileServerUser, Job, JobMetrics, Launch, Lifecycle, LogTail, Node, NodeId, Operation,
    QueueEntry, ResourceGroup, RoleAssignment, Subscription, Target, Timestamp, Uid, Workspace,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::any::Any;

/// A value that is stored as an item.
#[doc(hidden)]
pub trait Stored: Serialize + DeserializeOwned + Clone + Any + Send + Sync {
    /// The attributes that conditions test.
    fn attributes(&self) -> Attributes {
        Attributes::default()
    }

    /// Takes over attributes that are written without rewriting the body.
    fn apply_attributes(&mut self, _attributes: &Attributes) {}
}

/// A stored value with exactly one key.
pub trait Record: Stored {
    /// Its key.
    fn key(&self) -> Key;
}

/// A record whose writes carry the version on which they were planned.
pub trait Versioned: Record {
    /// Its version.
    fn version(&self) -> u64;
    /// The record with another version.
    fn at_version(&self, version: u64) -> Self;
}

/// The node of an instance: an interruption notice names only the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceOwner {
    /// Id of the instance.
    pub instance: String,
    /// The cluster of the node.
    pub cluster: ClusterRef,
    /// The node.
    pub node: NodeId,
}

/// The key from which the service derives all others, encrypted by a key management service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKey {
    /// The encrypted key in base64, as the key management service returned it.
    pub encrypted: String,
}

pub(crate) fn put_at<S: Stored>(key: Key, value: S) -> (Key, WriteKind) {
    (key, WriteKind::Put { attributes: value.attributes(), body: Body::of(value) })
}

pub(crate) fn from_item<S: Stored>(item: &Item) -> Result<S, Error> {
    let mut value: S = item.body.read()?;
    value.apply_attributes(&item.attributes);
    Ok(value)
}

/// The value of a counter.
pub(crate) fn count(item: &Item) -> Result<u32, Error> {
    let count = item.attributes.count.ok_or_else(|| Error::other("a counter without a count"))?;
    u32::try_from(count).map_err(Error::other)
}

fn resource(version: u64, uid: &Uid, active: bool) -> Attributes {
    Attributes {
        version: Some(version),
        uid: Some(uid.to_string()),
        active: Some(active),
        ..Attributes::default()
    }
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

            fn at_version(&self, version: u64) -> Self {
                Self { version, ..self.clone() }
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
    JobMetrics: |it| key::job_metrics(&it.job.experiment, &it.job.name);
    Node: |it| key::node(&it.cluster.uid, &it.id);
    Launch: |it| key::launch(&it.request.cluster.uid, it.id());
}

impl Stored for ResourceGroup {
    fn attributes(&self) -> Attributes {
        resource(self.version, &self.uid, is_active(&self.lifecycle))
    }
}

impl Stored for Workspace {
    fn attributes(&self) -> Attributes {
        resource(self.version, &self.uid, is_active(&self.lifecycle))
    }
}

impl Stored for Experiment {
    fn attributes(&self) -> Attributes {
        resource(self.version, &self.uid, is_active(&self.lifecycle))
    }
}

impl Stored for FileServer {
    fn attributes(&self) -> Attributes {
        let ready = matches!(self.state, FileServerState::Ready { .. });
        resource(self.version, &self.uid, ready)
    }
}

impl Stored for Cluster {
    fn attributes(&self) -> Attributes {
        let scheduled = Some(self.scheduled);
        Attributes { scheduled, ..resource(self.version, &self.uid, is_active(&self.state)) }
    }
}

impl Stored for Job {
    fn attributes(&self) -> Attributes {
        Attributes { version: Some(self.version), ..Attributes::default() }
    }
}

impl Stored for JobMetrics {
    fn attributes(&self) -> Attributes {
        Attributes { version: Some(self.version), ..Attributes::default() }
    }
}

impl Stored for Launch {
    fn attributes(&self) -> Attributes {
        Attributes { version: Some(self.version), ..Attributes::default() }
    }
}

impl Stored for Node {
    fn attributes(&self) -> Attributes {
        let seen_at = Some(self.seen_at.0);
        Attributes { version: Some(self.version), seen_at, ..Attributes::default() }
    }

    /// A heartbeat writes only this attribute.
    fn apply_attributes(&mut self, attributes: &Attributes) {
        if let Some(millis) = attributes.seen_at {
            self.seen_at = Timestamp(millis);
        }
    }
}

impl Stored for Operation {
    fn attributes(&self) -> Attributes {
        Attributes { expires_at: Some(self.expires_at), ..Attributes::default() }
    }
}

impl Stored for EndedNodes {
    fn attributes(&self) -> Attributes {
        Attributes { expires_at: Some(self.expires_at), ..Attributes::default() }
    }
}

impl Stored for FileServerUser {}
impl Stored for Subscription {}
impl Stored for RoleAssignment {}
impl Stored for AccessToken {}
impl Stored for InstanceOwner {}
impl Stored for ServiceKey {}
impl Stored for Target {}
impl Stored for IdleMarker {}
impl Stored for QueueEntry {}
impl Stored for LogTail {}

impl Record for FileServerUser {
    fn key(&self) -> Key {
        key::file_server_user(&self.file_server, &self.cluster)
    }
}

impl Record for EndedNodes {
    fn key(&self) -> Key {
        key::ended_nodes(self)
    }
}

impl Record for LogTail {
    fn key(&self) -> Key {
        key::log_tail(&self.job, self.part)
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

impl Record for ServiceKey {
    fn key(&self) -> Key {
        key::service_key()
    }
}

impl Record for Target {
    fn key(&self) -> Key {
        key::scheduled(self.uid())
    }
}
