//! A share of Azure Files, over SMB. The account key is in a file that only the agent can read, for the time of the mount.

use super::error::Failure;
use super::program::{Cancelled, MountProgram, needs_helper};
use super::secret_file::SecretFile;
use super::{MountRoot, Place};
use crate::paths::relative;

/// What is mounted.
pub(super) struct FileShare<'a> {
    pub host: &'a str,
    pub share: &'a str,
    pub sub_directory: &'a str,
    pub account: &'a str,
    pub key: &'a str,
    pub file_mode: &'a str,
    pub directory_mode: &'a str,
}

/// Mounts it. Returns what was mounted.
pub(super) fn mount(
    root: &MountRoot,
    azure: &FileShare<'_>,
    at: &Place,
    is_cancelled: Cancelled<'_>,
) -> Result<String, Failure> {
    let mut source = format!("//{}/{}", azure.host, azure.share);
    let below = relative(azure.sub_directory)?;
    if !below.as_os_str().is_empty() {
        source = format!("{source}/{}", below.display());
    }
    if at.is_mounted {
        return Ok(source);
    }
    let FileShare { account, key, file_mode, directory_mode, .. } = azure;
    if key.contains(char::is_control) {
        return Err("the account key has characters that no key has".to_owned().into());
    }
    let credentials = format!("username={account}\npassword={key}\n");
    let file = SecretFile::write(root, "conf", &credentials)?;
    let options = format!(
        "credentials={},vers=3.0,file_mode={file_mode},dir_mode={directory_mode},serverino",
        file.path().display()
    );
    let program = MountProgram {
        name: "mount",
        is_missing: needs_helper,
        advice: "The node cannot mount Azure file shares: install cifs-utils in the image of the node",
        secret: Some(key),
    };
    program.run(root, at, is_cancelled, |mount| {
        mount.args(["-t", "cifs", &source]).arg(&at.path).args(["-o", &options]);
    })?;
    Ok(source)
}
