//! Writes that happen together or not at all, each with the condition it was planned on.

use crate::Error;
use crate::key::{self, Key, PARTITION};
use crate::record::{
    self, ACTIVE, AWAKE, COUNT, InstanceOwner, Item, Record, STATE, UID, VERSION, Versioned, number,
};
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update,
};
use model::{
    AccessToken, Account, Attempt, Cluster, ClusterRef, Experiment, FileServer, FileServerUser,
    Job, Meter, Node, NodeId, Operation, QueueEntry, ResourceGroup, RoleAssignment, Subscription,
    Uid, Wake, Workspace,
};

/// Collects writes; [`crate::Table::commit`] carries them out. At most 100 (DynamoDB's limit).
#[derive(Debug, Default)]
pub struct Transaction {
    pub(crate) writes: Vec<Write>,
    problem: Option<Error>,
}

#[derive(Clone, Debug)]
pub(crate) struct Write {
    kind: WriteKind,
    condition: Option<Condition>,
}

#[derive(Clone, Debug)]
enum WriteKind {
    Put(Item),
    Delete(Key),
    Check(Key),
    /// Adds to the number that stands in the item; the item need not exist.
    Add(Key, i64),
}

#[derive(Clone, Debug)]
struct Condition {
    expression: &'static str,
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, AttributeValue)>,
}

const ABSENT: &str = "attribute_not_exists(#pk)";
const PRESENT: &str = "attribute_exists(#pk)";
const NEVER: &str = "attribute_exists(#pk) AND attribute_not_exists(#pk)";
const AT_VERSION: &str = "#version = :version";

macro_rules! for_records {
    ($(($record:ty, $create:ident, $replace:ident, $remove:ident);)*) => {$(
        /// A new record; its key must be free.
        pub fn $create(self, record: &$record) -> Self {
            self.create(record)
        }

        /// The changed record; it must still be at the version it was read with.
        pub fn $replace(self, record: &$record) -> Self {
            self.replace(record)
        }

        /// Removes the record; it must still be at the version it was read with.
        pub fn $remove(self, record: &$record) -> Self {
            self.remove(record)
        }
    )*};
}

impl Transaction {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    for_records! {
        (ResourceGroup, create_resource_group, replace_resource_group, remove_resource_group);
        (Workspace, create_workspace, replace_workspace, remove_workspace);
        (Experiment, create_experiment, replace_experiment, remove_experiment);
        (FileServer, create_file_server, replace_file_server, remove_file_server);
        (Cluster, create_cluster, replace_cluster, remove_cluster);
        (Job, create_job, replace_job, remove_job);
        (Attempt, create_attempt, replace_attempt, remove_attempt);
        (Node, create_node, replace_node, remove_node);
    }

    /// The job takes its place in the queue.
    pub fn enqueue(self, cluster: &ClusterRef, entry: &QueueEntry) -> Self {
        let item = record::queue_item(cluster, entry);
        self.put_item(item, Some(plain(ABSENT)))
    }

    /// The job leaves the queue; it must be in it.
    pub fn dequeue(self, cluster: &ClusterRef, entry: &QueueEntry) -> Self {
        self.push(WriteKind::Delete(key::queue_entry(&cluster.uid, entry)), Some(plain(PRESENT)))
    }

    /// Says that a node is free. A repetition does no harm: the node's own record decides.
    pub fn mark_idle(self, cluster: &ClusterRef, node: &NodeId) -> Self {
        let item = record::idle_item(cluster, node);
        self.put_item(item, None)
    }

    pub fn unmark_idle(self, cluster: &ClusterRef, node: &NodeId) -> Self {
        self.push(WriteKind::Delete(key::idle(&cluster.uid, node)), None)
    }

    pub fn own_instance(self, owner: &InstanceOwner) -> Self {
        self.put(owner, None)
    }

    pub fn disown_instance(self, instance: &str) -> Self {
        self.push(WriteKind::Delete(key::instance(instance)), None)
    }

    pub fn put_operation(self, operation: &Operation) -> Self {
        self.put(operation, None)
    }

    /// Puts something on the list that the schedule walks.
    pub fn wake(self, wake: &Wake) -> Self {
        self.put(wake, None)
    }

    pub fn rest(self, uid: &Uid) -> Self {
        self.push(WriteKind::Delete(key::awake(uid)), None)
    }

    pub fn know_subscription(self, subscription: &Subscription) -> Self {
        self.put(subscription, None)
    }

    /// A grant with that id in that scope must not exist.
    pub fn grant(self, assignment: &RoleAssignment) -> Self {
        let copy = record::principal_role_item(assignment);
        self.create(assignment).put_item(copy, None)
    }

    pub fn revoke(self, assignment: &RoleAssignment) -> Self {
        self.push(WriteKind::Delete(assignment.key()), Some(plain(PRESENT)))
            .push(WriteKind::Delete(key::principal_role(assignment)), None)
    }

    pub fn create_token(self, token: &AccessToken) -> Self {
        self.create(token)
    }

    pub fn remove_token(self, token: &AccessToken) -> Self {
        self.push(WriteKind::Delete(token.key()), Some(plain(PRESENT)))
    }

