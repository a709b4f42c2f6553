//! What every command gets: the service, where to look in it, and how to show the answer.

use crate::cli::Global;
use crate::client::{Client, Scope, is_loopback};
use crate::environment::Environment;
use crate::output::Output;
use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8470";

pub struct Context {
    pub client: Client,
    pub scope: Scope,
    pub output: Output,
}

impl Context {
    pub fn new(global: Global, environment: &Environment) -> Result<Self> {
        let data_dir = data_dir(&global, environment);
        let output = output(&global, environment);
        let client = connect(global.endpoint, data_dir.ok().as_deref(), environment.token.clone())?;
        let scope = Scope {
            subscription: global.subscription,
            resource_group: global.resource_group,
            workspace: global.workspace,
            experiment: global.experiment,
        };
        Ok(Self { client, scope, output })
    }
}

pub fn output(global: &Global, environment: &Environment) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the clock is read here, once per command")]
    let now = Timestamp::now();
    let color = std::io::stdout().is_terminal() && !environment.no_color;
    Output { format: global.output, color, now }
}

/// Of the service on this machine.
pub fn data_dir(global: &Global, environment: &Environment) -> Result<PathBuf> {
    match (&global.data_dir, &environment.data_dir) {
        (Some(told), _) => {
            std::path::absolute(told).with_context(|| format!("no such place: {}", told.display()))
        }
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => bail!("there is no home directory: name a directory with --data-dir"),
    }
}

/// A service in `data_dir` says there where it listens and what its token is.
pub fn connect(
    endpoint: Option<String>,
    data_dir: Option<&Path>,
    token: Option<String>,
) -> Result<Client> {
    let said =
        |file: &str| data_dir.and_then(|place| std::fs::read_to_string(place.join(file)).ok());
    let endpoint =
        endpoint.or_else(|| said("endpoint")).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    // The token of this machine's service is nobody else's business.
    let is_here = endpoint.trim().parse().is_ok_and(|url| is_loopback(&url));
    let token = token.or_else(|| said("token").filter(|_| is_here));
    Client::new(&endpoint, token.map(|token| token.trim().to_owned()))
}
