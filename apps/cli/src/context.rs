//! What every client command needs: the connection to the service, the scope of the request, and
//! the output format.

use crate::client::{Client, Scope, Session, TokenCommand, TokenSource};
use crate::environment::Environment;
use crate::options::{DEFAULT_RESOURCE_GROUP, DEFAULT_SUBSCRIPTION, GlobalOptions};
use crate::output::Output;
use crate::profiles::{self, Profiles, Selected, SignIn};
use anyhow::{Context as _, Result, bail};
use resources::time;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8470";

pub struct Context {
    pub client: Client,
    pub scope: Scope,
    pub output: Output,
    /// The profile of this command; None for the local service, or with an endpoint of another service.
    pub profile: Option<Selected>,
    /// Key of an Azure storage account, for files that leave it out.
    pub storage_key: Option<String>,
}

impl Context {
    pub fn new(global: GlobalOptions, environment: &Environment) -> Result<Self> {
        let data_dir = data_dir(&global, environment);
        let output = output(&global, environment);
        let profiles = profiles(environment);
        let endpoint = global.endpoint.as_deref();
        let profile = profiles::select(&profiles.read()?, &global.profile_choice(), endpoint)?;
        let client = match &profile {
            Some(selected) => {
                let endpoint = endpoint.unwrap_or(&selected.profile.endpoint);
                let token = match &environment.token {
                    Some(token) => TokenSource::fixed(Some(token.trim().to_owned())),
                    None => token_of(selected, endpoint, profiles)?,
                };
                Client::new(endpoint, token)?
            }
            None => {
                let data_dir = data_dir.ok();
                if let Some(given) = data_dir.as_deref().filter(|_| global.data_dir.is_some()) {
                    let has_token = environment.token.is_some();
                    ensure_service_has_run(given, endpoint, has_token)?;
                }
                connect(global.endpoint, data_dir.as_deref(), environment.token.clone())?
            }
        };
        let defaults = profile.as_ref().map(|it| it.profile.scope.clone()).unwrap_or_default();
        let or = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_owned());
        let scope = Scope {
            subscription: or(global.subscription.or(defaults.subscription), DEFAULT_SUBSCRIPTION),
            resource_group: or(
                global.resource_group.or(defaults.resource_group),
                DEFAULT_RESOURCE_GROUP,
            ),
            workspace: global.workspace.or(defaults.workspace),
            experiment: global.experiment.or(defaults.experiment),
        };
        let storage_key = environment.storage_key.clone();
        Ok(Self { client, scope, output, profile, storage_key })
    }
}

pub fn profiles(environment: &Environment) -> Profiles {
    Profiles::in_directory(environment.config_dir.clone())
}

/// The token of a profile, for its own endpoint only.
fn token_of(selected: &Selected, endpoint: &str, profiles: Profiles) -> Result<TokenSource> {
    profiles::refuse_foreign_endpoint(selected, endpoint)?;
    Ok(match &selected.profile.sign_in {
        SignIn::Oidc(_) => TokenSource::session(Session::new(profiles, selected.name.clone())),
        SignIn::TokenCommand { command } => {
            TokenSource::command(TokenCommand::new(command.clone()))
        }
    })
}

pub fn output(global: &GlobalOptions, environment: &Environment) -> Output {
    let now = time::now();
    let color = std::io::stdout().is_terminal() && !environment.no_color;
    let width = terminal_width();
    Output { format: global.output, query: global.query.clone(), color, width, now }
}

/// In columns; None if stdout is no terminal.
pub fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
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

/// Refuses a data directory of the command line without the file that the connection needs. Without it,
/// the command would ask another service, or without a token.
fn ensure_service_has_run(data_dir: &Path, endpoint: Option<&str>, has_token: bool) -> Result<()> {
    let is_loopback = |url: &str| url.trim().parse().is_ok_and(|url| oidc::is_loopback(&url));
    let needed = match endpoint {
        None => Some("endpoint"),
        Some(url) if is_loopback(url) && !has_token => Some("token"),
        Some(_) => None,
    };
    let Some(missing) = needed.filter(|file| !data_dir.join(file).exists()) else {
        return Ok(());
    };
    let shown = data_dir.display();
    bail!(
        "no service has run in the data directory {shown}, which has no file `{missing}`. Correct \
         --data-dir or BATCHAI_DATA_DIR, or start a service there: batchai local --data-dir '{shown}'"
    )
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
    let is_local = endpoint.trim().parse().is_ok_and(|url| oidc::is_loopback(&url));
    let token = token.or_else(|| read_file("token").filter(|_| is_local));
    Client::new(&endpoint, TokenSource::fixed(token.map(|token| token.trim().to_owned())))
}
