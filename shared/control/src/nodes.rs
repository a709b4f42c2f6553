//! What a node's agent says, and what is desired of it (see the `protocol` crate).

use crate::ports::Function;
use crate::{ApiError, Control, Error, Kind, replan};
use dynamo::Transaction;
use model::{
    Attempt, AttemptPhase, AttemptRef, ClusterRef, Ending, LeaveReason, Machine, MemberProgress,
    Node, NodeId, NodeState, ResourceError, Timestamp, limits,
};
use protocol::{
    AttemptKey, AttemptReport, Desired, End, NodePhase, Problem, Progress, SyncRequest,
    SyncResponse,
};

impl Control {
    /// Takes in what the agent observed and answers what is desired.
    ///
    /// # Errors
    /// `NodeNotFound` (410) when the node is no longer wanted: its agent is to stop.
    pub async fn sync(
        &self,
        cluster: &ClusterRef,
        id: &NodeId,
        request: &SyncRequest,
    ) -> Result<SyncResponse, Error> {
        let node = replan(|| self.observe(cluster, id, request)).await?;
        let desired = self.desired(&node, request).await?;
        Ok(SyncResponse { ask_again_millis: ask_again_millis(&desired), desired })
    }

    /// What is desired now, without anything new being observed.
    ///
    /// # Errors
    /// As [`Control::sync`].
    pub async fn look_again(
        &self,
        cluster: &ClusterRef,
        id: &NodeId,
        request: &SyncRequest,
    ) -> Result<SyncResponse, Error> {
        let node = self.known_node(cluster, id).await?;
        let desired = self.desired(&node, request).await?;
        Ok(SyncResponse { ask_again_millis: ask_again_millis(&desired), desired })
    }

    async fn known_node(&self, cluster: &ClusterRef, id: &NodeId) -> Result<Node, Error> {
        let gone = || {
            let message = format!("Node {id} does not belong to cluster {} any more", cluster.name);
            ApiError::new(Kind::Gone, "NodeNotFound", message)
        };
        Ok(self.table.node(cluster, id).await?.ok_or_else(gone)?)
    }

    /// Answers the node as it is afterwards; read a second time only if something has changed.
    async fn observe(
        &self,
        cluster: &ClusterRef,
        id: &NodeId,
        request: &SyncRequest,
    ) -> Result<Node, Error> {
        let node = self.known_node(cluster, id).await?;
        let mut node = self.note_life(node, request).await?;
        // A node that says it is being taken away gets no further job, so that is written before
        // its report is; what it ran ends for that reason unless it had ended by itself before.
        if let Some(seconds) = request.interruption_notice_seconds {
            node = self.mark_interrupted(node, seconds).await?;
        }
        if let Some(report) = &request.attempt
            && self.take_report(&node, report).await?
        {
            node = self.known_node(cluster, id).await?;
        }
        if let Some(seconds) = request.interruption_notice_seconds {
            self.interrupt(cluster, id, seconds).await?;
            node = self.known_node(cluster, id).await?;
        }
        self.take_phase(node, request).await
    }

    /// A launching node registers itself; any other is noted as alive, not more often than the
    /// lease needs.
    async fn note_life(&self, node: Node, request: &SyncRequest) -> Result<Node, Error> {
        let now = self.now();
        if let NodeState::Launching { .. } = node.state {
            let machine =
                Machine { instance: request.instance.clone(), address: request.address.clone() };
            return self.register(node, machine).await;
        }
        if now.seconds_since(node.seen_at) >= limits::HEARTBEAT_SECONDS / 2 {
            self.table.touch_node(&node, now).await?;
        }
        Ok(node)
    }

    async fn take_phase(&self, node: Node, request: &SyncRequest) -> Result<Node, Error> {
        let preparing = matches!(node.state, NodeState::Preparing { .. });
        match &request.phase {
            NodePhase::Ready if preparing => self.node_ready(&node).await?,
            NodePhase::Failed { problem } if preparing => self.node_spoiled(&node, problem).await?,
            NodePhase::Left => self.node_left(&node).await?,
            NodePhase::Preparing | NodePhase::Ready | NodePhase::Failed { .. } => return Ok(node),
        }
        self.known_node(&node.cluster, &node.id).await
    }

