//! Asks before a deletion. Without a terminal, `--yes` is required.

use crate::stderr;
use anyhow::{Context as _, Result, bail};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _, stdin};

/// Fails unless the user confirms; `what` completes "Delete … ?".
pub fn deletion(what: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        bail!("refusing to delete {what} without confirmation: repeat the command with --yes");
    }
    write!(io::stderr().lock(), "Delete {what}? [y/N] ").context("cannot write the question")?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    if !is_yes(&answer) {
        if answer.is_empty() {
            stderr::message("");
        }
        bail!("not confirmed; nothing was deleted");
    }
    Ok(())
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_y_and_yes_confirm() {
        assert!(is_yes("y\n") && is_yes(" YES \n"));
        assert!(!is_yes("\n") && !is_yes("") && !is_yes("yep\n") && !is_yes("n\n"));
    }
}
