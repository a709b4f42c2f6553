//! `properties.extensions`: fields of requests beyond the contract.

use crate::read::{Fields, Place};
use crate::rules;
use model::{ClusterExtensions, limits};
use serde_json::json;
use std::collections::HashSet;

/// The extensions of a cluster.
pub(super) fn of_cluster(place: &Place<'_>) -> Option<ClusterExtensions> {
    let extensions = place.object()?;
    let idle_seconds_before_scale_down = extensions
        .optional("idleSecondsBeforeScaleDown")
        .and_then(|place| place.whole_number(0..=limits::MAX_IDLE_SECONDS));
    let alternate_vm_sizes =
        extensions.optional("alternateVmSizes").and_then(|place| vm_sizes(&place));
    Some(ClusterExtensions { idle_seconds_before_scale_down, alternate_vm_sizes })
}

fn vm_sizes(place: &Place<'_>) -> Option<Vec<String>> {
    place.describe(|| json!({ "uniqueItems": true }));
    let sizes = rules::texts(place, limits::MAX_ALTERNATE_VM_SIZES, rules::cluster_vm_size)?;
    let mut seen = HashSet::new();
    for size in &sizes {
        if !seen.insert(size.to_ascii_lowercase()) {
            place.invalid(&format!("must not have {size} a second time"));
        }
    }
    Some(sizes)
}

/// `maxRetries` of a job.
pub(super) fn max_retries(job: &Fields<'_>) -> Option<u32> {
    let extensions = job.optional("extensions")?.object()?;
    extensions.optional("maxRetries")?.whole_number(0..=limits::MAX_RETRIES)
}
