//! Rules about jobs: where their state says, final once, ended for a true reason.

use super::{Checked, ClusterView, Kept, Moment, Queued, Touched, Watch, ensure, replace};
use model::{
    AttemptRecord, EndReason, Job, JobState, MemberProgress, OperationState, Outcome, limits,
};
use protocol::End;
use std::collections::BTreeSet;
use table::{Write, WriteKind};

impl Watch {
    pub(super) fn apply_queue(
        &mut self,
        cluster: &str,
        sk: &str,
        kind: &WriteKind,
        step: u64,
        touched: &mut Vec<Touched>,
    ) {
        let Some(view) = self.clusters.get_mut(cluster) else { return };
        let new = Kept::put(kind).map(|entry| Queued { entry, since: step });
        let uid = sk.rsplit_once('#').map_or("", |(_, uid)| uid).to_owned();
        if new.is_none() {
            view.left_queue.push((step, self.task));
            let surplus = view.left_queue.len().saturating_sub(8);
            view.left_queue.drain(..surplus);
        }
        replace(&mut view.queue, sk, new);
        let job = self.jobs.get(&uid).cloned();
        touched.push(Touched::Job(uid, job));
    }

    pub(super) fn apply_job(&mut self, write: &Write, touched: &mut Vec<Touched>) {
        let key = (write.key.pk.clone(), write.key.sk.clone());
        let new: Option<Kept<Job>> = Kept::put(&write.kind);
        let uid = match &new {
            Some(job) => job.uid.to_string(),
            None => self.uids.get(&key).cloned().unwrap_or_default(),
        };
        match &new {
            Some(_) => self.uids.insert(key, uid.clone()),
            None => self.uids.remove(&key),
        };
        let old = replace(&mut self.jobs, &uid, new);
        touched.push(Touched::Job(uid, old));
    }

    pub(super) fn check_job(
        &mut self,
        uid: &str,
        old: Option<&Kept<Job>>,
        moment: &Moment<'_>,
    ) -> Checked {
        let Some(job) = self.jobs.get(uid).cloned() else { return self.check_job_gone(uid, old) };
        let name = &job.names.job;
        let view = self.clusters.get(job.cluster.uid.as_str());
        self.check_place(&job, view)?;
        if let JobState::Running { .. } | JobState::Terminating { .. } = job.state {
            self.check_gang(&job, moment)?;
        }
        self.check_operations(&job)?;
        self.check_scheduled(job.cluster.uid.as_str())?;
        ensure(
            job.attempts.iter().zip(1..).all(|(record, number)| record.number == number),
            || format!("the attempts of {name} are not numbered one by one"),
        )?;
        if let Some(attempt) = job.state.attempt() {
            let key = (uid.to_owned(), attempt.number);
            self.started.entry(key).or_insert(moment.now);
        }
        if let Some(old) = old {
            self.check_step(old, &job, moment)?;
        }
        self.check_final(uid, &job)
    }

    /// Queued, and in the queue of its cluster once; or neither.
    fn check_place(&self, job: &Job, view: Option<&ClusterView>) -> Checked {
        let queue = view.into_iter().flat_map(|view| view.queue.values());
        let mut places = queue.filter(|it| it.entry.job.uid == job.uid);
        let (first, more) = (places.next(), places.count());
        let queued = matches!(job.state, JobState::Queued { .. });
        let right = first.is_some_and(|it| *it.entry == job.queue_entry());
        ensure(queued == right && first.is_some() == queued && more == 0, || {
            format!(
                "job {} is {} but its place in the queue is {first:?} and {more} more",
                job.names.job,
                job.state.name()
            )
        })
    }

    /// A gang is whole; each member is where the job says, and ended only when nothing runs there.
    fn check_gang(&self, job: &Job, moment: &Moment<'_>) -> Checked {
        let Some(attempt) = job.state.attempt() else { return Ok(()) };
        let (name, number) = (&job.names.job, attempt.number);
        ensure(attempt.node_count() == job.spec.node_count, || format!("a torn gang of {name}"))?;
        ensure(number as usize == job.attempts.len() + 1, || {
            format!("attempt {number} of {name} follows {}", job.attempts.len())
        })?;
        let distinct: BTreeSet<_> = attempt.members.iter().map(|it| &it.node).collect();
        ensure(distinct.len() == attempt.members.len(), || format!("{name} has a node twice"))?;
        let reference = attempt.reference(&job.reference());
        for member in &attempt.members {
            let node = self.nodes.get(member.node.as_str());
            let occupied = node.is_some_and(|it| it.attempt() == Some(&reference));
            let ended = member.progress == MemberProgress::Ended;
            ensure(occupied != ended, || {
                format!("member {} of {name} #{number}: ended {ended}, {node:?}", member.node)
            })?;
            if ended {
                self.check_nothing_runs(job, number, &member.node, moment)?;
            }
        }
        ensure(!attempt.has_ended_everywhere(), || format!("{name} #{number} ended everywhere"))
    }

