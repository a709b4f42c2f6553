//! The act in which a job loses its node: whom it hits, and what has to follow.

use super::screen::Screen;
use super::setup::Stage;
use super::watch::Watched;
use crate::client::is_not_found;
use crate::output::on_nodes;
use crate::resources::ExecutionState;
use anyhow::{Result, bail};
use serde_json::json;

/// What the node is told in advance; the script needs far less for its checkpoint.
const NOTICE_SECONDS: u32 = 10;

/// A job can be done faster than its node is taken away. Then another one is it.
const TRIES: u32 = 3;

/// How far it got. Jobs are told by their place in the sweep.
#[derive(Clone, Copy)]
pub enum Interruption {
    /// No job is a third through yet.
    Awaited {
        tries: u32,
    },
    /// The node was told.
    Sent {
        job: usize,
        tries: u32,
    },
    /// The job is back in the queue.
    Requeued {
        job: usize,
    },
    /// It runs again, but did not say from where yet.
    RunsAgain {
        job: usize,
    },
    Resumed {
        job: usize,
    },
}

impl Interruption {
    pub fn awaited() -> Self {
        Self::Awaited { tries: 0 }
    }

    /// The job that lost its node.
    pub fn job(&self) -> Option<usize> {
        match self {
            Self::Awaited { .. } => None,
            Self::Sent { job, .. }
            | Self::Requeued { job }
            | Self::RunsAgain { job }
            | Self::Resumed { job } => Some(*job),
        }
    }

    pub async fn advance(
        &mut self,
        stage: &Stage,
        jobs: &[Watched],
        screen: &Screen,
    ) -> Result<()> {
        *self = match *self {
            Self::Awaited { tries } => strike(stage, jobs, screen, tries).await?,
            Self::Sent { job, tries } => after_notice(job, &jobs[job], tries, screen)?,
            Self::Requeued { job } => match jobs[job].record().attempts().get(1) {
                Some(second) => {
                    let (name, place) = (jobs[job].name(), on_nodes(&second.nodes));
                    screen.tell(format_args!("{name} runs again {place}: attempt 2"));
                    Self::RunsAgain { job }
                }
                None => *self,
            },
            Self::RunsAgain { job } => match jobs[job].log.resumed {
                Some((_, epoch)) => {
                    let name = jobs[job].name();
                    screen
                        .tell(format_args!("{name} resumed from its checkpoint of epoch {epoch}"));
                    Self::Resumed { job }
                }
                None => *self,
            },
            Self::Resumed { .. } => *self,
        };
        Ok(())
    }
}

/// The node was told that it goes: the job has to come back to the queue.
fn after_notice(
    job: usize,
    watched: &Watched,
    tries: u32,
    screen: &Screen,
) -> Result<Interruption> {
    let (name, record) = (watched.name(), watched.record());
    // With a second attempt, it was in the queue between two looks.
    let was_back = record.attempt_number() > 1;
    match record.properties.execution_state {
        state if was_back || state == ExecutionState::Queued => {
            screen.tell(format_args!("{name} went back to the queue, at its old place"));
            Ok(Interruption::Requeued { job })
        }
        ExecutionState::Succeeded if tries >= TRIES => {
            bail!("no job lost its node in {TRIES} tries: all were done before")
        }
        ExecutionState::Succeeded => {
            screen.tell(format_args!("{name} was done before its node went: another job, then"));
            Ok(Interruption::Awaited { tries })
        }
        ExecutionState::Failed => {
            let error = record.first_error().map(ToString::to_string).unwrap_or_default();
            bail!("{name} failed when its node was taken away: {error}")
        }
        ExecutionState::Queued
        | ExecutionState::Running
        | ExecutionState::Terminating
        | ExecutionState::Unknown => Ok(Interruption::Sent { job, tries }),
    }
}

/// Takes the node of a job that is far enough, but not so far that it could be done before.
async fn strike(
    stage: &Stage,
    jobs: &[Watched],
    screen: &Screen,
    tries: u32,
) -> Result<Interruption> {
    let Some(job) = jobs.iter().position(is_ripe) else {
        return Ok(Interruption::Awaited { tries });
    };
    let watched = &jobs[job];
    let attempt = watched.record().attempts().last();
    let Some(node) = attempt.and_then(|attempt| attempt.nodes.first()) else {
        return Ok(Interruption::Awaited { tries });
    };
    let body = json!({ "noticeSeconds": NOTICE_SECONDS });
    match stage.client.post_local(&["nodes", node, "interrupt"], &body).await {
        Ok(()) => {
            screen.tell(format_args!(
                "Taking node {node} away from {} at epoch {} of {}, {NOTICE_SECONDS} s notice",
                watched.name(),
                watched.log.epoch,
                watched.epochs(),
            ));
            Ok(Interruption::Sent { job, tries: tries + 1 })
        }
        // It just left by itself.
        Err(error) if is_not_found(&error) => Ok(Interruption::Awaited { tries }),
        Err(error) => Err(error),
    }
}

fn is_ripe(watched: &Watched) -> bool {
    let record = watched.record();
    let (epoch, epochs) = (watched.log.epoch, watched.epochs());
    record.properties.execution_state == ExecutionState::Running
        && record.attempt_number() == 1
        && epoch > 0
        && is_ripe_at(epoch, epochs)
}

/// In the second third.
fn is_ripe_at(epoch: u32, epochs: u32) -> bool {
    3 * epoch >= epochs && 3 * epoch <= 2 * epochs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_hit_in_its_second_third() {
        let ripe: Vec<_> = (0..=18).filter(|epoch| is_ripe_at(*epoch, 18)).collect();
        assert_eq!(ripe, [6, 7, 8, 9, 10, 11, 12]);
    }
}