    async fn node_ready(&self, node: &Node) -> Result<(), Error> {
        let (cluster, id) = (&node.cluster, &node.id);
        let node = node.clone().prepared(self.now())?;
        let transaction = Transaction::new().replace_node(&node).mark_idle(cluster, id);
        self.table.commit(transaction).await?;
        tracing::info!(node = %id, "idle");
        self.heal(cluster).await?;
        self.hint_cluster(Function::Dispatcher, cluster).await;
        Ok(())
    }

    /// A node came up: launches work again.
    async fn heal(&self, reference: &ClusterRef) -> Result<(), Error> {
        let Some(mut cluster) = self.table.cluster(reference).await? else { return Ok(()) };
        if cluster.health.failures > 0 {
            cluster.health = model::LaunchHealth::HEALTHY;
            self.table.commit(Transaction::new().replace_cluster(&cluster)).await?;
        }
        Ok(())
    }

    async fn node_spoiled(&self, node: &Node, problem: &Problem) -> Result<(), Error> {
        let error = resource_error(problem);
        let spoiled = node.clone().spoiled(error.clone(), self.now())?;
        self.table.commit(Transaction::new().replace_node(&spoiled)).await?;
        if let Some(cluster) = self.table.cluster(&node.cluster).await? {
            self.record_failure(&cluster, error.with_detail("Node", node.id.as_str())).await?;
        }
        self.hint_cluster(Function::Autoscaler, &node.cluster).await;
        Ok(())
    }

    /// The agent has ended everything and exits. If nobody asked for that, the machine is going.
    async fn node_left(&self, node: &Node) -> Result<(), Error> {
        if !node.is_leaving() {
            self.leave_until(node.clone(), LeaveReason::Interrupted, 0).await?;
        }
        self.hint_cluster(Function::Autoscaler, &node.cluster).await;
        Ok(())
    }

    /// Only what the node's present occupant is reported to have done counts. Answers whether that
    /// may have changed the node.
    async fn take_report(&self, node: &Node, report: &AttemptReport) -> Result<bool, Error> {
        let Some(occupant) = node.occupant().filter(|known| is_about(known, &report.key)) else {
            return Ok(false);
        };
        match &report.progress {
            // What runs was allowed to: whoever allowed it has written that down.
            Progress::Preparing | Progress::Running => Ok(false),
            Progress::Prepared => {
                self.member_prepared(node, occupant).await?;
                Ok(false)
            }
            Progress::Ended { end } => {
                let ending = ending(end, &node.id);
                self.settle_member(&node.cluster, occupant, &node.id, ending, false).await?;
                Ok(true)
            }
        }
    }

    async fn member_prepared(&self, node: &Node, id: &AttemptRef) -> Result<(), Error> {
        let Some(attempt) = self.table.attempt(&node.cluster, id).await? else { return Ok(()) };
        let known = attempt.member(&node.id).map(|member| member.progress);
        if attempt.phase != AttemptPhase::Preparing || known != Some(MemberProgress::Assigned) {
            return Ok(());
        }
        let attempt = attempt.member_prepared(&node.id);
        self.table.commit(Transaction::new().replace_attempt(&attempt)).await?;
        if attempt.phase == AttemptPhase::Running {
            self.wake_nodes(attempt.members.iter().map(|member| &member.node));
        }
        Ok(())
    }

    async fn desired(&self, node: &Node, request: &SyncRequest) -> Result<Desired, Error> {
        let has_setup = request.phase != NodePhase::Preparing;
        match &node.state {
            NodeState::Launching { .. } => Ok(Desired::Idle),
            NodeState::Preparing { .. } if has_setup => Ok(Desired::Idle),
            NodeState::Preparing { .. } => {
                let setup = Box::new(self.node_setup(node).await?);
                Ok(Desired::Prepare { setup })
            }
            NodeState::Idle { .. } | NodeState::Unusable { .. } => Ok(Desired::Idle),
            NodeState::Running { attempt, .. } => self.desired_run(node, attempt, request).await,
            NodeState::Leaving { occupant: Some(attempt), reason, .. }
                if *reason != LeaveReason::Lost =>
            {
                self.desired_run(node, attempt, request).await
            }
            NodeState::Leaving { .. } => Ok(Desired::Leave { grace_seconds: 0 }),
        }
    }

