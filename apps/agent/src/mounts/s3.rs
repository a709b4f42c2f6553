//! A bucket of Amazon S3, through Mountpoint for Amazon S3, as the role of the instance.

use super::error::Failure;
use super::program::{Cancelled, MountProgram};
use super::{MountRoot, Place};
use crate::paths::relative;

/// What is mounted.
pub(super) struct Bucket<'a> {
    pub bucket: &'a str,
    pub prefix: &'a str,
    pub read_only: bool,
    /// Of the user, separated by blanks.
    pub options: Option<&'a str>,
}

/// Mounts it. Returns what was mounted.
pub(super) fn mount(
    root: &MountRoot,
    s3: &Bucket<'_>,
    at: &Place,
    is_cancelled: Cancelled<'_>,
) -> Result<String, Failure> {
    let prefix = relative(s3.prefix)?;
    let program = MountProgram {
        name: "mount-s3",
        is_missing: |_| false,
        advice: "The node cannot mount S3 buckets: install Mountpoint for Amazon S3 (mount-s3) in the image of the node",
        secret: None,
    };
    let has_prefix = !prefix.as_os_str().is_empty();
    program.run(root, at, is_cancelled, |mount| {
        mount.arg(s3.bucket).arg(&at.path).arg("--allow-other");
        if has_prefix {
            // Mountpoint takes it as the beginning of names.
            mount.arg("--prefix").arg(format!("{}/", prefix.display()));
        }
        if s3.read_only {
            mount.arg("--read-only");
        } else {
            mount.args(["--allow-delete", "--allow-overwrite"]);
        }
        mount.args(s3.options.unwrap_or_default().split_whitespace());
    })?;
    match has_prefix {
        true => Ok(format!("s3://{}/{}", s3.bucket, prefix.display())),
        false => Ok(format!("s3://{}", s3.bucket)),
    }
}
