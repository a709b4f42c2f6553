//! Invariants of parent resources and role assignments: a resource is removed after its children and
//! with its role assignments, both copies of an assignment exist, and a mounted file server exists.

use super::{Change, Checked, Record, Watch, ensure};
use model::{
    Experiment, FileServer, FileServerState, Lifecycle, OperationState, ResourceGroup,
    RoleAssignment, Scope, Target, Uid, Workspace,
};
use table::{Write, WriteKind};

/// A removed resource, with its last content.
pub(super) enum RemovedResource {
    Group(Record<ResourceGroup>),
    Workspace(Record<Workspace>),
    Experiment(Record<Experiment>),
    FileServer(Record<FileServer>),
}

impl Watch {
    pub(super) fn apply_resource(&mut self, write: &Write, changes: &mut Vec<Change>) {
        let (pk, sk, kind) = (write.key.pk.as_str(), write.key.sk.as_str(), &write.kind);
        let at = format!("{pk}/{sk}");
        let partition = pk.split_once('#').map_or(pk, |(prefix, _)| prefix);
        let kind_of_record = sk.split_once('#').map_or(sk, |(prefix, _)| prefix);
        let removed = match (partition, kind_of_record) {
            ("sub", "rg") => put_or_remove(&mut self.groups, at, kind).map(RemovedResource::Group),
            ("sub", "ws") => {
                put_or_remove(&mut self.workspaces, at, kind).map(RemovedResource::Workspace)
            }
            ("ws", "exp") => {
                put_or_remove(&mut self.experiments, at, kind).map(RemovedResource::Experiment)
            }
            ("ws", "fs") => {
                put_or_remove(&mut self.file_servers, at, kind).map(RemovedResource::FileServer)
            }
            ("sub", "role") => {
                let new: Option<Record<RoleAssignment>> = Record::put(kind);
                let known = self.roles.get(&at).cloned();
                let assignment = new.clone().or(known);
                super::replace(&mut self.roles, &at, new);
                if let Some(assignment) = assignment {
                    changes.push(Change::Role(copy_key(&assignment)));
                }
                None
            }
            ("principal", "role") => {
                let copies = &mut self.roles_by_principal;
                let is_removed = matches!(kind, WriteKind::Delete);
                if is_removed {
                    copies.remove(&at)
                } else {
                    copies.insert(at.clone())
                };
                changes.push(Change::Role(at));
                None
            }
            _ => None,
        };
        changes.extend(removed.map(Change::Resource));
    }

    /// A role assignment is stored below its scope and below its principal, or not at all.
    pub(super) fn check_role(&self, copy: &str) -> Checked {
        let stored = self.roles.values().any(|it| copy_key(it) == copy);
        let copied = self.roles_by_principal.contains(copy);
        ensure(stored == copied, || {
            format!(
                "role assignment {copy}: below its scope {stored}, below its principal {copied}"
            )
        })
    }

    pub(super) fn check_removed_resource(&self, removed: &RemovedResource) -> Checked {
        match removed {
            RemovedResource::Group(it) => {
                let prefix = format!("sub#{}/ws#{}#", it.subscription.key(), it.name.key());
                let left = self.workspaces.keys().find(|key| key.starts_with(&prefix));
                self.check_no_assignment(&Scope::resource_group(
                    it.subscription.clone(),
                    it.name.clone(),
                ))?;
                self.check_removed("group", it.name.as_str(), left, &it.uid, &it.lifecycle)
            }
            RemovedResource::Workspace(it) => {
                let prefix = format!("ws#{}/", it.uid);
                let cluster = self.clusters.values().find(|view| view.record.workspace == it.uid);
                ensure(cluster.is_none(), || format!("{} left {cluster:?}", it.names.workspace))?;
                let mut left = self.experiments.keys().chain(self.file_servers.keys());
                let left = left.find(|key| key.starts_with(&prefix));
                let name = it.names.workspace.as_str();
                self.check_no_assignment(&Scope::from(&it.names))?;
                self.check_removed("workspace", name, left, &it.uid, &it.lifecycle)
            }
            RemovedResource::Experiment(it) => {
                let job = self.jobs.values().find(|job| job.experiment == it.uid);
                ensure(job.is_none(), || format!("experiment {} left {job:?}", it.name))?;
                self.check_removed("experiment", it.name.as_str(), None, &it.uid, &it.lifecycle)
            }
            RemovedResource::FileServer(it) => {
                let lifecycle = match &it.state {
                    FileServerState::Deleting { operation, since } => {
                        Lifecycle::Deleting { operation: operation.clone(), since: *since }
                    }
                    FileServerState::Creating { .. }
                    | FileServerState::Ready { .. }
                    | FileServerState::Failed { .. } => Lifecycle::Active,
                };
                let user = self.mounts.iter().find(|(server, _)| server == it.uid.as_str());
                let with_workspace = self.user_requests.deletes_workspace(&it.names);
                ensure(user.is_none() || with_workspace, || {
                    format!("file server {} was removed, but is mounted by {user:?}", it.name)
                })?;
                self.check_removed("file server", it.name.as_str(), None, &it.uid, &lifecycle)
            }
        }
    }

