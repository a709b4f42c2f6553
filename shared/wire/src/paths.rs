//! Paths from users: they must not leave the root that they are joined to.

/// The components that count: neither empty nor `.`.
pub(crate) fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty() && *component != ".")
}

pub(crate) fn leads_upwards(path: &str) -> bool {
    components(path).any(|component| component == "..")
}

/// One spelling for paths that mean the same: `./nfs//data/` is `nfs/data`.
pub(crate) fn normalized(path: &str) -> String {
    components(path).collect::<Vec<_>>().join("/")
}
