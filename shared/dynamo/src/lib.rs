//! Storage on DynamoDB, the only crate that uses its SDK.
//!
//! The rules of this crate: reads are strongly consistent; a commit of one write is a plain
//! request,
//! at half the price of a transaction; a request is repeated only if it cannot be carried out
//! twice.

#![warn(missing_docs)]

mod attributes;
mod commit;
mod error;
mod expression;
mod pauses;
mod schema;
mod storage;

pub use pauses::Jitter;
pub use schema::{create_table_if_missing, schema};
pub use storage::DynamoDb;
