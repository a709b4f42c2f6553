//! The reactions of the service, pure: from the records that were read, the event that arrived and
//! the time, they derive a [`Change`].
//!
//! | module | events |
//! | --- | --- |
//! | [`workspaces`], [`file_servers`], [`clusters`], [`grants`] | requests of users |
//! | [`submission`] | a new job |
//! | [`jobs`] | start, termination and deletion of a job |
//! | [`job_metrics`] | metrics that a job reports |
//! | [`members`] | a member of a gang is prepared, has ended, failed |
//! | [`nodes`] | a node registers, is ready, fails, leaves, is interrupted, lost, removed |
//! | [`launches`] | a launch is answered, an instance is found or signs in |
//! | [`capacity`] | a launch is recorded, repeated; allocation and dormancy of a cluster |
//! | [`report`] | a request of an agent, which combines several of these |
//! | [`actions`] | an action of a plan of `scheduler` |
//! | [`resources`] | the deletion of containers of other resources |
//!
//! Every creation checks the same things: is the name taken ([`creation`]), does the record fit
//! into
//! the table ([`size`]), does this version support it ([`unsupported`]). A request that fails a
//! check
//! is answered with a [`Refusal`].
//!
//! The rule of this crate: a reaction changes a [`Draft`], the set of records that were read for
//! it;
//! [`Draft::finish`] derives every write from the difference. Several reactions on one draft become
//! one commit, with one write per item. Nothing is read, written or awaited here.

#![warn(missing_docs)]

pub mod actions;
pub mod capacity;
pub mod change;
pub mod clusters;
pub mod creation;
mod draft;
mod end_details;
pub mod file_servers;
pub mod grants;
pub mod job_metrics;
pub mod jobs;
pub mod launches;
pub mod members;
pub mod mounted;
pub mod nodes;
pub mod refusal;
pub mod report;
pub mod resources;
pub mod size;
pub mod submission;
mod tracked;
pub mod unsupported;
pub mod workspaces;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

pub use change::{Change, Event, Function};
pub use draft::Draft;
pub use refusal::Refusal;
