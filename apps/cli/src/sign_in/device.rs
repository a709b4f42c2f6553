//! The device flow (RFC 8628): the user opens a page of the issuer on any device and enters a code;
//! meanwhile this program asks the issuer for tokens.

use super::tokens::{self, TokenAnswer};
use crate::profiles::{OidcClient, TokenType, Tokens};
use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use oidc::{Issuer, OauthError};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Where the issuer does not give one (RFC 8628, section 3.2).
const DEFAULT_INTERVAL_SECONDS: u64 = 5;

/// What `slow_down` adds to the interval (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// An issuer may ask for no pause; it still gets one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Authorization {
    device_code: String,
    user_code: String,
    /// Some issuers call it `verification_url`.
    #[serde(alias = "verification_url")]
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

/// What the user has to do.
pub struct Prompt<'a> {
    pub page: &'a str,
    pub code: &'a str,
    /// The page with the code filled in.
    pub page_with_code: Option<&'a str>,
    pub valid_for: Duration,
}

/// Runs the flow to its end. `show` is called once, with what the user has to do.
///
/// # Errors
/// When the user refuses, the code expires, or the issuer does not support the flow.
pub async fn by_device(
    issuer: &Issuer,
    client: &OidcClient,
    token_type: TokenType,
    now: fn() -> Timestamp,
    show: impl FnOnce(&Prompt<'_>),
) -> Result<Tokens> {
    let authorization = authorize(issuer, client).await?;
    let valid_for = Duration::from_secs(authorization.expires_in);
    show(&Prompt {
        page: &authorization.verification_uri,
        code: &authorization.user_code,
        page_with_code: authorization.verification_uri_complete.as_deref(),
        valid_for,
    });
    let answer = poll(issuer, client, &authorization, Instant::now() + valid_for).await?;
    tokens::of_answer(answer, token_type, None, now())
}

async fn authorize(issuer: &Issuer, client: &OidcClient) -> Result<Authorization> {
    let Some(url) = &issuer.endpoints.device_authorization else {
        bail!(
            "the issuer {} does not offer the device flow (device_authorization_endpoint). Use \
             --token-command with a command that prints a token",
            issuer.endpoints.issuer
        );
    };
    let scope = client.scope.clone().unwrap_or_else(|| default_scope(issuer));
    let mut form = vec![("client_id", client.client_id.as_str()), ("scope", &scope)];
    form.extend(client.client_secret.iter().map(|it| ("client_secret", it.expose())));
    form.extend(client.audience.iter().map(|it| ("audience", it.as_str())));
    issuer.post(url, &form).await?.context("the issuer does not start the sign-in")
}

/// `openid` gives the ID token, `offline_access` the refresh token; some issuers give a refresh token
/// anyway and refuse the scope.
fn default_scope(issuer: &Issuer) -> String {
    let supported = issuer.endpoints.scopes_supported.as_ref();
    let offline = supported.is_none_or(|all| all.iter().any(|it| it == "offline_access"));
    if offline { "openid offline_access".to_owned() } else { "openid".to_owned() }
}

async fn poll(
    issuer: &Issuer,
    client: &OidcClient,
    authorization: &Authorization,
    end: Instant,
) -> Result<TokenAnswer> {
    let mut form = vec![
        ("grant_type", GRANT),
        ("device_code", authorization.device_code.as_str()),
        ("client_id", &client.client_id),
    ];
    form.extend(client.client_secret.iter().map(|it| ("client_secret", it.expose())));
    let interval = authorization.interval.unwrap_or(DEFAULT_INTERVAL_SECONDS);
    let mut pause = Duration::from_secs(interval).max(SHORTEST_PAUSE);
    loop {
        if Instant::now() + pause >= end {
            bail!("the code has expired before it was entered: run batchai login again");
        }
        sleep(pause).await;
        match issuer.post(&issuer.endpoints.token, &form).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(refused)) => pause = after_refusal(refused, pause)?,
            // The network may come back before the code expires (RFC 8628, section 3.5).
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the issuer was not asked");
                pause *= 2;
            }
        }
    }
}

/// The next pause, where the issuer wants to be asked again.
fn after_refusal(refused: OauthError, pause: Duration) -> Result<Duration> {
    match refused.error.as_str() {
        "authorization_pending" => Ok(pause),
        "slow_down" => Ok(pause + SLOWER),
        "access_denied" => bail!("the sign-in was denied on the page of the issuer"),
        "expired_token" => {
            bail!("the code has expired before it was entered: run batchai login again")
        }
        _ => Err(refused).context("the issuer does not complete the sign-in"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_decide_whether_and_when_to_ask_again() {
        let after = |error: &str| {
            let refused = OauthError { error: error.to_owned(), error_description: String::new() };
            after_refusal(refused, Duration::from_secs(5)).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(after("authorization_pending"), Ok(Duration::from_secs(5)));
        assert_eq!(after("slow_down"), Ok(Duration::from_secs(10)));
        for end in ["access_denied", "expired_token", "invalid_grant"] {
            assert!(after(end).is_err(), "{end}");
        }
    }
}
