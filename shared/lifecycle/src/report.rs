//! Requests of agents: all observations of one request are applied together, then the desired state
//! of the node is derived.

use crate::draft::Draft;
use crate::end_details;
use crate::members::{self, NodeDisposition};
use crate::nodes;
use model::{
    AttemptPhase, AttemptRef, EndReason, GpuMetrics, Instance, InvalidTransition, Job, LeaveReason,
    Node, NodeId, NodeMetrics, NodeState, ResourceError, Timestamp, error::shortened, limits,
};
use protocol::{
    AttemptKey, AttemptReport, End, Metrics, NodePhase, Problem, Progress, SyncRequest,
};

/// The records that a request needs besides the node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffectedRecords {
    /// The job that runs on the node.
    pub running_job: bool,
    /// The cluster.
    pub cluster: bool,
}

/// The records to read before [`observe`].
pub fn affected_records(node: &Node, request: &SyncRequest) -> AffectedRecords {
    let failed = |report: &AttemptReport| {
        matches!(&report.progress, Progress::Ended { end: End::NodeFailed { .. } })
    };
    let (preparing, may_fail) = match &node.state {
        NodeState::Launching { .. } | NodeState::Preparing { .. } => (true, true),
        NodeState::Idle { .. } | NodeState::Running { .. } => (false, true),
        NodeState::Leaving { .. } | NodeState::Unusable { .. } => (false, false),
    };
    let noticed = request.interruption_notice_seconds.is_some();
    let outcome = match request.phase {
        NodePhase::Failed { .. } => may_fail,
        NodePhase::Ready | NodePhase::Left => preparing,
        NodePhase::Preparing => preparing && noticed,
    };
    // The desired state of a node with an attempt depends on the job.
    let running_job = node.attempt().is_some();
    AffectedRecords {
        running_job,
        cluster: outcome || request.attempt.as_ref().is_some_and(failed),
    }
}

/// Applies the observations of the agent.
///
/// # Errors
/// When a record changed since it was read.
pub fn observe(
    draft: &mut Draft,
    id: &NodeId,
    request: &SyncRequest,
) -> Result<(), InvalidTransition> {
    record_heartbeat(draft, id, request)?;
    // An interrupted node gets no further job. Its attempt ends for that reason unless it had ended
    // by itself before, which the report says.
    if let Some(seconds) = request.interruption_notice_seconds {
        nodes::mark_interrupted(draft, id, seconds);
    }
    if let Some(report) = &request.attempt {
        apply_report(draft, id, report)?;
    }
    if let Some(seconds) = request.interruption_notice_seconds {
        nodes::interrupt_job(draft, id, seconds)?;
    }
    apply_phase(draft, id, &request.phase)
}

/// A launching node registers. For every other node the time of the report is stored, not more
/// often than the lease needs: with every held request.
fn record_heartbeat(
    draft: &mut Draft,
    id: &NodeId,
    request: &SyncRequest,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    let Some(node) = draft.node(id) else { return Ok(()) };
    if nodes::is_launching(&node.state) {
        let instance = Instance { id: request.instance.clone(), address: request.address.clone() };
        nodes::register(draft, id, instance)?;
    } else if now.seconds_since(node.seen_at) < limits::LONG_POLL_SECONDS
        && node.login_port == request.login_port
    {
        return Ok(());
    }
    draft.change_node(id, |mut node| {
        node.seen_at = now;
        node.login_port = request.login_port;
        node.metrics = request.metrics.as_ref().map(node_metrics);
        Ok(node)
    })
}

/// Applies a report about the node's current attempt. Reports about other attempts are ignored.
fn apply_report(
    draft: &mut Draft,
    id: &NodeId,
    report: &AttemptReport,
) -> Result<(), InvalidTransition> {
    let known = draft.node(id).and_then(|node| node.attempt().cloned());
    let Some(attempt) = known.filter(|known| is_about(known, &report.key)) else {
        return Ok(());
    };
    match &report.progress {
        // Nothing to record: the start of the command was recorded when it was permitted.
        Progress::Preparing | Progress::Running => Ok(()),
        Progress::Prepared => members::prepared(draft, &attempt, id),
        Progress::Ended { end } => {
            let reason = end_reason(end, id);
            let details = report.end_details.as_deref();
            let output =
                details.and_then(|it| end_details::log_tail(draft, &attempt, id, it, &reason));
            if let Some(details) = details {
                end_details::note_shortage(draft, &attempt, id, details, &reason)?;
            }
            members::ended(draft, &attempt, id, &reason, NodeDisposition::Release)?;
            // The job may be removed with its end.
            if let Some(tail) = output.filter(|_| draft.job(&attempt.job).is_some()) {
                draft.writes().put_log_tail(&tail);
            }
            Ok(())
        }
    }
}

