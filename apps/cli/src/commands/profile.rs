//! `batchai profile …`: the services that this user knows.

use crate::confirm;
use crate::context::{self, Context};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::json::Json;
use crate::options::GlobalOptions;
use crate::output::{Column, Style, View};
use crate::profiles::{self, LOCAL, Profile, ProfileFile, Profiles, SignIn, profile_name};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use resources::time;
use serde::{Deserialize, Serialize};

#[derive(Subcommand)]
pub enum Command {
    /// List the profiles
    #[command(visible_alias = "ls")]
    List,
    /// Show a profile, without its tokens
    Show(Name),
    /// Make a profile the default one; `local` for `batchai local`
    Use(RequiredName),
    /// Remove a profile and its tokens
    Remove(RemoveArguments),
    /// Print the token that commands send, for curl and for the SDKs
    Token,
}

#[derive(Args)]
pub struct Name {
    /// Name of the profile [default: the one that commands use]
    #[arg(value_parser = profile_name)]
    name: Option<String>,
}

#[derive(Args)]
pub struct RequiredName {
    /// Name of the profile
    #[arg(value_parser = profile_name)]
    name: String,
}

#[derive(Args)]
pub struct RemoveArguments {
    /// Name of the profile
    #[arg(value_parser = profile_name)]
    name: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

/// What is shown of a profile: no secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    name: String,
    is_default: bool,
    endpoint: String,
    sign_in: String,
    issuer: Option<String>,
    client_id: Option<String>,
    token_command: Option<String>,
    signed_in: bool,
    token_expires: Option<String>,
    subscription: Option<String>,
    resource_group: Option<String>,
    workspace: Option<String>,
    experiment: Option<String>,
}

pub async fn run(
    global: GlobalOptions,
    environment: Environment,
    command: Command,
) -> Result<Exit> {
    let output = context::output(&global, &environment);
    let profiles = context::profiles(&environment);
    match command {
        Command::List => {
            let file = profiles.read()?;
            let all = file.profiles.iter().map(|(name, it)| json(&shown(&file, name, it)));
            let none = "No profiles. To create one, run: batchai login --help";
            output.list::<Shown>(all.collect::<Result<_>>()?, none)?;
        }
        Command::Show(Name { name }) => {
            let file = profiles.read()?;
            let name = match name {
                Some(name) => name,
                None => {
                    profiles::select(&file, &global.profile_choice(), None)?
                        .context("no profile is selected: commands use `batchai local`")?
                        .name
                }
            };
            output.details::<Shown>(&json(&shown(&file, &name, file.get(&name)?))?)?;
        }
        Command::Use(RequiredName { name }) => {
            change(profiles, name.clone(), use_profile).await?;
            output.message(format_args!("Commands now use the profile {name}."));
        }
        Command::Remove(RemoveArguments { name, yes }) => {
            profiles.read()?.get(&name)?;
            confirm::deletion(&format!("profile {name} and its tokens"), yes)?;
            change(profiles, name, remove).await?;
            output.message("Removed.");
        }
        Command::Token => {
            let context = Context::new(global, &environment)?;
            let Some(token) = context.client.token().await? else {
                bail!("there is no token: sign in with `batchai login`, or set BATCHAI_TOKEN");
            };
            output.print(token.expose())?;
        }
    }
    Ok(Exit::SUCCESS)
}

async fn change(
    profiles: Profiles,
    name: String,
    change: fn(&mut ProfileFile, String) -> Result<()>,
) -> Result<()> {
    let change = move || {
        let mut locked = profiles.lock()?;
        change(&mut locked.content, name)?;
        locked.write()
    };
    tokio::task::spawn_blocking(change).await?
}

fn use_profile(file: &mut ProfileFile, name: String) -> Result<()> {
    if name != LOCAL {
        file.get(&name)?;
    }
    file.default = Some(name);
    Ok(())
}

fn remove(file: &mut ProfileFile, name: String) -> Result<()> {
    file.get(&name)?;
    file.profiles.remove(&name);
    file.default.take_if(|default| *default == name);
    Ok(())
}

fn json(shown: &Shown) -> Result<Json> {
    Json::parse(&serde_json::to_string(shown)?)
}

fn shown(file: &ProfileFile, name: &str, profile: &Profile) -> Shown {
    let scope = &profile.scope;
    let (issuer, client_id, token_command, tokens) = match &profile.sign_in {
        SignIn::Oidc(session) => {
            let client = &session.client;
            let (issuer, id) = (client.issuer.clone(), client.client_id.clone());
            (Some(issuer), Some(id), None, session.tokens.as_ref())
        }
        SignIn::TokenCommand { command } => (None, None, Some(command.clone()), None),
    };
    let end = tokens.and_then(|it| it.expires_at_seconds);
    let end = end.and_then(|end| Timestamp::from_second(end).ok());
    Shown {
        name: name.to_owned(),
        is_default: file.default.as_deref() == Some(name),
        endpoint: profile.endpoint.clone(),
        sign_in: if issuer.is_some() { "oidc" } else { "token command" }.to_owned(),
        signed_in: tokens.is_some() || token_command.is_some(),
        issuer,
        client_id,
        token_command,
        token_expires: end.map(|end| end.to_string()),
        subscription: scope.subscription.clone(),
        resource_group: scope.resource_group.clone(),
        workspace: scope.workspace.clone(),
        experiment: scope.experiment.clone(),
    }
}

impl View for Shown {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let default = if self.is_default { "default" } else { "" };
        let (state, style) = match self.signed_in {
            true => ("signed in", Style::Good),
            false => ("signed out", Style::Waiting),
        };
        let renewed = self.token_expires.as_deref().and_then(time::parse);
        let left = renewed.map(|end| time::format(time::elapsed(now, end)));
        vec![
            Column::new("name", &self.name).key(),
            Column::new("default", default),
            Column::new("state", state).styled(style),
            Column::new("token valid for", left.unwrap_or_default())
                .exact(self.token_expires.clone().unwrap_or_default()),
            Column::new("sign-in", &self.sign_in).minor(),
            Column::new("endpoint", &self.endpoint).key(),
        ]
    }

    fn details(&self, _now: Timestamp) -> Vec<Column> {
        let optional =
            |title, value: &Option<String>| Column::new(title, value.clone().unwrap_or_default());
        vec![
            optional("issuer", &self.issuer),
            optional("client id", &self.client_id),
            optional("token command", &self.token_command),
            optional("subscription", &self.subscription),
            optional("resource group", &self.resource_group),
            optional("workspace", &self.workspace),
            optional("experiment", &self.experiment),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_profile_is_not_the_default_any_more() {
        let mut file: ProfileFile = serde_json::from_str(
            r#"{"default":"a","profiles":{"a":{"endpoint":"https://a.example",
                "signIn":{"kind":"tokenCommand","command":"true"}}}}"#,
        )
        .unwrap();
        assert!(use_profile(&mut file, "b".to_owned()).is_err());
        use_profile(&mut file, LOCAL.to_owned()).unwrap();
        use_profile(&mut file, "a".to_owned()).unwrap();
        remove(&mut file, "a".to_owned()).unwrap();
        assert!(file.default.is_none() && file.profiles.is_empty());
        assert!(remove(&mut file, "a".to_owned()).is_err());
    }
}
