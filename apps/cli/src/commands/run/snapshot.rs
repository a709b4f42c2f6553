//! The directory of a run as it was when the command was given. Each file is on the file server once, under the hash of
//! its content; a script copies them to their places. So runs that wait are not changed by later ones, and only what
//! changed is sent.

use crate::client::Address;
use crate::context::Context;
use crate::transfer::upload::{self, Report};
use crate::transfer::{self, LocalFile, Progress};
use anyhow::{Context as _, Result, bail};
use ignore::{DirEntry, WalkBuilder};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The directory for results, in the directory of the run: not uploaded.
pub const OUTPUTS: &str = "outputs";

/// On the file server.
pub const OBJECTS: &str = "batchai-run/objects";
pub const SNAPSHOTS: &str = "batchai-run/snapshots";

/// More is most likely data, which a file server keeps better: each node copies all of it before each attempt.
const MAX_FILES: usize = 20_000;

const HEADER: &str = "\
# A directory of `batchai run`. Arguments: the directory of the objects, and where to copy them.
set -e
objects=$1
mkdir -p \"$2\"
cd \"$2\"
d() { mkdir -p \"$1\"; }
f() { cp \"$objects/${1:0:2}/$1\" \"$2\"; }
x() { f \"$1\" \"$2\"; chmod +x \"$2\"; }
l() { ln -sfn \"$1\" \"$2\"; }
";

/// A file of the directory.
#[derive(Debug, PartialEq)]
struct Object {
    path: PathBuf,
    length: u64,
}

pub struct Snapshot {
    script: String,
    files: usize,
    /// By SHA-256.
    objects: BTreeMap<String, Object>,
}

impl Snapshot {
    /// Reads the directory.
    pub async fn of(directory: &Path) -> Result<Self> {
        let mut snapshot = Self { script: HEADER.to_owned(), files: 0, objects: BTreeMap::new() };
        for entry in entries(directory)? {
            snapshot.add(directory, &entry).await?;
        }
        Ok(snapshot)
    }

    async fn add(&mut self, directory: &Path, entry: &DirEntry) -> Result<()> {
        let path = entry.path();
        let name = path.strip_prefix(directory).unwrap_or(path);
        let Some(name) = name.to_str() else {
            bail!("the name of {} is not UTF-8; rename it or add it to .gitignore", path.display());
        };
        let place = quoted(&format!("./{name}"));
        let kind = entry.file_type().context("standard input is no directory")?;
        if kind.is_dir() {
            writeln!(self.script, "d {place}")?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(path)?;
            writeln!(self.script, "l {} {place}", quoted(&target.to_string_lossy()))?;
        } else if kind.is_file() {
            self.files += 1;
            let metadata = entry.metadata()?;
            let sha256 = transfer::sha256(path).await?;
            let is_executable = metadata.permissions().mode() & 0o111 != 0;
            let how = if is_executable { 'x' } else { 'f' };
            writeln!(self.script, "{how} {sha256} {place}")?;
            let object = Object { path: path.to_owned(), length: metadata.len() };
            self.objects.insert(sha256, object);
        }
        Ok(())
    }

    /// The script, below the root of the file server.
    pub fn path(&self) -> String {
        let hash = hex::encode(Sha256::digest(&self.script));
        format!("{SNAPSHOTS}/{hash}.sh")
    }

    pub fn files(&self) -> usize {
        self.files
    }

    pub fn bytes(&self) -> u64 {
        self.objects.values().map(|object| object.length).sum()
    }

    /// Sends the files that the file server does not have, then the script.
    pub async fn upload(&self, context: &Context, server: &Address) -> Result<Report> {
        let client = &context.client;
        let prefixes: BTreeSet<&str> = self.objects.keys().map(|sha256| &sha256[..2]).collect();
        let mut present = BTreeSet::new();
        for prefix in prefixes {
            let listed = transfer::list(client, server, &format!("{OBJECTS}/{prefix}")).await?;
            present.extend(listed.into_iter().flatten().map(|entry| entry.path));
        }
        let missing = self.objects.iter().map(|(sha256, object)| LocalFile {
            path: object.path.clone(),
            target: format!("{OBJECTS}/{}/{sha256}", &sha256[..2]),
            length: object.length,
            executable: false,
            // A file that changes now must not be stored under this hash.
            sha256: Some(sha256.clone()),
        });
        let missing: Vec<_> = missing.filter(|file| !present.contains(&file.target)).collect();
        let progress = Progress::new(!context.output.is_quiet());
        let sent = upload::files(client, server, missing, &progress).await;
        progress.end();
        let report = sent?;
        let script = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        std::fs::write(script.path(), &self.script).context("cannot write a temporary file")?;
        let script = LocalFile {
            path: script.path().to_owned(),
            target: self.path(),
            length: self.script.len() as u64,
            executable: false,
            sha256: None,
        };
        let silent = Progress::new(false);
        upload::files(client, server, vec![script], &silent).await?;
        Ok(report)
    }
}

/// What is in the directory, but for what its `.gitignore` files exclude, `.git` and the outputs; directories before
/// what they have.
fn entries(directory: &Path) -> Result<Vec<DirEntry>> {
    let root = directory.to_owned();
    // Outside of a repository, files above the directory are of something else: a home directory may ignore all.
    let in_repository = directory.ancestors().any(|above| above.join(".git").exists());
    let walk = WalkBuilder::new(directory)
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .require_git(in_repository)
        .parents(in_repository)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(move |entry| {
            entry.file_name() != ".git" && entry.path() != root.join(OUTPUTS)
        })
        .build();
    let mut entries = Vec::new();
    for entry in walk {
        let entry = entry.context("cannot read the directory")?;
        if entry.depth() > 0 {
            entries.push(entry);
        }
        if entries.len() > MAX_FILES {
            bail!(
                "{} has more than {MAX_FILES} files: add data to .gitignore and upload it with `batchai file-server upload`, or choose another --dir",
                directory.display()
            );
        }
    }
    Ok(entries)
}

/// As one word of bash.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::process::Command;

    #[tokio::test]
    async fn a_snapshot_is_the_directory_without_what_is_ignored() {
        let (home, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(home.path().join(".gitignore"), "*").unwrap();
        let from = home.path().join("project");
        let write = |name: &str, text: &str| {
            let path = from.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(".gitignore", "*.bin\n/data/\n");
        write("train.py", "same");
        write("a b/it's -n.py", "same");
        write("-n", "dash");
        write("run.sh", "echo");
        write("sub/data/kept", "kept");
        for ignored in ["model.bin", "data/x", "outputs/old/y", "sub/z.bin"] {
            write(ignored, "ignored");
        }
        std::fs::create_dir(from.join("empty")).unwrap();
        std::fs::set_permissions(from.join("run.sh"), Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("train.py", from.join("link")).unwrap();
        let snapshot = Snapshot::of(&from).await.unwrap();
        assert_eq!((snapshot.files(), snapshot.objects.len()), (6, 5));

        let objects = to.path().join("objects");
        for (sha256, object) in &snapshot.objects {
            std::fs::create_dir_all(objects.join(&sha256[..2])).unwrap();
            std::fs::copy(&object.path, objects.join(&sha256[..2]).join(sha256)).unwrap();
        }
        let script = to.path().join("script");
        std::fs::write(&script, &snapshot.script).unwrap();
        let copy = to.path().join("the copy");
        // Twice, as on a node that tries an attempt again.
        for _ in 0..2 {
            let status = Command::new("bash").args([&script, &objects, &copy]).status().unwrap();
            assert!(status.success());
        }
        let listed = Command::new("find")
            .args([".", "-mindepth", "1", "-printf", "%p %y %l\n"])
            .current_dir(&copy)
            .output()
            .unwrap();
        let mut lines: Vec<_> =
            std::str::from_utf8(&listed.stdout).unwrap().lines().map(str::trim).collect();
        lines.sort_unstable();
        insta::assert_snapshot!(lines.join("\n"), @r#"
./-n f
./.gitignore f
./a b d
./a b/it's -n.py f
./empty d
./link l train.py
./run.sh f
./sub d
./sub/data d
./sub/data/kept f
./train.py f
"#);
        assert_eq!(std::fs::read_to_string(copy.join("a b/it's -n.py")).unwrap(), "same");
        let mode = std::fs::metadata(copy.join("run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o100, 0o100);

        // The same in a repository, whose directory is left out; its rules hold in directories below.
        let before = snapshot.path();
        write(".git/config", "ignored");
        assert_eq!(Snapshot::of(&from).await.unwrap().path(), before);
        assert_eq!(Snapshot::of(&from.join("sub")).await.unwrap().files(), 1);
        write("train.py", "changed");
        assert_ne!(Snapshot::of(&from).await.unwrap().path(), before);
    }
}
