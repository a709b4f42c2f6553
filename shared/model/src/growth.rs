//! By how much the records of jobs and clusters grow after they were accepted, at most.
//!
//! The rule: nothing is added to these records that is not counted here. What is accepted leaves
//! room for it, so that a job can always be queued again and come to its end, however large it is.
//! The sizes are of JSON, with numbers and times as long as any; a test of `lifecycle` lets both
//! grow as far as they can.

use crate::{Cluster, Job, limits};

/// A run in the record of its job, without its nodes and without why they were lost.
const RUN_BYTES: usize = 200;
const RUN_NODE_BYTES: usize = 25;

/// A member of the live attempt, without its address.
const MEMBER_BYTES: usize = 75;

/// The state of a job that ends, without members and reason, and its deletion.
const JOB_STATE_BYTES: usize = 480;

/// Errors in the record of a job: of each node that could not run it, and its own.
const JOB_ERRORS: usize = limits::MAX_NODE_FAILURES + 1;

/// The size of a cluster, its extensions without machine sizes, its state and its books.
const CLUSTER_STATE_BYTES: usize = 640;

impl Job {
    /// Bytes that are added to its record between its submission and its end, at most.
    pub fn growth_bytes(&self) -> usize {
        let nodes = self.spec.node_count as usize;
        let retries = self.spec.max_retries.unwrap_or_default();
        let runs = (1 + retries + limits::MAX_INFRASTRUCTURE_LOSSES) as usize;
        let run = RUN_BYTES + limits::MAX_REASON_BYTES + nodes * RUN_NODE_BYTES;
        let live = nodes * (MEMBER_BYTES + limits::MAX_ADDRESS_BYTES);
        runs * run + live + JOB_STATE_BYTES + JOB_ERRORS * limits::MAX_ERROR_BYTES
    }
}

impl Cluster {
    /// Bytes that are added to its record between its creation and its end, at most.
    pub fn growth_bytes(&self) -> usize {
        let sizes = limits::MAX_ALTERNATE_VM_SIZES * (limits::MAX_VM_SIZE_BYTES + 3);
        let errors = limits::MAX_CLUSTER_ERRORS * (limits::MAX_ERROR_BYTES + 1);
        CLUSTER_STATE_BYTES + sizes + errors
    }
}
