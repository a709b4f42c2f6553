//! Invariants of clusters: active clusters are scheduled, and a removed cluster leaves nothing.

use super::{Change, Checked, ClusterView, Record, Watch, ensure};
use model::{Cluster, OperationState, Uid};
use std::collections::{BTreeMap, BTreeSet};
use table::Write;

impl ClusterView {
    /// Whether a queued job can start with the current settings. Wider jobs wait for other settings.
    pub fn has_startable(&self) -> bool {
        let ceiling = self.record.scale.ceiling();
        self.queue.values().any(|it| it.entry.node_count <= ceiling)
    }
}

impl Watch {
    pub(super) fn apply_cluster(&mut self, write: &Write, step: u64, changes: &mut Vec<Change>) {
        let key = (write.key.pk.clone(), write.key.sk.clone());
        let new: Option<Record<Cluster>> = Record::put(&write.kind);
        let uid = match &new {
            Some(cluster) => cluster.uid.to_string(),
            None => self.uids.get(&key).cloned().unwrap_or_default(),
        };
        let old = match new {
            Some(record) => {
                self.uids.insert(key, uid.clone());
                self.put_cluster(&uid, record, step)
            }
            None => {
                self.uids.remove(&key);
                let removed = self.clusters.remove(&uid);
                if let Some(view) = &removed {
                    self.expect_cluster(&view.record.clone(), -1);
                    let left = view.nodes.len() + view.idle.len() + view.queue.len();
                    self.left_behind = (left > 0).then(|| format!("{view:?}"));
                }
                removed.map(|view| view.record)
            }
        };
        changes.push(Change::Cluster(uid, old));
    }

    fn put_cluster(
        &mut self,
        uid: &str,
        record: Record<Cluster>,
        step: u64,
    ) -> Option<Record<Cluster>> {
        if let Some(view) = self.clusters.get_mut(uid) {
            view.changed = step;
            return Some(std::mem::replace(&mut view.record, record));
        }
        self.expect_cluster(&record, 1);
        let (nodes, idle, queue) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let left_queue = Vec::new();
        let view = ClusterView { record, changed: step, nodes, idle, queue, left_queue };
        self.clusters.insert(uid.to_owned(), view);
        None
    }

    fn expect_cluster(&mut self, cluster: &Cluster, change: i64) {
        let account = cluster.account();
        let partition = format!("usage#{}#{}", account.subscription.key(), account.location.key());
        self.expect_count(&partition, "clusters", change);
    }

    pub(super) fn check_cluster(&self, uid: &str, old: Option<&Record<Cluster>>) -> Checked {
        let Some(view) = self.clusters.get(uid) else {
            return self.check_cluster_removed(uid, old);
        };
        let cluster = &view.record;
        let name = &cluster.name;
        if let Some(old) = old {
            ensure(!old.is_deleting() || cluster.is_deleting(), || {
                format!("cluster {name} was being deleted and is active again")
            })?;
            ensure(old.created_at == cluster.created_at, || {
                format!("the creation time of {name} changed")
            })?;
        }
        let mounted: BTreeSet<&Uid> = cluster
            .spec
            .mounts
            .iter()
            .flat_map(|it| &it.file_servers)
            .map(|mount| &mount.uid)
            .collect();
        for server in mounted {
            ensure(self.mounts.contains(&(server.to_string(), uid.to_owned())), || {
                format!("cluster {name} mounts file server {server}, which does not list it")
            })?;
        }
        self.check_scheduled(uid)
    }

    /// Active clusters are scheduled for reconciliation.
    pub(super) fn check_scheduled(&self, uid: &str) -> Checked {
        let Some(view) = self.clusters.get(uid) else { return Ok(()) };
        let active = view.record.scheduled
            || view.record.is_deleting()
            || !view.nodes.is_empty()
            || view.has_startable();
        ensure(!active || self.scheduled.contains_key(uid), || {
            format!("cluster {} is active, but not scheduled", view.record.name)
        })
    }

    fn check_cluster_removed(&self, uid: &str, old: Option<&Record<Cluster>>) -> Checked {
        if let Some(left) = &self.left_behind {
            return Err(format!("cluster {uid} was removed, but left {left}"));
        }
        ensure(!self.mounts.iter().any(|(_, cluster)| cluster == uid), || {
            format!("cluster {uid} was removed, but still mounts a file server")
        })?;
        ensure(!self.scheduled.contains_key(uid), || {
            format!("cluster {uid} was removed, but is still scheduled")
        })?;
        let Some(old) = old else { return Ok(()) };
        let model::Lifecycle::Deleting { operation, .. } = &old.state else {
            return Err(format!("cluster {} was removed without a deletion", old.name));
        };
        let done = self.operations.get(operation.as_str());
        ensure(done.is_some_and(|it| it.state != OperationState::InProgress), || {
            format!("cluster {} was removed, but its operation is {done:?}", old.name)
        })?;
        ensure(self.user_requests.deletes_cluster(&old.names, &old.name), || {
            format!("cluster {} was removed without a request", old.name)
        })
    }
}
