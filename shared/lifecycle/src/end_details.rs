//! What a node reports about the end of an attempt, beside how it ended. It explains the end and decides nothing.

use crate::draft::Draft;
use model::{
    AttemptRef, EndReason, InvalidTransition, LogPart, LogTail, NodeId, OutputTail, ScarceResource,
    Shortage, error::shortened, limits,
};
use protocol::{EndDetails, last_lines};

/// Records what the node had run out of when a command of the attempt failed there. The first such node counts.
///
/// # Errors
/// When the job was not read.
pub(crate) fn note_shortage(
    draft: &mut Draft,
    attempt: &AttemptRef,
    node: &NodeId,
    details: &EndDetails,
    reason: &EndReason,
) -> Result<(), InvalidTransition> {
    let Some(shortage) = details.shortage.as_ref().filter(|_| reason.is_user_failure()) else {
        return Ok(());
    };
    let is_live = draft.job(&attempt.job).is_some_and(|job| job.attempt(attempt).is_some());
    if is_live {
        draft.job_mut(&attempt.job)?.note_shortage(Shortage {
            resource: resource(shortage.resource),
            node: node.clone(),
            evidence: shortened(&shortage.evidence, limits::MAX_EVIDENCE_BYTES),
        });
    }
    Ok(())
}

fn resource(reported: protocol::ScarceResource) -> ScarceResource {
    match reported {
        protocol::ScarceResource::Disk => ScarceResource::Disk,
        protocol::ScarceResource::Memory => ScarceResource::Memory,
        protocol::ScarceResource::Other => ScarceResource::Other,
    }
}

/// What is stored of the output of this node: that of the master always, that of another one if its failure ends the
/// attempt. To be called before the end of the node is recorded.
pub(crate) fn log_tail(
    draft: &Draft,
    attempt: &AttemptRef,
    node: &NodeId,
    details: &EndDetails,
    reason: &EndReason,
) -> Option<LogTail> {
    let job = draft.job(&attempt.job).filter(|job| job.may_have_log_tails())?;
    let live = job.attempt(attempt)?;
    let is_master = live.members.first().is_some_and(|master| master.node == *node);
    let part = if is_master {
        LogPart::Master
    } else if reason.is_user_failure() && !live.is_ending() {
        LogPart::FailedMember
    } else {
        return None;
    };
    let files: Vec<OutputTail> =
        details.output.iter().take(limits::MAX_OUTPUT_TAILS).map(output_tail).collect();
    let (job, number, node) = (attempt.job.clone(), attempt.number, node.clone());
    (!files.is_empty()).then_some(LogTail {
        job,
        attempt: number,
        node,
        part,
        at: draft.now,
        files,
    })
}

/// Agents keep the limit; it is enforced here.
fn output_tail(reported: &protocol::OutputTail) -> OutputTail {
    OutputTail {
        name: shortened(&reported.name, limits::MAX_FILE_NAME_BYTES),
        text: last_lines(&reported.text, limits::MAX_OUTPUT_TAIL_BYTES).to_owned(),
        length: reported.length,
    }
}

#[cfg(test)]
mod tests;
