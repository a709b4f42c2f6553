//! The one table of the service: keys, items, conditions.
//!
//! The rules of this crate: items are found by key or by a range of sort keys, never by a scan;
//! every write carries the version it was planned on; what changes together is one transaction.

mod error;
mod key;
mod queries;
mod record;
mod schema;
mod table;
mod transaction;
mod units;

pub use error::Error;
pub use key::IdleMarker;
pub use queries::Page;
pub use record::InstanceOwner;
pub use schema::{create_table_if_missing, schema};
pub use table::Table;
pub use transaction::Transaction;
pub use units::{Consumed, Units};
