//! A directory of an access point of EFS, encrypted, as the role of the instance. The mount helper of amazon-efs-utils
//! keeps a proxy running for it, which ends with the mount.

use super::error::Failure;
use super::program::{Cancelled, MountProgram, needs_helper};
use super::{MountRoot, Place};
use crate::paths::relative;

/// What is mounted.
pub(super) struct AccessPoint<'a> {
    pub file_system: &'a str,
    pub access_point: &'a str,
    pub sub_directory: &'a str,
    /// Of the user.
    pub options: Option<&'a str>,
}

/// Mounts it. Returns what was mounted.
pub(super) fn mount(
    root: &MountRoot,
    efs: &AccessPoint<'_>,
    at: &Place,
    is_cancelled: Cancelled<'_>,
) -> Result<String, Failure> {
    let AccessPoint { file_system, access_point, sub_directory, options } = efs;
    let below = relative(sub_directory)?;
    let source = format!("{file_system}:/{}", below.display());
    let own = options.map(|options| format!(",{options}")).unwrap_or_default();
    let options = format!("tls,iam,accesspoint={access_point}{own}");
    let program = MountProgram {
        name: "mount",
        is_missing: needs_helper,
        advice: "The image of the node has no amazon-efs-utils: use an image that has it, or install it in the image",
        secret: None,
    };
    program.run(root, at, is_cancelled, |mount| {
        mount.args(["-t", "efs", "-o", &options, &source]).arg(&at.path);
    })?;
    Ok(format!("{source} through {access_point}"))
}
