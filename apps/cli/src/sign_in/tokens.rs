//! Tokens as an issuer answers with them, and their renewal.

use crate::profiles::{OidcClient, TokenType, Tokens};
use crate::secret::Secret;
use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use oidc::{Claims, Issuer, OauthError};
use serde::Deserialize;

/// The answer of the token endpoint (RFC 6749, section 5.1).
#[derive(Deserialize)]
pub struct TokenAnswer {
    access_token: Secret,
    id_token: Option<Secret>,
    refresh_token: Option<Secret>,
    expires_in: Option<i64>,
}

/// Chooses the token that is sent to the service. `former_refresh` stays where the issuer does not
/// replace it.
pub fn of_answer(
    answer: TokenAnswer,
    token_type: TokenType,
    former_refresh: Option<Secret>,
    now: Timestamp,
) -> Result<Tokens> {
    let by_lifetime = answer.expires_in.map(|seconds| now.as_second().saturating_add(seconds));
    let (current, by_lifetime) = match (token_type, answer.id_token) {
        (TokenType::Access, _) => (answer.access_token, by_lifetime),
        // The lifetime in the answer is the one of the access token.
        (TokenType::Id, Some(id)) => (id, None),
        (TokenType::Id, None) => bail!(
            "the issuer sent no ID token: add openid to --scope, or sign in with --token-type access"
        ),
    };
    let Some(claims) = Claims::of(current.expose()) else {
        bail!(
            "the token is not a JSON Web Token, so the service cannot verify it: sign in with \
             --token-type id, or with an --audience or --scope for which the issuer makes one"
        );
    };
    // By the clock of this machine, where the issuer tells a lifetime.
    let expires_at_seconds = by_lifetime.or(claims.exp);
    Ok(Tokens { current, expires_at_seconds, refresh: answer.refresh_token.or(former_refresh) })
}

/// Exchanges the refresh token for new tokens. `Ok(Err(…))` means that the session has ended.
pub async fn refresh(
    issuer: &Issuer,
    client: &OidcClient,
    token_type: TokenType,
    refresh: &Secret,
    now: fn() -> Timestamp,
) -> Result<Result<Tokens, OauthError>> {
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose()),
        ("client_id", &client.client_id),
    ];
    form.extend(client.client_secret.iter().map(|it| ("client_secret", it.expose())));
    let answer = issuer.post::<TokenAnswer>(&issuer.endpoints.token, &form).await?;
    match answer {
        Ok(answer) => of_answer(answer, token_type, Some(refresh.clone()), now()).map(Ok),
        // Anything else, such as a rate limit, says nothing about the session.
        Err(refused) if refused.error == "invalid_grant" => Ok(Err(refused)),
        Err(refused) => Err(refused).context("the issuer does not renew the token"),
    }
}

/// Ends a session at the issuer (RFC 7009). Returns whether the issuer offers that.
pub async fn revoke(issuer: &Issuer, client: &OidcClient, refresh: &Secret) -> Result<bool> {
    let Some(url) = &issuer.endpoints.revocation else { return Ok(false) };
    let mut form = vec![
        ("token", refresh.expose()),
        ("token_type_hint", "refresh_token"),
        ("client_id", &client.client_id),
    ];
    form.extend(client.client_secret.iter().map(|it| ("client_secret", it.expose())));
    let status = issuer.send(url, &form).await?.status();
    anyhow::ensure!(status.is_success(), "{url} answered {status}");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Claims {"exp":500} and {"exp":900}.
    const ID: &str = "e30.eyJleHAiOjUwMH0.c2ln";
    const ACCESS: &str = "e30.eyJleHAiOjkwMH0.c2ln";

    fn answer(json: &str) -> TokenAnswer {
        serde_json::from_str(json).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_chosen_token_and_its_own_end_are_kept() {
        let json = format!(
            r#"{{"access_token":"{ACCESS}","id_token":"{ID}","expires_in":60,"refresh_token":"r2"}}"#
        );
        let id = of_answer(answer(&json), TokenType::Id, None, at(100)).unwrap();
        assert_eq!((id.current.expose(), id.expires_at_seconds), (ID, Some(500)));
        let access = of_answer(answer(&json), TokenType::Access, None, at(100)).unwrap();
        assert_eq!((access.current.expose(), access.expires_at_seconds), (ACCESS, Some(160)));
        assert_eq!(access.refresh, Some(Secret::new("r2")));
    }

    #[test]
    fn a_refresh_token_that_is_not_replaced_stays() {
        let json = format!(r#"{{"access_token":"{ACCESS}"}}"#);
        let former = Some(Secret::new("r1"));
        let kept = of_answer(answer(&json), TokenType::Access, former.clone(), at(0)).unwrap();
        assert_eq!((kept.refresh, kept.expires_at_seconds), (former, Some(900)));
    }

    #[test]
    fn tokens_that_the_service_cannot_verify_are_refused() {
        let no_id = format!(r#"{{"access_token":"{ACCESS}"}}"#);
        assert!(of_answer(answer(&no_id), TokenType::Id, None, at(0)).is_err());
        let opaque = answer(r#"{"access_token":"hunter2"}"#);
        let error = of_answer(opaque, TokenType::Access, None, at(0)).unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
    }
}
