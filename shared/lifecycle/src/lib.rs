//! The reactions of the service, pure: the records that were read, what arrived, and the time in; a
//! [`Change`] out.
//!
//! | module | what arrives |
//! | --- | --- |
//! | [`workspaces`], [`file_servers`], [`clusters`], [`grants`] | what users create and change |
//! | [`submission`] | a new job |
//! | [`jobs`] | a submission, a termination, a deletion |
//! | [`members`] | a member of a gang is prepared, has ended, failed |
//! | [`nodes`] | a node registers, is ready, fails, leaves, is interrupted, lost, removed |
//! | [`capacity`] | a launch is recorded, answered, refused; the bookkeeping of a cluster |
//! | [`report`] | a request of an agent, which is several of these at once |
//! | [`actions`] | a step of a plan of `scheduler` |
//! | [`resources`] | the deletion of anything that holds other things |
//!
//! What is created meets the same questions everywhere: is its name taken ([`creation`]), does its
//! record fit ([`size`]), can this version do it ([`unsupported`]). The answer to a user whom it refuses
//! is a [`Refusal`].
//!
//! The rule of this crate: a reaction changes a [`Draft`], the set of records that were read for it;
//! [`Draft::finish`] derives every write from what became of them. Reactions on one draft compose
//! into one commit, with one write of each item. Nothing is read, written or awaited here.

pub mod actions;
pub mod capacity;
pub mod change;
pub mod clusters;
pub mod creation;
mod draft;
pub mod file_servers;
pub mod grants;
pub mod jobs;
pub mod members;
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

pub use change::{Change, Event, Function, LaunchRequest};
pub use draft::Draft;
pub use refusal::Refusal;
