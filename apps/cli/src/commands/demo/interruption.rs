//! Interrupts the node of one job and follows the job until it has resumed.

use super::deployment::Deployment;
use super::screen::Screen;
use super::tracked_job::TrackedJob;
use crate::client::is_not_found;
use crate::output::on_nodes;
use anyhow::{Result, bail};
use resources::ExecutionState;
use serde_json::json;

/// The notice before the node ends. The script needs far less to write its checkpoint.
const NOTICE_SECONDS: u32 = 10;

/// How many jobs to try: a job may end before its node does.
const MAX_TRIES: u32 = 3;

/// The progress of the interruption. `job` is an index into the sweep.
#[derive(Clone, Copy)]
pub enum Interruption {
    /// No node was interrupted yet.
    NotSent {
        tries: u32,
    },
    /// The node has notice.
    Sent {
        job: usize,
        tries: u32,
    },
    /// The job returned to the queue.
    Requeued {
        job: usize,
    },
    /// The second attempt runs, and its log does not show yet whether it resumed.
    Restarted {
        job: usize,
    },
    Resumed {
        job: usize,
    },
}

impl Interruption {
    pub const START: Self = Self::NotSent { tries: 0 };

    /// The job whose node was interrupted.
    pub fn job(&self) -> Option<usize> {
        match self {
            Self::NotSent { .. } => None,
            Self::Sent { job, .. }
            | Self::Requeued { job }
            | Self::Restarted { job }
            | Self::Resumed { job } => Some(*job),
        }
    }

    pub async fn advance(
        &mut self,
        deployment: &Deployment,
        jobs: &[TrackedJob],
        screen: &Screen,
    ) -> Result<()> {
        *self = match *self {
            Self::NotSent { tries } => interrupt(deployment, jobs, screen, tries).await?,
            Self::Sent { job, tries } => after_notice(job, &jobs[job], tries, screen)?,
            Self::Requeued { job } => match jobs[job].record().attempts().get(1) {
                Some(second) => {
                    let (name, place) = (jobs[job].name(), on_nodes(&second.nodes));
                    screen.event(format_args!("{name} is running again {place}, attempt 2"));
                    Self::Restarted { job }
                }
                None => *self,
            },
            Self::Restarted { job } => match jobs[job].log().resumed {
                Some((_, epoch)) => {
                    let name = jobs[job].name();
                    screen
                        .event(format_args!("{name} resumed from the checkpoint of epoch {epoch}"));
                    Self::Resumed { job }
                }
                None => *self,
            },
            Self::Resumed { .. } => *self,
        };
        Ok(())
    }
}

/// After the notice, the job must return to the queue.
fn after_notice(
    job: usize,
    tracked: &TrackedJob,
    tries: u32,
    screen: &Screen,
) -> Result<Interruption> {
    let (name, record) = (tracked.name(), tracked.record());
    // A second attempt means that the job was queued between two polls.
    let was_queued = record.attempt_number() > 1;
    match record.properties.execution_state {
        state if was_queued || state == ExecutionState::Queued => {
            screen.event(format_args!("{name} returned to its place in the queue"));
            Ok(Interruption::Requeued { job })
        }
        ExecutionState::Succeeded if tries >= MAX_TRIES => {
            bail!("no job was interrupted in {MAX_TRIES} tries: each ended before its node did")
        }
        ExecutionState::Succeeded => {
            screen.event(format_args!("{name} ended before its node did; trying another job"));
            Ok(Interruption::NotSent { tries })
        }
        ExecutionState::Failed => {
            let error = record.first_error().map(ToString::to_string).unwrap_or_default();
            bail!("{name} failed when its node was interrupted: {error}")
        }
        ExecutionState::Queued
        | ExecutionState::Running
        | ExecutionState::Terminating
        | ExecutionState::Unknown => Ok(Interruption::Sent { job, tries }),
    }
}

/// Interrupts the node of a job that is in the second third of its epochs: it has a checkpoint and
/// is unlikely to end within the notice.
async fn interrupt(
    deployment: &Deployment,
    jobs: &[TrackedJob],
    screen: &Screen,
    tries: u32,
) -> Result<Interruption> {
    let Some(job) = jobs.iter().position(is_eligible) else {
        return Ok(Interruption::NotSent { tries });
    };
    let tracked = &jobs[job];
    let attempt = tracked.record().attempts().last();
    let Some(node) = attempt.and_then(|attempt| attempt.nodes.first()) else {
        return Ok(Interruption::NotSent { tries });
    };
    let body = json!({ "noticeSeconds": NOTICE_SECONDS });
    match deployment.client.post_local(&["nodes", node, "interrupt"], &body).await {
        Ok(()) => {
            screen.event(format_args!(
                "Interrupting node {node} of {} at epoch {} of {}, with {NOTICE_SECONDS}s notice",
                tracked.name(),
                tracked.log().epoch,
                tracked.epochs(),
            ));
            Ok(Interruption::Sent { job, tries: tries + 1 })
        }
        // The node was removed in the meantime.
        Err(error) if is_not_found(&error) => Ok(Interruption::NotSent { tries }),
        Err(error) => Err(error),
    }
}

fn is_eligible(tracked: &TrackedJob) -> bool {
    let record = tracked.record();
    let (epoch, epochs) = (tracked.log().epoch, tracked.epochs());
    record.properties.execution_state == ExecutionState::Running
        && record.attempt_number() == 1
        && epoch > 0
        && is_second_third(epoch, epochs)
}

fn is_second_third(epoch: u32, epochs: u32) -> bool {
    3 * epoch >= epochs && 3 * epoch <= 2 * epochs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_interrupted_in_its_second_third() {
        let eligible: Vec<_> = (0..=18).filter(|epoch| is_second_third(*epoch, 18)).collect();
        assert_eq!(eligible, [6, 7, 8, 9, 10, 11, 12]);
    }
}
