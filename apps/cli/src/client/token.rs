//! The token of a request: a fixed one, the one of a session that is renewed when needed, or what a
//! command prints.

use crate::profiles::{OidcSession, Profiles, SignIn, Tokens};
use crate::secret::Secret;
use crate::sign_in;
use anyhow::{Context as _, Result, anyhow, bail};
use oidc::Claims;
use resources::time;
use std::process::Stdio;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where the tokens of requests come from.
#[derive(Clone)]
pub struct TokenSource(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Option<Secret>),
    Session(Arc<Session>),
    Command(Arc<TokenCommand>),
}

impl TokenSource {
    pub fn none() -> Self {
        Self(Kind::Fixed(None))
    }

    pub fn fixed(token: Option<String>) -> Self {
        Self(Kind::Fixed(token.map(Secret::new)))
    }

    pub fn session(session: Session) -> Self {
        Self(Kind::Session(Arc::new(session)))
    }

    pub fn command(command: TokenCommand) -> Self {
        Self(Kind::Command(Arc::new(command)))
    }

    pub async fn token(&self) -> Result<Option<Secret>> {
        match &self.0 {
            Kind::Fixed(token) => Ok(token.clone()),
            Kind::Session(session) => session.token().await.map(Some),
            Kind::Command(command) => command.token().await.map(Some),
        }
    }
}

/// The session of a profile. Its tokens are in the file of profiles, for all processes.
pub struct Session {
    profiles: Profiles,
    name: String,
    held: Mutex<Option<Tokens>>,
}

impl Session {
    /// The session of the profile `name`.
    pub fn new(profiles: Profiles, name: String) -> Self {
        Self { profiles, name, held: Mutex::default() }
    }

    async fn token(&self) -> Result<Secret> {
        let mut held = self.held.lock().await;
        let is_fresh = |tokens: &&Tokens| tokens.is_fresh(time::now());
        if let Some(tokens) = held.as_ref().filter(is_fresh) {
            return Ok(tokens.current.clone());
        }
        let stored = self.session_in(&self.profiles.read()?)?.tokens;
        let tokens = match stored.as_ref().filter(is_fresh) {
            Some(tokens) => tokens.clone(),
            None => self.renewed().await?,
        };
        Ok(held.insert(tokens).current.clone())
    }

    /// Renews the tokens. Only one process does so at a time, because an issuer may accept a refresh
    /// token once; the others wait and use what it stored.
    async fn renewed(&self) -> Result<Tokens> {
        let profiles = self.profiles.clone();
        let mut locked = tokio::task::spawn_blocking(move || profiles.lock()).await??;
        let mut session = self.session_in(&locked.content)?;
        let Some(tokens) = session.tokens.clone() else { return Err(self.signed_out()) };
        if tokens.is_fresh(time::now()) {
            return Ok(tokens);
        }
        match self.ask_issuer(&session, &tokens).await {
            Ok(renewed) => {
                session.tokens = Some(renewed.clone());
                let profile = locked.content.profiles.get_mut(&self.name);
                profile.expect("its session was read").sign_in = SignIn::Oidc(session);
                locked.write()?;
                Ok(renewed)
            }
            // The issuer may be back before the token expires.
            Err(error) if tokens.is_valid(time::now()) => {
                tracing::warn!(error = format!("{error:#}"), "the token was not renewed");
                Ok(tokens)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask_issuer(&self, session: &OidcSession, tokens: &Tokens) -> Result<Tokens> {
        let Some(refresh) = &tokens.refresh else {
            let hint = self.hint();
            bail!("the token has expired, and the issuer gave no refresh token. Run: {hint}");
        };
        let OidcSession { client, token_type, .. } = session;
        let failed = || format!("cannot renew the token of profile {}", self.name);
        let issuer = sign_in::discover(&client.issuer).await.with_context(failed)?;
        let renewed = sign_in::refresh(&issuer, client, *token_type, refresh, time::now).await;
        renewed.with_context(failed)?.map_err(|refused| {
            anyhow!(
                "the session of profile {} has ended: {refused}. Run: {}",
                self.name,
                self.hint()
            )
        })
    }

    fn session_in(&self, file: &crate::profiles::ProfileFile) -> Result<OidcSession> {
        match &file.get(&self.name)?.sign_in {
            SignIn::Oidc(session) if session.tokens.is_some() => Ok(session.clone()),
            SignIn::Oidc(_) => Err(self.signed_out()),
            SignIn::TokenCommand { .. } => bail!("profile {} was just changed", self.name),
        }
    }

    fn signed_out(&self) -> anyhow::Error {
        anyhow!("profile {} is not signed in. Run: {}", self.name, self.hint())
    }

    fn hint(&self) -> String {
        format!("batchai login --profile {}", self.name)
    }
}

/// A shell command whose output is the token. It runs once, and again when the token has expired.
pub struct TokenCommand {
    command: String,
    held: Mutex<Option<Tokens>>,
}

impl TokenCommand {
    pub fn new(command: String) -> Self {
        Self { command, held: Mutex::default() }
    }

    async fn token(&self) -> Result<Secret> {
        let mut held = self.held.lock().await;
        if let Some(tokens) = held.as_ref().filter(|it| it.is_fresh(time::now())) {
            return Ok(tokens.current.clone());
        }
        let current = self.run().await?;
        let expires_at_seconds = Claims::of(current.expose()).and_then(|claims| claims.exp);
        let tokens = Tokens { current, expires_at_seconds, refresh: None };
        Ok(held.insert(tokens).current.clone())
    }

    async fn run(&self) -> Result<Secret> {
        let shown = &self.command;
        let child = tokio::process::Command::new("sh")
            .args(["-c", &self.command])
            // Not the input of this program, which may be the list that a script reads.
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run sh")?;
        let output = child.wait_with_output().await.context("cannot read from sh")?;
        if !output.status.success() {
            bail!("the token command failed ({}): {shown}", output.status);
        }
        let text = String::from_utf8(output.stdout).ok();
        let token = text.as_deref().map(str::trim).filter(|token| is_token(token));
        let token = token.with_context(|| {
            format!("the token command must print one token and nothing else: {shown}")
        })?;
        Ok(Secret::new(token))
    }
}

/// Whether the text can be sent as a token (RFC 6750, section 2.1), roughly.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(command: &str) -> Result<String, String> {
        let token = TokenCommand::new(command.to_owned()).token().await;
        token.map(|it| it.expose().to_owned()).map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn a_command_prints_one_token() {
        assert_eq!(outcome("printf ' abc.def \\n'").await, Ok("abc.def".to_owned()));
        for command in ["true", "echo two words", "printf '\\377'"] {
            let error = outcome(command).await.unwrap_err();
            assert!(error.contains("one token") && error.contains(command), "{error}");
        }
        let error = outcome("echo hunter2; exit 7").await.unwrap_err();
        insta::assert_snapshot!(error, @"the token command failed (exit status: 7): echo hunter2; exit 7");
    }

    #[tokio::test]
    async fn a_command_runs_once_per_process() {
        let directory = tempfile::tempdir().unwrap();
        let count = directory.path().join("count");
        let command = TokenCommand::new(format!("echo >> '{}'; echo t", count.display()));
        for _ in 0..3 {
            command.token().await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(count).unwrap(), "\n");
    }
}
