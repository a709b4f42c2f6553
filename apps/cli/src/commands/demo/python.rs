//! The training script needs Python 3: said before anything is started.

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// The oldest that runs the script.
const MINIMUM: (u32, u32) = (3, 7);

const HELP: &str = "the demonstration trains with Python 3, but there is no working `python3` on \
    the PATH; install it (for example `sudo apt install python3`; no packages are needed)";

pub async fn check() -> Result<()> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2])";
    let result = Command::new("python3").args(["-c", script]).output().await.context(HELP)?;
    let text = String::from_utf8_lossy(&result.stdout);
    let Some(version) = parse(text.trim()).filter(|_| result.status.success()) else {
        bail!("{HELP}: {}", String::from_utf8_lossy(&result.stderr).trim());
    };
    if version < MINIMUM {
        let ((is_major, is_minor), (major, minor)) = (version, MINIMUM);
        bail!("`python3` is version {is_major}.{is_minor}; the training needs {major}.{minor}");
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