    fn check_nothing_runs(
        &self,
        job: &Job,
        number: u32,
        node: &model::NodeId,
        moment: &Moment<'_>,
    ) -> Checked {
        let instance = moment.cloud.of_node(node);
        let runs = instance.is_some_and(|it| moment.oracle.is_live(job.uid.as_str(), number, it));
        ensure(!runs, || {
            format!("{} #{number} is recorded as ended on {node}, but runs there", job.names.job)
        })
    }

    /// What a job waits for to end has an operation in progress.
    fn check_operations(&self, job: &Job) -> Checked {
        let terminating = match &job.state {
            JobState::Terminating { operation, .. } => operation.as_ref(),
            _ => None,
        };
        let deletion = job.deletion.as_ref().map(|it| &it.operation);
        for id in terminating.into_iter().chain(deletion) {
            let operation = self.operations.get(id.as_str());
            ensure(operation.is_some_and(|it| it.state == OperationState::InProgress), || {
                format!("operation {id} of job {} is {operation:?}", job.names.job)
            })?;
        }
        ensure(!(job.state.is_final() && job.deletion.is_some()), || {
            format!("job {} has ended and is still to be deleted", job.names.job)
        })
    }

    fn operations_have_ended(&self, old: &Job) -> Checked {
        for done in old.completed_operations(old.submitted_at) {
            let operation = self.operations.get(done.id.as_str());
            ensure(operation.is_some_and(|it| it.state != OperationState::InProgress), || {
                format!("job {} ended, its operation {} did not", old.names.job, done.id)
            })?;
        }
        Ok(())
    }

    fn check_step(&self, old: &Job, job: &Job, moment: &Moment<'_>) -> Checked {
        let name = &job.names.job;
        ensure(old.submitted_at == job.submitted_at, || format!("{name} lost its age"))?;
        ensure(
            job.attempts.len() >= old.attempts.len()
                && job.attempts[..old.attempts.len()] == old.attempts[..],
            || format!("an attempt of {name} that has ended changed"),
        )?;
        if let Some(record) = job.attempts.get(old.attempts.len()) {
            self.check_ended_attempt(old, job, record, moment)?;
        }
        match (&old.state, &job.state) {
            (JobState::Queued { .. }, JobState::Running { .. }) => {
                self.check_order(old, job, moment)
            }
            (JobState::Queued { .. }, JobState::Queued { .. } | JobState::Failed { .. })
            | (JobState::Running { .. } | JobState::Terminating { .. }, _) => Ok(()),
            (before, after) if before.is_final() => {
                ensure(after.is_final(), || format!("{name} had ended and is {}", after.name()))
            }
            (before, after) => Err(format!("{name} was {} and is {}", before.name(), after.name())),
        }
    }

    /// An attempt has ended: nothing of it runs, and for the reason that its process gave.
    fn check_ended_attempt(
        &self,
        old: &Job,
        job: &Job,
        record: &AttemptRecord,
        moment: &Moment<'_>,
    ) -> Checked {
        let (name, number) = (&job.names.job, record.number);
        for node in &record.nodes {
            self.check_nothing_runs(job, number, node, moment)?;
        }
        if job.state.attempt().is_none() {
            self.operations_have_ended(old)?;
        }
        let Some(end) = &record.ended else { return Err(format!("{name} #{number} has no end")) };
        let truth = moment.oracle.truth(job.uid.as_str(), number);
        match &end.end_reason {
            EndReason::Exited { exit_code } | EndReason::PreparationFailed { exit_code } => {
                let given = truth.and_then(|it| it.exit_code);
                ensure(given == Some(*exit_code), || {
                    format!(
                        "{name} #{number} is recorded as {:?}, its process gave {given:?}",
                        end.end_reason
                    )
                })?;
            }
            EndReason::WallClockExceeded if self.limits.one_clock && self.limits.no_pauses => {
                let began = self.started.get(&(job.uid.to_string(), number));
                let ran = began.map_or(0, |began| moment.now - began);
                let exceeded = truth.is_some_and(|it| it.exceeded);
                // Recorded up to a slow call later than its own start; the slack covers that.
                let limit = job.spec.max_wall_clock_seconds as i64 * 1000;
                ensure(exceeded || ran >= limit, || {
                    format!("{name} #{number} ran {ran} ms of {limit} and exceeded its wall clock")
                })?;
                self.check_not_overruled(job, record, &end.end_reason, moment)?;
            }
            _ => self.check_not_overruled(job, record, &end.end_reason, moment)?,
        }
        self.check_outcome(old, job, &end.end_reason)
    }

