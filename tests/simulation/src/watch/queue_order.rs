//! The order of the queue: priority, then age. A job may pass the head of the queue only if the head
//! could not start on the free nodes.

use super::{Checked, CommitContext, Watch, ensure};
use model::{IdleNode, Job};
use scheduler::dispatch;

impl Watch {
    /// `job` has just started. It must not have passed a job that was ahead of it in the queue and fit
    /// on the free nodes, both since before the start of the handler.
    pub(super) fn check_order(&self, old: &Job, job: &Job, context: &CommitContext<'_>) -> Checked {
        let Some(view) = self.clusters.get(job.cluster.uid.as_str()) else { return Ok(()) };
        let is_removal = |it: &(u64, u64)| it.0 >= context.started && it.1 != context.task;
        if view.changed >= context.started || view.left_queue.iter().any(is_removal) {
            return Ok(());
        }
        let entry = old.queue_entry();
        let position = (entry.rank, entry.submitted_at, entry.job.uid.as_str());
        let idle = view.idle.iter().filter(|(_, since)| **since < context.started);
        let idle = idle.map(|(id, _)| id.as_str()).chain(self.free_before(job, context));
        let free: Vec<IdleNode> = idle.filter_map(|id| self.idle_node(id)).collect();
        let ceiling = view.record.scale.ceiling();
        let startable = |it: &&super::Queued| it.entry.node_count <= ceiling;
        let Some(head) = view.queue.values().find(startable) else { return Ok(()) };
        if head.entry.sweep.is_some() {
            // Whether its sweep had room for it before this start is not known any more. If so, it is the head that
            // others must not delay; if not, it is passed over.
            return Ok(());
        }
        let it = &head.entry;
        let earlier = (it.rank, it.submitted_at, it.job.uid.as_str()) < position;
        let fits = dispatch::nodes_for(&free, it.node_count as usize).is_some();
        ensure(!(earlier && head.since < context.started && fits), || {
            format!(
                "job {} started before {}, although {} nodes were free for it",
                job.names.job,
                it.job.name,
                free.len()
            )
        })
    }

    /// A node, as dispatch saw it.
    fn idle_node(&self, id: &str) -> Option<IdleNode> {
        let node = self.nodes.get(id)?;
        Some(IdleNode { id: node.id.clone(), zone: node.zone() })
    }

    /// The nodes of the job that were free since before the start of the handler. A node that was freed
    /// in the same commit does not count.
    fn free_before<'a>(
        &'a self,
        job: &'a Job,
        context: &'a CommitContext<'_>,
    ) -> impl Iterator<Item = &'a str> {
        let members = job.state.attempt().into_iter().flat_map(|attempt| &attempt.members);
        let free = |id: &&str| self.freed.get(*id).is_some_and(|since| *since < context.started);
        members.map(|member| member.node.as_str()).filter(free)
    }
}
