//! Checks of paths that users give, before they are used.

use std::path::{Component, Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("'{0}' cannot be the name of a file or directory")]
    Name(String),
    #[error("'{0}' must be a relative path without '..'")]
    Relative(String),
    #[error(
        "'{0}' must be an absolute path without '..'; begin it with $AZ_BATCHAI_MOUNT_ROOT, $AZ_BATCHAI_JOB_MOUNT_ROOT or a directory of the node"
    )]
    Absolute(String),
}

/// `name` when it is one component of a path, and neither `.` nor `..`.
pub fn plain(name: &str) -> Result<&str, PathError> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        // `a/` and `a/.` have one component too, but are not plain.
        (Some(Component::Normal(only)), None) if only == name && !name.contains('\0') => Ok(name),
        _ => Err(PathError::Name(name.to_owned())),
    }
}

/// `path` as components below some root; `.` and doubled slashes are dropped. May be empty.
pub fn relative(path: &str) -> Result<PathBuf, PathError> {
    let refuse = || PathError::Relative(path.to_owned());
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(refuse()),
        }
    }
    if path.contains('\0') { Err(refuse()) } else { Ok(clean) }
}

/// `path` when it is absolute and climbs nowhere.
pub fn absolute(path: &str) -> Result<PathBuf, PathError> {
    let climbs = Path::new(path).components().any(|part| part == Component::ParentDir);
    if !path.starts_with('/') || climbs || path.contains('\0') {
        return Err(PathError::Absolute(path.to_owned()));
    }
    Ok(Path::new(path).components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_one_component() {
        for name in ["job", "tvm-1_2-p", "ünïcode", "..."] {
            assert_eq!(plain(name), Ok(name));
        }
        for name in ["", ".", "..", "a/b", "/a", "a/", "./a", "a/.", "a\0b"] {
            assert_eq!(plain(name), Err(PathError::Name(name.to_owned())));
        }
    }

    #[test]
    fn relative_paths_stay_below_their_root() {
        assert_eq!(relative("nfs"), Ok("nfs".into()));
        assert_eq!(relative("./a//b/"), Ok("a/b".into()));
        assert_eq!(relative(""), Ok(PathBuf::new()));
        for path in ["/etc", "..", "a/../b", "a/..", "a\0"] {
            assert_eq!(relative(path), Err(PathError::Relative(path.to_owned())));
        }
    }

    #[test]
    fn absolute_paths_climb_nowhere() {
        assert_eq!(absolute("/a//b/./c/"), Ok("/a/b/c".into()));
        for path in ["", "a", "/a/../b", "/..", "/a\0"] {
            assert_eq!(absolute(path), Err(PathError::Absolute(path.to_owned())));
        }
    }
}
