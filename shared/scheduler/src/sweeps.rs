//! Sweeps with a limit (`maxParallel`): which of their queued jobs may run.
//!
//! A job that its sweep does not admit is passed over by dispatch and is no demand, so that neither nodes nor
//! reservations wait for it. The start of a job with a limit writes its cluster: two starts that were planned on
//! the same number of running jobs do not both succeed.

use model::{Node, QueueEntry, SweepKey, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// Admits queue entries, in the order of the queue, as long as their sweep has room.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    jobs: BTreeMap<SweepKey, BTreeSet<Uid>>,
}

impl Admission {
    /// With the jobs that run on these nodes, which are all nodes of the cluster.
    pub fn of(nodes: &[Node]) -> Self {
        let mut admission = Self::default();
        for node in nodes {
            if let (Some(key), Some(attempt)) = (node.sweep_key(), node.attempt()) {
                admission.jobs.entry(key).or_default().insert(attempt.job.uid.clone());
            }
        }
        admission
    }

    /// How many jobs of the entry's sweep run or were admitted.
    pub fn count(&self, entry: &QueueEntry) -> usize {
        entry.sweep_key().and_then(|key| self.jobs.get(&key)).map_or(0, BTreeSet::len)
    }

    /// Whether the sweep of the entry has room for it. If so, the room is taken.
    pub fn admits(&mut self, entry: &QueueEntry) -> bool {
        let (Some(limit), Some(key)) = (&entry.sweep, entry.sweep_key()) else { return true };
        let jobs = self.jobs.entry(key).or_default();
        let has_room = jobs.len() < limit.max_parallel as usize;
        if has_room {
            jobs.insert(entry.job.uid.clone());
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::{of_sweep, queued, running};

    fn admitted(nodes: &[Node], queue: &[QueueEntry]) -> Vec<String> {
        let mut admission = Admission::of(nodes);
        let queue = queue.iter().filter(|entry| admission.admits(entry));
        queue.map(|entry| entry.job.name.clone()).collect()
    }

    #[test]
    fn a_sweep_has_no_more_jobs_than_its_limit() {
        let run = |name| of_sweep(queued(name, 1), "S", 2);
        let queue = [run("a"), queued("b", 1), run("c"), run("d"), queued("e", 1)];
        assert_eq!(admitted(&[], &queue), ["a", "b", "c", "e"]);
        let gang = |number| Node { sweep: Some("s".into()), ..running(number, "x") };
        assert_eq!(admitted(&[gang(0), gang(1)], &queue), ["a", "b", "e"], "a gang is one job");
        let full = [gang(0), Node { sweep: Some("s".into()), ..running(1, "y") }];
        assert_eq!(admitted(&full, &queue), ["b", "e"]);
        assert_eq!(Admission::of(&full).count(&run("a")), 2);
    }

    #[test]
    fn other_sweeps_and_former_jobs_do_not_count() {
        let run = of_sweep(queued("a", 1), "s", 1);
        let mut elsewhere = of_sweep(queued("b", 1), "s", 1);
        elsewhere.job.experiment = model::Uid::from_bytes([9; 16]);
        let queue = [run, elsewhere, of_sweep(queued("c", 1), "t", 1)];
        assert_eq!(admitted(&[running(0, "x")], &queue), ["a", "b", "c"]);
        let former =
            Node { sweep: Some("s".into()), ..crate::builders::idle(0, crate::builders::NOW) };
        assert_eq!(admitted(&[former], &queue), ["a", "b", "c"]);
    }
}