    async fn desired_run(
        &self,
        node: &Node,
        id: &AttemptRef,
        request: &SyncRequest,
    ) -> Result<Desired, Error> {
        let Some(attempt) = self.table.attempt(&node.cluster, id).await? else {
            return Ok(Desired::Idle);
        };
        let key = attempt_key(id);
        if let AttemptPhase::Ending { since, grace_seconds, .. } = attempt.phase {
            let grace_seconds = remaining(since, grace_seconds, self.now());
            return Ok(Desired::Stop { key, grace_seconds });
        }
        let known = |report: &AttemptReport| report.key == key && !report.needs_assignment;
        let known = request.attempt.as_ref().is_some_and(known);
        let assignment = match known {
            true => None,
            false => Some(Box::new(self.assignment(node, &attempt).await?)),
        };
        Ok(Desired::Run { key, start: may_start(&attempt), assignment })
    }
}

/// Whether an answer says something that the agent does not show to know. A request without news
/// may be held.
pub fn is_news(request: &SyncRequest, desired: &Desired) -> bool {
    match desired {
        Desired::Idle => request.attempt.is_some(),
        Desired::Run { key, start, .. } => match &request.attempt {
            Some(report) if report.key == *key => {
                report.needs_assignment || *start && report.progress == Progress::Prepared
            }
            Some(_) | None => true,
        },
        Desired::Prepare { .. } | Desired::Stop { .. } | Desired::Leave { .. } => true,
    }
}

/// Whether an answer does nothing but confirm that the end of an attempt was taken in.
pub fn is_acknowledgement(request: &SyncRequest, desired: &Desired) -> bool {
    let has_ended = |report: &AttemptReport| matches!(report.progress, Progress::Ended { .. });
    *desired == Desired::Idle && request.attempt.as_ref().is_some_and(has_ended)
}

/// For agents whose requests cannot be held: soon while something may come, else at the heartbeat.
fn ask_again_millis(desired: &Desired) -> u64 {
    match desired {
        Desired::Idle | Desired::Prepare { .. } | Desired::Stop { .. } | Desired::Leave { .. } => {
            1000
        }
        Desired::Run { .. } => limits::HEARTBEAT_SECONDS * 500,
    }
}

fn may_start(attempt: &Attempt) -> bool {
    attempt.phase == AttemptPhase::Running
}

fn remaining(since: Timestamp, grace_seconds: u64, now: Timestamp) -> u64 {
    grace_seconds.saturating_sub(now.seconds_since(since))
}

pub(crate) fn attempt_key(id: &AttemptRef) -> AttemptKey {
    AttemptKey {
        experiment_uid: id.job.experiment.to_string(),
        job_name: id.job.name.clone(),
        job_uid: id.job.uid.to_string(),
        number: id.number,
    }
}

fn is_about(id: &AttemptRef, key: &AttemptKey) -> bool {
    id.job.uid.as_str() == key.job_uid && id.number == key.number
}

/// The cause as the node saw it. Whoever asked the node to stop has written down why already, so
/// the last two only count if that was never written.
fn ending(end: &End, node: &NodeId) -> Ending {
    match end {
        End::Exited { exit_code } => Ending::Exited { exit_code: *exit_code },
        End::PreparationFailed { exit_code } => Ending::PreparationFailed { exit_code: *exit_code },
        End::NotProvided { problem } => Ending::NotProvided { error: resource_error(problem) },
        End::WallClockExceeded => Ending::WallClockExceeded,
        End::Interrupted => Ending::Interrupted { node: node.clone() },
        End::Lost { reason } => Ending::NodeLost { node: node.clone(), reason: reason.clone() },
        End::Stopped => {
            Ending::NodeLost { node: node.clone(), reason: "it stopped the job".to_owned() }
        }
    }
}

fn resource_error(problem: &Problem) -> ResourceError {
    ResourceError {
        code: problem.code.clone(),
        message: problem.message.clone(),
        details: problem.details.clone(),
    }
}
