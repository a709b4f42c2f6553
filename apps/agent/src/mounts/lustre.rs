//! A file system of Amazon FSx for Lustre.

use super::error::Failure;
use super::program::{Cancelled, MountProgram, needs_helper};
use super::{MountRoot, Place};

/// Mounts it. Returns what was mounted.
pub(super) fn mount(
    root: &MountRoot,
    (dns_name, mount_name): (&str, &str),
    options: Option<&str>,
    at: &Place,
    is_cancelled: Cancelled<'_>,
) -> Result<String, Failure> {
    let source = format!("{dns_name}@tcp:/{mount_name}");
    let own = options.map(|options| format!(",{options}")).unwrap_or_default();
    let options = format!("relatime,flock{own}");
    let program = MountProgram {
        name: "mount",
        is_missing: needs_helper,
        advice: "The node cannot mount file systems of FSx for Lustre: install the Lustre client in the image of the node",
        secret: None,
    };
    program.run(root, at, is_cancelled, |mount| {
        mount.args(["-t", "lustre", "-o", &options, &source]).arg(&at.path);
    })?;
    Ok(source)
}
