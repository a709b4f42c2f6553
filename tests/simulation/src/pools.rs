//! The pools of the simulated fleet: one for each size in each of two subnets. A pool runs dry for some
//! minutes and refuses every launch meanwhile, so a launch that avoids it succeeds where another fails.

use crate::sim::State;
use control::ports::LaunchRequest;
use model::{Offering, Pool, PoolProblem, PoolRefusal, Price, ResourceError};
use std::collections::BTreeMap;

/// Until when each pool is dry.
pub type DryPools = BTreeMap<Pool, i64>;

/// The subnets of the fleet, each in a zone of its own.
pub fn subnets() -> Vec<String> {
    vec!["subnet-a".to_owned(), "subnet-b".to_owned()]
}

/// The zone of a subnet.
pub fn zone_of(subnet: &str) -> String {
    subnet.replace("subnet", "zone")
}

/// An instance of a pool.
pub fn offering(pool: &Pool) -> Offering {
    let (zone, vm_size) = (zone_of(&pool.subnet), pool.vm_size.clone());
    Offering::Described { zone, vm_size, priority: pool.priority }
}

/// The pools that a request may use: those that it avoids only where no others are left.
fn usable(request: &LaunchRequest) -> Vec<Pool> {
    let sizes = std::iter::once(&request.vm_size).chain(&request.alternate_vm_sizes);
    let mut pools = Vec::new();
    for vm_size in sizes {
        for subnet in &request.placement.subnets {
            let (vm_size, subnet) = (vm_size.clone(), subnet.clone());
            pools.push(Pool { vm_size, subnet, priority: request.priority });
        }
    }
    let kept = |pool: &&Pool| !request.placement.avoid.contains(pool);
    let left: Vec<Pool> = pools.iter().filter(kept).cloned().collect();
    if left.is_empty() { pools } else { left }
}

impl State {
    /// The pools of a launch that have capacity now, and those that have none.
    pub fn pools_of(&mut self, request: &LaunchRequest) -> (Vec<Pool>, Vec<PoolRefusal>) {
        let (mut open, mut refused) = (Vec::new(), Vec::new());
        for pool in usable(request) {
            if self.is_dry(&pool) {
                let problem = match self.choices.below(4) {
                    0..=2 => PoolProblem::NoCapacity,
                    _ => PoolProblem::LimitReached,
                };
                refused.push(PoolRefusal { pool, problem });
            } else {
                open.push(pool);
            }
        }
        (open, refused)
    }

    fn is_dry(&mut self, pool: &Pool) -> bool {
        let rate = self.rates.refused;
        if rate == 0 {
            return false;
        }
        let now = self.now;
        if self.cloud.dry_pools.get(pool).is_some_and(|until| now < *until) {
            return true;
        }
        let dries_up = self.choices.chance(rate);
        if dries_up {
            let until = now + 5_000 + i64::from(self.choices.below(60)) * 5_000;
            self.cloud.dry_pools.insert(pool.clone(), until);
        }
        dries_up
    }
}

/// The price of an instance: that of its zone.
pub fn price(offering: &Offering) -> Price {
    match offering {
        Offering::Described { zone, .. } if zone == "zone-a" => Price::MicroUsdPerHour(160_000),
        Offering::Described { .. } => Price::MicroUsdPerHour(526_000),
        Offering::Single | Offering::Unknown => Price::Unknown,
    }
}

pub fn no_capacity() -> ResourceError {
    ResourceError::new("NoCapacity", "none left")
}
