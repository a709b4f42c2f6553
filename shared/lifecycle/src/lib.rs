//! The reactions of the service, pure: the records that were read, what arrived, and the time in; a
//! [`Change`] out.
//!
//! | module | what arrives |
//! | --- | --- |
//! | [`jobs`] | a submission, a termination, a deletion |
//! | [`members`] | a member of a gang is prepared, has ended, failed |
//! | [`nodes`] | a node registers, is ready, fails, leaves, is interrupted, lost, removed |
//! | [`capacity`] | a launch is recorded, answered, refused; the bookkeeping of a cluster |
//! | [`report`] | a request of an agent, which is several of these at once |
//! | [`actions`] | a step of a plan of `scheduler` |
//! | [`size`] | whether a new record leaves room for all that may be added to it |
//! | [`resources`] | the deletion of anything that holds other things |
//!
//! The rule of this crate: a reaction changes a [`Draft`], the set of records that were read for it;
//! [`Draft::finish`] derives every write from what became of them. Reactions on one draft compose
//! into one commit, with one write of each item. Nothing is read, written or awaited here.

pub mod actions;
pub mod capacity;
pub mod change;
mod draft;
pub mod jobs;
pub mod members;
pub mod nodes;
pub mod report;
pub mod resources;
pub mod size;
mod tracked;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

pub use change::{Change, Event, Function, LaunchRequest};
pub use draft::Draft;
