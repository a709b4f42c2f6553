//! The script of a history: requests of users and disturbances, each with its time. Numbers of
//! instances and processes are taken modulo the number that exists at that time.

mod generate;

pub use generate::{creation, generate};

use crate::faults::FaultKind;
use model::{Priority, ScaleSettings};

#[derive(Clone, Debug)]
pub struct Event {
    /// Milliseconds since the start of the history.
    pub at: i64,
    pub kind: EventKind,
}

#[derive(Clone, Debug)]
pub enum EventKind {
    Request(UserRequest),
    Disturbance(Disturbance),
    /// No faults of calls for a while.
    Calm {
        seconds: u32,
    },
}

/// A job as its user submits it, and what its command will do.
#[derive(Clone, Debug)]
pub struct JobSpec {
    pub number: u32,
    pub experiment: usize,
    pub cluster: usize,
    pub nodes: u32,
    pub priority: Priority,
    pub exit_code: i32,
    /// How long the command runs.
    pub millis: u64,
    /// The exit code of the job preparation; none without one.
    pub preparation: Option<i32>,
    /// How long the command takes to end after SIGTERM.
    pub stop_millis: u64,
    pub max_retries: u32,
    pub wall_clock_seconds: u64,
    pub mounts: Option<usize>,
}

/// A request of a user. Numbers are indices into the layout, or numbers of jobs and principals.
#[derive(Clone, Debug)]
pub enum UserRequest {
    PutWorkspace(usize),
    PutExperiment(usize),
    PutFileServer(usize),
    PutCluster(usize, ScaleSettings),
    Submit(JobSpec),
    /// Sent `times` times at once.
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
    Grant(GrantKey),
    Revoke(GrantKey),
    CreateToken(u32),
    RevokeToken(u32),
}

/// A role assignment of the simulation: the principal, and 0 for the subscription of the workspace,
/// 1 for its resource group, 2 for the workspace itself.
#[derive(Clone, Copy, Debug)]
pub struct GrantKey {
    pub workspace: usize,
    pub level: u8,
    pub principal: u32,
}

/// A fault that is not the fault of one call.
#[derive(Clone, Copy, Debug)]
pub enum Disturbance {
    Crash {
        process: u32,
    },
    StorageOutage {
        seconds: u32,
    },
    CloudOutage {
        seconds: u32,
    },
    Instance {
        instance: u32,
        fault: InstanceFault,
    },
    /// Everything stops: service, agents, processes.
    Suspend {
        seconds: u32,
    },
    /// The service stops, everything else continues.
    Freeze {
        seconds: u32,
    },
    ClockJump {
        millis: i64,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum InstanceFault {
    /// A spot interruption, announced by an event, to the agent, or by both or neither.
    Interrupt {
        seconds: u32,
        event: bool,
        agent: bool,
    },
    Lose,
    /// The cloud recommends to replace the instance, by an event that may be late, and may come again.
    Recommend {
        delays: [u32; 2],
    },
    RestartAgent {
        seconds: u32,
    },
    Partition {
        seconds: u32,
    },
    /// A late repetition of an earlier report.
    OldReport {
        which: u32,
    },
}

impl EventKind {
    /// The kind of fault that the event belongs to; none for requests of users.
    pub fn fault_kind(&self) -> Option<FaultKind> {
        match self {
            Self::Request(_) | Self::Calm { .. } => None,
            Self::Disturbance(disturbance) => Some(disturbance.kind()),
        }
    }
}

impl Disturbance {
    fn kind(self) -> FaultKind {
        match self {
            Self::Crash { .. } => FaultKind::Crashes,
            Self::StorageOutage { .. } => FaultKind::StorageOutages,
            Self::CloudOutage { .. } => FaultKind::CloudOutages,
            Self::Instance { fault, .. } => match fault {
                InstanceFault::Interrupt { .. } => FaultKind::Interruptions,
                InstanceFault::Lose => FaultKind::Losses,
                InstanceFault::Recommend { .. } => FaultKind::Recommendations,
                InstanceFault::RestartAgent { .. } => FaultKind::AgentRestarts,
                InstanceFault::Partition { .. } => FaultKind::Partitions,
                InstanceFault::OldReport { .. } => FaultKind::OldReports,
            },
            Self::Suspend { .. } | Self::Freeze { .. } => FaultKind::Pauses,
            Self::ClockJump { .. } => FaultKind::ClockJumps,
        }
    }

    /// How long it has an effect beyond its start, for the calm times.
    fn duration_millis(self) -> i64 {
        let seconds = match self {
            Self::StorageOutage { seconds }
            | Self::CloudOutage { seconds }
            | Self::Freeze { seconds } => seconds,
            Self::Instance { fault, .. } => match fault {
                InstanceFault::RestartAgent { seconds } | InstanceFault::Partition { seconds } => {
                    seconds
                }
                InstanceFault::Interrupt { .. }
                | InstanceFault::Lose
                | InstanceFault::Recommend { .. }
                | InstanceFault::OldReport { .. } => 0,
            },
            Self::Crash { .. } | Self::Suspend { .. } | Self::ClockJump { .. } => 0,
        };
        i64::from(seconds) * 1000
    }
}

impl Event {
    fn request(at: i64, request: UserRequest) -> Self {
        Self { at, kind: EventKind::Request(request) }
    }
}
