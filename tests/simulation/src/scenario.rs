//! The parts of a history that are generated from the seed before it starts: its layout (workspaces,
//! clusters, other resources), its kinds of faults, and its script. A scenario is a value, so that a
//! failing history can be shrunk by removing parts.

use crate::faults::{FaultKind, FaultKinds, Rates};
use crate::script::{self, Event, EventKind, UserRequest};
use model::{Name, VmPriority, WorkspaceNames};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Several processes per function; a schedule every minute; agents poll.
    Functions,
    /// One process; a schedule every few seconds; requests of agents are held.
    OneProcess,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub mode: Mode,
    pub kinds: FaultKinds,
    pub rates: Rates,
    pub layout: Layout,
    /// In the order of time, starting with the creation of everything in [`Layout`].
    pub events: Vec<Event>,
    /// When faults end, in milliseconds.
    pub quiet_at: i64,
    /// Whether everything is deleted when faults end.
    pub deletes_all: bool,
    /// How many instances the cloud can run at a time.
    pub instances: usize,
    /// How many nodes the quota of a region allows.
    pub quota_nodes: u32,
    pub schedule_millis: i64,
    /// The longest time between two requests of an agent.
    pub heartbeat_millis: i64,
    /// Whether instances do not know their node.
    pub is_fleet: bool,
}

/// The names of resources. Scripts refer to them by index; not all of them exist at all times.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    pub workspaces: Vec<WorkspaceNames>,
    pub experiments: Vec<Child>,
    pub clusters: Vec<ClusterSlot>,
    pub file_servers: Vec<Child>,
}

#[derive(Clone, Debug)]
pub struct Child {
    /// Index of its workspace.
    pub workspace: usize,
    pub name: Name,
}

#[derive(Clone, Debug)]
pub struct ClusterSlot {
    pub workspace: usize,
    pub name: Name,
    pub priority: VmPriority,
    /// Indices of the file servers that it mounts.
    pub mounts: Vec<usize>,
    /// Whether its set-up task fails on some nodes.
    pub setup_fails: bool,
    /// Whether its nodes are replaced when the cloud recommends it.
    pub replaces: bool,
}

/// The size of a history.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Minutes until faults end; by default 1 to 8, generated from the seed.
    pub minutes: Option<u32>,
}

impl Scenario {
    pub fn generate(seed: u64, options: Options) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed ^ 0x005c_e9a7_1059);
        let kinds = FaultKinds::generate(rng);
        let rates = Rates::generate(kinds, rng);
        let mode = if rng.random_bool(0.5) { Mode::Functions } else { Mode::OneProcess };
        let layout = Layout::generate(kinds, rng);
        let minutes = options.minutes.unwrap_or_else(|| [1, 2, 2, 3, 5, 8][rng.random_range(0..6)]);
        let quiet_at = i64::from(minutes) * 60_000;
        let mut events = script::creation(&layout, rng);
        events.extend(script::generate(&layout, kinds, mode, quiet_at, rng));
        events.sort_by_key(|event| event.at);
        let schedule_millis = match mode {
            Mode::Functions => 60_000,
            Mode::OneProcess => rng.random_range(1_000..8_000),
        };
        Self {
            seed,
            mode,
            kinds,
            rates,
            layout,
            events,
            quiet_at,
            deletes_all: rng.random_bool(0.4),
            instances: if rng.random_bool(0.2) { rng.random_range(2..6) } else { 40 },
            quota_nodes: if rng.random_bool(0.2) { rng.random_range(2..6) } else { 40 },
            schedule_millis,
            heartbeat_millis: rng.random_range(4_000..12_000),
            is_fleet: rng.random_bool(0.5),
        }
    }

    /// The scenario without a kind of fault: without its events and its faults of calls.
    pub fn without(&self, kind: FaultKind) -> Self {
        let kinds = self.kinds.without(kind);
        let mut rates = self.rates;
        match kind {
            FaultKind::SlowCalls => rates.slow = false,
            FaultKind::Throttles => rates.throttled = 0,
            FaultKind::LostCommits => rates.lost_commit = 0,
            FaultKind::Conflicts => rates.conflict = 0,
            FaultKind::CloudErrors => {
                (rates.cloud_error, rates.cloud_lost, rates.not_yet) = (0, 0, 0)
            }
            FaultKind::Refusals => rates.refused = 0,
            FaultKind::Listings => rates.listing = 0,
            FaultKind::LostHints => rates.hint_lost = 0,
            FaultKind::RepeatedHints => rates.hint_repeated = 0,
            FaultKind::Network => rates.network = 0,
            FaultKind::StorageOutages
            | FaultKind::CloudOutages
            | FaultKind::Crashes
            | FaultKind::Partitions
            | FaultKind::AgentRestarts
            | FaultKind::OldReports
            | FaultKind::Interruptions
            | FaultKind::Losses
            | FaultKind::BadNodes
            | FaultKind::FailingSetups
            | FaultKind::Pauses
            | FaultKind::ClockJumps
            | FaultKind::ClockSkew
            | FaultKind::Directories
            | FaultKind::Recommendations => {}
        }
        let events = self.events.iter().filter(|event| event.kind.fault_kind() != Some(kind));
        Self { kinds, rates, events: events.cloned().collect(), ..self.clone() }
    }

    /// Without faults, the service must react without waiting for its schedule.
    pub fn is_healthy(&self) -> bool {
        self.kinds.is_empty() && self.mode == Mode::Functions && self.instances > 10
    }

    pub fn jobs(&self) -> usize {
        let is_submission =
            |it: &&Event| matches!(it.kind, EventKind::Request(UserRequest::Submit(_)));
        self.events.iter().filter(is_submission).count()
    }
}

impl Layout {
    fn generate(kinds: FaultKinds, rng: &mut StdRng) -> Self {
        let mut layout = Self::default();
        for number in 0..[1, 1, 1, 2, 3][rng.random_range(0..5)] {
            layout.workspaces.push(WorkspaceNames {
                subscription: Name::new(format!("s{}", rng.random_range(0..2))),
                resource_group: Name::new(format!("g{}", rng.random_range(0..2))),
                workspace: Name::new(format!("w{number}")),
            });
        }
        let workspaces = layout.workspaces.len();
        let child = |prefix: &str, number: usize, rng: &mut StdRng| Child {
            workspace: rng.random_range(0..workspaces),
            name: Name::new(format!("{prefix}{number}")),
        };
        for number in 0..rng.random_range(1..=2) {
            layout.experiments.push(child("e", number, rng));
        }
        for number in 0..[0, 0, 1, 2][rng.random_range(0..4)] {
            layout.file_servers.push(child("f", number, rng));
        }
        for number in 0..[1, 1, 2, 3][rng.random_range(0..4)] {
            let Child { workspace, name } = child("c", number, rng);
            let priorities = [VmPriority::Dedicated, VmPriority::LowPriority];
            let mounts = (0..layout.file_servers.len()).filter(|_| rng.random_bool(0.4)).collect();
            layout.clusters.push(ClusterSlot {
                workspace,
                name,
                priority: priorities[rng.random_range(0..2)],
                mounts,
                setup_fails: kinds.has(FaultKind::FailingSetups) && rng.random_bool(0.7),
                replaces: rng.random_bool(0.5),
            });
        }
        layout
    }
}
