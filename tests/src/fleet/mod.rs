//! A fleet that exists in memory: instances behind the real port, agents that follow the protocol,
//! and what really ran where.

pub mod agent;
pub mod machines;
pub mod oracle;
