//! The script of a history: what users do, and what happens to machines and processes, each at its
//! time. Positions (of a job, an instance, a process) are taken modulo what there is at that time.

use crate::faults::{Kind, Kinds};
use crate::scenario::{Mode, Place};
use model::{NodeDeallocation, Priority, ScaleSettings};
use rand::Rng;
use rand::rngs::StdRng;

#[derive(Clone, Debug)]
pub struct Event {
    /// Milliseconds since the beginning.
    pub at: i64,
    pub what: What,
}

/// A job as its user wants it, and what its command is going to do.
#[derive(Clone, Debug)]
pub struct JobOrder {
    pub number: u32,
    pub experiment: usize,
    pub cluster: usize,
    pub nodes: u32,
    pub priority: Priority,
    pub exit_code: i32,
    pub millis: u64,
    /// Of the job preparation, where there is one.
    pub preparation: Option<i32>,
    /// What the command takes to end after SIGTERM.
    pub stop_millis: u64,
    pub max_retries: u32,
    pub wall_clock_seconds: u64,
    pub mounts: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum What {
    PutWorkspace(usize),
    PutExperiment(usize),
    PutFileServer(usize),
    PutCluster(usize, ScaleSettings),
    Submit(JobOrder),
    /// Repeated so many times at once.
    Terminate {
        job: u32,
        times: u32,
    },
    DeleteJob {
        job: u32,
        then_terminate: bool,
    },
    Resize {
        cluster: usize,
        scale: ScaleSettings,
    },
    ReadCluster(usize),
    DeleteCluster(usize),
    DeleteFileServer(usize),
    DeleteExperiment(usize),
    DeleteWorkspace(usize),
    DeleteGroup(usize),
    Tag(usize),
    Grant {
        workspace: usize,
        level: u8,
        principal: u32,
    },
    Revoke {
        workspace: usize,
        level: u8,
        principal: u32,
    },
    CreateToken(u32),
    RevokeToken(u32),

    Crash {
        process: u32,
    },
    StorageOutage {
        seconds: u32,
    },
    CloudOutage {
        seconds: u32,
    },
    Interrupt {
        instance: u32,
        seconds: u32,
        event: bool,
        agent: bool,
    },
    Lose {
        instance: u32,
    },
    RestartAgent {
        instance: u32,
        seconds: u32,
    },
    Partition {
        instance: u32,
        seconds: u32,
    },
    OldReport {
        instance: u32,
        which: u32,
    },
    /// Everything stops: service, agents, processes.
    Suspend {
        seconds: u32,
    },
    /// The service stops, everything else goes on.
    Freeze {
        seconds: u32,
    },
    Jump {
        millis: i64,
    },
    /// No faults of calls for a while.
    Calm {
        seconds: u32,
    },
}

impl What {
    /// The kind of fault that it belongs to; none for what users do.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Crash { .. } => Some(Kind::Crashes),
            Self::StorageOutage { .. } => Some(Kind::StorageOutages),
            Self::CloudOutage { .. } => Some(Kind::CloudOutages),
            Self::Interrupt { .. } => Some(Kind::Interruptions),
            Self::Lose { .. } => Some(Kind::Losses),
            Self::RestartAgent { .. } => Some(Kind::AgentRestarts),
            Self::Partition { .. } => Some(Kind::Partitions),
            Self::OldReport { .. } => Some(Kind::OldReports),
            Self::Suspend { .. } | Self::Freeze { .. } => Some(Kind::Pauses),
            Self::Jump { .. } => Some(Kind::ClockJumps),
            _ => None,
        }
    }
}

