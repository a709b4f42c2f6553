//! The end of an attempt, member by member: the one place where attempts, jobs, nodes, the queue
//! and operations change together.

use crate::execute::{forget_node, gone};
use crate::ports::Function;
use crate::{Control, Error, replan};
use dynamo::Transaction;
use model::{
    Attempt, AttemptRef, ClusterRef, Ending, Job, JobState, MemberProgress, Node, NodeId,
    NodeState, Refused, Uid, limits,
};
use std::collections::BTreeSet;

impl Control {
    /// Nothing of the attempt runs on that node any more. The node becomes free (or is forgotten,
    /// when its machine is gone); when it was the last one, the job gets its verdict.
    ///
    /// `ending` is the cause as this member saw it; it counts if none was known before.
    pub(crate) async fn settle_member(
        &self,
        cluster: &ClusterRef,
        id: &AttemptRef,
        node: &NodeId,
        ending: Ending,
        forget: bool,
    ) -> Result<(), Error> {
        replan(|| self.try_settle_member(cluster, id, node, ending.clone(), forget)).await
    }

    async fn try_settle_member(
        &self,
        cluster: &ClusterRef,
        id: &AttemptRef,
        node_id: &NodeId,
        ending: Ending,
        forget: bool,
    ) -> Result<(), Error> {
        let node = self.table.node(cluster, node_id).await?;
        let Some(attempt) = self.table.attempt(cluster, id).await? else {
            return self.settle_without_attempt(node, forget).await;
        };
        let now = self.now();
        let attempt = attempt.end(ending, limits::STOP_GRACE_SECONDS, now).member_ended(node_id);
        let mut transaction = match node {
            Some(node) => self.free_node(Transaction::new(), node, id, forget)?,
            None => Transaction::new(),
        };
        let mut operations = Vec::new();
        if attempt.has_ended_everywhere() {
            let job = self.table.job(&id.job).await?.ok_or(gone("job", "end"))?;
            let ended = end_job(&job, &attempt, now)?;
            transaction = write_job_end(transaction, cluster, &ended).remove_attempt(&attempt);
            operations = operations_of(&job);
            operations.extend(ended.deletion.clone());
        } else {
            transaction = transaction.replace_attempt(&attempt);
        }
        let transaction = self.complete_operations(transaction, operations).await?;
        self.table.commit(transaction).await?;
        tracing::info!(job = id.job.name, attempt = id.number, node = %node_id, "ended on a node");
        self.after_settling(&attempt).await;
        Ok(())
    }

    /// The attempt was settled before; only the node may be left over.
    async fn settle_without_attempt(&self, node: Option<Node>, forget: bool) -> Result<(), Error> {
        match node {
            Some(node) if forget => {
                Ok(self.table.commit(forget_node(Transaction::new(), &node)).await?)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn free_node(
        &self,
        transaction: Transaction,
        node: Node,
        attempt: &AttemptRef,
        forget: bool,
    ) -> Result<Transaction, Refused> {
        if forget {
            return Ok(forget_node(transaction, &node));
        }
        if node.occupant() != Some(attempt) {
            return Ok(transaction);
        }
        let node = node.released(attempt, self.now())?;
        let idle = matches!(node.state, NodeState::Idle { .. });
        let transaction = transaction.replace_node(&node);
        Ok(if idle { transaction.mark_idle(&node.cluster, &node.id) } else { transaction })
    }

    /// Operations that wait for the end of a job. One that has expired meanwhile is left alone.
    pub(crate) async fn complete_operations(
        &self,
        mut transaction: Transaction,
        operations: Vec<Uid>,
    ) -> Result<Transaction, Error> {
        // Each once: a transaction takes an item only once.
        for id in operations.into_iter().collect::<BTreeSet<_>>() {
            if let Some(operation) = self.table.operation(&id).await? {
                transaction = transaction.put_operation(&operation.succeeded(self.now()));
            }
        }
        Ok(transaction)
    }

    /// The other members are to stop; a free node can take the next job, a leaving one can go.
    async fn after_settling(&self, attempt: &Attempt) {
        let others = attempt.members.iter().filter(|it| it.progress != MemberProgress::Ended);
        self.wake_nodes(others.map(|member| &member.node));
        self.hint_cluster(Function::Dispatcher, &attempt.cluster).await;
        let displaced = !matches!(attempt.ending(), Some(Ending::Exited { .. }));
        if displaced {
            self.hint_cluster(Function::Autoscaler, &attempt.cluster).await;
        }
    }
}

fn end_job(job: &Job, attempt: &Attempt, now: model::Timestamp) -> Result<Job, Refused> {
    let ending = attempt.ending().ok_or(gone("ending", "end"))?;
    job.clone().attempt_ended(&attempt.id, ending, now)
}

/// The job as it is after its attempt: gone if it was being deleted, queued again, or final.
fn write_job_end(transaction: Transaction, cluster: &ClusterRef, job: &Job) -> Transaction {
    if job.deletion.is_some() {
        return transaction.remove_job(job);
    }
    match job.state {
        JobState::Queued { .. } => {
            transaction.replace_job(job).enqueue(cluster, &job.queue_entry())
        }
        JobState::Running { .. }
        | JobState::Terminating { .. }
        | JobState::Succeeded { .. }
        | JobState::Failed { .. } => transaction.replace_job(job),
    }
}

fn operations_of(job: &Job) -> Vec<Uid> {
    match &job.state {
        JobState::Terminating { operations, .. } => operations.clone(),
        JobState::Queued { .. }
        | JobState::Running { .. }
        | JobState::Succeeded { .. }
        | JobState::Failed { .. } => Vec::new(),
    }
}
