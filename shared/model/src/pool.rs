//! Pools: where instances come from. Each has its own capacity, so a launch avoids for some time those
//! that refused the one before.

use crate::{Timestamp, VmPriority, limits};
use serde::{Deserialize, Serialize};

/// A source of instances with a capacity of its own: one size in one subnet, on one market.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pool {
    /// The size, as the provider names it.
    pub vm_size: String,
    /// Id of the subnet; a subnet lies in one zone.
    pub subnet: String,
    /// The market: on-demand or spot.
    pub priority: VmPriority,
}

/// Why a pool gave no instance, by how long that is likely to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolProblem {
    /// The provider has none left.
    NoCapacity,
    /// The account has as many as it may have.
    LimitReached,
    /// The size is not offered there.
    NotOffered,
}

impl PoolProblem {
    /// How long launches avoid the pool, in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::NoCapacity => limits::POOL_WITHOUT_CAPACITY_SECONDS,
            Self::LimitReached => limits::POOL_AT_LIMIT_SECONDS,
            Self::NotOffered => limits::POOL_NOT_OFFERED_SECONDS,
        }
    }
}

/// A pool that refused a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRefusal {
    /// The pool.
    pub pool: Pool,
    /// Why.
    pub problem: PoolProblem,
}

/// A pool that launches avoid. Stored with the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvoidedPool {
    /// The pool.
    #[serde(flatten)]
    pub pool: Pool,
    /// Why.
    pub problem: PoolProblem,
    /// Until when.
    pub until: Timestamp,
}

/// Remembers the pools that refused a launch, the latest first; what has expired is dropped.
pub(crate) fn remember(known: &mut Vec<AvoidedPool>, refusals: &[PoolRefusal], now: Timestamp) {
    let refused = |pool: &Pool| refusals.iter().any(|it| it.pool == *pool);
    known.retain(|it| now < it.until && !refused(&it.pool));
    let mut latest: Vec<AvoidedPool> = Vec::new();
    for PoolRefusal { pool, problem } in refusals {
        if !latest.iter().any(|it| it.pool == *pool) {
            let until = now.plus_seconds(problem.seconds());
            latest.push(AvoidedPool { pool: pool.clone(), problem: *problem, until });
        }
    }
    latest.append(known);
    latest.truncate(limits::MAX_AVOIDED_POOLS);
    *known = latest;
}

/// The launches of a cluster in the present minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRate {
    /// When the minute began.
    pub since: Timestamp,
    /// Launches since then.
    pub count: u32,
}

impl Default for LaunchRate {
    fn default() -> Self {
        Self::NONE
    }
}

impl LaunchRate {
    /// Nothing was launched.
    pub const NONE: Self = Self { since: Timestamp(0), count: 0 };

    /// Whether one more launch is within the limit.
    pub fn allows_one(self, now: Timestamp) -> bool {
        self.is_over(now) || self.count < limits::MAX_LAUNCHES_PER_MINUTE
    }

    /// The rate after one more launch.
    pub fn counted(self, now: Timestamp) -> Self {
        match self.is_over(now) {
            true => Self { since: now, count: 1 },
            false => Self { count: self.count.saturating_add(1), ..self },
        }
    }

    /// Whether nothing was launched.
    pub fn is_zero(&self) -> bool {
        *self == Self::NONE
    }

    fn is_over(self, now: Timestamp) -> bool {
        now >= self.since.plus_seconds(60) || now < self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(vm_size: &str, problem: PoolProblem) -> PoolRefusal {
        let (vm_size, subnet) = (vm_size.to_owned(), "s".to_owned());
        PoolRefusal { pool: Pool { vm_size, subnet, priority: VmPriority::LowPriority }, problem }
    }

    fn sizes(known: &[AvoidedPool]) -> Vec<(&str, i64)> {
        known.iter().map(|it| (it.pool.vm_size.as_str(), it.until.0 / 1000)).collect()
    }

    #[test]
    fn a_pool_is_avoided_for_a_time_that_depends_on_the_problem() {
        let mut known = Vec::new();
        let refusals = [
            refusal("a", PoolProblem::NoCapacity),
            refusal("b", PoolProblem::LimitReached),
            refusal("a", PoolProblem::NoCapacity),
            refusal("c", PoolProblem::NotOffered),
        ];
        remember(&mut known, &refusals, Timestamp(0));
        assert_eq!(sizes(&known), [("a", 180), ("b", 600), ("c", 86_400)]);
        remember(&mut known, &refusals[..1], Timestamp(170_000));
        assert_eq!(sizes(&known), [("a", 350), ("b", 600), ("c", 86_400)]);
        remember(&mut known, &[], Timestamp(350_000));
        assert_eq!(sizes(&known), [("b", 600), ("c", 86_400)]);
    }

    #[test]
    fn only_the_latest_pools_are_remembered() {
        let mut known = Vec::new();
        let names: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
        for name in &names {
            remember(&mut known, &[refusal(name, PoolProblem::NoCapacity)], Timestamp(0));
        }
        assert_eq!(known.len(), limits::MAX_AVOIDED_POOLS);
        assert_eq!(known[0].pool.vm_size, "t39");
    }

    #[test]
    fn launches_are_counted_by_the_minute() {
        let now = Timestamp(1_000_000);
        let mut rate = LaunchRate::NONE;
        assert!(rate.is_zero());
        for _ in 0..limits::MAX_LAUNCHES_PER_MINUTE {
            assert!(rate.allows_one(now));
            rate = rate.counted(now);
        }
        assert!(!rate.allows_one(now.plus_seconds(59)));
        assert!(rate.allows_one(now.plus_seconds(60)));
        assert_eq!(rate.counted(now.plus_seconds(60)).count, 1);
        assert!(rate.allows_one(Timestamp(0)), "the clock was set back");
    }
}