    /// Counts so much more; together it must not be more than `limit`.
    pub fn use_more(self, account: &Account, meter: Meter, more: u32, limit: u32) -> Self {
        let key = key::usage(account, meter);
        // What is beyond the limit by itself fits under no present count.
        let Some(most) = limit.checked_sub(more) else {
            return self.push(WriteKind::Check(key), Some(plain(NEVER)));
        };
        let condition = Condition {
            expression: "attribute_not_exists(#count) OR #count <= :most",
            names: vec![("#count", COUNT)],
            values: vec![(":most", number(u64::from(most)))],
        };
        self.push(WriteKind::Add(key, i64::from(more)), Some(condition))
    }

    pub fn use_less(self, account: &Account, meter: Meter, less: u32) -> Self {
        let condition = Condition {
            expression: "#count >= :less",
            names: vec![("#count", COUNT)],
            values: vec![(":less", number(u64::from(less)))],
        };
        self.push(WriteKind::Add(key::usage(account, meter), -i64::from(less)), Some(condition))
    }

    pub fn require_resource_group(self, group: &ResourceGroup) -> Self {
        self.require_active(group.key(), &group.uid)
    }

    /// The workspace must not be on its way out.
    pub fn require_workspace(self, workspace: &Workspace) -> Self {
        self.require_active(workspace.key(), &workspace.uid)
    }

    pub fn require_experiment(self, experiment: &Experiment) -> Self {
        self.require_active(experiment.key(), &experiment.uid)
    }

    /// A cluster begins to mount the file server. The server is written too, so that whoever
    /// deletes it meanwhile looks again.
    pub fn mount_file_server(self, file_server: &FileServer, user: &FileServerUser) -> Self {
        self.replace_file_server(file_server).put(user, None)
    }

    pub fn unmount_file_server(self, file_server: &Uid, cluster: &Uid) -> Self {
        self.push(WriteKind::Delete(key::file_server_user(file_server, cluster)), None)
    }

    pub fn require_file_server(self, file_server: &FileServer) -> Self {
        self.require_active(file_server.key(), &file_server.uid)
    }

    /// The cluster must not be on its way out, and the schedule must look at it.
    pub fn require_awake_cluster(self, cluster: &Cluster) -> Self {
        let mut condition = active(&cluster.uid);
        condition.expression = "#uid = :uid AND #state = :state AND #awake = :awake";
        condition.names.push(("#awake", AWAKE));
        condition.values.push((":awake", AttributeValue::Bool(true)));
        self.push(WriteKind::Check(cluster.key()), Some(condition))
    }

    fn require_active(self, key: Key, uid: &Uid) -> Self {
        self.push(WriteKind::Check(key), Some(active(uid)))
    }

    fn create<R: Record>(self, record: &R) -> Self {
        self.put(record, Some(plain(ABSENT)))
    }

    fn replace<R: Versioned>(self, record: &R) -> Self {
        let next = record::to_item(&record.next_version());
        self.put_item(next, Some(at_version(record.version())))
    }

    fn remove<R: Versioned>(self, record: &R) -> Self {
        self.push(WriteKind::Delete(record.key()), Some(at_version(record.version())))
    }

    fn put<R: Record>(self, record: &R, condition: Option<Condition>) -> Self {
        self.put_item(record::to_item(record), condition)
    }

    fn put_item(mut self, item: Result<Item, Error>, condition: Option<Condition>) -> Self {
        match item {
            Ok(item) => self.push(WriteKind::Put(item), condition),
            Err(error) => {
                self.problem = Some(error);
                self
            }
        }
    }

    fn push(mut self, kind: WriteKind, condition: Option<Condition>) -> Self {
        self.writes.push(Write { kind, condition });
        self
    }

    pub(crate) fn into_writes(self) -> Result<Vec<Write>, Error> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self.writes),
        }
    }
}

impl Write {
    pub(crate) fn into_action(self, table: &str) -> Result<TransactWriteItem, Error> {
        let (expression, names, values) = match self.condition {
            Some(condition) => (
                Some(condition.expression.to_owned()),
                Some(owned(condition.names, |name: &str| name.to_owned())),
                (!condition.values.is_empty()).then(|| owned(condition.values, |value| value)),
            ),
            None => (None, None, None),
        };
        let action = TransactWriteItem::builder();
        let action = match self.kind {
            WriteKind::Put(item) => action.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(Error::other)?,
            ),
            WriteKind::Delete(key) => action.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(Error::other)?,
            ),
            WriteKind::Add(key, more) => action.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .update_expression("ADD #count :more")
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .expression_attribute_values(":more", AttributeValue::N(more.to_string()))
                    .build()
                    .map_err(Error::other)?,
            ),
            WriteKind::Check(key) => action.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(Error::other)?,
            ),
        };
        Ok(action.build())
    }
}

fn plain(expression: &'static str) -> Condition {
    Condition { expression, names: vec![("#pk", PARTITION)], values: Vec::new() }
}

fn at_version(version: u64) -> Condition {
    Condition {
        expression: AT_VERSION,
        names: vec![("#version", VERSION)],
        values: vec![(":version", number(version))],
    }
}

fn active(uid: &Uid) -> Condition {
    Condition {
        expression: "#uid = :uid AND #state = :state",
        names: vec![("#uid", UID), ("#state", STATE)],
        values: vec![
            (":uid", AttributeValue::S(uid.to_string())),
            (":state", AttributeValue::S(ACTIVE.to_owned())),
        ],
    }
}

fn owned<T, U>(
    pairs: Vec<(&'static str, T)>,
    convert: impl Fn(T) -> U,
) -> std::collections::HashMap<String, U> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), convert(value))).collect()
}
