//! `extensions` of properties and of mounts: fields of requests beyond the contract.

use super::mounts::{list, mount_path};
use super::sweep;
use crate::read::{Fields, Place};
use crate::{patterns, rules};
use model::{ClusterExtensions, LustreFileSystem, S3Bucket, SweepRun, limits};
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
    let security_groups =
        extensions.optional("securityGroups").and_then(|place| security_groups(&place));
    let capacity_reservation = extensions
        .optional("capacityReservation")
        .and_then(|place| rules::matching(&place, &[&patterns::CAPACITY_RESERVATION]));
    let replace_on_rebalance =
        extensions.optional("replaceOnRebalance").and_then(|place| place.boolean());
    Some(ClusterExtensions {
        idle_seconds_before_scale_down,
        alternate_vm_sizes,
        security_groups,
        capacity_reservation,
        replace_on_rebalance,
    })
}

fn security_groups(place: &Place<'_>) -> Option<Vec<String>> {
    place.describe(|| json!({ "uniqueItems": true }));
    let group = |place: &Place<'_>| rules::matching(place, &[&patterns::SECURITY_GROUP]);
    let groups = rules::texts(place, limits::MAX_SECURITY_GROUPS, group)?;
    let mut seen = HashSet::new();
    for group in &groups {
        if !seen.insert(group) {
            place.invalid(&format!("must not have {group} a second time"));
        }
    }
    Some(groups)
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

/// The extensions of a job.
#[derive(Default)]
pub(super) struct JobExtensions {
    pub max_retries: Option<u32>,
    pub sweep: Option<SweepRun>,
}

/// `extensions` of a job.
pub(super) fn of_job(job: &Fields<'_>) -> JobExtensions {
    let Some(extensions) = job.optional("extensions").and_then(|place| place.object()) else {
        return JobExtensions::default();
    };
    let max_retries = extensions
        .optional("maxRetries")
        .and_then(|place| place.whole_number(0..=limits::MAX_RETRIES));
    let sweep = extensions.optional("sweep").and_then(|place| sweep::sweep(&place));
    JobExtensions { max_retries, sweep }
}

/// The mounts of `mountVolumes.extensions`, each with its place.
#[derive(Default)]
pub(super) struct MountExtensions<'a> {
    pub s3_buckets: Vec<(Place<'a>, S3Bucket)>,
    pub lustre_file_systems: Vec<(Place<'a>, LustreFileSystem)>,
}

/// `extensions` of `mountVolumes`.
pub(super) fn of_mounts<'a>(volumes: &Fields<'a>) -> MountExtensions<'a> {
    let Some(extensions) = volumes.optional("extensions").and_then(|place| place.object()) else {
        return MountExtensions::default();
    };
    MountExtensions {
        s3_buckets: list(&extensions, "s3Buckets", s3_bucket),
        lustre_file_systems: list(&extensions, "lustreFileSystems", lustre_file_system),
    }
}

fn s3_bucket(mount: &Fields<'_>) -> Option<S3Bucket> {
    let bucket = mount.required("bucket").and_then(|place| {
        let bucket = rules::matching(&place, &[&patterns::S3_BUCKET])?;
        rules::of_volume(&place, model::Volume::s3_bucket(&bucket))?;
        Some(bucket)
    });
    let prefix = mount.optional("prefix").and_then(|place| rules::relative_path(&place));
    let relative_mount_path = mount_path(mount);
    let read_only = mount.optional("readOnly").and_then(|place| place.boolean());
    let mount_options = mount.optional("mountOptions").and_then(|place| rules::text(&place));
    Some(S3Bucket {
        bucket: bucket?,
        prefix,
        relative_mount_path: relative_mount_path?,
        read_only: read_only.unwrap_or_default(),
        mount_options,
    })
}

fn lustre_file_system(mount: &Fields<'_>) -> Option<LustreFileSystem> {
    let matching = |name, pattern| rules::matching(&mount.required(name)?, &[pattern]);
    let dns_name = matching("dnsName", &patterns::DNS_NAME);
    let mount_name = matching("mountName", &patterns::LUSTRE_MOUNT_NAME);
    let relative_mount_path = mount_path(mount);
    let mount_options = mount
        .optional("mountOptions")
        .and_then(|place| rules::matching(&place, &[&patterns::MOUNT_OPTIONS]));
    Some(LustreFileSystem {
        dns_name: dns_name?,
        mount_name: mount_name?,
        relative_mount_path: relative_mount_path?,
        mount_options,
    })
}