    /// A resource that is being created or deleted is scheduled for reconciliation.
    pub(super) fn check_resource_scheduled(&self, uid: &str) -> Checked {
        self.check_scheduled(uid)?;
        let same = |it: &Uid| it.as_str() == uid;
        let server = self.file_servers.values().find(|it| same(&it.uid)).is_some_and(|it| {
            matches!(it.state, FileServerState::Creating { .. } | FileServerState::Deleting { .. })
        });
        let deleting = |it: &Lifecycle| it.is_deleting();
        let group = self.groups.values().any(|it| same(&it.uid) && deleting(&it.lifecycle));
        let workspace = self.workspaces.values().any(|it| same(&it.uid) && deleting(&it.lifecycle));
        let experiment =
            self.experiments.values().any(|it| same(&it.uid) && deleting(&it.lifecycle));
        let active = server || group || workspace || experiment;
        ensure(!active || self.scheduled.contains_key(uid), || {
            format!("resource {uid} is being created or deleted, but not scheduled")
        })
    }

    /// A role assignment that stays would apply to a later resource with the same name.
    fn check_no_assignment(&self, scope: &Scope) -> Checked {
        let grant = self.roles.values().find(|it| it.scope == *scope);
        ensure(grant.is_none(), || {
            format!("a role assignment of a removed resource is left: {grant:?}")
        })
    }

    fn check_removed(
        &self,
        kind: &str,
        name: &str,
        left: Option<&String>,
        uid: &Uid,
        lifecycle: &Lifecycle,
    ) -> Checked {
        ensure(left.is_none(), || format!("{kind} {name} was removed, but left {left:?}"))?;
        let scheduled = self.scheduled.get(uid.as_str()).map(|target| &**target);
        let is_left = |it: &Target| !matches!(it, Target::RemovedFileServer { .. });
        ensure(!scheduled.is_some_and(is_left), || {
            format!("{kind} {name} was removed, but is still scheduled")
        })?;
        let Lifecycle::Deleting { operation, .. } = lifecycle else {
            return Err(format!("{kind} {name} was removed without a deletion"));
        };
        let done = self.operations.get(operation.as_str());
        ensure(done.is_some_and(|it| it.state != OperationState::InProgress), || {
            format!("{kind} {name} was removed, but its operation is {done:?}")
        })
    }
}

/// The key of the copy of a role assignment below its principal.
fn copy_key(it: &RoleAssignment) -> String {
    let subscription = it.scope.subscription.key();
    format!("principal#{}/role#{subscription}#{}#{}", it.principal, it.scope.key(), it.id)
}

/// Puts an entry, or removes it and returns it.
fn put_or_remove<T: 'static>(
    map: &mut std::collections::BTreeMap<String, Record<T>>,
    key: String,
    kind: &WriteKind,
) -> Option<Record<T>> {
    match Record::put(kind) {
        Some(new) => {
            map.insert(key, new);
            None
        }
        None => map.remove(&key),
    }
}
