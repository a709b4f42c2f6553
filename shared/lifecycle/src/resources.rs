//! The deletion of resources, the same for all: the record says that it is being deleted and which
//! operation completes with that; the schedule visits it until nothing is left below it; then the
//! record goes.

use crate::change::{Event, Function};
use crate::draft::Draft;
use model::{
    Cluster, Experiment, FileServer, FileServerState, Lifecycle, Operation, ResourceError,
    ResourceGroup, Target, Timestamp, Uid, Workspace,
};
use table::Versioned;

/// Something that is deleted step by step.
pub trait Resource: Versioned {
    fn target(&self) -> Target;

    /// `properties.resourceId` of its operations.
    fn operation_key(&self) -> String;

    /// The operation that completes with its removal, and since when.
    fn deletion(&self) -> Option<(Uid, Timestamp)>;

    fn mark_deleting(&mut self, operation: Uid, since: Timestamp);

    /// The record says that it is being deleted, and the schedule visits it.
    fn write_deleting(&self, draft: &mut Draft, operation: Uid) {
        let mut deleting = self.clone();
        deleting.mark_deleting(operation, draft.now);
        draft.writes().replace(self, &deleting);
        draft.writes().schedule(&self.target());
    }

    /// The record goes, with all that goes with it.
    fn write_removed(&self, draft: &mut Draft) {
        draft.writes().remove(self);
        draft.writes().unschedule(self.target().uid());
    }

    /// The operation of a creation that is not complete, and since when.
    fn creation(&self) -> Option<(Uid, Timestamp)> {
        None
    }
}

/// Marks the resource. Returns the operation that completes with its removal; a repetition joins
/// the first one.
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
    let functions: &[Function] = match target {
        Target::Cluster { .. } => &[Function::Dispatcher, Function::Autoscaler],
        Target::FileServer { .. }
        | Target::Experiment { .. }
        | Target::Workspace { .. }
        | Target::ResourceGroup { .. } => &[Function::Recovery],
    };
    for function in functions {
        draft.hint(*function, target.clone());
    }
    operation
}

/// Nothing is left below it: its record goes, and its operation has succeeded.
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

    fn deletion(&self) -> Option<(Uid, Timestamp)> {
        deletion_of(&self.lifecycle)
    }

    fn mark_deleting(&mut self, operation: Uid, since: Timestamp) {
        self.lifecycle = Lifecycle::Deleting { operation, since };
    }
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

    fn deletion(&self) -> Option<(Uid, Timestamp)> {
        deletion_of(&self.lifecycle)
    }

    fn mark_deleting(&mut self, operation: Uid, since: Timestamp) {
        self.lifecycle = Lifecycle::Deleting { operation, since };
    }
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

    fn deletion(&self) -> Option<(Uid, Timestamp)> {
        deletion_of(&self.lifecycle)
    }

    fn mark_deleting(&mut self, operation: Uid, since: Timestamp) {
        self.lifecycle = Lifecycle::Deleting { operation, since };
    }
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

    // A draft writes a cluster with what is derived from it: who mounts its file servers, its place on
    // the list of the schedule, the meter.

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
