//! Checks for Python 3, which runs the training script, before anything is started.

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// The oldest version that runs the script.
const MINIMUM: (u32, u32) = (3, 7);

const HELP: &str = "the demo needs Python 3, but `python3` cannot be run; install it, for example with: \
    sudo apt install python3";

pub async fn check() -> Result<()> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2])";
    let result = Command::new("python3").args(["-c", script]).output().await.context(HELP)?;
    let text = String::from_utf8_lossy(&result.stdout);
    let Some(version) = parse(text.trim()).filter(|_| result.status.success()) else {
        bail!("{HELP}: {}", String::from_utf8_lossy(&result.stderr).trim());
    };
    if version < MINIMUM {
        let ((found_major, found_minor), (major, minor)) = (version, MINIMUM);
        bail!(
            "`python3` is version {found_major}.{found_minor}; the demo needs {major}.{minor} or later"
        );
    }
    Ok(())
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert_eq!(parse("3.11"), Some((3, 11)));
        assert!(parse("3.11").unwrap() > MINIMUM && parse("2.7").unwrap() < MINIMUM);
        assert_eq!(parse("Python"), None);
    }
}
