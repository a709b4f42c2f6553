//! Prices of instances: the present spot price of a pool from EC2, and list prices of on-demand instances
//! from a table.

use crate::Ec2Machines;
use crate::errors::port;
use crate::tags::filter;
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{InstanceType, SpotPrice};
use model::{Offering, Price, Timestamp, VmPriority};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// For how long a spot price is not asked for again, in seconds. Spot prices change gradually.
const CACHED_SECONDS: u64 = 600;

/// Regions with the list prices of [`US`].
const US_REGIONS: [&str; 3] = ["us-east-1", "us-east-2", "us-west-2"];

/// Families of which a size costs in proportion to its cores: the price of `xlarge` (4 cores) of Linux
/// instances in micro-dollars per hour. List prices of <https://aws.amazon.com/ec2/pricing/on-demand/>,
/// November 2025.
const US: [(&str, u64); 6] = [
    ("c6i", 170_000),
    ("m6i", 192_000),
    ("r6i", 252_000),
    ("c5", 170_000),
    ("m5", 192_000),
    ("t3", 166_400),
];

/// Sizes in proportion to `xlarge`, in quarters.
const PROPORTIONAL: [(&str, u64); 8] = [
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
    ("24xlarge", 96),
];

/// Types with GPUs: the prices in [`US_REGIONS`], `eu-west-1` and `eu-central-1`, with the same source.
const GPUS: [(&str, [Option<u64>; 3]); 14] = [
    ("g4dn.xlarge", [Some(526_000), Some(587_000), Some(658_000)]),
    ("g4dn.2xlarge", [Some(752_000), Some(838_000), Some(940_000)]),
    ("g4dn.4xlarge", [Some(1_204_000), Some(1_342_000), Some(1_505_000)]),
    ("g4dn.8xlarge", [Some(2_176_000), Some(2_426_000), Some(2_720_000)]),
    ("g4dn.12xlarge", [Some(3_912_000), Some(4_362_000), Some(4_890_000)]),
    ("g4dn.16xlarge", [Some(4_352_000), Some(4_853_000), Some(5_440_000)]),
    ("g5.xlarge", [Some(1_006_000), None, None]),
    ("g5.2xlarge", [Some(1_212_000), None, None]),
    ("g5.4xlarge", [Some(1_624_000), None, None]),
    ("g5.8xlarge", [Some(2_448_000), None, None]),
    ("g5.12xlarge", [Some(5_672_000), Some(6_331_670), Some(7_092_820)]),
    ("g5.16xlarge", [Some(4_096_000), Some(4_572_370), Some(5_122_040)]),
    ("g5.24xlarge", [Some(8_144_000), None, None]),
    ("g5.48xlarge", [Some(16_288_000), None, None]),
];

/// The spot prices that EC2 told lately, by type and zone, with the time of the question.
pub(crate) type Cache = Arc<Mutex<BTreeMap<(String, String), (Timestamp, Price)>>>;

impl Ec2Machines {
    /// The prices of these offerings, in their order.
    pub(crate) async fn prices_of(&self, offerings: &[Offering], now: Timestamp) -> Vec<Price> {
        let mut prices = Vec::with_capacity(offerings.len());
        for offering in offerings {
            prices.push(match offering {
                Offering::Single | Offering::Unknown => Price::Unknown,
                Offering::Described { zone, vm_size, priority: VmPriority::Dedicated } => {
                    on_demand(vm_size, zone).map_or(Price::Unknown, Price::MicroUsdPerHour)
                }
                Offering::Described { zone, vm_size, priority: VmPriority::LowPriority } => {
                    self.spot(vm_size, zone, now).await
                }
            });
        }
        prices
    }

    /// The spot price of a type in a zone. A failure is remembered as an answer is, so that EC2 is not asked
    /// for every node.
    async fn spot(&self, vm_size: &str, zone: &str, now: Timestamp) -> Price {
        let key = (vm_size.to_owned(), zone.to_owned());
        if let Some((asked_at, price)) = self.known_price(&key)
            && now.seconds_since(asked_at) < CACHED_SECONDS
        {
            return price;
        }
        let at = DateTime::from_millis(now.0);
        let call = self
            .client
            .describe_spot_price_history()
            .instance_types(InstanceType::from(vm_size))
            .product_descriptions("Linux/UNIX")
            .filters(filter("availability-zone", [zone.to_owned()]))
            // The price at this time.
            .start_time(at)
            .end_time(at);
        let price = match call.send().await.map_err(port) {
            Ok(answer) => {
                latest(answer.spot_price_history()).map_or(Price::Unknown, Price::MicroUsdPerHour)
            }
            Err(error) => {
                tracing::warn!(vm_size, zone, %error, "could not ask for a spot price");
                Price::NotAsked
            }
        };
        self.prices.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (now, price));
        price
    }

    fn known_price(&self, key: &(String, String)) -> Option<(Timestamp, Price)> {
        self.prices.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }
}

