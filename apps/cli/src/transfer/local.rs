//! Files of this machine that are to be uploaded.

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file of this machine, and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalFile {
    pub path: PathBuf,
    /// Its path on the file server.
    pub target: String,
    /// Bytes.
    pub length: u64,
    pub executable: bool,
    /// SHA-256, if it was computed already. What is sent has to be the same.
    pub sha256: Option<String>,
}

impl LocalFile {
    fn new(path: &Path, target: String, metadata: &std::fs::Metadata) -> Self {
        let executable = metadata.permissions().mode() & 0o111 != 0;
        Self { path: path.to_owned(), target, length: metadata.len(), executable, sha256: None }
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of their targets.
    pub files: Vec<LocalFile>,
    /// What is no file, or a link to a directory, and is left out.
    pub skipped: Vec<PathBuf>,
}

/// The file `path`, or all files below the directory `path` for which `keep` returns true; it is asked for
/// directories too, with true. They go below `target`, a path on the file server, which may be empty.
///
/// # Errors
/// When a file or directory cannot be read, or a name is not UTF-8.
pub fn walk(path: &Path, target: &str, keep: &dyn Fn(&Path, bool) -> bool) -> Result<Found> {
    let mut found = Found::default();
    let mut open = vec![(path.to_owned(), target.to_owned())];
    while let Some((path, target)) = open.pop() {
        let cannot_read = || format!("cannot read {}", path.display());
        let metadata = std::fs::metadata(&path).with_context(cannot_read)?;
        if metadata.is_file() {
            found.files.push(LocalFile::new(&path, target, &metadata));
            continue;
        }
        if !metadata.is_dir() {
            found.skipped.push(path);
            continue;
        }
        for entry in std::fs::read_dir(&path).with_context(cannot_read)? {
            let entry = entry.with_context(cannot_read)?;
            let child = entry.path();
            let kind = entry.file_type().with_context(cannot_read)?;
            // A link to a directory may lead back to one above it; one that leads nowhere is no file.
            if kind.is_symlink() && !child.is_file() {
                found.skipped.push(child);
            } else if keep(&child, kind.is_dir()) {
                let Some(name) = child.file_name().and_then(|it| it.to_str()) else {
                    bail!("the name of {} is not UTF-8; rename it", child.display());
                };
                let target = super::remote::join(&target, name);
                open.push((child, target));
            }
        }
    }
    found.files.sort_by(|one, other| one.target.cmp(&other.target));
    found.skipped.sort();
    Ok(found)
}

/// SHA-256 of a file, in lower-case hexadecimal digits.
pub async fn sha256(path: &Path) -> Result<String> {
    let owned = path.to_owned();
    let digest = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(owned)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex::encode(digest.finalize())),
                read => digest.update(&buffer[..read]),
            }
        }
    });
    let digest: std::io::Result<String> = digest.await.context("the checksum was interrupted")?;
    digest.with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_walk_finds_files_and_leaves_out_what_is_none() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir_all(path("a/deep")).unwrap();
        std::fs::create_dir_all(path(".git")).unwrap();
        for name in ["train.py", "a/deep/x", ".git/config"] {
            std::fs::write(path(name), name).unwrap();
        }
        std::fs::set_permissions(path("train.py"), Permissions::from_mode(0o755)).unwrap();
        symlink("../train.py", path("a/link")).unwrap();
        symlink("..", path("a/loop")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        let keep = |path: &Path, _| !path.ends_with(".git");
        let found = walk(root.path(), "code", &keep).unwrap();
        let names: Vec<_> = found.files.iter().map(|it| (it.target.as_str(), it.length)).collect();
        assert_eq!(names, [("code/a/deep/x", 8), ("code/a/link", 8), ("code/train.py", 8)]);
        assert!(found.files[2].executable && !found.files[0].executable);
        assert_eq!(found.skipped, [path("a/loop"), path("dangling")]);
        let one = walk(&path("train.py"), "t.py", &keep).unwrap();
        assert_eq!(one.files[0].target, "t.py");
        assert!(walk(&path("nothing"), "", &keep).is_err());
    }
}
