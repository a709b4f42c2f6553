//! Usages and quotas. Usage is counted in the commits that create and remove clusters and nodes.

use crate::{Context, Error, locations};
use model::{Account, Charge, Meter, Name};
use wire::Usage;

/// The usages of the service.
#[derive(Clone)]
pub struct Usages {
    context: Context,
}

impl Usages {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// All meters of a region (docs/contract.md, "Quotas and usages"), used or not.
    ///
    /// # Errors
    /// 400 when the service has no such location.
    pub async fn list(&self, subscription: &Name, location: &Name) -> Result<Vec<Usage>, Error> {
        locations::require_in_path(&self.context, location)?;
        let account = Account { subscription: subscription.clone(), location: location.clone() };
        let counts = self.context.table.usage(&account).await?;
        let usage = |meter| Usage {
            meter,
            current: of(&counts, meter),
            limit: self.context.settings.quota.limit(meter),
        };
        Ok(Meter::all().map(usage).collect())
    }
}

/// The usage of one meter.
pub(crate) async fn count(
    context: &Context,
    subscription: &Name,
    location: &str,
    meter: Meter,
) -> Result<u32, Error> {
    let account = Account { subscription: subscription.clone(), location: Name::new(location) };
    Ok(of(&context.table.usage(&account).await?, meter))
}

/// How many more nodes of this charge the quotas allow: of the region, and of the whole service.
pub(crate) async fn nodes_left(context: &Context, charge: &Charge) -> Result<u32, Error> {
    let counts = context.table.usage(&charge.account).await?;
    let left = charge.meters().map(|meter| {
        let used = of(&counts, meter);
        context.settings.quota.limit(meter).saturating_sub(used) / charge.cores
    });
    let total = context.table.total_cores().await?;
    let total_left = context.settings.quota.total_cores.saturating_sub(total) / charge.cores;
    Ok(left.fold(total_left, u32::min))
}

fn of(counts: &[(Meter, u32)], meter: Meter) -> u32 {
    counts.iter().find(|(known, _)| *known == meter).map_or(0, |(_, count)| *count)
}