fn apply_phase(draft: &mut Draft, id: &NodeId, phase: &NodePhase) -> Result<(), InvalidTransition> {
    let Some(node) = draft.node(id) else { return Ok(()) };
    let preparing = matches!(node.state, NodeState::Preparing { .. });
    // A node that runs a job fails when that has ended.
    let idle = matches!(node.state, NodeState::Idle { .. });
    match phase {
        NodePhase::Ready if preparing => nodes::ready(draft, id),
        NodePhase::Failed { problem } if preparing || idle => {
            nodes::failed(draft, id, &resource_error(problem))
        }
        NodePhase::Left => {
            nodes::left(draft, id);
            Ok(())
        }
        NodePhase::Preparing | NodePhase::Ready | NodePhase::Failed { .. } => Ok(()),
    }
}

/// What the node has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredState {
    /// Mount and run the set-up task.
    Prepare,
    /// Wait.
    Nothing,
    /// Run the attempt.
    Run {
        /// The attempt.
        attempt: AttemptRef,
        /// Whether the command may start; before that, prepare for it.
        start: bool,
    },
    /// Stop the attempt.
    Stop {
        /// The attempt.
        attempt: AttemptRef,
        /// Seconds that are left between SIGTERM and SIGKILL.
        grace_seconds: u64,
    },
    /// Stop everything and exit.
    Leave,
}

/// The desired state of a node. `job` is the job that it runs, if that still exists.
pub fn desired_state(node: &Node, job: Option<&Job>, now: Timestamp) -> DesiredState {
    match &node.state {
        NodeState::Preparing { .. } => DesiredState::Prepare,
        NodeState::Launching { .. } | NodeState::Idle { .. } | NodeState::Unusable { .. } => {
            DesiredState::Nothing
        }
        NodeState::Running { attempt, .. } => desired_of(attempt, job, now),
        NodeState::Leaving { attempt: Some(attempt), reason, .. } => match reason {
            LeaveReason::Lost => DesiredState::Leave,
            LeaveReason::Shrink
            | LeaveReason::ShrinkWhenDone
            | LeaveReason::AtRisk
            | LeaveReason::Interrupted
            | LeaveReason::TooSlow
            | LeaveReason::ClusterDeleted => desired_of(attempt, job, now),
        },
        NodeState::Leaving { attempt: None, .. } => DesiredState::Leave,
    }
}

fn desired_of(id: &AttemptRef, job: Option<&Job>, now: Timestamp) -> DesiredState {
    let Some(attempt) = job.and_then(|job| job.attempt(id)) else { return DesiredState::Nothing };
    let id = id.clone();
    match &attempt.phase {
        AttemptPhase::Preparing => DesiredState::Run { attempt: id, start: false },
        AttemptPhase::Running => DesiredState::Run { attempt: id, start: true },
        AttemptPhase::Ending { since, grace_seconds, .. } => {
            let grace_seconds = grace_seconds.saturating_sub(now.seconds_since(*since));
            DesiredState::Stop { attempt: id, grace_seconds }
        }
    }
}

/// The attempt in the messages of the agent.
pub fn attempt_key(id: &AttemptRef) -> AttemptKey {
    AttemptKey {
        experiment_uid: id.job.experiment.to_string(),
        job_name: id.job.name.clone(),
        job_uid: id.job.uid.to_string(),
        number: id.number,
    }
}

pub(crate) fn is_about(id: &AttemptRef, key: &AttemptKey) -> bool {
    id.job.uid.as_str() == key.job_uid && id.number == key.number
}

/// The end reason as the node reported it. If the service asked the attempt to stop, the reason is
/// recorded already; the last two count only if it never was.
fn end_reason(end: &End, node: &NodeId) -> EndReason {
    let lost = |reason: &str| {
        let reason = shortened(reason, limits::MAX_REASON_BYTES);
        EndReason::NodeLost { node: node.clone(), reason }
    };
    match end {
        End::Exited { exit_code } => EndReason::Exited { exit_code: *exit_code },
        End::PreparationFailed { exit_code } => {
            EndReason::PreparationFailed { exit_code: *exit_code }
        }
        End::NotProvided { problem } => EndReason::NotProvided { error: resource_error(problem) },
        End::NodeFailed { problem } => {
            EndReason::NodeFailed { node: node.clone(), error: resource_error(problem) }
        }
        End::WallClockExceeded => EndReason::WallClockExceeded,
        End::Interrupted => EndReason::Interrupted { node: node.clone() },
        End::Lost { reason } => lost(reason),
        End::Stopped => lost("it stopped the job"),
    }
}

fn resource_error(problem: &Problem) -> ResourceError {
    let Problem { code, message, details } = problem.clone();
    ResourceError { code, message, details }.within(limits::MAX_REPORTED_ERROR_BYTES)
}

fn node_metrics(measured: &Metrics) -> NodeMetrics {
    let gpu = |gpu: &protocol::GpuMetrics| GpuMetrics {
        utilization_percent: gpu.utilization_percent,
        memory_used_mib: gpu.memory_used_mib,
        memory_total_mib: gpu.memory_total_mib,
    };
    let Metrics { load_percent, memory_used_mib, memory_total_mib, gpus } = measured;
    let metrics = NodeMetrics {
        load_percent: *load_percent,
        memory_used_mib: *memory_used_mib,
        memory_total_mib: *memory_total_mib,
        gpus: gpus.iter().map(gpu).collect(),
    };
    metrics.within_limits()
}

#[cfg(test)]
mod tests;
