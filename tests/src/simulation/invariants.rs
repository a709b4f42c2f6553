//! What must hold after every step (design section 9), read from the table without faults.

use super::truth::Truth;
use crate::world::World;
use model::{
    Attempt, Cluster, Job, JobState, MemberProgress, Meter, Node, NodeState, QueueEntry, Uid,
};
use std::collections::BTreeMap;
use wire::Usage;

/// What was seen before, for rules about change.
#[derive(Default)]
pub struct Memory {
    final_jobs: BTreeMap<Uid, Job>,
    node_counts: BTreeMap<Uid, usize>,
}

pub struct Records {
    pub cluster: Cluster,
    pub nodes: Vec<Node>,
    pub idle: Vec<model::NodeId>,
    pub attempts: Vec<Attempt>,
    pub queue: Vec<QueueEntry>,
}

pub async fn read(world: &World, cluster: &Cluster) -> anyhow::Result<Records> {
    let reference = cluster.reference();
    Ok(Records {
        cluster: cluster.clone(),
        nodes: world.table.nodes(&reference).await?,
        idle: world.table.idle_nodes(&reference, usize::MAX).await?,
        attempts: world.table.attempts(&reference).await?,
        queue: world.table.startable(&reference, u32::MAX, 10_000).await?,
    })
}

