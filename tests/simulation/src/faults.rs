//! The kinds of faults, and the rates of faults of calls. Each history has a random subset of the
//! kinds: that finds rare combinations sooner than all kinds in every history.

use rand::Rng;
use rand::rngs::StdRng;

/// FaultKinds of faults that a history has. Each can be disabled when a failing history is shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FaultKind {
    SlowCalls,
    Throttles,
    LostCommits,
    Conflicts,
    StorageOutages,
    CloudErrors,
    CloudOutages,
    Listings,
    Refusals,
    LostHints,
    RepeatedHints,
    Crashes,
    Network,
    Partitions,
    AgentRestarts,
    OldReports,
    Interruptions,
    Losses,
    BadNodes,
    FailingSetups,
    Pauses,
    ClockJumps,
    ClockSkew,
    Directories,
    Recommendations,
}

impl FaultKind {
    pub const ALL: [Self; 25] = [
        Self::SlowCalls,
        Self::Throttles,
        Self::LostCommits,
        Self::Conflicts,
        Self::StorageOutages,
        Self::CloudErrors,
        Self::CloudOutages,
        Self::Listings,
        Self::Refusals,
        Self::LostHints,
        Self::RepeatedHints,
        Self::Crashes,
        Self::Network,
        Self::Partitions,
        Self::AgentRestarts,
        Self::OldReports,
        Self::Interruptions,
        Self::Losses,
        Self::BadNodes,
        Self::FailingSetups,
        Self::Pauses,
        Self::ClockJumps,
        Self::ClockSkew,
        Self::Directories,
        Self::Recommendations,
    ];
}

/// A set of kinds of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultKinds(u32);

impl FaultKinds {
    pub fn has(self, kind: FaultKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub fn with(self, kind: FaultKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub fn without(self, kind: FaultKind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }

    /// One history in eight has no faults; see [`crate::scenario::Scenario::is_healthy`].
    pub fn generate(rng: &mut StdRng) -> Self {
        if rng.random_ratio(1, 8) {
            return Self::default();
        }
        let share = [0.15, 0.3, 0.5, 0.8][rng.random_range(0..4)];
        let chosen = FaultKind::ALL.into_iter().filter(|_| rng.random_bool(share));
        chosen.fold(Self::default(), Self::with)
    }
}

/// The probabilities of faults of calls, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub slow: bool,
    pub throttled: u32,
    pub lost_commit: u32,
    pub conflict: u32,
    pub cloud_error: u32,
    pub cloud_lost: u32,
    pub not_yet: u32,
    pub refused: u32,
    pub listing: u32,
    pub hint_lost: u32,
    pub hint_repeated: u32,
    pub network: u32,
}

impl Rates {
    pub fn generate(kinds: FaultKinds, rng: &mut StdRng) -> Self {
        let mut rate = |kind, most: u32| {
            let drawn = rng.random_range(1..=most);
            if kinds.has(kind) { drawn } else { 0 }
        };
        Self {
            slow: kinds.has(FaultKind::SlowCalls),
            throttled: rate(FaultKind::Throttles, 40),
            lost_commit: rate(FaultKind::LostCommits, 80),
            conflict: rate(FaultKind::Conflicts, 80),
            cloud_error: rate(FaultKind::CloudErrors, 200),
            cloud_lost: rate(FaultKind::CloudErrors, 200),
            not_yet: rate(FaultKind::CloudErrors, 500),
            refused: rate(FaultKind::Refusals, 400),
            listing: rate(FaultKind::Listings, 300),
            hint_lost: rate(FaultKind::LostHints, 600),
            hint_repeated: rate(FaultKind::RepeatedHints, 200),
            network: rate(FaultKind::Network, 150),
        }
    }
}
