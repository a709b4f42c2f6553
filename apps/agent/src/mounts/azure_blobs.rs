//! A container of Azure Blob Storage, through blobfuse2. Its configuration holds the account key: only the agent can read
//! the file, which exists for the time of the mount.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Failure;
use super::program::{Cancelled, MountProgram};
use super::secret_file::SecretFile;
use super::{MountRoot, Place};

/// What is mounted.
pub(super) struct Container<'a> {
    pub account: &'a str,
    pub container: &'a str,
    pub key: &'a str,
    /// Of the user, separated by blanks.
    pub options: Option<&'a str>,
}

/// Mounts it. Returns what was mounted.
pub(super) fn mount(
    root: &MountRoot,
    blobs: &Container<'_>,
    at: &Place,
    is_cancelled: Cancelled<'_>,
) -> Result<String, Failure> {
    let source = format!("https://{}.blob.core.windows.net/{}", blobs.account, blobs.container);
    if at.is_mounted {
        return Ok(source);
    }
    // It refuses a cache that is not empty.
    let cache = cache(root, &at.path);
    trees::remove(&cache)?;
    fs::create_dir_all(&cache)?;
    let file = SecretFile::write(root, "yaml", &configuration(blobs, &cache))?;
    let program = MountProgram {
        name: "blobfuse2",
        is_missing: |_| false,
        advice: "The node cannot mount blob containers: install blobfuse2 in the image of the node",
        secret: Some(blobs.key),
    };
    program.run(root, at, is_cancelled, |mount| {
        let mut configured = "--config-file=".to_owned();
        configured.push_str(&file.path().display().to_string());
        mount.arg("mount").arg(&at.path).arg(configured);
        mount.args(blobs.options.unwrap_or_default().split_whitespace());
    })?;
    Ok(source)
}

/// Removes the files that were cached for a mount.
pub(super) fn forget(root: &MountRoot, at: &Path) {
    if let Err(error) = trees::remove(&cache(root, at)) {
        tracing::warn!(%error, "the cache of a blob container stays");
    }
}

/// The cache of a mount, named by its path.
fn cache(root: &MountRoot, at: &Path) -> PathBuf {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(at.as_os_str().as_encoded_bytes());
    root.private.join("blob-caches").join(hex::encode(&digest[..8]))
}

/// Strings of JSON are strings of YAML.
fn configuration(blobs: &Container<'_>, cache: &Path) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let endpoint = format!("https://{}.blob.core.windows.net", blobs.account);
    format!(
        "allow-other: true
logging:
  type: syslog
  level: log_warning
components:
  - libfuse
  - file_cache
  - attr_cache
  - azstorage
file_cache:
  path: {}
azstorage:
  type: block
  endpoint: {}
  account-name: {}
  container: {}
  mode: key
  account-key: {}
",
        text(&cache.display().to_string()),
        text(&endpoint),
        text(blobs.account),
        text(blobs.container),
        text(blobs.key),
    )
}
