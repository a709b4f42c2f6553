//! What every client command needs: the connection to the service, the scope of the request, and
//! the output format.

use crate::client::{Client, Scope, is_loopback};
use crate::environment::Environment;
use crate::options::GlobalOptions;
use crate::output::Output;
use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8470";

pub struct Context {
    pub client: Client,
    pub scope: Scope,
    pub output: Output,
}

impl Context {
    pub fn new(global: GlobalOptions, environment: &Environment) -> Result<Self> {
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

pub fn output(global: &GlobalOptions, environment: &Environment) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the clock is read here, once per command")]
    let now = Timestamp::now();
    let color = std::io::stdout().is_terminal() && !environment.no_color;
    Output { format: global.output, color, now }
}

/// The absolute path of the data directory of the local service.
pub fn data_dir(global: &GlobalOptions, environment: &Environment) -> Result<PathBuf> {
    match (&global.data_dir, &environment.data_dir) {
        (Some(path), _) => std::path::absolute(path)
            .with_context(|| format!("cannot resolve the path {}", path.display())),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => bail!("no home directory: set the data directory with --data-dir DIR"),
    }
}

/// A client for `endpoint`, or for the local service, which writes its URL and its token to the
/// files `endpoint` and `token` in `data_dir`.
pub fn connect(
    endpoint: Option<String>,
    data_dir: Option<&Path>,
    token: Option<String>,
) -> Result<Client> {
    let read_file =
        |name: &str| data_dir.and_then(|path| std::fs::read_to_string(path.join(name)).ok());
    let endpoint =
        endpoint.or_else(|| read_file("endpoint")).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    // The local service's token must not be sent to another host.
    let is_local = endpoint.trim().parse().is_ok_and(|url| is_loopback(&url));
    let token = token.or_else(|| read_file("token").filter(|_| is_local));
    Client::new(&endpoint, token.map(|token| token.trim().to_owned()))
}