    /// What ended by itself, and whose report arrived, is recorded as that.
    fn check_not_overruled(
        &self,
        job: &Job,
        record: &AttemptRecord,
        end_reason: &EndReason,
        moment: &Moment<'_>,
    ) -> Checked {
        let Some(truth) = moment.oracle.truth(job.uid.as_str(), record.number) else {
            return Ok(());
        };
        let alone = record.nodes.len() == 1;
        let own = truth.acknowledged.iter().find_map(|end| match end {
            End::Exited { exit_code } if alone || *exit_code == 0 => Some(*exit_code),
            _ => None,
        });
        ensure(own.is_none(), || {
            format!(
                "{} #{} exited with {own:?} by itself, but is recorded as {end_reason:?}",
                job.names.job, record.number
            )
        })
    }

    /// Losses return to the queue and use up no retries; own failures are retried as asked for.
    fn check_outcome(&self, old: &Job, job: &Job, end_reason: &EndReason) -> Checked {
        let name = &job.names.job;
        let terminating = matches!(old.state, JobState::Terminating { .. });
        let ends = job.attempts.iter().filter_map(|record| record.ended.as_ref());
        let own = ends.filter(|end| end.end_reason.is_user_failure()).count();
        let tries = job.spec.max_retries.unwrap_or_default() as usize + 1;
        ensure(own < tries || (own == tries && job.state.is_final()), || {
            format!("{name} failed {own} times by itself, with {tries} tries")
        })?;
        let queued = matches!(job.state, JobState::Queued { .. });
        let expected = match end_reason.outcome() {
            Outcome::Succeeded => matches!(job.state, JobState::Succeeded { .. }),
            _ if terminating => matches!(job.state, JobState::Failed { .. }),
            Outcome::Requeue { .. } => queued || self.may_give_up(job),
            Outcome::Failed { .. } if end_reason.is_user_failure() && own < tries => queued,
            Outcome::Failed { .. } => matches!(job.state, JobState::Failed { .. }),
        };
        ensure(expected, || format!("{name} ended with {end_reason:?} and is {:?}", job.state))
    }

    fn may_give_up(&self, job: &Job) -> bool {
        let node_failed = |record: &&AttemptRecord| {
            record
                .ended
                .as_ref()
                .is_some_and(|end| matches!(end.end_reason, EndReason::NodeFailed { .. }))
        };
        let node_failures = job.attempts.iter().filter(node_failed).count();
        node_failures >= limits::MAX_NODE_FAILURES
            || job.infrastructure_losses() > limits::MAX_INFRASTRUCTURE_LOSSES
    }

    /// A job is final once, and for a reason that somebody gave.
    fn check_final(&mut self, uid: &str, job: &Kept<Job>) -> Checked {
        if !job.state.is_final() {
            return ensure(!self.finals.contains_key(uid), || {
                format!("job {} had ended and is {}", job.names.job, job.state.name())
            });
        }
        let before = self.finals.entry(uid.to_owned()).or_insert_with(|| job.clone());
        let same = before.state == job.state && before.attempts == job.attempts;
        ensure(same, || format!("job {} changed after its end", job.names.job))?;
        self.asked.justifies(job)
    }

    fn check_job_gone(&mut self, uid: &str, old: Option<&Kept<Job>>) -> Checked {
        let queues = self.clusters.values().flat_map(|view| view.queue.values());
        let mut queued = queues.filter(|it| it.entry.job.uid.as_str() == uid);
        ensure(queued.next().is_none(), || format!("job {uid} is queued, but does not exist"))?;
        let Some(old) = old else { return Ok(()) };
        let busy = self
            .nodes
            .values()
            .find(|it| it.attempt().is_some_and(|attempt| attempt.job.uid.as_str() == uid));
        ensure(busy.is_none(), || format!("job {} is gone, but occupies {busy:?}", old.names.job))?;
        self.operations_have_ended(old)?;
        ensure(self.asked.deletes_job(&old.names), || {
            format!("job {} is gone, but nobody deleted it", old.names.job)
        })
    }
}
