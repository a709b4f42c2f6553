//! The server with the ordinary OpenSSH client.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod administrator;
mod files;
mod fixture;
mod forwarding;
mod keys;
mod load;
mod programs;
mod signals;
mod stand_in;
mod streams;
mod terminals;
