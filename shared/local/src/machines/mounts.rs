//! Unmounting what a machine has left mounted below its directory: its agent was killed and could not.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// For one `umount`; a file system that does not answer may block it.
const LIMIT: Duration = Duration::from_secs(10);

/// Unmounts everything at or below `directory`, by force what does not answer. No process of the machine is left.
pub fn unmount_below(directory: &Path) -> io::Result<()> {
    for point in trees::mounted_at_or_below(directory)? {
        let ways: [(&str, &[&str]); 3] = [
            ("umount", &["--no-canonicalize"]),
            ("umount", &["--no-canonicalize", "-f", "-l"]),
            ("fusermount", &["-uz"]),
        ];
        let unmounted = ways.iter().any(|(program, flags)| {
            let mut command = Command::new(program);
            is_done(command.args(*flags).arg(&point), LIMIT).unwrap_or_default()
        });
        if !unmounted {
            return Err(io::Error::other(format!("{} cannot be unmounted", point.display())));
        }
    }
    Ok(())
}

/// Whether the command succeeds in this time. Later it is killed.
fn is_done(command: &mut Command, limit: Duration) -> io::Result<bool> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn()?;
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if begin.elapsed() > limit {
            child.kill()?;
            // Not waited for here: it ends when the file system lets it.
            std::thread::spawn(move || drop(child.wait()));
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_was_killed_is_reaped() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 1000", file.display());
        let mut command = Command::new("/bin/sh");
        assert!(!is_done(command.args(["-c", &script]), Duration::from_secs(1)).unwrap());
        let pid = std::fs::read_to_string(file).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        let until = Instant::now() + Duration::from_secs(30);
        while process.exists() {
            assert!(Instant::now() < until, "{} is a zombie", process.display());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn data_that_a_machine_left_mounted_is_not_removed() {
        let (home, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(data.path().join("file"), "").unwrap();
        let at = home.path().canonicalize().unwrap().join("mounts/bound");
        std::fs::create_dir_all(&at).unwrap();
        let bind = Command::new("mount").arg("--bind").args([data.path(), &at]).output();
        if !bind.is_ok_and(|bound| bound.status.success()) {
            return; // Only root may mount.
        }
        // While it is mounted, a removal does not reach into it.
        trees::remove(&home.path().join("mounts")).unwrap_err();
        assert!(data.path().join("file").exists());
        unmount_below(&home.path().canonicalize().unwrap()).unwrap();
        trees::remove(&home.path().join("mounts")).unwrap();
        assert!(!home.path().join("mounts").exists() && data.path().join("file").exists());
    }
}
