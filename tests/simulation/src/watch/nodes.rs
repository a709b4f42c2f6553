//! Invariants of nodes: one attempt at a time, idle markers and owners match, no more nodes than
//! allowed, and no node is removed while its instance runs.

use super::{Change, Checked, CommitContext, Record, Watch, ensure, replace};
use crate::pools::price;
use model::{Charge, EndedNodes, LeaveReason, Node, NodeState, Offering, VmPriority, limits};
use table::{IdleMarker, WriteKind};

/// The record of the last report may be older than the report: by the time within which reports are not
/// recorded, in whole seconds, and by two calls.
const SLACK_MILLIS: i64 = (limits::LONG_POLL_SECONDS as i64 + 1) * 1000 + 2_500;

impl Watch {
    pub(super) fn apply_node(
        &mut self,
        cluster: &str,
        id: &str,
        kind: &WriteKind,
        changes: &mut Vec<Change>,
    ) {
        let new: Option<Record<Node>> = Record::put(kind);
        if let Some(node) = &new
            && matches!(node.state, NodeState::Launching { .. })
        {
            self.intended.insert(id.to_owned(), node.launch.clone());
        }
        if let Some(view) = self.clusters.get_mut(cluster) {
            match &new {
                Some(_) => view.nodes.insert(id.to_owned()),
                None => view.nodes.remove(id),
            };
        }
        let charge = new.as_ref().map(|it| it.charge.clone());
        let old = replace(&mut self.nodes, id, new);
        match (&old, charge) {
            (None, Some(charge)) => self.expect_charge(&charge, 1),
            (Some(old), None) => self.expect_charge(&old.charge.clone(), -1),
            (None, None) | (Some(_), Some(_)) => {}
        }
        changes.push(Change::Node(id.to_owned(), old));
    }

    pub(super) fn apply_ended(&mut self, kind: &WriteKind, changes: &mut Vec<Change>) {
        let Some(ended) = Record::<EndedNodes>::put(kind) else { return };
        let is_new = ended.ids.iter().filter(|id| self.ended.insert(id.to_string())).count();
        let is_repeated = is_new < ended.ids.len();
        changes.push(Change::Ended(ended, is_repeated));
    }

    /// A node ends once, in the commit that removes it.
    pub(super) fn check_ended(&self, ended: &EndedNodes, is_repeated: bool) -> Checked {
        ensure(!is_repeated, || format!("{:?} have ended twice", ended.ids))?;
        let kept = ended.ids.iter().find(|id| self.nodes.contains_key(id.as_str()));
        ensure(kept.is_none(), || format!("{kept:?} is recorded as ended, and was not removed"))
    }

    fn expect_charge(&mut self, charge: &Charge, sign: i64) {
        let account = &charge.account;
        let partition = format!("usage#{}#{}", account.subscription.key(), account.location.key());
        let priority = match charge.priority {
            VmPriority::Dedicated => "dedicated",
            VmPriority::LowPriority => "lowpriority",
        };
        let cores = sign * i64::from(charge.cores);
        self.expect_count(&partition, priority, cores);
        self.expect_count("usage", "cores", cores);
        if let Some(family) = charge.family {
            self.expect_count(&partition, &format!("{priority}#{}", family.name()), cores);
        }
    }

    pub(super) fn apply_idle(
        &mut self,
        cluster: &str,
        id: &str,
        kind: &WriteKind,
        step: u64,
        changes: &mut Vec<Change>,
    ) {
        let marker: Option<Record<IdleMarker>> = Record::put(kind);
        let is_removed = marker.is_none();
        if let Some(marker) = marker {
            self.freed.insert(id.to_owned(), step);
            self.marked_zones.insert(id.to_owned(), marker.zone.clone());
        }
        if let Some(view) = self.clusters.get_mut(cluster) {
            if is_removed {
                view.idle.remove(id)
            } else {
                view.idle.insert(id.to_owned(), step)
            };
        }
        changes.push(Change::Node(id.to_owned(), self.nodes.get(id).cloned()));
    }

    pub(super) fn check_node(
        &self,
        id: &str,
        old: Option<&Record<Node>>,
        context: &CommitContext<'_>,
    ) -> Checked {
        let Some(node) = self.nodes.get(id) else {
            return self.check_node_removed(id, old, context);
        };
        let cluster = node.cluster.uid.as_str();
        let view = self.clusters.get(cluster);
        let view = view.ok_or_else(|| format!("node {id} has no cluster"))?;
        let idle = matches!(node.state, NodeState::Idle { .. });
        let marked = view.idle.contains_key(id);
        ensure(idle == marked, || {
            format!("node {id} is {}, but its idle marker exists: {marked}", node.state.name())
        })?;
        ensure(!idle || self.marked_zones.get(id) == Some(&node.zone()), || {
            format!("node {id} is in {:?}, but its idle marker says otherwise", node.zone())
        })?;
        if let Some(launched) = node.instance() {
            let actual = context.cloud.get(&launched.id).map(|it| &it.offering);
            let known = node.offering != Offering::Unknown;
            ensure(!known || actual.is_none_or(|it| *it == node.offering), || {
                format!("node {id} is recorded as {:?}, and is {actual:?}", node.offering)
            })?;
            ensure(node.price.is_not_asked() || node.price == price(&node.offering), || {
                format!("node {id} is {:?} and costs {:?}", node.offering, node.price)
            })?;
            let owner = self.owners.get(&launched.id);
            ensure(owner.is_some_and(|it| it.node == node.id), || {
                format!("instance {} of node {id} has the owner {owner:?}", launched.id)
            })?;
        }
        if let Some(attempt) = node.attempt() {
            let job = self.jobs.get(attempt.job.uid.as_str());
            let member = job.and_then(|job| job.attempt(attempt)?.member(&node.id));
            let runs = member.is_some_and(|it| !it.progress.is_over());
            ensure(runs, || {
                format!("node {id} has the attempt {attempt:?}, which is not live there")
            })?;
        }
        match old {
            None => {
                let ceiling = view.record.scale.ceiling() as usize;
                ensure(view.nodes.len() <= ceiling && !view.record.is_deleting(), || {
                    format!(
                        "cluster {} has {} nodes of {ceiling}",
                        view.record.name,
                        view.nodes.len()
                    )
                })
            }
            Some(old) => self.check_node_transition(old, node, context),
        }?;
        self.check_scheduled(cluster)
    }

