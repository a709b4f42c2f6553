//! What is counted against quotas: clusters, and cores of nodes per region and priority.

use crate::vm_size::{VmFamily, VmSize};
use crate::{Name, VmPriority, limits};
use serde::{Deserialize, Serialize};

/// Something that is counted, in one region of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Meter {
    Clusters,
    /// Cores of all nodes of that priority.
    Cores(VmPriority),
    /// Those of one family of machine sizes.
    FamilyCores(VmPriority, VmFamily),
}

impl Meter {
    /// In the order in which the service lists them (section 3.8).
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
    pub subscription: Name,
    pub location: Name,
}

/// What one node counts for, from its launch until its removal. It is part of the node's own
/// record, so that exactly this is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub account: Account,
    pub priority: VmPriority,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<VmFamily>,
    pub cores: u32,
}

impl Charge {
    pub fn of(account: Account, priority: VmPriority, vm_size: &str) -> Self {
        let VmSize { family, cores, .. } = VmSize::of(vm_size);
        Self { account, priority, family, cores }
    }

    pub fn meters(&self) -> impl Iterator<Item = Meter> {
        let family = self.family.map(|family| Meter::FamilyCores(self.priority, family));
        std::iter::once(Meter::Cores(self.priority)).chain(family)
    }
}

/// The most that a region of a subscription may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub clusters: u32,
    /// Of each priority; families have no lower limit of their own.
    pub cores: u32,
}

impl Quota {
    pub const DEFAULT: Self =
        Self { clusters: limits::MAX_CLUSTERS_DEFAULT, cores: limits::MAX_CORES_DEFAULT };

    pub fn limit(&self, meter: Meter) -> u32 {
        match meter {
            Meter::Clusters => self.clusters,
            Meter::Cores(_) | Meter::FamilyCores(..) => self.cores,
        }
    }
}
