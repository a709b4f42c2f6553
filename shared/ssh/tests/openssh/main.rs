//! The server with the ordinary OpenSSH client.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod fixture;
mod keys;
mod programs;
