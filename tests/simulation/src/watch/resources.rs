//! Rules about what holds other things: removed only when nothing is left below, with the grants;
//! both copies of a grant; file servers that are mounted.

use super::{Checked, Kept, Touched, Watch, ensure};
use model::{
    Experiment, FileServer, FileServerState, Lifecycle, OperationState, ResourceGroup,
    RoleAssignment, Scope, Uid, Workspace,
};
use table::{Write, WriteKind};

/// A resource that was removed or changed: how it was, if it is gone.
pub(super) enum Gone {
    Group(Kept<ResourceGroup>),
    Workspace(Kept<Workspace>),
    Experiment(Kept<Experiment>),
    FileServer(Kept<FileServer>),
}

impl Watch {
    pub(super) fn apply_resource(&mut self, write: &Write, touched: &mut Vec<Touched>) {
        let (pk, sk, kind) = (write.key.pk.as_str(), write.key.sk.as_str(), &write.kind);
        let at = format!("{pk}/{sk}");
        let partition = pk.split_once('#').map_or(pk, |(prefix, _)| prefix);
        let noun = sk.split_once('#').map_or(sk, |(prefix, _)| prefix);
        let gone = match (partition, noun) {
            ("sub", "rg") => swap(&mut self.groups, at, kind).map(Gone::Group),
            ("sub", "ws") => swap(&mut self.workspaces, at, kind).map(Gone::Workspace),
            ("ws", "exp") => swap(&mut self.experiments, at, kind).map(Gone::Experiment),
            ("ws", "fs") => swap(&mut self.file_servers, at, kind).map(Gone::FileServer),
            ("sub", "role") => {
                let new: Option<Kept<RoleAssignment>> = Kept::put(kind);
                let known = self.roles.get(&at).cloned();
                let assignment = new.clone().or(known);
                super::replace(&mut self.roles, &at, new);
                if let Some(assignment) = assignment {
                    touched.push(Touched::Role(copy_key(&assignment)));
                }
                None
            }
            ("principal", "role") => {
                match kind {
                    WriteKind::Delete => self.roles_by_principal.remove(&at),
                    _ => self.roles_by_principal.insert(at.clone()),
                };
                touched.push(Touched::Role(at));
                None
            }
            _ => None,
        };
        touched.extend(gone.map(Touched::Resource));
    }

    /// A grant is stored below its scope and below its principal, or nowhere.
    pub(super) fn check_role(&self, copy: &str) -> Checked {
        let stored = self.roles.values().any(|it| copy_key(it) == copy);
        let copied = self.roles_by_principal.contains(copy);
        ensure(stored == copied, || format!("grant {copy}: stored {stored}, copied {copied}"))
    }

    pub(super) fn check_gone(&self, gone: &Gone) -> Checked {
        match gone {
            Gone::Group(it) => {
                let prefix = format!("sub#{}/ws#{}#", it.subscription.key(), it.name.key());
                let left = self.workspaces.keys().find(|key| key.starts_with(&prefix));
                self.check_no_grant(&Scope::resource_group(
                    it.subscription.clone(),
                    it.name.clone(),
                ))?;
                self.check_removed("group", it.name.as_str(), left, &it.uid, &it.lifecycle)
            }
            Gone::Workspace(it) => {
                let prefix = format!("ws#{}/", it.uid);
                let cluster = self.clusters.values().find(|view| view.record.workspace == it.uid);
                ensure(cluster.is_none(), || format!("{} left {cluster:?}", it.names.workspace))?;
                let mut left = self.experiments.keys().chain(self.file_servers.keys());
                let left = left.find(|key| key.starts_with(&prefix));
                let name = it.names.workspace.as_str();
                self.check_no_grant(&Scope::from(&it.names))?;
                self.check_removed("workspace", name, left, &it.uid, &it.lifecycle)
            }
            Gone::Experiment(it) => {
                let job = self.jobs.values().find(|job| job.experiment == it.uid);
                ensure(job.is_none(), || format!("experiment {} left {job:?}", it.name))?;
                self.check_removed("experiment", it.name.as_str(), None, &it.uid, &it.lifecycle)
            }
            Gone::FileServer(it) => {
                let lifecycle = match &it.state {
                    FileServerState::Deleting { operation, since } => {
                        Lifecycle::Deleting { operation: operation.clone(), since: *since }
                    }
                    _ => Lifecycle::Active,
                };
                let user = self.mounts.iter().find(|(server, _)| server == it.uid.as_str());
                let with_workspace = self.asked.deletes_workspace(&it.names);
                ensure(user.is_none() || with_workspace, || {
                    format!("file server {} is gone, but mounted by {user:?}", it.name)
                })?;
                self.check_removed("file server", it.name.as_str(), None, &it.uid, &lifecycle)
            }
        }
    }

    /// What is being created or deleted step by step is visited by the schedule.
    pub(super) fn check_visited(&self, uid: &str) -> Checked {
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
            format!("resource {uid} is being created or deleted, but is not visited")
        })
    }

    /// A later resource of that name would inherit it.
    fn check_no_grant(&self, scope: &Scope) -> Checked {
        let grant = self.roles.values().find(|it| it.scope == *scope);
        ensure(grant.is_none(), || format!("a grant is left on what is gone: {grant:?}"))
    }

    fn check_removed(
        &self,
        noun: &str,
        name: &str,
        left: Option<&String>,
        uid: &Uid,
        lifecycle: &Lifecycle,
    ) -> Checked {
        ensure(left.is_none(), || format!("{noun} {name} is gone, but left {left:?}"))?;
        ensure(!self.scheduled.contains_key(uid.as_str()), || {
            format!("{noun} {name} is gone, but visited")
        })?;
        let Lifecycle::Deleting { operation, .. } = lifecycle else {
            return Err(format!("{noun} {name} is gone, but was not being deleted"));
        };
        let done = self.operations.get(operation.as_str());
        ensure(done.is_some_and(|it| it.state != OperationState::InProgress), || {
            format!("{noun} {name} is gone, its operation is {done:?}")
        })
    }
}

/// Where the copy of a grant is.
fn copy_key(it: &RoleAssignment) -> String {
    let subscription = it.scope.subscription.key();
    format!("principal#{}/role#{subscription}#{}#{}", it.principal, it.scope.key(), it.id)
}

/// Puts or removes; answers what was removed.
fn swap<T: 'static>(
    map: &mut std::collections::BTreeMap<String, Kept<T>>,
    key: String,
    kind: &WriteKind,
) -> Option<Kept<T>> {
    match Kept::put(kind) {
        Some(new) => {
            map.insert(key, new);
            None
        }
        None => map.remove(&key),
    }
}