/// All rules; the first broken one is answered.
pub fn check(
    records: &[Records],
    jobs: &[Job],
    truth: &Truth,
    memory: &mut Memory,
) -> Result<(), String> {
    if let Some(violation) = &truth.violation {
        return Err(violation.clone());
    }
    for it in records {
        nodes_and_attempts_agree(it)?;
        markers_name_idle_nodes(it)?;
        never_more_nodes_than_allowed(it, memory)?;
    }
    let queued: Vec<&QueueEntry> = records.iter().flat_map(|it| &it.queue).collect();
    let attempts: Vec<&Attempt> = records.iter().flat_map(|it| &it.attempts).collect();
    for job in jobs {
        job_is_where_its_state_says(job, &queued, &attempts)?;
        final_jobs_stay(job, memory)?;
        exit_codes_are_true(job, truth)?;
        only_asked_for_retries(job)?;
    }
    for entry in queued {
        ensure(jobs.iter().any(|job| job.uid == entry.job.uid), || {
            format!("{} is queued but there is no such job", entry.job.name)
        })?;
    }
    Ok(())
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The meters stand at what clusters and nodes count for, and never above the quota.
pub fn usage_is_what_is_there(records: &[Records], usage: &[Usage]) -> Result<(), String> {
    let nodes = || records.iter().flat_map(|it| &it.nodes);
    for Usage { meter, current, limit } in usage {
        let counted = match meter {
            Meter::Clusters => records.len() as u32,
            meter => {
                let charged = nodes().filter(|node| node.charge.meters().any(|it| it == *meter));
                charged.map(|node| node.charge.cores).sum()
            }
        };
        ensure(*current == counted && current <= limit, || {
            format!("{meter:?} stands at {current} of {limit}, but {counted} are there")
        })?;
    }
    Ok(())
}

/// A gang is whole; a node runs one attempt, and both records say so.
fn nodes_and_attempts_agree(it: &Records) -> Result<(), String> {
    for attempt in &it.attempts {
        for member in &attempt.members {
            let node = it.nodes.iter().find(|node| node.id == member.node);
            let occupied = node.is_some_and(|node| node.occupant() == Some(&attempt.id));
            let ended = member.progress == MemberProgress::Ended;
            ensure(occupied != ended, || {
                format!("member {} of {:?}: ended {ended}, node {node:?}", member.node, attempt.id)
            })?;
        }
        let live = |member: &model::Member| member.progress != MemberProgress::Ended;
        ensure(attempt.members.iter().any(live), || {
            format!("{:?} has ended everywhere but is still there", attempt.id)
        })?;
    }
    for node in &it.nodes {
        let Some(occupant) = node.occupant() else { continue };
        let known = it
            .attempts
            .iter()
            .any(|attempt| attempt.id == *occupant && attempt.member(&node.id).is_some());
        ensure(known, || format!("node {} runs {occupant:?}, which is not live", node.id))?;
    }
    Ok(())
}

fn markers_name_idle_nodes(it: &Records) -> Result<(), String> {
    for node in &it.nodes {
        let idle = matches!(node.state, NodeState::Idle { .. });
        let marked = it.idle.contains(&node.id);
        ensure(idle == marked, || {
            format!("node {} is {} but marked idle: {marked}", node.id, node.state.name())
        })?;
    }
    ensure(it.idle.len() <= it.nodes.len(), || "a marker without a node".to_owned())
}

/// The number of nodes only ever grows up to what the settings allow.
fn never_more_nodes_than_allowed(it: &Records, memory: &mut Memory) -> Result<(), String> {
    let count = it.nodes.len();
    let before = memory.node_counts.insert(it.cluster.uid.clone(), count).unwrap_or(0);
    let ceiling = it.cluster.scale.ceiling() as usize;
    ensure(count <= before || count <= ceiling, || {
        format!(
            "cluster {} grew from {before} to {count} nodes, allowed {ceiling}",
            it.cluster.name
        )
    })
}

fn job_is_where_its_state_says(
    job: &Job,
    queued: &[&QueueEntry],
    attempts: &[&Attempt],
) -> Result<(), String> {
    let name = &job.names.job;
    let places = queued.iter().filter(|entry| entry.job.uid == job.uid).count();
    let live: Vec<_> = attempts.iter().filter(|it| it.id.job.uid == job.uid).collect();
    let (expected_places, expected_live) = match job.state {
        JobState::Queued { .. } => (1, 0),
        JobState::Running { .. } | JobState::Terminating { .. } => (0, 1),
        JobState::Succeeded { .. } | JobState::Failed { .. } => (0, 0),
    };
    ensure(places == expected_places && live.len() == expected_live, || {
        format!(
            "job {name} is {} with {places} places and {} attempts",
            job.state.name(),
            live.len()
        )
    })?;
    if let Some(attempt) = live.first() {
        ensure(job.live_attempt().as_ref() == Some(&attempt.id), || {
            format!("job {name} believes in {:?}, not in {:?}", job.live_attempt(), attempt.id)
        })?;
        ensure(attempt.node_count() == job.spec.node_count, || format!("a torn gang of {name}"))?;
    }
    Ok(())
}

/// A job is final once.
fn final_jobs_stay(job: &Job, memory: &mut Memory) -> Result<(), String> {
    if !job.state.is_final() {
        let known = memory.final_jobs.contains_key(&job.uid);
        return ensure(!known, || format!("job {} was final and is not any more", job.names.job));
    }
    let before = memory.final_jobs.entry(job.uid.clone()).or_insert_with(|| job.clone());
    ensure(before.state == job.state && before.attempts == job.attempts, || {
        format!("final job {} changed from {:?} to {:?}", job.names.job, before.state, job.state)
    })
}

/// The user's failures are tried again as often as they asked for, never more.
fn only_asked_for_retries(job: &Job) -> Result<(), String> {
    let ends = job.attempts.iter().filter_map(|record| record.ended.as_ref());
    let failures = ends.filter(|end| end.ending.is_own_failure()).count();
    let tries = job.spec.max_retries.unwrap_or_default() as usize + 1;
    ensure(failures < tries || (failures == tries && job.state.is_final()), || {
        format!("job {} has failed {failures} times, with {tries} tries", job.names.job)
    })
}

/// The exit code is the one that the process gave.
fn exit_codes_are_true(job: &Job, truth: &Truth) -> Result<(), String> {
    let claimed = match &job.state {
        JobState::Succeeded { .. } => Some(0),
        JobState::Failed { exit_code, .. } => *exit_code,
        JobState::Queued { .. } | JobState::Running { .. } | JobState::Terminating { .. } => None,
    };
    let Some(claimed) = claimed else { return Ok(()) };
    let number = job.attempts.last().map_or(0, |attempt| attempt.number);
    let command = truth.commands.get(&(job.uid.to_string(), number));
    let given = command.and_then(|command| command.exit_code);
    ensure(given == Some(claimed), || {
        format!("job {} claims exit code {claimed}, its process gave {given:?}", job.names.job)
    })
}