fn latest(history: &[SpotPrice]) -> Option<u64> {
    let latest = history.iter().max_by_key(|it| it.timestamp().map(DateTime::secs))?;
    micro_usd(latest.spot_price()?)
}

/// A decimal number of dollars, in micro-dollars; more digits are cut.
fn micro_usd(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(digits.parse().ok()?)
}

/// The list price of an instance type in the region of a zone. `None` if the table does not have it.
fn on_demand(vm_size: &str, zone: &str) -> Option<u64> {
    // `us-east-1a`; local zones have other prices.
    let region = zone.trim_end_matches(|it: char| it.is_ascii_lowercase());
    let is_us = US_REGIONS.contains(&region);
    if let Some((_, prices)) = GPUS.iter().find(|(name, _)| *name == vm_size) {
        return match region {
            _ if is_us => prices[0],
            "eu-west-1" => prices[1],
            "eu-central-1" => prices[2],
            _ => None,
        };
    }
    let (family, size) = vm_size.split_once('.').filter(|_| is_us)?;
    let (_, xlarge) = US.iter().find(|(name, _)| *name == family)?;
    let (_, quarters) = PROPORTIONAL.iter().find(|(name, _)| *name == size)?;
    Some(xlarge * quarters / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ec2;

    #[test]
    fn spot_prices_are_read_exactly() {
        for (text, expected) in [
            ("0.157800", Some(157_800)),
            ("0.1578", Some(157_800)),
            ("12", Some(12_000_000)),
            ("3.06000099", Some(3_060_000)),
            ("", None),
            (".5", None),
            ("-1.0", None),
            ("1.0e3", None),
            ("+1.0", None),
            ("1.+5", None),
            ("1.000000x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(micro_usd(text), expected, "{text}");
        }
    }

    #[test]
    fn list_prices_by_region() {
        for (vm_size, zone, expected) in [
            ("g4dn.xlarge", "us-east-1a", Some(526_000)),
            ("g4dn.xlarge", "us-west-2d", Some(526_000)),
            ("g4dn.xlarge", "eu-west-1b", Some(587_000)),
            ("g4dn.xlarge", "eu-central-1c", Some(658_000)),
            ("g4dn.xlarge", "ap-south-1a", None),
            ("g4dn.xlarge", "us-east-1-bos-1a", None),
            ("g5.xlarge", "eu-west-1b", None),
            ("m6i.large", "us-east-2b", Some(96_000)),
            ("r6i.8xlarge", "us-east-1a", Some(2_016_000)),
            ("m6i.large", "eu-west-1a", None),
            ("m6i.metal", "us-east-1a", None),
            ("p5.48xlarge", "us-east-1a", None),
        ] {
            assert_eq!(on_demand(vm_size, zone), expected, "{vm_size} in {zone}");
        }
    }

    /// `12xlarge` costs twelve times as much as `xlarge`.
    #[test]
    fn sizes_cost_in_proportion() {
        for (size, quarters) in PROPORTIONAL {
            let expected = match size.strip_suffix("xlarge") {
                Some("") => 4,
                Some(times) => 4 * times.parse::<u64>().unwrap(),
                None => 2,
            };
            assert_eq!(quarters, expected, "{size}");
        }
    }

    /// A digit too many or too few, or columns in another order, would show.
    #[test]
    fn prices_of_gpu_types_are_plausible() {
        for (name, prices) in GPUS {
            let first = prices[0].unwrap();
            assert!((500_000..20_000_000).contains(&first), "{name}: {first}");
            for other in prices.into_iter().flatten() {
                assert!(first <= other && other < first * 13 / 10, "{name}: {other}");
            }
        }
    }

    #[test]
    fn every_size_of_azure_has_a_list_price() {
        for (size, vm_size) in ec2::SIZES {
            assert!(on_demand(vm_size, "us-east-1a").is_some(), "{size}: {vm_size}");
        }
    }
}
