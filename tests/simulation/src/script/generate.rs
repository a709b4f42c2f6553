//! Generates scripts from a seed. The order in which random numbers are taken is part of what a seed
//! means.

use super::{Disturbance, Event, EventKind, GrantKey, InstanceFault, JobSpec, UserRequest};
use crate::faults::{FaultKind, FaultKinds};
use crate::scenario::{Layout, Mode};
use model::{NodeDeallocation, Priority, ScaleSettings};
use rand::Rng;
use rand::rngs::StdRng;

/// The creation of everything in the layout, within the first seconds.
pub fn creation(layout: &Layout, rng: &mut StdRng) -> Vec<Event> {
    let mut events = Vec::new();
    let mut add = |at, request| events.push(Event::request(at, request));
    (0..layout.workspaces.len()).for_each(|it| add(0, UserRequest::PutWorkspace(it)));
    (0..layout.experiments.len()).for_each(|it| add(100, UserRequest::PutExperiment(it)));
    (0..layout.file_servers.len()).for_each(|it| add(100, UserRequest::PutFileServer(it)));
    for cluster in 0..layout.clusters.len() {
        add(rng.random_range(500..4000), UserRequest::PutCluster(cluster, scale(rng)));
    }
    events
}

/// The events until `end`.
pub fn generate(
    layout: &Layout,
    kinds: FaultKinds,
    mode: Mode,
    end: i64,
    rng: &mut StdRng,
) -> Vec<Event> {
    let mut events = Vec::new();
    let minutes = (end / 60_000) as usize;
    let users = rng.random_range(4..=8 + 5 * minutes.min(8));
    let mut jobs = 0;
    let burst = rng.random_range(1000..end);
    for _ in 0..users {
        // Half of the requests are sent close together.
        let at = match rng.random_bool(0.5) {
            true => (burst + rng.random_range(0..5000)).min(end),
            false => rng.random_range(3000..end),
        };
        events.push(Event::request(at, user_request(layout, &mut jobs, rng)));
    }
    if rng.random_bool(0.25) {
        let at = rng.random_range(3000..end);
        let recreation = recreation(at, layout, &mut jobs, rng);
        events.extend(recreation.into_iter().filter(|event| event.at < end));
    }
    let faults: Vec<FaultKind> = kinds.iter().collect();
    if !faults.is_empty() {
        for _ in 0..rng.random_range(0..=4 + 4 * minutes.min(8)) {
            let kind = faults[rng.random_range(0..faults.len())];
            if let Some(disturbance) = disturbance(kind, mode, rng) {
                let at = rng.random_range(3000..end);
                events.push(Event { at, kind: EventKind::Disturbance(disturbance) });
            }
        }
        if minutes >= 5 && rng.random_bool(0.5) {
            let at = rng.random_range(30_000..end - 250_000);
            add_calm_time(&mut events, at);
        }
    }
    events
}

/// Users delete a resource and create it again as soon as the service allows it. The new record has
/// the key of the old one, which slow writers still use.
fn recreation(at: i64, layout: &Layout, jobs: &mut u32, rng: &mut StdRng) -> Vec<Event> {
    let mut events = Vec::new();
    let cluster = rng.random_range(0..layout.clusters.len());
    let experiment = rng.random_range(0..layout.experiments.len());
    let is_cluster = rng.random_bool(0.6);
    for _ in 0..rng.random_range(1..5) {
        let at = (at + rng.random_range(-2000..20_000)).max(3000);
        let request = match rng.random_bool(0.7) {
            true => {
                *jobs += 1;
                UserRequest::Submit(job_spec(layout, *jobs, experiment, cluster, rng))
            }
            false => UserRequest::Resize { cluster, scale: scale(rng) },
        };
        events.push(Event::request(at, request));
    }
    let mut later = at;
    for _ in 0..rng.random_range(1..4) {
        let delete = match is_cluster {
            true => UserRequest::DeleteCluster(cluster),
            false => UserRequest::DeleteExperiment(experiment),
        };
        events.push(Event::request(later, delete));
        // Refused while the deletion is in progress.
        for _ in 0..3 {
            later += [100, 1000, 5000, 20_000][rng.random_range(0..4)];
            let create = match is_cluster {
                true => UserRequest::PutCluster(cluster, scale(rng)),
                false => UserRequest::PutExperiment(experiment),
            };
            events.push(Event::request(later, create));
        }
    }
    events
}

