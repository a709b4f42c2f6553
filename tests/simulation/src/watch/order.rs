//! The rule of the queue: priority, then age. A job may pass the head of the queue only when that one
//! could not have started on the nodes that were free.

use super::{Checked, Moment, Watch, ensure};
use model::Job;

impl Watch {
    /// `job` has just started. Whatever was queued before it since before the handler began, and
    /// would have fitted on nodes that were free since then, was passed over.
    pub(super) fn check_order(&self, old: &Job, job: &Job, moment: &Moment<'_>) -> Checked {
        let Some(view) = self.clusters.get(job.cluster.uid.as_str()) else { return Ok(()) };
        let left = |it: &(u64, u64)| it.0 >= moment.began && it.1 != moment.task;
        if view.changed >= moment.began || view.left_queue.iter().any(left) {
            return Ok(());
        }
        let entry = old.queue_entry();
        let place = (entry.rank, entry.submitted_at, entry.job.uid.as_str());
        let taken = self.free_before(job, moment);
        let free = view.idle.values().filter(|since| **since < moment.began).count() + taken;
        let ceiling = view.record.scale.ceiling();
        let startable = |it: &&super::Queued| it.entry.node_count <= ceiling;
        let Some(head) = view.queue.values().find(startable) else { return Ok(()) };
        let it = &head.entry;
        let earlier = (it.rank, it.submitted_at, it.job.uid.as_str()) < place;
        let fits = it.node_count as usize <= free;
        ensure(!(earlier && head.since < moment.began && fits), || {
            format!(
                "job {} started before {}, for which {free} nodes were free",
                job.names.job, it.job.name
            )
        })
    }

    /// How many of the nodes that the job took had been free since before the handler began. A node
    /// that was freed in the same commit was not.
    fn free_before(&self, job: &Job, moment: &Moment<'_>) -> usize {
        let Some(attempt) = job.state.attempt() else { return 0 };
        let members = attempt.members.iter();
        let free = |it: &&model::Member| {
            self.freed.get(it.node.as_str()).is_some_and(|since| *since < moment.began)
        };
        members.filter(free).count()
    }
}
