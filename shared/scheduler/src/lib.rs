//! The decisions of the service, pure: from a snapshot and the time they derive a list of actions.
//!
//! | module | question |
//! | --- | --- |
//! | [`dispatch`] | which queued jobs start now, and on which nodes? |
//! | [`capacity`] | how many nodes should the cluster have, and which ones are removed? |
//! | [`rebalance`] | which nodes are replaced because EC2 recommends it? |
//! | [`recovery`] | what is overdue, lost or left over? |
//! | [`waiting`] | what does a queued job wait for? |
//!
//! The rule of this crate: nothing is read, written or awaited here, and all decisions are made
//! here.

#![warn(missing_docs)]

pub mod action;
pub mod capacity;
pub mod dispatch;
pub mod early_stopping;
mod free_nodes;
pub mod rebalance;
pub mod recovery;
pub mod sweeps;
pub mod waiting;

#[cfg(any(test, feature = "builders"))]
pub mod builders;

pub use action::Action;