/// Everything in the place is created within the first seconds.
pub fn creation(place: &Place, rng: &mut StdRng) -> Vec<Event> {
    let mut events = Vec::new();
    let mut add = |at, what| events.push(Event { at, what });
    (0..place.workspaces.len()).for_each(|it| add(0, What::PutWorkspace(it)));
    (0..place.experiments.len()).for_each(|it| add(100, What::PutExperiment(it)));
    (0..place.file_servers.len()).for_each(|it| add(100, What::PutFileServer(it)));
    for cluster in 0..place.clusters.len() {
        add(rng.random_range(500..4000), What::PutCluster(cluster, scale(rng)));
    }
    events
}

/// What happens until `end`.
pub fn draw(place: &Place, kinds: Kinds, mode: Mode, end: i64, rng: &mut StdRng) -> Vec<Event> {
    let mut events = Vec::new();
    let minutes = (end / 60_000) as usize;
    let users = rng.random_range(4..=8 + 5 * minutes.min(8));
    let mut jobs = 0;
    let burst = rng.random_range(1000..end);
    for _ in 0..users {
        // Half of everything happens close together.
        let at = match rng.random_bool(0.5) {
            true => (burst + rng.random_range(0..5000)).min(end),
            false => rng.random_range(3000..end),
        };
        events.push(Event { at, what: user_action(place, &mut jobs, rng) });
    }
    if rng.random_bool(0.25) {
        let at = rng.random_range(3000..end);
        let recreation = recreation(at, place, &mut jobs, rng);
        events.extend(recreation.into_iter().filter(|event| event.at < end));
    }
    let faults: Vec<Kind> = kinds.iter().collect();
    if !faults.is_empty() {
        for _ in 0..rng.random_range(0..=4 + 4 * minutes.min(8)) {
            let kind = faults[rng.random_range(0..faults.len())];
            if let Some(what) = fault(kind, mode, rng) {
                events.push(Event { at: rng.random_range(3000..end), what });
            }
        }
        if minutes >= 5 && rng.random_bool(0.5) {
            let at = rng.random_range(30_000..end - 250_000);
            calm(&mut events, at);
        }
    }
    events
}

/// Users delete something and create it again, as soon as they are let: another record gets the key of
/// the former one, which slow writers still know.
fn recreation(at: i64, place: &Place, jobs: &mut u32, rng: &mut StdRng) -> Vec<Event> {
    let mut events = Vec::new();
    let cluster = rng.random_range(0..place.clusters.len());
    let experiment = rng.random_range(0..place.experiments.len());
    let is_cluster = rng.random_bool(0.6);
    for _ in 0..rng.random_range(1..5) {
        let at = (at + rng.random_range(-2000..20_000)).max(3000);
        let what = match rng.random_bool(0.7) {
            true => {
                *jobs += 1;
                What::Submit(order(place, *jobs, experiment, cluster, rng))
            }
            false => What::Resize { cluster, scale: scale(rng) },
        };
        events.push(Event { at, what });
    }
    let mut later = at;
    for _ in 0..rng.random_range(1..4) {
        let delete = match is_cluster {
            true => What::DeleteCluster(cluster),
            false => What::DeleteExperiment(experiment),
        };
        events.push(Event { at: later, what: delete });
        // Refused while the deletion is in progress.
        for _ in 0..3 {
            later += [100, 1000, 5000, 20_000][rng.random_range(0..4)];
            let create = match is_cluster {
                true => What::PutCluster(cluster, scale(rng)),
                false => What::PutExperiment(experiment),
            };
            events.push(Event { at: later, what: create });
        }
    }
    events
}

/// Nothing disturbs for three minutes. What disturbed before has ended, or does so at once, and users
/// rest in the end.
fn calm(events: &mut Vec<Event>, at: i64) {
    let end = at + 240_000;
    let disturbs = |it: &Event| {
        let lasts = match it.what {
            What::StorageOutage { seconds }
            | What::CloudOutage { seconds }
            | What::Freeze { seconds }
            | What::RestartAgent { seconds, .. }
            | What::Partition { seconds, .. } => i64::from(seconds) * 1000,
            _ => 0,
        };
        let is_fault = it.what.kind().is_some();
        is_fault && it.at + lasts > at && it.at < end || it.at > at + 100_000 && it.at < end
    };
    events.retain(|it| !disturbs(it));
    events.push(Event { at, what: What::Calm { seconds: 240 } });
}

