//! The settled state, some time after the end of all faults: every job has ended or waits for its
//! stated reason, every cluster has its desired nodes, and nothing is left over.

use super::{ClusterView, Watch};
use crate::cloud::Cloud;
use crate::requests::Answer;
use crate::scenario::{Layout, Scenario};
use crate::script::UserRequest;
use model::{FileServerState, JobState, NodeState, OperationState, ScaleSettings, Zone};
use std::collections::BTreeMap;
use table::Item;

impl Watch {
    /// What has not settled.
    pub fn unsettled(&self, cloud: &Cloud, scenario: &Scenario) -> Option<String> {
        self.unsettled_resource()
            .or_else(|| self.unsettled_instance(cloud))
            .or_else(|| {
                let launch = self.launches.keys().next();
                launch.map(|id| format!("launch {id} is left over"))
            })
            .or_else(|| {
                self.clusters.values().find_map(|it| self.unsettled_cluster(it, cloud, scenario))
            })
            .or_else(|| self.unsettled_schedule())
    }

    fn unsettled_resource(&self) -> Option<String> {
        let progress = |it: &model::Operation| it.state == OperationState::InProgress;
        if let Some(operation) = self.operations.values().find(|it| progress(it)) {
            return Some(format!("operation in progress: {:?}", **operation));
        }
        let deleting = |it: &model::Lifecycle| it.is_deleting();
        let group = self.groups.values().find(|it| deleting(&it.lifecycle));
        let workspace = self.workspaces.values().find(|it| deleting(&it.lifecycle));
        let experiment = self.experiments.values().find(|it| deleting(&it.lifecycle));
        let server = self.file_servers.values().find(|it| {
            matches!(it.state, FileServerState::Creating { .. } | FileServerState::Deleting { .. })
        });
        group
            .map(|it| format!("group {} is being deleted", it.name))
            .or_else(|| workspace.map(|it| format!("{} is being deleted", it.names.workspace)))
            .or_else(|| experiment.map(|it| format!("{} is being deleted", it.name)))
            .or_else(|| server.map(|it| format!("file server {} is {:?}", it.name, it.state)))
            .or_else(|| {
                let live = |it: &&model::Job| {
                    !it.state.is_final() && !matches!(it.state, JobState::Queued { .. })
                };
                let job = self.jobs.values().map(|it| &**it).find(live);
                job.map(|it| format!("job {} is {:?}", it.names.job, it.state))
            })
    }

    /// Every running instance has an owner, and every owner has its instance.
    fn unsettled_instance(&self, cloud: &Cloud) -> Option<String> {
        for (number, instance) in cloud.running() {
            let owner = self.owners.get(&instance.name);
            let owner = owner.and_then(|owner| self.nodes.get(owner.node.as_str()));
            let owned = owner.and_then(|it| it.instance()).is_some_and(|it| it.id == instance.name);
            if !owned {
                return Some(format!("i-{number} is running without an owner"));
            }
        }
        if let Some(stopped) = cloud.instances.iter().find(|it| it.stopped) {
            return Some(format!("{} is stopped, and not terminated", stopped.name));
        }
        for (name, owner) in &self.owners {
            let node = self.nodes.get(owner.node.as_str());
            if node.and_then(|it| it.instance()).is_none_or(|it| it.id != *name) {
                return Some(format!("{name} is owned by {}, which does not list it", owner.node));
            }
        }
        None
    }

