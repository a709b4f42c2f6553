//! `batchai man`: manual pages, made of the definition of the command line.

use crate::exit::Exit;
use crate::output::Output;
use anyhow::{Context as _, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// Write manual pages, one for each command
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Directory to write to; it is made if it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

const HELP: &str = "\
Example:
  batchai man ~/.local/share/man/man1 && man batchai-job-submit";

/// `command` is the whole command line, not built yet.
pub fn run(command: clap::Command, output: &Output, arguments: &Arguments) -> Result<Exit> {
    let count = write(command, &arguments.directory)
        .with_context(|| format!("cannot write to {}", arguments.directory.display()))?;
    let shown = arguments.directory.display();
    output.message(format_args!("Wrote {count} pages to {shown}."));
    Ok(Exit::SUCCESS)
}

/// Returns how many pages were written.
fn write(command: clap::Command, directory: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(directory)?;
    let count = pages(&command);
    clap_mangen::generate_to(command, directory)?;
    Ok(count)
}

/// Hidden commands have no page.
fn pages(command: &clap::Command) -> usize {
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    1 + below.map(pages).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_has_a_page() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("man1");
        let count = write(crate::cli::command(), &directory).unwrap();
        let names: BTreeSet<_> = std::fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), count);
        for name in ["batchai.1", "batchai-cluster-create.1", "batchai-job-node-exec.1"] {
            assert!(names.contains(name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
        let page = std::fs::read_to_string(directory.join("batchai-cluster-create.1")).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("vm\\-size"), "{page}");
    }
}
