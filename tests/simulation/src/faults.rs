//! What can go wrong with one call, and how often. Each history has a random subset of the kinds:
//! rare combinations are met sooner when not everything happens everywhere.

use rand::Rng;
use rand::rngs::StdRng;

/// Kinds of faults that a history has. Each can be disabled when a failing history is shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
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
}

impl Kind {
    pub const ALL: [Self; 24] = [
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
    ];
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    pub fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub fn without(self, kind: Kind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }

    /// One history in eight has none; see [`crate::scenario::Scenario::is_healthy`].
    pub fn draw(rng: &mut StdRng) -> Self {
        if rng.random_ratio(1, 8) {
            return Self::default();
        }
        let share = [0.15, 0.3, 0.5, 0.8][rng.random_range(0..4)];
        let chosen = Kind::ALL.into_iter().filter(|_| rng.random_bool(share));
        chosen.fold(Self::default(), Self::with)
    }
}

/// Chances of faults of calls, in thousandths.
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
    pub fn draw(kinds: Kinds, rng: &mut StdRng) -> Self {
        let mut rate = |kind, most: u32| {
            let drawn = rng.random_range(1..=most);
            if kinds.has(kind) { drawn } else { 0 }
        };
        Self {
            slow: kinds.has(Kind::SlowCalls),
            throttled: rate(Kind::Throttles, 40),
            lost_commit: rate(Kind::LostCommits, 80),
            conflict: rate(Kind::Conflicts, 80),
            cloud_error: rate(Kind::CloudErrors, 200),
            cloud_lost: rate(Kind::CloudErrors, 200),
            not_yet: rate(Kind::CloudErrors, 500),
            refused: rate(Kind::Refusals, 400),
            listing: rate(Kind::Listings, 300),
            hint_lost: rate(Kind::LostHints, 600),
            hint_repeated: rate(Kind::RepeatedHints, 200),
            network: rate(Kind::Network, 150),
        }
    }
}
