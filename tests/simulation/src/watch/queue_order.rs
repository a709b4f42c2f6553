//! The order of the queue: priority, then age. A job may pass the head of the queue only if the head
//! could not start on the free nodes.

use super::{Checked, CommitContext, Watch, ensure};
use model::Job;

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
        let taken = self.free_before(job, context);
        let free = view.idle.values().filter(|since| **since < context.started).count() + taken;
        let ceiling = view.record.scale.ceiling();
        let startable = |it: &&super::Queued| it.entry.node_count <= ceiling;
        let Some(head) = view.queue.values().find(startable) else { return Ok(()) };
        let it = &head.entry;
        let earlier = (it.rank, it.submitted_at, it.job.uid.as_str()) < position;
        let fits = it.node_count as usize <= free;
        ensure(!(earlier && head.since < context.started && fits), || {
            format!(
                "job {} started before {}, although {free} nodes were free for it",
                job.names.job, it.job.name
            )
        })
    }

    /// How many nodes of the job were free since before the start of the handler. A node that was freed
    /// in the same commit does not count.
    fn free_before(&self, job: &Job, context: &CommitContext<'_>) -> usize {
        let Some(attempt) = job.state.attempt() else { return 0 };
        let members = attempt.members.iter();
        let free = |it: &&model::Member| {
            self.freed.get(it.node.as_str()).is_some_and(|since| *since < context.started)
        };
        members.filter(free).count()
    }
}
