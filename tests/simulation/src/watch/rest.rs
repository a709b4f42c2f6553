//! What must hold once faults have stopped and time has passed: every job has ended or waits for a
//! true reason, every cluster has the nodes that it is to have, and nothing is left over.

use super::{ClusterView, Watch};
use crate::cloud::Cloud;
use crate::requests::Answer;
use crate::scenario::{Place, Scenario};
use crate::script::What;
use model::{FileServerState, JobState, NodeState, OperationState, ScaleSettings};
use table::Item;

impl Watch {
    /// What is still to come to its rest.
    pub fn unrest(&self, cloud: &Cloud, scenario: &Scenario) -> Option<String> {
        self.resources_unrest()
            .or_else(|| self.instances_unrest(cloud))
            .or_else(|| {
                self.clusters.values().find_map(|it| self.cluster_unrest(it, cloud, scenario))
            })
            .or_else(|| self.schedule_unrest())
    }

    fn resources_unrest(&self) -> Option<String> {
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

    /// What runs is owned, and what is owned runs.
    fn instances_unrest(&self, cloud: &Cloud) -> Option<String> {
        for (number, instance) in cloud.running() {
            let owner = self.nodes.get(instance.node.as_str());
            let owned = owner.and_then(|it| it.instance()).is_some_and(|it| it.id == instance.name);
            if !owned {
                return Some(format!("i-{number} runs without an owner"));
            }
        }
        for (name, owner) in &self.owners {
            let node = self.nodes.get(owner.node.as_str());
            if node.and_then(|it| it.instance()).is_none_or(|it| it.id != *name) {
                return Some(format!("{name} is owned by {}, which has it not", owner.node));
            }
        }
        None
    }

    fn cluster_unrest(
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
        let present = view.nodes.len() as u32;
        if cluster.planned_nodes != present || cluster.allocation.resizing {
            return Some(format!(
                "{name} has {present} nodes, planned {}, {:?}",
                cluster.planned_nodes, cluster.allocation
            ));
        }
        let unusable =
            nodes().filter(|it| matches!(it.state, NodeState::Unusable { .. })).count() as u32;
        let gives_none = self.cores(view) >= i64::from(scenario.quota_nodes)
            || cloud.running().count() >= scenario.instances;
        let mut behind = false;
        for queued in view.queue.values() {
            let needed = queued.entry.node_count;
            if needed > cluster.scale.ceiling() {
                if !self.says_setting(view, &queued.entry) {
                    return Some(format!("job {} is not told why it waits", queued.entry.job.name));
                }
                continue;
            }
            let manual = matches!(cluster.scale, ScaleSettings::Manual { .. });
            let spoiled = manual && unusable > 0 && present - unusable < needed;
            if !(behind || spoiled || gives_none && present - unusable < needed) {
                return Some(format!("job {} waits in {name}", queued.entry.job.name));
            }
            behind = true;
        }
        let enough = match cluster.scale {
            ScaleSettings::Manual { target_node_count, .. } => {
                present <= target_node_count && (present == target_node_count || gives_none)
            }
            ScaleSettings::AutoScale { minimum_node_count, .. } => {
                let surplus = present > minimum_node_count && !behind;
                !surplus && unusable == 0 && (present >= minimum_node_count || gives_none)
            }
        };
        if !enough {
            return Some(format!("{name} has {present} nodes for {:?}", cluster.scale));
        }
        let dormant = present == 0 && !view.has_startable() && cluster.scale.floor() == 0;
        (dormant && (cluster.scheduled || self.scheduled.contains_key(cluster.uid.as_str())))
            .then(|| format!("{name} could be dormant"))
    }

    /// The stated reason is the true one.
    fn says_setting(&self, view: &ClusterView, entry: &model::QueueEntry) -> bool {
        let now = view.record.modified_at;
        let waiting = scheduler::waiting::explain(&view.record, None, entry, now, now);
        waiting.reason == model::WaitingReason::Setting
    }

    /// Cores of the priority of a cluster in its region.
    pub(super) fn cores(&self, view: &ClusterView) -> i64 {
        let charge = view.record.charge();
        let same = |it: &&super::Kept<model::Node>| {
            it.charge.account == charge.account && it.charge.priority == charge.priority
        };
        self.nodes.values().filter(same).map(|it| i64::from(it.charge.cores)).sum()
    }

    /// File servers that have a directory.
    pub fn ready_servers(&self) -> std::collections::BTreeSet<&str> {
        let ready = |it: &&super::Kept<model::FileServer>| {
            matches!(it.state, FileServerState::Ready { .. })
        };
        self.file_servers.values().filter(ready).map(|it| it.uid.as_str()).collect()
    }

    fn schedule_unrest(&self) -> Option<String> {
        let idle = self.scheduled.keys().find(|uid| !self.clusters.contains_key(*uid));
        idle.map(|uid| format!("{:?} is still visited", *self.scheduled[uid]))
    }

    /// An item that belongs to nothing.
    pub fn leftover(&self, items: &[Item]) -> Option<String> {
        let is_known = |item: &Item| {
            let (pk, sk) = (item.key.pk.as_str(), item.key.sk.as_str());
            let (partition, owner) = pk.split_once('#').unwrap_or((pk, ""));
            match partition {
                "cl" => self.clusters.contains_key(owner),
                "exp" => self.experiments.values().any(|it| it.uid.as_str() == owner),
                "ws" => self.workspaces.values().any(|it| it.uid.as_str() == owner),
                // A workspace that is deleted takes its file servers along, mounted or not.
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

    /// What was acknowledged to a user is there.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_answer(&self, place: &Place, what: &What, answer: &Answer) -> Result<(), String> {
        if let Answer::Operation(id) = answer {
            let known = self.operations.contains_key(id.as_str());
            return super::ensure(known, || format!("{what:?}: operation {id} is not stored"));
        }
        match what {
            What::Submit(order) => {
                let child = &place.experiments[order.experiment];
                let names = model::JobNames {
                    workspace: place.workspaces[child.workspace].clone(),
                    experiment: child.name.clone(),
                    job: model::Name::new(format!("j{}", order.number)),
                };
                let there = self.jobs.values().any(|it| it.names == names);
                super::ensure(there || self.asked.deletes_job(&names), || {
                    format!("job j{} was accepted, but is not there", order.number)
                })
            }
            What::PutCluster(it, _) => {
                let slot = &place.clusters[*it];
                let names = &place.workspaces[slot.workspace];
                let mut views = self.clusters.values();
                let there =
                    views.any(|it| it.record.names == *names && it.record.name == slot.name);
                super::ensure(there || self.asked.deletes_cluster(names, &slot.name), || {
                    format!("cluster {} was accepted, but is not there", slot.name)
                })
            }
            _ => Ok(()),
        }
    }
}
