//! What nodes and jobs cost, in millionths of a US dollar.
//!
//! The price of a node is recorded once, soon after its launch. Spot prices change later, and the bill has
//! more (disks, traffic, files), so costs are estimates.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// What an hour of a node costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Price {
    /// The provider was not asked yet.
    #[default]
    NotAsked,
    /// The provider does not know it.
    Unknown,
    /// Micro-dollars per hour.
    MicroUsdPerHour(u64),
}

impl Price {
    /// Whether the provider was not asked yet.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }

    /// Micro-dollars per hour, if known.
    pub fn micro_usd_per_hour(self) -> Option<u64> {
        match self {
            Self::NotAsked | Self::Unknown => None,
            Self::MicroUsdPerHour(price) => Some(price),
        }
    }

    /// What an hour of all these nodes costs; `None` if the price of one is not known.
    pub fn sum(prices: impl IntoIterator<Item = Self>) -> Option<u64> {
        let add = |sum: u64, price: Self| sum.checked_add(price.micro_usd_per_hour()?);
        prices.into_iter().try_fold(0, add)
    }
}

/// The cost of a time at this price, in micro-dollars; a part of one counts as a whole.
pub fn cost_micro_usd(micro_usd_per_hour: u64, from: Timestamp, to: Timestamp) -> u64 {
    let millis = u128::from(to.millis_since(from));
    let cost = (u128::from(micro_usd_per_hour) * millis).div_ceil(3_600_000);
    u64::try_from(cost).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unknown_price_makes_the_sum_unknown() {
        let known = Price::MicroUsdPerHour;
        assert_eq!(Price::sum([known(526_000), known(158_400)]), Some(684_400));
        assert_eq!(Price::sum([known(1), Price::Unknown]), None);
        assert_eq!(Price::sum([known(1), Price::NotAsked]), None);
        assert_eq!(Price::sum([known(u64::MAX), known(1)]), None);
    }

    #[test]
    fn a_part_of_an_hour_costs_its_part() {
        let (from, hour) = (Timestamp(1000), 3_600_000);
        assert_eq!(cost_micro_usd(526_000, from, Timestamp(1000 + hour)), 526_000);
        assert_eq!(cost_micro_usd(526_000, from, Timestamp(1000 + hour / 4)), 131_500);
        assert_eq!(cost_micro_usd(1, from, Timestamp(1001)), 1);
        assert_eq!(cost_micro_usd(526_000, from, from), 0);
        assert_eq!(cost_micro_usd(526_000, from, Timestamp(0)), 0, "the clock was set back");
        assert_eq!(cost_micro_usd(u64::MAX, from, Timestamp(i64::MAX)), u64::MAX);
    }
}