fn user_action(place: &Place, jobs: &mut u32, rng: &mut StdRng) -> What {
    let cluster = rng.random_range(0..place.clusters.len());
    let experiment = rng.random_range(0..place.experiments.len());
    let workspace = rng.random_range(0..place.workspaces.len());
    let servers = place.file_servers.len();
    let job = rng.random_range(0..=*jobs);
    match rng.random_range(0..100) {
        0..52 => {
            *jobs += 1;
            What::Submit(order(place, *jobs, experiment, cluster, rng))
        }
        52..58 => {
            let times = if rng.random_bool(0.3) { rng.random_range(2..9) } else { 1 };
            What::Terminate { job, times }
        }
        58..65 => What::DeleteJob { job, then_terminate: rng.random_bool(0.3) },
        65..77 => What::Resize { cluster, scale: scale(rng) },
        77..80 => What::ReadCluster(cluster),
        80..83 => What::DeleteCluster(cluster),
        83..86 => What::PutCluster(cluster, scale(rng)),
        86..88 if servers > 0 => What::DeleteFileServer(rng.random_range(0..servers)),
        88..90 if servers > 0 => What::PutFileServer(rng.random_range(0..servers)),
        90 => What::DeleteExperiment(experiment),
        91 => What::PutExperiment(experiment),
        92 => What::DeleteWorkspace(workspace),
        93 => What::PutWorkspace(workspace),
        94 => What::DeleteGroup(workspace),
        95 => What::Tag(workspace),
        96 => What::CreateToken(rng.random_range(0..2)),
        97 => What::RevokeToken(rng.random_range(0..2)),
        number => {
            let (level, principal) = (rng.random_range(0..3), rng.random_range(0..2));
            match number {
                98 => What::Revoke { workspace, level, principal },
                _ => What::Grant { workspace, level, principal },
            }
        }
    }
}

fn order(
    place: &Place,
    number: u32,
    experiment: usize,
    cluster: usize,
    rng: &mut StdRng,
) -> JobOrder {
    let preparation = match rng.random_range(0..10) {
        0 => Some(4),
        1 | 2 => Some(0),
        _ => None,
    };
    let servers = place.file_servers.len();
    JobOrder {
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

fn fault(kind: Kind, mode: Mode, rng: &mut StdRng) -> Option<What> {
    let instance = rng.random();
    let seconds = [2, 8, 30, 90, 240][rng.random_range(0..5)];
    Some(match kind {
        Kind::Crashes => What::Crash { process: rng.random() },
        Kind::StorageOutages => What::StorageOutage { seconds },
        Kind::CloudOutages => What::CloudOutage { seconds },
        Kind::Interruptions => What::Interrupt {
            instance,
            seconds: [0, 5, 30, 120][rng.random_range(0..4)],
            event: rng.random_bool(0.7),
            agent: rng.random_bool(0.7),
        },
        Kind::Losses => What::Lose { instance },
        Kind::AgentRestarts => What::RestartAgent { instance, seconds },
        Kind::Partitions => What::Partition { instance, seconds },
        Kind::OldReports => What::OldReport { instance, which: rng.random() },
        // Functions are not suspended together with what runs on the nodes.
        Kind::Pauses => match rng.random_bool(0.5) && mode == Mode::OneProcess {
            true => What::Suspend { seconds: rng.random_range(20..120) },
            false => What::Freeze { seconds: rng.random_range(5..90) },
        },
        // Functions share the clock of the cloud, which does not jump.
        Kind::ClockJumps if mode == Mode::OneProcess => {
            What::Jump { millis: rng.random_range(-200_000..200_000) }
        }
        _ => return None,
    })
}
