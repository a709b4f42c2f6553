//! What is fixed before a history begins: its place (workspaces, clusters, users' names), its kinds
//! of faults, and its script. All of it is a value drawn from the seed, so that a failing history can
//! be made shorter by leaving parts out.

use crate::faults::{Kind, Kinds, Rates};
use crate::script::{self, Event, What};
use model::{Name, VmPriority, WorkspaceNames};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Functions that come and go; a schedule each minute; agents ask again by themselves.
    Functions,
    /// One process; a schedule each few seconds; requests of agents are held.
    OneProcess,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub mode: Mode,
    pub kinds: Kinds,
    pub rates: Rates,
    pub place: Place,
    /// In the order of time. The creation of everything in [`Place`] comes first.
    pub events: Vec<Event>,
    /// When faults stop, in milliseconds.
    pub quiet_at: i64,
    /// Everything is deleted when faults stop.
    pub deletes_all: bool,
    /// Instances that the cloud gives.
    pub instances: usize,
    /// Nodes that the quota of a region allows.
    pub quota_nodes: u32,
    pub schedule_millis: i64,
    /// The longest pause between two requests of an agent.
    pub heartbeat_millis: i64,
}

/// Resources by name. Scripts refer to them by position; which of them exist changes.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub workspaces: Vec<WorkspaceNames>,
    pub experiments: Vec<Child>,
    pub clusters: Vec<ClusterSlot>,
    pub file_servers: Vec<Child>,
}

#[derive(Clone, Debug)]
pub struct Child {
    /// Position of its workspace.
    pub workspace: usize,
    pub name: Name,
}

#[derive(Clone, Debug)]
pub struct ClusterSlot {
    pub workspace: usize,
    pub name: Name,
    pub priority: VmPriority,
    /// Positions of the file servers that it mounts.
    pub mounts: Vec<usize>,
    /// Its set-up task fails on some nodes.
    pub setup_fails: bool,
}

/// How long and how large a history is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Minutes until faults stop; a few, drawn from the seed, unless given.
    pub minutes: Option<u32>,
}

impl Scenario {
    pub fn draw(seed: u64, options: Options) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed ^ 0x005c_e9a7_1059);
        let kinds = Kinds::draw(rng);
        let rates = Rates::draw(kinds, rng);
        let mode = if rng.random_bool(0.5) { Mode::Functions } else { Mode::OneProcess };
        let place = Place::draw(kinds, rng);
        let minutes = options.minutes.unwrap_or_else(|| [1, 2, 2, 3, 5, 8][rng.random_range(0..6)]);
        let quiet_at = i64::from(minutes) * 60_000;
        let mut events = script::creation(&place, rng);
        events.extend(script::draw(&place, kinds, mode, quiet_at, rng));
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
            place,
            events,
            quiet_at,
            deletes_all: rng.random_bool(0.4),
            instances: if rng.random_bool(0.2) { rng.random_range(2..6) } else { 40 },
            quota_nodes: if rng.random_bool(0.2) { rng.random_range(2..6) } else { 40 },
            schedule_millis,
            heartbeat_millis: rng.random_range(4_000..12_000),
        }
    }

    /// Without the events that only a kind of fault brings, and without its calls' faults.
    pub fn without(&self, kind: Kind) -> Self {
        let kinds = self.kinds.without(kind);
        let mut rates = self.rates;
        match kind {
            Kind::SlowCalls => rates.slow = false,
            Kind::Throttles => rates.throttled = 0,
            Kind::LostCommits => rates.lost_commit = 0,
            Kind::Conflicts => rates.conflict = 0,
            Kind::CloudErrors => (rates.cloud_error, rates.cloud_lost, rates.not_yet) = (0, 0, 0),
            Kind::Refusals => rates.refused = 0,
            Kind::Listings => rates.listing = 0,
            Kind::LostHints => rates.hint_lost = 0,
            Kind::RepeatedHints => rates.hint_repeated = 0,
            Kind::Network => rates.network = 0,
            _ => {}
        }
        let events = self.events.iter().filter(|event| event.what.kind() != Some(kind));
        Self { kinds, rates, events: events.cloned().collect(), ..self.clone() }
    }

    /// Nothing is expected to disturb: the service has to react without waiting for its schedule.
    pub fn is_healthy(&self) -> bool {
        self.kinds.is_empty() && self.mode == Mode::Functions && self.instances > 10
    }

    pub fn jobs(&self) -> usize {
        self.events.iter().filter(|event| matches!(event.what, What::Submit(_))).count()
    }
}

impl Place {
    fn draw(kinds: Kinds, rng: &mut StdRng) -> Self {
        let mut place = Self::default();
        for number in 0..[1, 1, 1, 2, 3][rng.random_range(0..5)] {
            place.workspaces.push(WorkspaceNames {
                subscription: Name::new(format!("s{}", rng.random_range(0..2))),
                resource_group: Name::new(format!("g{}", rng.random_range(0..2))),
                workspace: Name::new(format!("w{number}")),
            });
        }
        let workspaces = place.workspaces.len();
        let child = |prefix: &str, number: usize, rng: &mut StdRng| Child {
            workspace: rng.random_range(0..workspaces),
            name: Name::new(format!("{prefix}{number}")),
        };
        for number in 0..rng.random_range(1..=2) {
            place.experiments.push(child("e", number, rng));
        }
        for number in 0..[0, 0, 1, 2][rng.random_range(0..4)] {
            place.file_servers.push(child("f", number, rng));
        }
        for number in 0..[1, 1, 2, 3][rng.random_range(0..4)] {
            let Child { workspace, name } = child("c", number, rng);
            let priorities = [VmPriority::Dedicated, VmPriority::LowPriority];
            let mounts = (0..place.file_servers.len()).filter(|_| rng.random_bool(0.4)).collect();
            place.clusters.push(ClusterSlot {
                workspace,
                name,
                priority: priorities[rng.random_range(0..2)],
                mounts,
                setup_fails: kinds.has(Kind::FailingSetups) && rng.random_bool(0.7),
            });
        }
        place
    }
}
