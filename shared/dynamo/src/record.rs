//! Domain values as items: which key each has, and that they carry a version.

use crate::Error;
use crate::key::{self, IdleMarker, Key, PARTITION, SORT};
use aws_sdk_dynamodb::types::AttributeValue;
use model::{
    Attempt, Cluster, ClusterRef, Experiment, FileServer, Job, Node, NodeId, Operation, Wake,
    Workspace,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A value that has one place in the table.
pub(crate) trait Record: Serialize + DeserializeOwned {
    fn key(&self) -> Key;
}

/// A record whose writes carry the version they were planned on.
pub(crate) trait Versioned: Record {
    fn version(&self) -> u64;
}

/// Which node a machine is: an interruption notice names the machine only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceOwner {
    pub instance: String,
    pub cluster: ClusterRef,
    pub node: NodeId,
}

pub(crate) fn to_item<R: Record>(record: &R) -> Result<Item, Error> {
    let mut item: Item = serde_dynamo::to_item(record).map_err(Error::other)?;
    item.extend(record.key().attributes());
    Ok(item)
}

pub(crate) fn from_item<R: DeserializeOwned>(mut item: Item) -> Result<R, Error> {
    item.remove(PARTITION);
    item.remove(SORT);
    serde_dynamo::from_item(item).map_err(Error::other)
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
        }
    )*};
}

versioned! {
    Workspace: |it| key::workspace(
        &it.names.subscription, &it.names.resource_group, &it.names.workspace);
    Experiment: |it| key::child(&it.workspace, "exp", it.name.as_str());
    FileServer: |it| key::child(&it.workspace, "fs", it.name.as_str());
    Cluster: |it| key::child(&it.workspace, "cluster", it.name.as_str());
    Job: |it| key::job(&it.experiment, it.names.job.as_str());
    Attempt: |it| key::attempt(&it.cluster.uid, &it.id.job.uid);
    Node: |it| key::node(&it.cluster.uid, &it.id);
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

/// A marker has no key of its own: it stands in the partition of its cluster.
pub(crate) fn idle_item(cluster: &ClusterRef, node: &NodeId) -> Result<Item, Error> {
    let marker = IdleMarker { node: node.clone() };
    let mut item: Item = serde_dynamo::to_item(&marker).map_err(Error::other)?;
    item.extend(key::idle(&cluster.uid, node).attributes());
    Ok(item)
}

/// Likewise a queue entry.
pub(crate) fn queue_item(cluster: &ClusterRef, entry: &model::QueueEntry) -> Result<Item, Error> {
    let mut item: Item = serde_dynamo::to_item(entry).map_err(Error::other)?;
    item.extend(key::queue_entry(&cluster.uid, entry).attributes());
    Ok(item)
}