/// Adds four minutes without faults. Earlier disturbances end before they start, and users send no
/// requests after the first 100 seconds.
fn add_calm_time(events: &mut Vec<Event>, start: i64) {
    let end = start + 240_000;
    let is_removed = |it: &Event| {
        let is_late = it.at > start + 100_000 && it.at < end;
        let overlaps = match it.kind {
            EventKind::Disturbance(disturbance) => {
                it.at + disturbance.duration_millis() > start && it.at < end
            }
            EventKind::Request(_) | EventKind::Calm { .. } => false,
        };
        overlaps || is_late
    };
    events.retain(|it| !is_removed(it));
    events.push(Event { at: start, kind: EventKind::Calm { seconds: 240 } });
}

fn user_request(layout: &Layout, jobs: &mut u32, rng: &mut StdRng) -> UserRequest {
    let cluster = rng.random_range(0..layout.clusters.len());
    let experiment = rng.random_range(0..layout.experiments.len());
    let workspace = rng.random_range(0..layout.workspaces.len());
    let servers = layout.file_servers.len();
    let job = rng.random_range(0..=*jobs);
    match rng.random_range(0..100) {
        0..52 => {
            *jobs += 1;
            UserRequest::Submit(job_spec(layout, *jobs, experiment, cluster, rng))
        }
        52..58 => {
            let times = if rng.random_bool(0.3) { rng.random_range(2..9) } else { 1 };
            UserRequest::Terminate { job, times }
        }
        58..65 => UserRequest::DeleteJob { job, then_terminate: rng.random_bool(0.3) },
        65..77 => UserRequest::Resize { cluster, scale: scale(rng) },
        77..80 => UserRequest::ReadCluster(cluster),
        80..83 => UserRequest::DeleteCluster(cluster),
        83..86 => UserRequest::PutCluster(cluster, scale(rng)),
        86..88 if servers > 0 => UserRequest::DeleteFileServer(rng.random_range(0..servers)),
        88..90 if servers > 0 => UserRequest::PutFileServer(rng.random_range(0..servers)),
        90 => UserRequest::DeleteExperiment(experiment),
        91 => UserRequest::PutExperiment(experiment),
        92 => UserRequest::DeleteWorkspace(workspace),
        93 => UserRequest::PutWorkspace(workspace),
        94 => UserRequest::DeleteGroup(workspace),
        95 => UserRequest::Tag(workspace),
        96 => UserRequest::CreateToken(rng.random_range(0..2)),
        97 => UserRequest::RevokeToken(rng.random_range(0..2)),
        number => {
            let (level, principal) = (rng.random_range(0..3), rng.random_range(0..2));
            let grant = GrantKey { workspace, level, principal };
            if number == 98 { UserRequest::Revoke(grant) } else { UserRequest::Grant(grant) }
        }
    }
}

