//! Environment variables that are not options of the command line. Read once, for `main`.

use std::path::PathBuf;

pub struct Environment {
    /// `BATCHAI_TOKEN`. Not an option: a process list would show it.
    pub token: Option<String>,
    /// `BATCHAI_LOG`: a filter in the syntax of the `tracing` crate.
    pub log: Option<String>,
    /// `$XDG_DATA_HOME/batchai` or `~/.local/share/batchai`.
    pub data_dir: Option<PathBuf>,
    /// `NO_COLOR` (no-color.org).
    pub no_color: bool,
}

impl Environment {
    pub fn read() -> Self {
        Self {
            token: text("BATCHAI_TOKEN"),
            log: text("BATCHAI_LOG"),
            data_dir: data_home().map(|home| home.join("batchai")),
            no_color: text("NO_COLOR").is_some(),
        }
    }
}

fn data_home() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    text("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(absolute)
        .or_else(|| std::env::home_dir().filter(absolute).map(|home| home.join(".local/share")))
}

#[expect(clippy::disallowed_methods, reason = "only this function reads the environment")]
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