    fn unsettled_cluster(
        &self,
        view: &ClusterView,
        cloud: &Cloud,
        scenario: &Scenario,
    ) -> Option<String> {
        let cluster = &view.record;
        let name = &cluster.name;
        let nodes = || view.nodes.iter().filter_map(|id| self.nodes.get(id));
        let moving = nodes()
            .find(|it| !matches!(it.state, NodeState::Idle { .. } | NodeState::Unusable { .. }));
        if let Some(node) = moving {
            return Some(format!("node {} of {name} is {:?}", node.id, node.state));
        }
        let replaces = cluster.spec.extensions.replace_on_rebalance == Some(true);
        let is_left = |it: &&super::Record<model::Node>| {
            replaces
                && it.rebalance_recommended_at.is_some()
                && matches!(it.state, NodeState::Idle { .. })
        };
        if let Some(node) = nodes().find(is_left) {
            return Some(format!("node {} of {name} is to be replaced, and stays", node.id));
        }
        let node_count = view.nodes.len() as u32;
        if cluster.planned_nodes != node_count || cluster.allocation.resizing {
            return Some(format!(
                "{name} has {node_count} nodes, planned {}, {:?}",
                cluster.planned_nodes, cluster.allocation
            ));
        }
        let unusable =
            nodes().filter(|it| matches!(it.state, NodeState::Unusable { .. })).count() as u32;
        let has_no_capacity = self.cores(view) >= i64::from(scenario.quota_nodes)
            || cloud.running().count() >= scenario.instances;
        let mut behind = false;
        // What a gang lacks is launched first, all or nothing.
        let mut gang_waits = false;
        for queued in view.queue.values() {
            let needed = queued.entry.node_count;
            if needed > cluster.scale.ceiling() {
                if !self.states_setting(view, &queued.entry) {
                    return Some(format!(
                        "job {} does not state why it waits",
                        queued.entry.job.name
                    ));
                }
                continue;
            }
            let manual = matches!(cluster.scale, ScaleSettings::Manual { .. });
            let lacks_usable = manual && unusable > 0 && node_count - unusable < needed;
            // A gang is launched whole, and is in one zone.
            let lacking = needed.saturating_sub(self.most_in_one_zone(view, needed)) as usize;
            let no_room = cloud.running().count() + lacking > scenario.instances;
            if !(behind || lacks_usable || (has_no_capacity || no_room) && lacking > 0) {
                return Some(format!("job {} waits in {name}", queued.entry.job.name));
            }
            behind = true;
            gang_waits |= needed > 1 && lacking > 0;
        }
        let has_no_capacity = has_no_capacity || gang_waits;
        let enough = match cluster.scale {
            ScaleSettings::Manual { target_node_count, .. } => {
                node_count <= target_node_count
                    && (node_count == target_node_count || has_no_capacity)
            }
            ScaleSettings::AutoScale { minimum_node_count, .. } => {
                let surplus = node_count > minimum_node_count && !behind;
                !surplus && unusable == 0 && (node_count >= minimum_node_count || has_no_capacity)
            }
        };
        if !enough {
            return Some(format!("{name} has {node_count} nodes for {:?}", cluster.scale));
        }
        let dormant = node_count == 0 && !view.has_startable() && cluster.scale.floor() == 0;
        (dormant && (cluster.scheduled || self.scheduled.contains_key(cluster.uid.as_str())))
            .then(|| format!("{name} could be dormant"))
    }

    /// The nodes that a job of this width can have: any one, or those of one zone.
    fn most_in_one_zone(&self, view: &ClusterView, width: u32) -> u32 {
        let nodes = view.nodes.iter().filter_map(|id| self.nodes.get(id));
        let mut counts: BTreeMap<Zone, u32> = BTreeMap::new();
        for node in nodes.filter(|it| !matches!(it.state, NodeState::Unusable { .. })) {
            let zone = if width == 1 { Zone::Only } else { node.zone() };
            *counts.entry(zone).or_default() += 1;
        }
        counts.values().copied().max().unwrap_or(0)
    }

    /// Whether the stated reason is a setting, which is the actual reason.
    fn states_setting(&self, view: &ClusterView, entry: &model::QueueEntry) -> bool {
        let now = view.record.modified_at;
        let snapshot = scheduler::waiting::WaitingSnapshot {
            cluster: (*view.record).clone(),
            blocked: None,
            nodes: Vec::new(),
            queue: Vec::new(),
        };
        let waiting = scheduler::waiting::explain(&snapshot, entry, now, now);
        waiting.reason == model::WaitingReason::Setting
    }

    /// The cores in use with the priority and region of a cluster.
    pub(super) fn cores(&self, view: &ClusterView) -> i64 {
        let charge = view.record.charge();
        let same = |it: &&super::Record<model::Node>| {
            it.charge.account == charge.account && it.charge.priority == charge.priority
        };
        self.nodes.values().filter(same).map(|it| i64::from(it.charge.cores)).sum()
    }

