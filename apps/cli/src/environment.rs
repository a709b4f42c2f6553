//! Environment variables that are not options of the command line. Read once, for `main`.

use std::path::PathBuf;

pub struct Environment {
    /// `BATCHAI_TOKEN`. Not an option: a process list would show it.
    pub token: Option<String>,
    /// `BATCHAI_CLIENT_SECRET`, for the few issuers that want one. Not an option: see `token`.
    pub client_secret: Option<String>,
    /// `AZURE_BATCHAI_STORAGE_KEY`, as for the Azure CLI. Not an option: see `token`.
    pub storage_key: Option<String>,
    /// `BATCHAI_LOG`: a filter in the syntax of the `tracing` crate.
    pub log: Option<String>,
    /// `$XDG_DATA_HOME/batchai` or `~/.local/share/batchai`.
    pub data_dir: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME/batchai` or `~/.config/batchai`.
    pub config_dir: Option<PathBuf>,
    /// `NO_COLOR` (no-color.org).
    pub no_color: bool,
}

impl Environment {
    pub fn read() -> Self {
        Self {
            token: text("BATCHAI_TOKEN"),
            client_secret: text("BATCHAI_CLIENT_SECRET"),
            storage_key: text("AZURE_BATCHAI_STORAGE_KEY"),
            log: text("BATCHAI_LOG"),
            data_dir: home("XDG_DATA_HOME", ".local/share").map(|home| home.join("batchai")),
            config_dir: home("XDG_CONFIG_HOME", ".config").map(|home| home.join("batchai")),
            no_color: text("NO_COLOR").is_some(),
        }
    }
}

/// A variable that the command line names.
pub fn variable(name: &str) -> Option<String> {
    text(name)
}

/// The directory in `variable`, or `default` in the home directory.
fn home(variable: &str, default: &str) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    text(variable)
        .map(PathBuf::from)
        .filter(absolute)
        .or_else(|| std::env::home_dir().filter(absolute).map(|home| home.join(default)))
}

#[expect(clippy::disallowed_methods, reason = "only this function reads the environment")]
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
