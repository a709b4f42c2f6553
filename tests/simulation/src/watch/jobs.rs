//! Invariants of jobs: queue and nodes match the state, a final state never changes, and the recorded
//! end of an attempt is the actual one.

use super::{Change, Checked, ClusterView, CommitContext, Queued, Record, Watch, ensure, replace};
use crate::attempt::evidence_of;
use model::{
    AttemptRecord, EndReason, Job, JobState, MemberProgress, OperationState, Outcome, Price, Zone,
    limits,
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
        changes: &mut Vec<Change>,
    ) {
        let Some(view) = self.clusters.get_mut(cluster) else { return };
        let new = Record::put(kind).map(|entry| Queued { entry, since: step });
        let uid = sk.rsplit_once('#').map_or("", |(_, uid)| uid).to_owned();
        if new.is_none() {
            view.left_queue.push((step, self.task));
            let surplus = view.left_queue.len().saturating_sub(8);
            view.left_queue.drain(..surplus);
        }
        replace(&mut view.queue, sk, new);
        let job = self.jobs.get(&uid).cloned();
        changes.push(Change::Job(uid, job));
    }

    pub(super) fn apply_job(&mut self, write: &Write, changes: &mut Vec<Change>) {
        let key = (write.key.pk.clone(), write.key.sk.clone());
        let new: Option<Record<Job>> = Record::put(&write.kind);
        let uid = match &new {
            Some(job) => job.uid.to_string(),
            None => self.uids.get(&key).cloned().unwrap_or_default(),
        };
        match &new {
            Some(_) => self.uids.insert(key, uid.clone()),
            None => self.uids.remove(&key),
        };
        let old = replace(&mut self.jobs, &uid, new);
        changes.push(Change::Job(uid, old));
    }

    pub(super) fn check_job(
        &mut self,
        uid: &str,
        old: Option<&Record<Job>>,
        context: &CommitContext<'_>,
    ) -> Checked {
        let Some(job) = self.jobs.get(uid).cloned() else {
            return self.check_job_removed(uid, old);
        };
        let name = &job.names.job;
        let view = self.clusters.get(job.cluster.uid.as_str());
        self.check_queue_entry(&job, view)?;
        if let JobState::Running { .. } | JobState::Terminating { .. } = job.state {
            self.check_gang(&job, context)?;
        }
        self.check_operations(&job)?;
        self.check_scheduled(job.cluster.uid.as_str())?;
        ensure(
            job.attempts.iter().zip(1..).all(|(record, number)| record.number == number),
            || format!("the attempts of {name} are not numbered one by one"),
        )?;
        if let Some(attempt) = job.state.attempt() {
            let key = (uid.to_owned(), attempt.number);
            self.started.entry(key).or_insert(context.now);
        }
        if let Some(old) = old {
            self.check_job_transition(old, &job, context)?;
        }
        self.check_final(uid, &job)
    }

    /// A queued job has exactly one entry in the queue of its cluster; other jobs have none.
    fn check_queue_entry(&self, job: &Job, view: Option<&ClusterView>) -> Checked {
        let queue = view.into_iter().flat_map(|view| view.queue.values());
        let mut entries = queue.filter(|it| it.entry.job.uid == job.uid);
        let (first, more) = (entries.next(), entries.count());
        let queued = matches!(job.state, JobState::Queued { .. });
        let matches = first.is_some_and(|it| *it.entry == job.queue_entry());
        ensure(queued == matches && first.is_some() == queued && more == 0, || {
            format!(
                "job {} is {}, but has the queue entry {first:?} and {more} more",
                job.names.job,
                job.state.name()
            )
        })
    }

    /// A job that starts is within the limit of its sweep.
    fn check_sweep(&self, job: &Job) -> Checked {
        let entry = job.queue_entry();
        let (Some(limit), Some(key)) = (&entry.sweep, entry.sweep_key()) else { return Ok(()) };
        let runs = |other: &&Record<Job>| {
            other.cluster.uid == job.cluster.uid
                && other.state.attempt().is_some()
                && other.queue_entry().sweep_key() == Some(key.clone())
        };
        let running = self.jobs.values().filter(runs).count();
        ensure(running <= limit.max_parallel as usize, || {
            format!("{} starts as number {running} of its sweep: {limit:?}", job.names.job)
        })
    }

    /// Only a run whose sweep has a rule is stopped early, and not before the step of that rule.
    fn check_early_stop(&self, old: &Job, job: &Job) -> Checked {
        let stopped = |job: &Job| {
            let reason = job.state.attempt().and_then(|attempt| attempt.end_reason());
            matches!(reason, Some(EndReason::StoppedEarly { .. }))
        };
        if stopped(old) || !stopped(job) {
            return Ok(());
        }
        let name = &job.names.job;
        let rule = job.spec.sweep.as_ref().and_then(|sweep| sweep.early_stopping);
        let metrics = self.job_metrics.get(job.uid.as_str());
        let step = metrics.and_then(|it| it.curve("loss")?.latest()).map(|point| point.step);
        ensure(rule.is_some_and(|rule| step.is_some_and(|step| step >= rule.after_step)), || {
            format!("{name} is stopped early at step {step:?} by {rule:?}")
        })
    }

    /// A gang is complete; each member occupies its node until it has ended, and then has no process.
    fn check_gang(&self, job: &Job, context: &CommitContext<'_>) -> Checked {
        let Some(attempt) = job.state.attempt() else { return Ok(()) };
        let (name, number) = (&job.names.job, attempt.number);
        ensure(attempt.node_count() == job.spec.node_count, || {
            format!("the gang of {name} is incomplete")
        })?;
        ensure(number as usize == job.attempts.len() + 1, || {
            format!("attempt {number} of {name} follows {}", job.attempts.len())
        })?;
        let distinct: BTreeSet<_> = attempt.members.iter().map(|it| &it.node).collect();
        ensure(distinct.len() == attempt.members.len(), || {
            format!("{name} has two members on one node")
        })?;
        let place = |node: &str| {
            let instance = self.bound.get(node)?;
            Some(context.cloud.get(instance)?.offering.zone())
        };
        let zones: BTreeSet<Zone> =
            attempt.members.iter().filter_map(|it| place(it.node.as_str())).collect();
        ensure(zones.len() <= 1, || format!("the gang of {name} is in {zones:?}"))?;
        let price = |node: &str| {
            let offering = self.bound.get(node).and_then(|it| context.cloud.get(it));
            offering.map_or(Price::Unknown, |it| crate::pools::price(&it.offering))
        };
        let actual = Price::sum(attempt.members.iter().map(|it| price(it.node.as_str())));
        let known = attempt.micro_usd_per_hour;
        ensure(known.is_none() || known == actual, || {
            format!("an hour of {name} costs {actual:?}, but {known:?} is recorded")
        })?;
        let has_lost = attempt.members.iter().any(|it| it.progress == MemberProgress::Ended);
        ensure(attempt.is_ending() || !has_lost, || {
            format!("{name} #{number} goes on, but has ended on a node")
        })?;
        let reference = attempt.reference(&job.reference());
        for member in &attempt.members {
            let node = self.nodes.get(member.node.as_str());
            let occupied = node.is_some_and(|it| it.attempt() == Some(&reference));
            let ended = member.progress.is_over();
            ensure(occupied != ended, || {
                format!("member {} of {name} #{number}: ended {ended}, {node:?}", member.node)
            })?;
            if ended {
                self.check_no_processes(job, number, &member.node, context)?;
            }
        }
        ensure(!attempt.has_ended_everywhere(), || format!("{name} #{number} ended everywhere"))
    }

    fn check_no_processes(
        &self,
        job: &Job,
        number: u32,
        node: &model::NodeId,
        context: &CommitContext<'_>,
    ) -> Checked {
        let instance = self.instance_of(node.as_str());
        let is_live =
            instance.is_some_and(|it| context.oracle.is_live(job.uid.as_str(), number, it));
        ensure(!is_live, || {
            format!(
                "{} #{number} is recorded as ended on {node}, but has processes there",
                job.names.job
            )
        })
    }

    /// The operations that the record of a job names are in progress.
    fn check_operations(&self, job: &Job) -> Checked {
        let terminating = match &job.state {
            JobState::Terminating { operation, .. } => operation.as_ref(),
            JobState::Queued { .. }
            | JobState::Running { .. }
            | JobState::Succeeded { .. }
            | JobState::Failed { .. } => None,
        };
        let deletion = job.deletion.as_ref().map(|it| &it.operation);
        for id in terminating.into_iter().chain(deletion) {
            let operation = self.operations.get(id.as_str());
            ensure(operation.is_some_and(|it| it.state == OperationState::InProgress), || {
                format!("operation {id} of job {} is {operation:?}", job.names.job)
            })?;
        }
        ensure(!(job.state.is_final() && job.deletion.is_some()), || {
            format!("job {} has ended, but its deletion has not", job.names.job)
        })
    }

    fn operations_have_ended(&self, old: &Job) -> Checked {
        for done in old.completed_operations(old.submitted_at) {
            let operation = self.operations.get(done.id.as_str());
            ensure(operation.is_some_and(|it| it.state != OperationState::InProgress), || {
                format!("job {} has ended, but its operation {} has not", old.names.job, done.id)
            })?;
        }
        Ok(())
    }

    fn check_job_transition(&self, old: &Job, job: &Job, context: &CommitContext<'_>) -> Checked {
        let name = &job.names.job;
        ensure(old.submitted_at == job.submitted_at, || {
            format!("the submission time of {name} changed")
        })?;
        ensure(
            job.attempts.len() >= old.attempts.len()
                && job.attempts[..old.attempts.len()] == old.attempts[..],
            || format!("an ended attempt of {name} changed"),
        )?;
        if let Some(record) = job.attempts.get(old.attempts.len()) {
            self.check_ended_attempt(old, job, record, context)?;
        }
        self.check_early_stop(old, job)?;
        match (&old.state, &job.state) {
            (JobState::Queued { .. }, JobState::Running { .. }) => {
                self.check_sweep(job)?;
                self.check_order(old, job, context)
            }
            (JobState::Queued { .. }, JobState::Queued { .. } | JobState::Failed { .. })
            | (JobState::Running { .. } | JobState::Terminating { .. }, _) => Ok(()),
            (before, after) if before.is_final() => ensure(after.is_final(), || {
                format!("{name} had ended and is {} again", after.name())
            }),
            (before, after) => Err(format!("{name} was {} and is {}", before.name(), after.name())),
        }
    }

    /// An ended attempt has no processes, and its recorded end is the actual one.
    fn check_ended_attempt(
        &self,
        old: &Job,
        job: &Job,
        record: &AttemptRecord,
        context: &CommitContext<'_>,
    ) -> Checked {
        let (name, number) = (&job.names.job, record.number);
        for node in &record.nodes {
            self.check_no_processes(job, number, node, context)?;
        }
        if job.state.attempt().is_none() {
            self.operations_have_ended(old)?;
        }
        self.check_last_metrics(job, record, context)?;
        let Some(end) = &record.ended else {
            return Err(format!("{name} #{number} is listed, but has not ended"));
        };
        let shortage = end.shortage.as_ref().map(|shortage| shortage.evidence.clone());
        let reported = end.end_reason.is_user_failure().then(|| evidence_of(number));
        ensure(shortage == reported, || {
            format!("{name} #{number} has the shortage {shortage:?}, but {reported:?} was reported")
        })?;
        let actual = context.oracle.actual(job.uid.as_str(), number);
        match &end.end_reason {
            EndReason::Exited { exit_code } | EndReason::PreparationFailed { exit_code } => {
                let codes = actual.map_or(&[][..], |it| &it.exit_codes);
                let such = codes.iter().filter(|code| *code == exit_code).count();
                let every_node = *exit_code == 0 && job.spec.toolkit.ends_with_every_node();
                let expected = if every_node { record.nodes.len() } else { 1 };
                ensure(such >= expected, || {
                    format!(
                        "{name} #{number} is recorded as {:?}, but its exit codes are {codes:?}",
                        end.end_reason
                    )
                })?;
            }
            EndReason::WallClockExceeded if self.limits.one_clock && self.limits.no_pauses => {
                let started = self.started.get(&(job.uid.to_string(), number));
                let ran = started.map_or(0, |started| context.now - started);
                let exceeded = actual.is_some_and(|it| it.exceeded);
                // The start is recorded up to one slow call after the actual start.
                let limit = job.spec.max_wall_clock_seconds as i64 * 1000;
                ensure(exceeded || ran >= limit, || {
                    format!(
                        "{name} #{number} ran {ran} of {limit} ms, but is recorded as over its wall clock"
                    )
                })?;
                self.check_not_overruled(job, record, &end.end_reason, context)?;
            }
            EndReason::WallClockExceeded
            | EndReason::NotProvided { .. }
            | EndReason::NodeFailed { .. }
            | EndReason::Terminated
            | EndReason::StoppedEarly { .. }
            | EndReason::ClusterDeleted
            | EndReason::DeallocatedTerminate { .. }
            | EndReason::DeallocatedRequeue { .. }
            | EndReason::Interrupted { .. }
            | EndReason::NodeLost { .. } => {
                self.check_not_overruled(job, record, &end.end_reason, context)?;
            }
        }
        self.check_outcome(old, job, &end.end_reason)
    }

    /// An attempt that ended by itself, and whose report was acknowledged, is recorded with that end.
    fn check_not_overruled(
        &self,
        job: &Job,
        record: &AttemptRecord,
        end_reason: &EndReason,
        context: &CommitContext<'_>,
    ) -> Checked {
        let Some(actual) = context.oracle.actual(job.uid.as_str(), record.number) else {
            return Ok(());
        };
        let nodes = record.nodes.len();
        let exits: Vec<i32> = actual
            .acknowledged
            .iter()
            .filter_map(|end| match end {
                End::Exited { exit_code } => Some(*exit_code),
                _ => None,
            })
            .collect();
        let successes = exits.iter().filter(|code| **code == 0).count();
        let needed = if job.spec.toolkit.ends_with_every_node() { nodes } else { 1 };
        let own = match nodes {
            1 => exits.first().copied(),
            _ => (successes >= needed).then_some(0),
        };
        ensure(own.is_none(), || {
            format!(
                "{} #{} exited by itself with {own:?}, but is recorded as {end_reason:?}",
                job.names.job, record.number
            )
        })
    }

    /// Lost attempts are requeued and use no retry; failures of the user's command use retries.
    fn check_outcome(&self, old: &Job, job: &Job, end_reason: &EndReason) -> Checked {
        let name = &job.names.job;
        let terminating = matches!(old.state, JobState::Terminating { .. });
        let ends = job.attempts.iter().filter_map(|record| record.ended.as_ref());
        let own = ends.filter(|end| end.end_reason.is_user_failure()).count();
        let tries = job.spec.max_retries.unwrap_or_default() as usize + 1;
        ensure(own < tries || (own == tries && job.state.is_final()), || {
            format!("{name} has {own} failures of its command, but only {tries} tries")
        })?;
        let queued = matches!(job.state, JobState::Queued { .. });
        let expected = match end_reason.outcome() {
            Outcome::Succeeded => matches!(job.state, JobState::Succeeded { .. }),
            _ if terminating => matches!(job.state, JobState::Failed { .. }),
            Outcome::Requeue { .. } => queued || self.may_fail(job),
            Outcome::Failed { .. } if end_reason.is_user_failure() && own < tries => queued,
            Outcome::Failed { .. } => matches!(job.state, JobState::Failed { .. }),
        };
        ensure(expected, || format!("{name} ended with {end_reason:?} and is {:?}", job.state))
    }

    /// Whether so many attempts were lost that the job may fail.
    fn may_fail(&self, job: &Job) -> bool {
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

    /// A final state never changes, and is justified by an exit code or a request.
    fn check_final(&mut self, uid: &str, job: &Record<Job>) -> Checked {
        if !job.state.is_final() {
            return ensure(!self.finals.contains_key(uid), || {
                format!("job {} had ended and is {} again", job.names.job, job.state.name())
            });
        }
        let before = self.finals.entry(uid.to_owned()).or_insert_with(|| job.clone());
        let same = before.state == job.state && before.attempts == job.attempts;
        ensure(same, || format!("job {} changed after its end", job.names.job))?;
        self.user_requests.justifies(job)
    }

    fn check_job_removed(&mut self, uid: &str, old: Option<&Record<Job>>) -> Checked {
        let queues = self.clusters.values().flat_map(|view| view.queue.values());
        let mut queued = queues.filter(|it| it.entry.job.uid.as_str() == uid);
        ensure(queued.next().is_none(), || {
            format!("job {uid} has a queue entry, but does not exist")
        })?;
        let Some(old) = old else { return Ok(()) };
        let busy = self
            .nodes
            .values()
            .find(|it| it.attempt().is_some_and(|attempt| attempt.job.uid.as_str() == uid));
        ensure(busy.is_none(), || {
            format!("job {} was removed, but occupies {busy:?}", old.names.job)
        })?;
        self.operations_have_ended(old)?;
        ensure(self.user_requests.deletes_job(&old.names), || {
            format!("job {} was removed without a request", old.names.job)
        })
    }
}
