//! `batchai login`: signs in to a service and stores the way to do so as a profile.

use crate::client::Client;
use crate::context::{self, Context};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::options::GlobalOptions;
use crate::output::Output;
use crate::profiles::{
    LOCAL, OidcClient, OidcSession, Profile, Profiles, ScopeDefaults, SignIn, TokenType,
};
use crate::secret::Secret;
use crate::sign_in::{self, Prompt};
use crate::stderr;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use jiff::SignedDuration;
use oidc::Claims;
use resources::time;

/// The profile that is created without `--profile`.
const DEFAULT_NAME: &str = "default";

/// Sign in to a service, such as a stack on AWS
///
/// Signs in with an OpenID Connect issuer (device flow, RFC 8628): open a page on any device, enter a
/// code. Or stores a command that prints a token. Later commands use the profile, and renew its token.
#[derive(Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// OpenID Connect issuer [default: the one of the profile]
    #[arg(long, value_name = "URL", conflicts_with = "token_command")]
    issuer: Option<String>,
    /// Client id of this program at the issuer [default: the one of the profile]
    #[arg(long, value_name = "ID", conflicts_with = "token_command")]
    client_id: Option<String>,
    /// Scopes, separated by spaces [default: openid, and offline_access where the issuer has it]
    #[arg(long, value_name = "SCOPES", conflicts_with = "token_command")]
    scope: Option<String>,
    /// Audience to ask the issuer for; some issuers then make the access token for it
    #[arg(long, value_name = "AUDIENCE", conflicts_with = "token_command")]
    audience: Option<String>,
    /// Token that is sent to the service [default: access with --audience, else id]
    #[arg(long, value_name = "TYPE", conflicts_with = "token_command")]
    token_type: Option<TokenType>,
    /// Shell command that prints a token, instead of an issuer
    #[arg(long, value_name = "COMMAND")]
    token_command: Option<String>,
}

const HELP: &str = "\
The service compares issuer and audience of the token with its own (JwtIssuer, JwtAudience of the
stack). The audience of an ID token is always the client id; the one of an access token is up to the
issuer, and some issuers make access tokens that only they can read. So the ID token is sent, unless
--audience or --token-type says otherwise.

The options -w, -e, -g and --subscription become the defaults of the profile. Without options,
`batchai login` signs in again with the settings of the profile. Issuers that want a client secret
for the device flow get the one in BATCHAI_CLIENT_SECRET. Amazon Cognito has no device flow: use
--token-command.

Examples:
  batchai login --endpoint https://ID.execute-api.eu-west-1.amazonaws.com \\
      --issuer https://login.example.org --client-id batchai
  batchai login --profile ci --endpoint https://... --token-command 'cat /run/secrets/token'";

pub async fn run(
    mut global: GlobalOptions,
    environment: Environment,
    arguments: Arguments,
) -> Result<Exit> {
    let profiles = context::profiles(&environment);
    let name = profile_to_change(&global, &profiles)?;
    let former = profiles.read()?.profiles.get(&name).cloned();
    let profile = describe(&global, &environment, &arguments, former)?;
    let endpoint: reqwest::Url = profile.endpoint.parse().with_context(|| {
        format!("the endpoint {:?} is not a URL; use https://HOST", profile.endpoint)
    })?;
    oidc::require_protected(&endpoint)?;
    let signed_in = tokio::select! {
        signed_in = sign_in(profile) => signed_in?,
        stop = tokio::signal::ctrl_c() => {
            stop.context("cannot install a signal handler")?;
            stderr::message("\nInterrupted. Nothing was stored.");
            return Ok(Exit::INTERRUPTED);
        }
    };
    let is_default = store(profiles, name.clone(), signed_in.clone()).await?;
    global.profile = Some(name.clone());
    global.on_command_line.profile = true;
    global.endpoint = None;
    // The check is about the profile, whatever token the environment has.
    let context = Context::new(global, &Environment { token: None, ..environment })?;
    context.output.message(format_args!("Stored profile {name} for {}.", signed_in.endpoint));
    if !is_default {
        context.output.message(format_args!(
            "To use it, add --profile {name}, or run: batchai profile use {name}"
        ));
    }
    check(&context).await
}

