//! What the table charges: read and write units, as each answer reports them.

use aws_sdk_dynamodb::types::ConsumedCapacity;
use std::sync::atomic::{AtomicU64, Ordering};

/// Running totals, kept in tenths of a unit (DynamoDB charges in halves).
#[derive(Debug, Default)]
pub struct Units {
    read_tenths: AtomicU64,
    write_tenths: AtomicU64,
}

/// Units consumed so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consumed {
    pub read_units: f64,
    pub write_units: f64,
}

impl Units {
    pub fn consumed(&self) -> Consumed {
        let tenths = |total: &AtomicU64| total.load(Ordering::Relaxed) as f64 / 10.0;
        Consumed { read_units: tenths(&self.read_tenths), write_units: tenths(&self.write_tenths) }
    }

    pub(crate) fn read(&self, capacity: Option<&ConsumedCapacity>) {
        add(&self.read_tenths, capacity);
    }

    pub(crate) fn write(&self, capacity: Option<&ConsumedCapacity>) {
        add(&self.write_tenths, capacity);
    }
}

fn add(total: &AtomicU64, capacity: Option<&ConsumedCapacity>) {
    let units = capacity.and_then(ConsumedCapacity::capacity_units).unwrap_or(0.0);
    total.fetch_add((units * 10.0).round() as u64, Ordering::Relaxed);
}
