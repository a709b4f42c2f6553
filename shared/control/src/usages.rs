//! What is used of what may be used, counted where it is changed: in the transactions that create
//! and forget clusters and nodes.

use crate::{Control, Error};
use dynamo::Transaction;
use model::{Account, Charge, Meter, Name, Node, limits};
use wire::Usage;

/// The most that a region of a subscription may use.
#[derive(Clone, Copy, Debug)]
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

impl Control {
    /// All meters of a region (section 3.8), used or not.
    pub async fn usages(&self, subscription: &Name, location: &Name) -> Result<Vec<Usage>, Error> {
        let account = Account { subscription: subscription.clone(), location: location.clone() };
        let counts = self.table.usage(&account).await?;
        let usage = |meter| {
            let found = counts.iter().find(|(known, _)| *known == meter);
            let current = found.map_or(0, |(_, count)| *count);
            Usage { meter, current, limit: self.settings.quota.limit(meter) }
        };
        Ok(Meter::all().map(usage).collect())
    }

    /// How many more nodes of this charge the quota allows now.
    pub(crate) async fn nodes_left(&self, charge: &Charge) -> Result<u32, Error> {
        let counts = self.table.usage(&charge.account).await?;
        let left = charge.meters().map(|meter| {
            let used = counts.iter().find(|(known, _)| *known == meter);
            let used = used.map_or(0, |(_, count)| *count);
            self.settings.quota.limit(meter).saturating_sub(used) / charge.cores
        });
        Ok(left.min().unwrap_or(u32::MAX))
    }

    pub(crate) fn charge_nodes(
        &self,
        transaction: Transaction,
        charge: &Charge,
        count: u32,
    ) -> Transaction {
        let cores = charge.cores.saturating_mul(count);
        charge.meters().fold(transaction, |transaction, meter| {
            transaction.use_more(&charge.account, meter, cores, self.settings.quota.limit(meter))
        })
    }
}

/// The node's record goes, and with it what it counted for.
pub(crate) fn remove_node(transaction: Transaction, node: &Node) -> Transaction {
    let Charge { account, cores, .. } = &node.charge;
    node.charge.meters().fold(transaction.remove_node(node), |transaction, meter| {
        transaction.use_less(account, meter, *cores)
    })
}
