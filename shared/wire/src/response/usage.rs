//! Usages and their limits (docs/contract.md, "Quotas and usages").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use model::{Meter, VmPriority};
use schemars::JsonSchema;
use serde::Serialize;

/// The count and the limit of one meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub meter: Meter,
    pub current: u32,
    pub limit: u32,
}

/// `Usage` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Usage")]
pub struct UsageBody {
    pub unit: &'static str,
    pub current_value: u32,
    pub limit: u32,
    pub name: UsageName,
}

/// `UsageName` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageName {
    pub value: String,
    pub localized_value: String,
}

/// The body of a usage.
pub fn usage(usage: &Usage) -> UsageBody {
    UsageBody {
        unit: "Count",
        current_value: usage.current,
        limit: usage.limit,
        name: UsageName {
            value: name(usage.meter, "LowPriority"),
            localized_value: name(usage.meter, "Low Priority"),
        },
    }
}

fn name(meter: Meter, low_priority: &str) -> String {
    let of = |priority| match priority {
        VmPriority::Dedicated => "Dedicated",
        VmPriority::LowPriority => low_priority,
    };
    match meter {
        Meter::Clusters => "Clusters".to_owned(),
        Meter::Cores(priority) => format!("Total Cluster {} Regional vCPUs", of(priority)),
        Meter::FamilyCores(priority, family) => {
            format!("Standard {} Family Cluster {} vCPUs", family.name(), of(priority))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_that_the_service_had() {
        let rows: Vec<UsageName> =
            Meter::all().map(|meter| usage(&Usage { meter, current: 0, limit: 24 }).name).collect();
        assert_eq!(rows.len(), 17);
        let value = |index: usize| rows[index].value.as_str();
        assert_eq!(value(0), "Clusters");
        assert_eq!(value(1), "Total Cluster Dedicated Regional vCPUs");
        assert_eq!(value(5), "Standard NCv2 Family Cluster Dedicated vCPUs");
        assert_eq!(value(9), "Total Cluster LowPriority Regional vCPUs");
        assert_eq!(rows[9].localized_value, "Total Cluster Low Priority Regional vCPUs");
        assert_eq!(value(16), "Standard NV Family Cluster LowPriority vCPUs");
    }
}
