//! Usage that is counted against quotas: clusters, and cores of nodes per region and priority.

use crate::vm_size::{VmFamily, VmSize};
use crate::{Name, VmPriority, limits};
use serde::{Deserialize, Serialize};

/// A counter of usage in one region of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Meter {
    /// Number of clusters.
    Clusters,
    /// Cores of all nodes of this priority.
    Cores(VmPriority),
    /// Cores of all nodes of this priority and VM family.
    FamilyCores(VmPriority, VmFamily),
}

impl Meter {
    /// All meters, in the order in which the service lists them (docs/contract.md, "Quotas and
    /// usages").
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |priority| {
            let families = VmFamily::ALL.map(|family| Self::FamilyCores(priority, family));
            std::iter::once(Self::Cores(priority)).chain(families)
        };
        std::iter::once(Self::Clusters)
            .chain(of(VmPriority::Dedicated))
            .chain(of(VmPriority::LowPriority))
    }
}

/// Where usage is counted: a region of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The subscription.
    pub subscription: Name,
    /// The region.
    pub location: Name,
}

/// The usage of one node, from its launch until its removal. It is stored in the record of the
/// node, so that the removal subtracts exactly what the launch added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Where it is counted.
    pub account: Account,
    /// Priority of the node.
    pub priority: VmPriority,
    /// VM family; `None` if the size belongs to no family with a quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<VmFamily>,
    /// Cores of the node.
    pub cores: u32,
    /// Whether the cores also count against [`Quota::total_cores`]. False in records that an earlier
    /// version of the service wrote: it had no such count.
    #[serde(default)]
    pub in_total: bool,
}

impl Charge {
    /// The usage of a node of this size.
    pub fn of(account: Account, priority: VmPriority, vm_size: &str) -> Self {
        let VmSize { family, cores, .. } = VmSize::of(vm_size);
        Self { account, priority, family, cores, in_total: true }
    }

    /// The meters to which the node's cores are added.
    pub fn meters(&self) -> impl Iterator<Item = Meter> {
        let family = self.family.map(|family| Meter::FamilyCores(self.priority, family));
        std::iter::once(Meter::Cores(self.priority)).chain(family)
    }
}

/// The most that a region of a subscription may use, and the most that all may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Clusters per region of a subscription.
    pub clusters: u32,
    /// Cores of each priority per region of a subscription; families have no lower limit of their own.
    pub cores: u32,
    /// Cores of the whole service: all subscriptions, regions and priorities together.
    pub total_cores: u32,
}

impl Quota {
    /// The quota when the service is not configured otherwise.
    pub const DEFAULT: Self = Self {
        clusters: limits::MAX_CLUSTERS_DEFAULT,
        cores: limits::MAX_CORES_DEFAULT,
        total_cores: limits::MAX_TOTAL_CORES_DEFAULT,
    };

    /// The most cores that one job or one launch can ever use at once.
    pub fn most_cores(&self) -> u32 {
        self.cores.min(self.total_cores)
    }

    /// The limit of a meter.
    pub fn limit(&self, meter: Meter) -> u32 {
        match meter {
            Meter::Clusters => self.clusters,
            Meter::Cores(_) | Meter::FamilyCores(..) => self.cores,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_priority_and_family_has_a_meter() {
        let meters: Vec<Meter> = Meter::all().collect();
        assert_eq!(meters.len(), 1 + 2 * (1 + VmFamily::ALL.len()));
        assert_eq!(meters[0], Meter::Clusters);
        assert_eq!(meters[1], Meter::Cores(VmPriority::Dedicated));
        assert_eq!(meters[2], Meter::FamilyCores(VmPriority::Dedicated, VmFamily::D));
        assert_eq!(meters[9], Meter::Cores(VmPriority::LowPriority));
    }

    #[test]
    fn a_node_counts_for_its_priority_and_its_family() {
        let account = Account { subscription: Name::new("s"), location: Name::new("l") };
        let charge = |size| Charge::of(account.clone(), VmPriority::LowPriority, size);
        let meters: Vec<Meter> = charge("STANDARD_NC24").meters().collect();
        let cores = Meter::Cores(VmPriority::LowPriority);
        let family = Meter::FamilyCores(VmPriority::LowPriority, VmFamily::NC);
        assert_eq!((meters, charge("STANDARD_NC24").cores), (vec![cores, family], 24));
        assert_eq!(charge("c7i.xlarge").meters().collect::<Vec<_>>(), [cores]);
    }

    #[test]
    fn quotas_are_for_clusters_and_for_cores() {
        let quota = Quota { clusters: 7, cores: 9, total_cores: 8 };
        let limits: Vec<u32> = Meter::all().map(|meter| quota.limit(meter)).collect();
        assert_eq!(limits[0], 7);
        assert!(limits[1..].iter().all(|limit| *limit == 9));
        assert_eq!(quota.most_cores(), 8);
    }
}
