//! A directory of this machine: a file server, or a volume of a cloud that `batchai local` keeps as a directory.
//!
//! A symbolic link instead of a mount: on one machine the tree is there already, and a bind mount would need
//! privileges that a laptop's user does not have.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use protocol::StorageKind;

use super::error::Failure;
use crate::paths::relative;

/// Links the directory `sub_directory` of `root` at `at`. Returns what was linked.
pub(super) fn mount(
    root: &str,
    sub_directory: &str,
    of: StorageKind,
    at: &Path,
) -> Result<String, Failure> {
    let source = source(root, sub_directory, of)?;
    link(&source, at)?;
    Ok(source.display().to_string())
}

/// The directory without symbolic links, so that the linked directory is the one that was checked.
fn source(root: &str, sub_directory: &str, of: StorageKind) -> Result<PathBuf, Failure> {
    let below = relative(sub_directory)?;
    let what = noun(of);
    let find = |path: &Path| {
        fs::canonicalize(path).map_err(|error| {
            format!("{}: {error}. Create the directory in the {what} first.", path.display())
        })
    };
    let root = find(Path::new(root))?;
    if of == StorageKind::S3Bucket && !below.as_os_str().is_empty() {
        // A prefix of a bucket exists as soon as it is named.
        fs::create_dir_all(root.join(&below)).map_err(|error| error.to_string())?;
    }
    let directory = find(&root.join(below))?;
    if !directory.starts_with(&root) {
        return Err(format!("'{sub_directory}' leads out of the {what}").into());
    }
    if !directory.is_dir() {
        return Err(format!("'{sub_directory}' is not a directory of the {what}").into());
    }
    Ok(directory)
}

fn noun(of: StorageKind) -> &'static str {
    match of {
        StorageKind::FileServer => "file server",
        StorageKind::AzureFileShare => "file share",
        StorageKind::AzureBlobContainer => "container",
        StorageKind::S3Bucket => "bucket",
        StorageKind::LustreFileSystem => "file system",
    }
}

fn link(source: &Path, at: &Path) -> io::Result<()> {
    match fs::symlink_metadata(at) {
        Ok(data) if data.file_type().is_symlink() => fs::remove_file(at)?,
        // Left by a setup that failed half-way. A directory that is not empty is something else.
        Ok(_) => fs::remove_dir(at)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(source, at)
}