fn job_spec(
    layout: &Layout,
    number: u32,
    experiment: usize,
    cluster: usize,
    rng: &mut StdRng,
) -> JobSpec {
    let preparation = match rng.random_range(0..10) {
        0 => Some(4),
        1 | 2 => Some(0),
        _ => None,
    };
    let servers = layout.file_servers.len();
    JobSpec {
        number,
        experiment,
        cluster,
        nodes: [1, 1, 1, 1, 2, 2, 3, 4][rng.random_range(0..8)],
        priority: [Priority::High, Priority::Normal, Priority::Normal, Priority::Low]
            [rng.random_range(0..4)],
        exit_code: [0, 0, 0, 3][rng.random_range(0..4)],
        millis: [50, 2000, 12_000, 45_000, 120_000][rng.random_range(0..5)],
        preparation,
        stop_millis: [10, 500, 4000, 60_000][rng.random_range(0..4)],
        max_retries: rng.random_range(0..3),
        wall_clock_seconds: [3600, 3600, 3600, 15][rng.random_range(0..4)],
        mounts: (servers > 0 && rng.random_bool(0.3)).then(|| rng.random_range(0..servers)),
    }
}

fn scale(rng: &mut StdRng) -> ScaleSettings {
    let count = rng.random_range(0..5);
    if rng.random_bool(0.6) {
        let minimum_node_count = if rng.random_bool(0.8) { 0 } else { rng.random_range(0..=count) };
        let initial_node_count = if rng.random_bool(0.8) { minimum_node_count } else { count };
        return ScaleSettings::AutoScale {
            minimum_node_count,
            maximum_node_count: count,
            initial_node_count,
        };
    }
    let node_deallocation_option = [
        NodeDeallocation::Requeue,
        NodeDeallocation::Terminate,
        NodeDeallocation::WaitForJobCompletion,
    ][rng.random_range(0..3)];
    ScaleSettings::Manual { target_node_count: count, node_deallocation_option }
}

/// None for the kinds that are faults of calls.
fn disturbance(kind: FaultKind, mode: Mode, rng: &mut StdRng) -> Option<Disturbance> {
    let instance = rng.random();
    let seconds = [2, 8, 30, 90, 240][rng.random_range(0..5)];
    let on_instance = |fault| Some(Disturbance::Instance { instance, fault });
    match kind {
        FaultKind::Crashes => Some(Disturbance::Crash { process: rng.random() }),
        FaultKind::StorageOutages => Some(Disturbance::StorageOutage { seconds }),
        FaultKind::CloudOutages => Some(Disturbance::CloudOutage { seconds }),
        FaultKind::Interruptions => on_instance(InstanceFault::Interrupt {
            seconds: [0, 5, 30, 120][rng.random_range(0..4)],
            event: rng.random_bool(0.7),
            agent: rng.random_bool(0.7),
        }),
        FaultKind::Losses => on_instance(InstanceFault::Lose),
        FaultKind::Recommendations => {
            let mut delay = || [0, 0, 1, 20, 100][rng.random_range(0..5)];
            on_instance(InstanceFault::Recommend { delays: [delay(), delay()] })
        }
        FaultKind::AgentRestarts => on_instance(InstanceFault::RestartAgent { seconds }),
        FaultKind::Partitions => on_instance(InstanceFault::Partition { seconds }),
        FaultKind::OldReports => on_instance(InstanceFault::OldReport { which: rng.random() }),
        // Functions are not suspended together with the processes of the nodes.
        FaultKind::Pauses => Some(match rng.random_bool(0.5) && mode == Mode::OneProcess {
            true => Disturbance::Suspend { seconds: rng.random_range(20..120) },
            false => Disturbance::Freeze { seconds: rng.random_range(5..90) },
        }),
        // Functions use the clock of the cloud, which does not jump.
        FaultKind::ClockJumps => (mode == Mode::OneProcess)
            .then(|| Disturbance::ClockJump { millis: rng.random_range(-200_000..200_000) }),
        FaultKind::SlowCalls
        | FaultKind::Throttles
        | FaultKind::LostCommits
        | FaultKind::Conflicts
        | FaultKind::CloudErrors
        | FaultKind::Listings
        | FaultKind::Refusals
        | FaultKind::LostHints
        | FaultKind::RepeatedHints
        | FaultKind::Network
        | FaultKind::BadNodes
        | FaultKind::FailingSetups
        | FaultKind::ClockSkew
        | FaultKind::Directories => None,
    }
}
