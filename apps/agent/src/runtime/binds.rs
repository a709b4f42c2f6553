//! What a container sees of its node: mounts and directories of the job, at the paths that they have on the node.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::attempt::AttemptLayout;
use crate::host::Host;
use crate::system::mount_table;

/// InfiniBand and EFA: the processes of a job may use the devices of the node, if their files are there.
const DEVICES: &str = "/dev/infiniband";

/// A file or directory of the node in the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bind {
    pub source: PathBuf,
    pub target: PathBuf,
    pub is_read_only: bool,
}

impl Bind {
    /// At the same path.
    pub fn same(path: PathBuf) -> Self {
        Self { source: path.clone(), target: path, is_read_only: false }
    }

    /// The value of `--mount`: fields as in a line of CSV.
    pub fn as_option(&self) -> String {
        let field = |name: &str, path: &Path| {
            let text = format!("{name}={}", path.display());
            let is_plain = !text.contains([',', '"', '\n']);
            if is_plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
        };
        let (source, target) = (field("source", &self.source), field("target", &self.target));
        let read_only = if self.is_read_only { ",readonly" } else { "" };
        format!("type=bind,{source},{target}{read_only}")
    }
}

/// The binds of an attempt. Its mounts and directories were made before.
pub fn binds(host: &Host, layout: &AttemptLayout) -> Vec<Bind> {
    let mut paths = BTreeSet::from([host.mounts(), layout.paths.temp.clone()]);
    for root in [host.mounts(), layout.paths.mounts.clone()] {
        paths.extend(link_targets(&root));
    }
    let environment = &layout.environment;
    paths.extend(environment.outputs.iter().cloned());
    // What the nodes of the job share is beside the output.
    paths.extend(environment.stdouterr.parent().map(Path::to_owned));
    let devices = PathBuf::from(DEVICES);
    paths.extend(devices.exists().then_some(devices));
    // A directory that another one contains is there with it.
    let outermost: Vec<PathBuf> =
        paths.iter().filter(|path| is_outermost(path, &paths)).cloned().collect();
    outermost.into_iter().map(Bind::same).collect()
}

fn is_outermost(path: &Path, all: &BTreeSet<PathBuf>) -> bool {
    !path.ancestors().skip(1).any(|above| all.contains(above))
}

/// The directories of the node that links below `root` lead to: mounts on one machine are links.
fn link_targets(root: &Path) -> BTreeSet<PathBuf> {
    let mounted = mount_table::at_or_below(root).unwrap_or_default();
    let mut targets = BTreeSet::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        // What cannot be read is no mount of ours.
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => targets.extend(target(&path)),
                Ok(kind) if kind.is_dir() && !mounted.contains(&path) => pending.push(path),
                Ok(_) | Err(_) => {}
            }
        }
    }
    targets
}

fn target(link: &Path) -> Option<PathBuf> {
    let path = fs::canonicalize(link).ok()?;
    // Links are made to paths without links. Any other was not made by this agent.
    (fs::read_link(link).ok()? == path && path.is_dir()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn odd_paths_are_quoted() {
        assert_eq!(Bind::same("/a".into()).as_option(), "type=bind,source=/a,target=/a");
        let odd = Bind { source: "/a,\"b".into(), target: "/c".into(), is_read_only: true };
        assert_eq!(odd.as_option(), "type=bind,\"source=/a,\"\"b\",target=/c,readonly");
    }

    #[test]
    fn mounts_that_are_links_lead_to_directories_of_the_node() {
        let place = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(place.path()).unwrap();
        let (root, server) = (place.join("mounts"), place.join("server"));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(&server).unwrap();
        symlink(&server, root.join("nfs")).unwrap();
        symlink(place.join("server/../server"), root.join("odd")).unwrap();
        symlink(place.join("absent"), root.join("a/absent")).unwrap();
        symlink("/usr", root.join("a/b/usr")).unwrap();
        assert_eq!(link_targets(&root), BTreeSet::from([server, "/usr".into()]));
    }

    #[test]
    fn what_another_directory_contains_is_bound_with_it() {
        let all = ["/r", "/r/a/b", "/ra"].map(PathBuf::from);
        let all = BTreeSet::from(all);
        let outermost: Vec<&PathBuf> = all.iter().filter(|it| is_outermost(it, &all)).collect();
        assert_eq!(outermost, [Path::new("/r"), Path::new("/ra")]);
    }
}