fn profile_to_change(global: &GlobalOptions, profiles: &Profiles) -> Result<String> {
    let name = match &global.profile {
        Some(name) => name.clone(),
        None => {
            let default = profiles.read()?.default.filter(|name| name != LOCAL);
            default.unwrap_or_else(|| DEFAULT_NAME.to_owned())
        }
    };
    ensure!(
        name != LOCAL,
        "the profile {LOCAL} is `batchai local`, which needs no sign-in: choose another name"
    );
    Ok(name)
}

/// The profile from the options, and from the former profile where an option is missing.
fn describe(
    global: &GlobalOptions,
    environment: &Environment,
    arguments: &Arguments,
    former: Option<Profile>,
) -> Result<Profile> {
    let endpoint = global.endpoint.clone().or(former.as_ref().map(|it| it.endpoint.clone()));
    let Some(endpoint) = endpoint else {
        bail!("no endpoint given: set --endpoint URL (for a stack, its output Endpoint)");
    };
    let old = former.as_ref().map(|it| it.scope.clone()).unwrap_or_default();
    let scope = ScopeDefaults {
        subscription: global.subscription.clone().or(old.subscription),
        resource_group: global.resource_group.clone().or(old.resource_group),
        workspace: global.workspace.clone().or(old.workspace),
        experiment: global.experiment.clone().or(old.experiment),
    };
    let sign_in = match (&arguments.token_command, former.map(|it| it.sign_in)) {
        (Some(command), _) => SignIn::TokenCommand { command: command.clone() },
        (None, Some(SignIn::TokenCommand { command })) if arguments.issuer.is_none() => {
            SignIn::TokenCommand { command }
        }
        (None, Some(SignIn::Oidc(session))) => {
            SignIn::Oidc(session_of(environment, arguments, Some(session))?)
        }
        (None, Some(SignIn::TokenCommand { .. }) | None) => {
            SignIn::Oidc(session_of(environment, arguments, None)?)
        }
    };
    Ok(Profile { endpoint: endpoint.trim().trim_end_matches('/').to_owned(), scope, sign_in })
}

fn session_of(
    environment: &Environment,
    arguments: &Arguments,
    former: Option<OidcSession>,
) -> Result<OidcSession> {
    let old = former.as_ref().map(|it| it.client.clone());
    let given = |value: &Option<String>, old: fn(&OidcClient) -> Option<String>| {
        value.clone().or_else(|| former.as_ref().and_then(|it| old(&it.client)))
    };
    let issuer = given(&arguments.issuer, |it| Some(it.issuer.clone()));
    let client_id = given(&arguments.client_id, |it| Some(it.client_id.clone()));
    let (Some(issuer), Some(client_id)) = (issuer, client_id) else {
        bail!("no issuer given: set --issuer URL and --client-id ID, or --token-command COMMAND");
    };
    let audience = given(&arguments.audience, |it| it.audience.clone());
    let by_audience = match (&arguments.audience, &former) {
        (None, Some(former)) => former.token_type,
        (Some(_), _) => TokenType::Access,
        (None, None) => TokenType::Id,
    };
    let new_secret = environment.client_secret.as_deref().map(|it| Secret::new(it.trim()));
    let client = OidcClient {
        issuer,
        client_id,
        client_secret: new_secret.or(old.and_then(|it| it.client_secret)),
        scope: given(&arguments.scope, |it| it.scope.clone()),
        audience,
    };
    Ok(OidcSession {
        client,
        token_type: arguments.token_type.unwrap_or(by_audience),
        tokens: None,
    })
}

/// Runs the device flow, if the profile is one of an issuer.
async fn sign_in(mut profile: Profile) -> Result<Profile> {
    if let SignIn::Oidc(session) = &mut profile.sign_in {
        let issuer = sign_in::discover(&session.client.issuer).await?;
        let tokens =
            sign_in::by_device(&issuer, &session.client, session.token_type, time::now, show)
                .await?;
        if tokens.refresh.is_none() {
            stderr::message(
                "The issuer gave no refresh token: sign in again when the token expires.",
            );
        }
        session.tokens = Some(tokens);
    }
    Ok(profile)
}

