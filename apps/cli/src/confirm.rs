//! Deleting asks first. Where nobody can be asked, `-y` has to be there.

use crate::talk;
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

/// Goes on only if the person agrees; `what` completes "Delete … ?".
pub fn deletion(what: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        bail!("this would delete {what}: add -y to agree, as there is no terminal to ask at");
    }
    write!(stderr().lock(), "Delete {what}? [y/N] ").context("cannot ask")?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    if !agrees(&answer) {
        if answer.is_empty() {
            talk::say("");
        }
        bail!("nothing was deleted");
    }
    Ok(())
}

fn agrees(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(agrees("y\n") && agrees(" YES \n"));
        assert!(!agrees("\n") && !agrees("") && !agrees("yep\n") && !agrees("n\n"));
    }
}
