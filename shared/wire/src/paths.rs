//! Paths from users. They must not lead out of the directory that they are joined to.

/// The components of a path, without empty ones and `.`.
pub(crate) fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty() && *component != ".")
}

pub(crate) fn leads_upwards(path: &str) -> bool {
    components(path).any(|component| component == "..")
}

/// The canonical spelling of a relative path: `./nfs//data/` is `nfs/data`.
pub(crate) fn normalized(path: &str) -> String {
    components(path).collect::<Vec<_>>().join("/")
}
