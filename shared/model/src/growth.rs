//! Upper bounds of what is added to the records of jobs and clusters after they were accepted.
//!
//! The rule: everything that is added to these records is counted here. A record is accepted only
//! if
//! there is room for it in the table, so that any job can be requeued and can end, however large it
//! is. Sizes are in bytes of JSON, with numbers and times of maximal length. A test of `lifecycle`
//! grows both records to their maximum.

use crate::{Cluster, Job, limits};

/// One entry of a job's `attempts`, without node ids and loss reasons.
const RUN_BYTES: usize = 240;
/// One node id in an entry of `attempts`.
const RUN_NODE_BYTES: usize = 25;

/// The shortage of an attempt that failed, without what was observed.
const SHORTAGE_BYTES: usize = 130;

/// A member of the live attempt, without its address.
const MEMBER_BYTES: usize = 75;

/// The state of an ending job without members and reason, its deletion, and whether it has metrics.
const JOB_STATE_BYTES: usize = 545;

/// Errors in the record of a job: one per node that could not run it, and the job's own.
const JOB_ERRORS: usize = limits::MAX_NODE_FAILURES + 1;

/// Scale settings, extensions without lists and names, state and counters of a cluster.
const CLUSTER_STATE_BYTES: usize = 700;

/// A pool that the launches of a cluster avoid.
const AVOIDED_POOL_BYTES: usize = limits::MAX_VM_SIZE_BYTES + limits::MAX_SUBNET_ID_BYTES + 128;

impl Job {
    /// The most bytes that are added to the record between submission and end.
    pub fn growth_bytes(&self) -> usize {
        let nodes = self.spec.node_count as usize;
        let retries = self.spec.max_retries.unwrap_or_default();
        let runs = (1 + retries + limits::MAX_INFRASTRUCTURE_LOSSES) as usize;
        let run = RUN_BYTES + limits::MAX_REASON_BYTES + nodes * RUN_NODE_BYTES;
        // Of the attempts that failed before, and of the live one, whose record takes its place.
        let shortages = (1 + retries as usize) * (SHORTAGE_BYTES + limits::MAX_EVIDENCE_BYTES);
        let live = nodes * (MEMBER_BYTES + limits::MAX_ADDRESS_BYTES);
        runs * run + shortages + live + JOB_STATE_BYTES + JOB_ERRORS * limits::MAX_ERROR_BYTES
    }
}

impl Cluster {
    /// The most bytes that are added to the record between creation and deletion.
    pub fn growth_bytes(&self) -> usize {
        let sizes = limits::MAX_ALTERNATE_VM_SIZES * (limits::MAX_VM_SIZE_BYTES + 3);
        let groups = limits::MAX_SECURITY_GROUPS * (limits::MAX_SECURITY_GROUP_ID_BYTES + 3);
        let errors = limits::MAX_CLUSTER_ERRORS * (limits::MAX_ERROR_BYTES + 1);
        let pools = limits::MAX_AVOIDED_POOLS * AVOIDED_POOL_BYTES;
        let extensions = sizes + groups + limits::MAX_CAPACITY_RESERVATION_BYTES;
        CLUSTER_STATE_BYTES + extensions + errors + pools
    }
}