    fn check_node_transition(
        &self,
        old: &Node,
        node: &Node,
        context: &CommitContext<'_>,
    ) -> Checked {
        let id = &node.id;
        ensure(!old.is_leaving() || node.is_leaving(), || {
            format!("node {id} was leaving and is {} again", node.state.name())
        })?;
        ensure(old.seen_at <= node.seen_at || !self.limits.one_clock, || {
            format!("the last report of node {id} moved from {} to {}", old.seen_at, node.seen_at)
        })?;
        let runs = |it: &Node| matches!(it.state, NodeState::Running { .. });
        if runs(node) && !runs(old) {
            let instance = self.instance_of(id.as_str());
            let failed = instance.is_some_and(|it| context.oracle.failed.contains(&it));
            ensure(!failed, || format!("node {id} starts a job after it failed to run one"))?;
        }
        self.check_recommendation(old, node)?;
        let lost =
            |it: &Node| matches!(it.state, NodeState::Leaving { reason: LeaveReason::Lost, .. });
        if lost(node) && !lost(old) && self.limits.one_clock {
            return self.check_loss(old, context);
        }
        Ok(())
    }

    /// A node that is to be replaced starts no job and keeps the one it has; any other node stays.
    fn check_recommendation(&self, old: &Node, node: &Node) -> Checked {
        let id = &node.id;
        let view = self.clusters.get(node.cluster.uid.as_str());
        let replaces =
            view.is_some_and(|it| it.record.spec.extensions.replace_on_rebalance == Some(true));
        let runs = |it: &Node| matches!(it.state, NodeState::Running { .. });
        let is_at_risk = node.rebalance_recommended_at.is_some();
        ensure(!(replaces && is_at_risk && runs(node) && !runs(old)), || {
            format!("node {id} starts a job although it is to be replaced")
        })?;
        let leaves =
            |it: &Node| matches!(it.state, NodeState::Leaving { reason: LeaveReason::AtRisk, .. });
        if !leaves(node) || leaves(old) {
            return Ok(());
        }
        ensure(replaces && is_at_risk, || format!("node {id} is replaced, but should stay"))?;
        ensure(node.attempt() == old.attempt(), || {
            format!("node {id} is to be replaced and had {:?}", old.attempt())
        })?;
        Ok(())
    }

    /// A node may be declared lost only if its instance has ended, if it was silent for long enough, if
    /// its attempt is ending (and may be overdue), or if it has an interruption notice.
    fn check_loss(&self, node: &Node, context: &CommitContext<'_>) -> Checked {
        let Some(launched) = node.instance() else { return Ok(()) };
        let Some(instance) = context.cloud.get(&launched.id) else { return Ok(()) };
        let silent = context.now - instance.last_heard_at;
        let patience = limits::SILENCE_SECONDS as i64 * 1000 - SLACK_MILLIS;
        let ending = node.attempt().is_some_and(|attempt| {
            let job = self.jobs.get(attempt.job.uid.as_str());
            job.and_then(|job| job.attempt(attempt)).is_some_and(|it| it.is_ending())
        });
        let noticed =
            matches!(node.state, NodeState::Leaving { reason: LeaveReason::Interrupted, .. });
        ensure(!instance.running || silent >= patience || ending || noticed, || {
            format!(
                "node {} is declared lost, but {} is running and was heard {silent} ms ago",
                node.id, instance.name
            )
        })
    }

    fn check_node_removed(
        &self,
        id: &str,
        old: Option<&Record<Node>>,
        context: &CommitContext<'_>,
    ) -> Checked {
        ensure(self.ended.contains(id), || {
            format!("node {id} was removed without a record of its end")
        })?;
        let marked = self.clusters.values().any(|view| view.idle.contains_key(id));
        ensure(!marked, || format!("node {id} was removed, but has an idle marker"))?;
        let Some(old) = old else { return Ok(()) };
        if let Some(attempt) = old.attempt() {
            let job = self.jobs.get(attempt.job.uid.as_str());
            let member = job.and_then(|job| job.attempt(attempt)?.member(&old.id));
            ensure(member.is_none_or(|it| it.progress.is_over()), || {
                format!("node {id} was removed, but {attempt:?} is live on it")
            })?;
        }
        let Some(launched) = old.instance() else { return Ok(()) };
        ensure(!self.owners.contains_key(&launched.id), || {
            format!("node {id} was removed, but still owns {}", launched.id)
        })?;
        let running = context.cloud.get(&launched.id).is_some_and(|it| it.running);
        ensure(!running, || format!("node {id} was removed, but {} is running", launched.id))
    }
}
