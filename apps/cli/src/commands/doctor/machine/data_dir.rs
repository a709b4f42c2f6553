//! The data directory of `batchai local`: who can read it, and how much room it has.

use crate::commands::doctor::check::Check;
use crate::transfer::human_bytes;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What nobody else may read: with one of them a job or another user has all rights.
const PRIVATE: [&str; 3] = ["token", "key", "batchai.db"];

/// Output and checkpoints of a small training run; with less, jobs fail soon.
const LITTLE_BYTES: u64 = 10 << 30;
const TOO_LITTLE_BYTES: u64 = 1 << 30;

/// A job takes some dozens of files, a copy of a code directory many more.
const LITTLE_FILES: u64 = 10_000;

pub fn permissions(data_dir: &Path) -> Check {
    const NAME: &str = "data directory";
    let shown = data_dir.display();
    let found = match std::fs::metadata(data_dir) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => {
            return Check::problem(
                NAME,
                format!("{shown} is not a directory"),
                "Remove it, or choose another one with --data-dir DIR",
            );
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return absent(data_dir),
        Err(error) => {
            let advice = "Correct the permissions, or choose another directory with --data-dir DIR";
            return Check::problem(NAME, format!("{shown}: {error}"), advice);
        }
    };
    if found.uid() != own_user() {
        return Check::problem(
            NAME,
            format!("{shown} belongs to another user"),
            "Run the command as that user, or choose another directory with --data-dir DIR",
        );
    }
    let readable: Vec<_> = PRIVATE
        .map(|name| data_dir.join(name))
        .into_iter()
        .filter(|path| std::fs::metadata(path).is_ok_and(|it| is_open_to_others(&it)))
        .map(|path| format!("'{}'", path.display()))
        .collect();
    match readable.is_empty() {
        true => Check::ok(NAME, shown.to_string()),
        false => Check::problem(
            NAME,
            format!("other users can read {}", readable.join(", ")),
            format!("Run: chmod 600 {}", readable.join(" ")),
        ),
    }
}

/// `batchai local` makes it.
fn absent(data_dir: &Path) -> Check {
    const NAME: &str = "data directory";
    let above = existing(data_dir);
    let can_write = rustix::fs::access(&above, rustix::fs::Access::WRITE_OK).is_ok();
    let (shown, above) = (data_dir.display(), above.display());
    match can_write {
        true => Check::ok(NAME, format!("{shown} is made by `batchai local`")),
        false => Check::problem(
            NAME,
            format!("{shown} cannot be made: {above} is not writable"),
            "Choose another directory with --data-dir DIR",
        ),
    }
}

/// The directory itself, or the nearest one above it that exists.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn is_open_to_others(found: &Metadata) -> bool {
    found.mode() & 0o077 != 0
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub fn disk(data_dir: &Path) -> Check {
    const NAME: &str = "disk";
    let place = existing(data_dir);
    match rustix::fs::statvfs(&place) {
        Ok(found) => {
            // Some file systems do not count files.
            let files = (found.f_files > 0).then_some(found.f_favail);
            let bytes = found.f_bavail.saturating_mul(found.f_frsize);
            room(&place.display().to_string(), bytes, files)
        }
        Err(error) => Check::skipped(NAME, format!("{}: {error}", place.display()), ""),
    }
}

fn room(place: &str, bytes: u64, files: Option<u64>) -> Check {
    const NAME: &str = "disk";
    let free = human_bytes(bytes);
    let advice = "Free some space, or choose another disk with --data-dir DIR";
    match (bytes, files) {
        (..TOO_LITTLE_BYTES, _) => Check::problem(NAME, format!("{free} free at {place}"), advice),
        (_, Some(files @ ..LITTLE_FILES)) => {
            Check::problem(NAME, format!("room for {files} more files at {place}"), advice)
        }
        (..LITTLE_BYTES, _) => Check::warning(NAME, format!("{free} free at {place}"), advice),
        (_, _) => Check::ok(NAME, format!("{free} free at {place}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secrets_that_others_can_read_are_a_problem() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(permissions(place.path()).status, Status::Ok);
        let token = place.path().join("token");
        write(&token, "secret").unwrap();
        set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(permissions(place.path()).status, Status::Ok);
        set_permissions(&token, Permissions::from_mode(0o640)).unwrap();
        let check = permissions(place.path());
        assert_eq!(check.status, Status::Problem);
        assert_eq!(check.advice, format!("Run: chmod 600 '{}'", token.display()));
    }

    #[test]
    fn a_missing_directory_is_made_and_a_file_is_in_the_way() {
        let place = tempfile::tempdir().unwrap();
        let check = permissions(&place.path().join("a/b"));
        assert_eq!((check.status, check.advice.as_str()), (Status::Ok, ""));
        write(place.path().join("file"), "").unwrap();
        assert_eq!(permissions(&place.path().join("file")).status, Status::Problem);
        assert_eq!(existing(&place.path().join("a/b")), place.path());
    }

    #[test]
    fn little_room_is_a_warning_and_less_a_problem() {
        let status = |bytes, files| room("/data", bytes, files).status;
        assert_eq!(status(LITTLE_BYTES, None), Status::Ok);
        assert_eq!(status(LITTLE_BYTES - 1, Some(LITTLE_FILES)), Status::Warning);
        assert_eq!(status(TOO_LITTLE_BYTES - 1, None), Status::Problem);
        assert_eq!(status(u64::MAX, Some(9_999)), Status::Problem);
        let check = disk(Path::new("/nonexistent/data"));
        assert!(check.detail.ends_with("free at /"), "{check:?}");
    }
}
