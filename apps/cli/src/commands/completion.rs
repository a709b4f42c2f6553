//! `batchai completion`: the completion script of a shell.

use crate::exit::Exit;
use anyhow::Result;
use clap::Args;
use clap_complete::Shell;
use std::io::Write as _;

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Shell
    shell: Shell,
}

const HELP: &str = "\
Examples:
  batchai completion bash > ~/.local/share/bash-completion/completions/batchai
  batchai completion zsh > ~/.zfunc/_batchai       # with `fpath+=~/.zfunc` before compinit
  batchai completion fish > ~/.config/fish/completions/batchai.fish";

/// `command` is the whole command line.
pub fn run(mut command: clap::Command, arguments: &Arguments) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "batchai", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::SUCCESS)
}
