//! A fleet in memory: instances behind the real port, agents that follow the protocol, and an oracle
//! that knows which processes ran where.

pub mod agent;
pub mod contract;
pub mod machines;
pub mod oracle;
