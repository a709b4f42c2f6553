//! A disk that is easily filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of 1 MiB with room for 64 files, unmounted with this value.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` when only root may mount.
    pub fn at(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(&path).output().unwrap();
        mounted.status.success().then_some(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves no room for another file.
    pub fn fill(&self) {
        fs::create_dir_all(self.0.join("filler")).unwrap();
        let fill = |number| fs::write(self.0.join(format!("filler/{number}")), "");
        assert!((0..100).any(|number| fill(number).is_err()));
    }

    pub fn make_room(&self) {
        fs::remove_dir_all(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
