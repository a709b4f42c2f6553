//! The units that DynamoDB charges for reads and writes (Developer Guide, "DynamoDB read and write
//! operations"). DynamoDB reports them; the other implementations count by the same rules.

use crate::{Write, WriteKind};
use std::sync::atomic::{AtomicU64, Ordering};

const READ_UNIT_BYTES: usize = 4096;
const WRITE_UNIT_BYTES: usize = 1024;

/// Running totals in tenths of a unit (DynamoDB charges in halves).
#[derive(Debug, Default)]
pub struct Units {
    read_tenths: AtomicU64,
    write_tenths: AtomicU64,
}

/// Units consumed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Consumed {
    /// Read units, of 4 KiB.
    pub read_units: f64,
    /// Write units, of 1 KiB.
    pub write_units: f64,
}

impl Units {
    /// The totals.
    pub fn consumed(&self) -> Consumed {
        let units = |total: &AtomicU64| total.load(Ordering::Relaxed) as f64 / 10.0;
        Consumed { read_units: units(&self.read_tenths), write_units: units(&self.write_tenths) }
    }

    /// Adds read units that DynamoDB reported.
    pub fn add_reads(&self, units: f64) {
        add(&self.read_tenths, units);
    }

    /// Adds write units that DynamoDB reported.
    pub fn add_writes(&self, units: f64) {
        add(&self.write_tenths, units);
    }

    /// Counts a strongly consistent read of one item of this size; 0 bytes for a missing item.
    pub fn read_item(&self, bytes: usize) {
        self.add_reads(bytes.div_ceil(READ_UNIT_BYTES).max(1) as f64);
    }

    /// Counts a query that read this many bytes in total.
    pub fn read_range(&self, bytes: usize) {
        self.read_item(bytes);
    }

    /// Counts a commit that was carried out. `sizes` has the size of each item before or after the
    /// write, whichever is larger, and 0 for an item that neither existed nor exists. In a
    /// transaction of two or more writes each item costs twice, a checked one too. A single check
    /// is a read.
    ///
    /// DynamoDB also charges for failed commits, but does not report how much, so no implementation
    /// counts them.
    pub fn commit(&self, writes: &[Write], sizes: &[usize]) {
        if let ([Write { kind: WriteKind::Check, .. }], [bytes]) = (writes, sizes) {
            return self.read_item(*bytes);
        }
        let factor = if writes.len() > 1 { 2.0 } else { 1.0 };
        for bytes in sizes {
            self.add_writes(factor * bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as f64);
        }
    }
}

fn add(total: &AtomicU64, units: f64) {
    total.fetch_add((units * 10.0).round() as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, Key};

    #[test]
    fn units_are_charged_per_block_and_twice_in_a_transaction() {
        let units = Units::default();
        let mut before = units.consumed();
        let mut spent = |change: &dyn Fn(&Units)| {
            change(&units);
            let now = units.consumed();
            let spent = (now.read_units - before.read_units, now.write_units - before.write_units);
            before = now;
            spent
        };
        assert_eq!(spent(&|it| it.read_item(0)), (1.0, 0.0));
        assert_eq!(spent(&|it| it.read_item(4096)), (1.0, 0.0));
        assert_eq!(spent(&|it| it.read_range(4097)), (2.0, 0.0));
        let write = |kind| {
            let key = Key { pk: "p".to_owned(), sk: "s".to_owned() };
            Write { key, kind, condition: Condition::Always }
        };
        let (delete, check) = (write(WriteKind::Delete), write(WriteKind::Check));
        let (one, two) = ([delete.clone()], [delete, check.clone()]);
        assert_eq!(spent(&|it| it.commit(&one, &[0])), (0.0, 1.0));
        assert_eq!(spent(&|it| it.commit(&two, &[1024, 0])), (0.0, 4.0));
        assert_eq!(spent(&|it| it.commit(&two, &[1025, 0])), (0.0, 6.0));
        assert_eq!(spent(&|it| it.commit(std::slice::from_ref(&check), &[4096])), (1.0, 0.0));
        assert_eq!(spent(&|it| it.add_reads(0.5)), (0.5, 0.0));
        assert_eq!(spent(&|it| it.add_writes(2.0)), (0.0, 2.0));
    }
}
