//! The decisions of the service, pure: a snapshot and the time in, a list of actions out.
//!
//! | function | question |
//! | --- | --- |
//! | [`dispatch`] | which queued jobs start now, and on which nodes? |
//! | [`capacity`] | how many nodes should there be, and which ones go? |
//! | [`recovery`] | what is overdue, lost or left over? |
//! | [`waiting`] | what does a queued job wait for? |
//!
//! The rule of this crate: nothing is read, written or awaited here, and nothing that is decided
//! here is decided anywhere else.

pub mod action;
pub mod capacity;
pub mod dispatch;
pub mod recovery;
pub mod waiting;

#[cfg(any(test, feature = "builders"))]
pub mod builders;

pub use action::Action;
