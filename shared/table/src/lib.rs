//! The one table of the service: keys, records, conditions, queries. This crate knows no SDK and no
//! database; it uses a [`Storage`], which is implemented on DynamoDB, on SQLite and in memory.
//!
//! The rules of this crate: items are found by key or by a range of sort keys, never by a scan;
//! every write carries the version on which it was planned; related changes are one commit; the
//! limits of DynamoDB apply to every implementation.

#![warn(missing_docs)]

#[cfg(feature = "contract")]
pub mod contract;
pub mod error;
pub mod item;
mod key;
pub mod limits;
pub mod memory;
mod queries;
mod record;
pub mod storage;
mod table;
pub mod units;
pub mod write;
mod writes;

pub use error::Error;
pub use item::{Attributes, Body, Item, Key};
pub use key::IdleMarker;
pub use memory::Memory;
pub use queries::Page;
pub use record::{InstanceOwner, Record, ServiceKey, Versioned};
pub use storage::{Range, Storage};
pub use table::Table;
pub use units::{Consumed, Units};
pub use write::{Condition, Write, WriteKind};
pub use writes::Writes;
