//! What the kernel offers: control groups, which end all processes of a job, and user namespaces, which engines
//! without root need.

use crate::commands::doctor::check::Check;
use crate::wiring;

pub fn control_groups() -> Check {
    const NAME: &str = "control groups";
    match wiring::has_control_groups() {
        true => Check::ok(NAME, "cgroup v2 is writable: the kernel ends all processes of a node"),
        false => Check::ok(
            NAME,
            "cgroup v2 is not writable; a keeper process ends the processes of each node instead",
        ),
    }
}

pub fn user_namespaces() -> Check {
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let is_root = rustix::process::geteuid().is_root();
    let most = read("/proc/sys/user/max_user_namespaces");
    namespaces(is_root, most, read("/proc/sys/kernel/unprivileged_userns_clone"))
}

/// `most`: how many there may be; `is_allowed`: 0 where Debian's setting forbids them to users.
fn namespaces(is_root: bool, most: Option<u64>, is_allowed: Option<u64>) -> Check {
    const NAME: &str = "user namespaces";
    if is_root {
        return Check::ok(NAME, "not needed by root");
    }
    let setting = match (most, is_allowed) {
        (Some(0), _) => "user.max_user_namespaces=15000",
        (_, Some(0)) => "kernel.unprivileged_userns_clone=1",
        (_, _) => return Check::ok(NAME, "allowed, as engines without root need"),
    };
    Check::warning(
        NAME,
        "not allowed; engines without root, such as Podman of this user, need them",
        format!("If jobs run in containers, run: sudo sysctl {setting}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;

    #[test]
    fn forbidden_namespaces_are_a_warning_for_users() {
        assert_eq!(namespaces(true, Some(0), Some(0)).status, Status::Ok);
        assert_eq!(namespaces(false, Some(100), Some(1)).status, Status::Ok);
        assert_eq!(namespaces(false, None, None).status, Status::Ok);
        let check = namespaces(false, Some(0), None);
        assert_eq!(check.status, Status::Warning);
        assert!(check.advice.ends_with("user.max_user_namespaces=15000"), "{check:?}");
        assert!(namespaces(false, Some(9), Some(0)).advice.contains("userns_clone=1"));
    }
}