fn show(prompt: &Prompt<'_>) {
    let lasts = SignedDuration::try_from(prompt.valid_for).unwrap_or_default();
    let complete = prompt.page_with_code.map(|url| format!("Or open: {url}\n\n"));
    stderr::message(format_args!(
        "To sign in, open this page on any device:\n\n  {}\n\nand enter the code:\n\n  {}\n\n{}\
         Waiting. The code is valid for {}.",
        prompt.page,
        prompt.code,
        complete.unwrap_or_default(),
        time::format(lasts)
    ));
}

/// Stores the profile, as the default one if there is none. Returns whether it is the default one.
async fn store(profiles: Profiles, name: String, profile: Profile) -> Result<bool> {
    let store = move || {
        let mut locked = profiles.lock()?;
        locked.content.profiles.insert(name.clone(), profile);
        let is_default = *locked.content.default.get_or_insert(name.clone()) == name;
        locked.write()?;
        Ok(is_default)
    };
    tokio::task::spawn_blocking(store).await?
}

/// Sends one request, and says as whom the service knows the user.
async fn check(context: &Context) -> Result<Exit> {
    let Context { client, output, .. } = context;
    let claims = claims(client).await?;
    let probe = client.probe(&crate::client::Address::subscriptions()).await?;
    if let Some(refused) = probe.refused {
        if refused.status == 401 {
            explain(output, claims.as_ref());
        }
        return Err(refused.into());
    }
    let subject = claims.map(|it| it.sub).filter(|it| !it.is_empty());
    let principal = probe.principal.filter(|id| Some(id) != subject.as_ref());
    let known_as = match (subject, principal) {
        (Some(subject), Some(id)) => format!(" as {subject}, for role assignments {id}"),
        (Some(name), None) | (None, Some(name)) => format!(" as {name}"),
        (None, None) => String::new(),
    };
    output.message(format_args!("Signed in to {}{known_as}.", client.endpoint()));
    Ok(Exit::SUCCESS)
}

async fn claims(client: &Client) -> Result<Option<Claims>> {
    Ok(client.token().await?.and_then(|token| Claims::of(token.expose())))
}

fn explain(output: &Output, claims: Option<&Claims>) {
    match claims {
        Some(claims) => output.message(format_args!(
            "The service refused the token. Its issuer is {}, its audience {}. Compare them with \
             JwtIssuer\nand JwtAudience of the stack; --token-type and --audience select another \
             token.",
            claims.iss,
            claims.audiences().join(", ")
        )),
        None => output.message("The service refused the token, which is not a JSON Web Token."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        Arguments {
            issuer: Some("https://i.example".to_owned()),
            client_id: Some("c".to_owned()),
            scope: None,
            audience: None,
            token_type: None,
            token_command: None,
        }
    }

    fn environment() -> Environment {
        Environment {
            storage_key: None,
            token: None,
            client_secret: None,
            log: None,
            data_dir: None,
            config_dir: None,
            no_color: true,
        }
    }

    #[test]
    fn an_audience_selects_the_access_token() {
        let session =
            |arguments: &Arguments, former| session_of(&environment(), arguments, former).unwrap();
        let first = session(&arguments(), None);
        assert_eq!(first.token_type, TokenType::Id);
        let with_audience = Arguments { audience: Some("a".to_owned()), ..arguments() };
        let second = session(&with_audience, Some(first));
        assert_eq!(second.token_type, TokenType::Access);
        let nothing = Arguments { issuer: None, client_id: None, ..arguments() };
        let again = session(&nothing, Some(second.clone()));
        assert_eq!((&again.client, again.token_type), (&second.client, TokenType::Access));
        assert!(session_of(&environment(), &nothing, None).is_err());
        let chosen = Arguments { token_type: Some(TokenType::Id), ..with_audience };
        assert_eq!(session(&chosen, None).token_type, TokenType::Id);
    }
}
