//! The deletion of resources, the same for all kinds: the record is marked as being deleted, with
//! the
//! operation that completes with the removal; the schedule reconciles it until nothing is left
//! below
//! it; then the record is removed.

use crate::change::{Event, Function};
use crate::draft::Draft;
use model::{
    Cluster, Experiment, FileServer, FileServerState, Lifecycle, Operation, ResourceError,
    ResourceGroup, Target, Timestamp, Uid, Workspace, limits,
};
use table::Versioned;

/// A resource that is deleted in several steps.
pub trait Resource: Versioned {
    /// The target of its hints.
    fn target(&self) -> Target;

    /// `properties.resourceId` of its operations.
    fn operation_key(&self) -> String;

    /// The operation that completes with its removal, and the start of the deletion.
    fn deletion(&self) -> Option<(Uid, Timestamp)>;

    /// Marks the record as being deleted.
    fn mark_deleting(&mut self, operation: Uid, since: Timestamp);

    /// Writes the marked record and schedules it.
    fn write_deleting(&self, draft: &mut Draft, operation: Uid) {
        let mut deleting = self.clone();
        deleting.mark_deleting(operation, draft.now);
        draft.writes().replace(self, &deleting);
        draft.writes().schedule(&self.target());
    }

    /// Removes the record and everything that is derived from it.
    fn write_removed(&self, draft: &mut Draft) {
        draft.writes().remove(self);
        draft.writes().unschedule(self.target().uid());
    }

    /// The operation of an incomplete creation, and its start.
    fn creation(&self) -> Option<(Uid, Timestamp)> {
        None
    }
}

/// Marks the resource. Returns the id of the operation that completes with the removal; a repeated
/// deletion returns the first one.
pub fn begin_deletion<R: Resource>(draft: &mut Draft, resource: &R, operation: Uid) -> Uid {
    if let Some((known, _)) = resource.deletion() {
        return known;
    }
    let now = draft.now;
    let target = resource.target();
    let started = Operation::started(operation.clone(), resource.operation_key(), now);
    resource.write_deleting(draft, operation.clone());
    draft.put_operation(&started);
    if let Some((creation, since)) = resource.creation() {
        let creation = Operation::started(creation, resource.operation_key(), since);
        let error = ResourceError::new("Canceled", "The resource was deleted before it was ready");
        draft.put_operation(&creation.failed(error, now));
    }
    let functions: &[Function] = match target.cluster() {
        Some(_) => &[Function::Dispatcher, Function::Autoscaler],
        None => &[Function::Provisioner],
    };
    for function in functions {
        draft.hint(*function, target.clone());
    }
    operation
}

/// Removes the record, once nothing is left below the resource, and completes its operation.
pub fn finish_deletion<R: Resource>(draft: &mut Draft, resource: &R) {
    let Some((operation, since)) = resource.deletion() else { return };
    let now = draft.now;
    let done = Operation::started(operation, resource.operation_key(), since).succeeded(now);
    draft.put_operation(&done);
    resource.write_removed(draft);
}

fn deletion_of(lifecycle: &Lifecycle) -> Option<(Uid, Timestamp)> {
    match lifecycle {
        Lifecycle::Active => None,
        Lifecycle::Deleting { operation, since } => Some((operation.clone(), *since)),
    }
}

/// [`Resource::deletion`] and [`Resource::mark_deleting`] of a record with a `lifecycle`.
macro_rules! deletion_by_lifecycle {
    () => {
        fn deletion(&self) -> Option<(Uid, Timestamp)> {
            deletion_of(&self.lifecycle)
        }

        fn mark_deleting(&mut self, operation: Uid, since: Timestamp) {
            self.lifecycle = Lifecycle::Deleting { operation, since };
        }
    };
}

impl Resource for ResourceGroup {
    fn target(&self) -> Target {
        Target::ResourceGroup {
            subscription: self.subscription.key(),
            name: self.name.key(),
            uid: self.uid.clone(),
        }
    }

    fn operation_key(&self) -> String {
        format!("{}${}", self.subscription, self.name)
    }

    deletion_by_lifecycle!();
}

impl Resource for Workspace {
    fn target(&self) -> Target {
        Target::Workspace {
            subscription: self.names.subscription.key(),
            resource_group: self.names.resource_group.key(),
            name: self.names.workspace.key(),
            uid: self.uid.clone(),
        }
    }

    fn operation_key(&self) -> String {
        self.names.operation_key()
    }

    deletion_by_lifecycle!();
}

impl Resource for Experiment {
    fn target(&self) -> Target {
        Target::Experiment {
            workspace: self.workspace.clone(),
            name: self.name.key(),
            uid: self.uid.clone(),
        }
    }

    fn operation_key(&self) -> String {
        self.names.child_operation_key(&self.name)
    }

    deletion_by_lifecycle!();
}

impl Resource for FileServer {
    fn target(&self) -> Target {
        Target::FileServer {
            workspace: self.workspace.clone(),
            name: self.name.key(),
            uid: self.uid.clone(),
        }
    }

    fn operation_key(&self) -> String {
        self.names.child_operation_key(&self.name)
    }

    fn deletion(&self) -> Option<(Uid, Timestamp)> {
        match &self.state {
            FileServerState::Creating { .. }
            | FileServerState::Ready { .. }
            | FileServerState::Failed { .. } => None,
            FileServerState::Deleting { operation, since } => Some((operation.clone(), *since)),
        }
    }

    fn mark_deleting(&mut self, operation: Uid, since: Timestamp) {
        self.state = FileServerState::Deleting { operation, since };
    }

    fn write_removed(&self, draft: &mut Draft) {
        let not_before = draft.now.plus_seconds(limits::FILE_SERVER_PASS_SECONDS);
        draft.writes().remove(self);
        draft.writes().schedule(&Target::RemovedFileServer { uid: self.uid.clone(), not_before });
    }

    fn creation(&self) -> Option<(Uid, Timestamp)> {
        match &self.state {
            FileServerState::Creating { operation, since } => Some((operation.clone(), *since)),
            FileServerState::Ready { .. }
            | FileServerState::Failed { .. }
            | FileServerState::Deleting { .. } => None,
        }
    }
}

impl Resource for Cluster {
    fn target(&self) -> Target {
        Target::Cluster { cluster: self.reference() }
    }

    fn operation_key(&self) -> String {
        self.names.child_operation_key(&self.name)
    }

    fn deletion(&self) -> Option<(Uid, Timestamp)> {
        deletion_of(&self.state)
    }

    fn mark_deleting(&mut self, operation: Uid, since: Timestamp) {
        self.state = Lifecycle::Deleting { operation, since };
        self.scheduled = true;
    }

    // The draft derives other writes from a cluster: the users of its file servers, its place on
    // the schedule's list, usage.

    fn write_deleting(&self, draft: &mut Draft, operation: Uid) {
        let now = draft.now;
        draft.read_cluster(self.clone());
        if let Some(cluster) = draft.cluster_mut() {
            cluster.mark_deleting(operation, now);
        }
    }

    fn write_removed(&self, draft: &mut Draft) {
        draft.read_cluster(self.clone());
        draft.remove_cluster();
        draft.event(Event::ClusterDeleted { cluster: self.name.clone() });
    }
}

#[cfg(test)]
mod tests;