    fn unsettled_schedule(&self) -> Option<String> {
        let idle = self.scheduled.keys().find(|uid| !self.clusters.contains_key(*uid));
        idle.map(|uid| format!("{:?} is still scheduled", *self.scheduled[uid]))
    }

    /// An item that belongs to no record.
    pub fn leftover(&self, items: &[Item]) -> Option<String> {
        let is_known = |item: &Item| {
            let (pk, sk) = (item.key.pk.as_str(), item.key.sk.as_str());
            let (partition, owner) = pk.split_once('#').unwrap_or((pk, ""));
            match partition {
                "cl" => self.clusters.contains_key(owner),
                "exp" if sk.starts_with("log#") => {
                    sk.split('#').nth(1).is_some_and(|job| self.jobs.contains_key(job))
                }
                "exp" => self.experiments.values().any(|it| it.uid.as_str() == owner),
                "ws" => self.workspaces.values().any(|it| it.uid.as_str() == owner),
                // The deletion of a workspace removes its file servers, even if they are mounted.
                "fs" => self.mounts.iter().any(|(server, cluster)| {
                    server == owner && self.clusters.contains_key(cluster)
                }),
                "sub" if sk.starts_with("ws#") => self.has_group(pk, sk),
                _ => true,
            }
        };
        let item = items.iter().find(|item| !is_known(item));
        item.map(|item| format!("{} {} is left over", item.key.pk, item.key.sk))
    }

    fn has_group(&self, pk: &str, sk: &str) -> bool {
        let group = sk.split('#').nth(1).unwrap_or_default();
        self.groups.contains_key(&format!("{pk}/rg#{group}"))
    }

    /// Checks that a change that was acknowledged to a user is stored.
    ///
    /// # Errors
    /// When it is not stored.
    pub fn check_answer(
        &self,
        layout: &Layout,
        request: &UserRequest,
        answer: &Answer,
    ) -> Result<(), String> {
        if let Answer::Operation(id) = answer {
            let known = self.operations.contains_key(id.as_str());
            return super::ensure(known, || format!("{request:?}: operation {id} is not stored"));
        }
        match request {
            UserRequest::Submit(spec) => {
                let child = &layout.experiments[spec.experiment];
                let names = model::JobNames {
                    workspace: layout.workspaces[child.workspace].clone(),
                    experiment: child.name.clone(),
                    job: model::Name::new(format!("j{}", spec.number)),
                };
                let is_stored = self.jobs.values().any(|it| it.names == names);
                super::ensure(is_stored || self.user_requests.deletes_job(&names), || {
                    format!("job j{} was accepted, but is not stored", spec.number)
                })
            }
            UserRequest::PutCluster(it, _) => {
                let slot = &layout.clusters[*it];
                let names = &layout.workspaces[slot.workspace];
                let mut views = self.clusters.values();
                let is_stored =
                    views.any(|it| it.record.names == *names && it.record.name == slot.name);
                super::ensure(
                    is_stored || self.user_requests.deletes_cluster(names, &slot.name),
                    || format!("cluster {} was accepted, but is not stored", slot.name),
                )
            }
            UserRequest::PutWorkspace(_)
            | UserRequest::PutExperiment(_)
            | UserRequest::PutFileServer(_)
            | UserRequest::Terminate { .. }
            | UserRequest::DeleteJob { .. }
            | UserRequest::Resize { .. }
            | UserRequest::ReadCluster(_)
            | UserRequest::DeleteCluster(_)
            | UserRequest::DeleteFileServer(_)
            | UserRequest::DeleteExperiment(_)
            | UserRequest::DeleteWorkspace(_)
            | UserRequest::DeleteGroup(_)
            | UserRequest::Tag(_)
            | UserRequest::Grant(_)
            | UserRequest::Revoke(_)
            | UserRequest::CreateToken(_)
            | UserRequest::RevokeToken(_) => Ok(()),
        }
    }
}
