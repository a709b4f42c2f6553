//! The authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636): a browser is sent to the issuer and
//! returns with a code, which is exchanged for an ID token.

use crate::{Claims, Error, Issuer, OauthError, Url};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the clocks of issuer and service may differ by.
const LEEWAY_SECONDS: i64 = 60;

/// What an issuer knows of a client.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its id.
    pub id: &'a str,
    /// Where the browser returns to, as it is registered at the issuer.
    pub redirect_uri: &'a str,
}

/// The secrets of one sign-in, which its browser keeps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Comes back with the code: another page cannot have begun this sign-in.
    pub state: String,
    /// Comes back in the ID token: it was made for this sign-in.
    pub nonce: String,
    /// Proves that the code is exchanged by who asked for it.
    pub verifier: String,
}

impl Secrets {
    /// Of three random values.
    pub fn of(random: [[u8; 32]; 3]) -> Self {
        let [state, nonce, verifier] = random.map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Self { state, nonce, verifier }
    }

    /// S256 of RFC 7636, section 4.2.
    fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))
    }
}

/// Why an ID token does not prove who signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// Of the text.
    #[error("it is not a JSON Web Token")]
    NotAToken,
    /// The claim `iss`.
    #[error("it is of another issuer")]
    Issuer,
    /// The claim `aud` or `azp`.
    #[error("it is for another client")]
    Audience,
    /// The claim `exp`.
    #[error("it has expired")]
    Expired,
    /// The claim `nonce`.
    #[error("it is of another sign-in")]
    Nonce,
    /// The claim `sub`.
    #[error("it names nobody")]
    Subject,
}

/// Where a browser goes to sign in. None if the issuer does not offer the flow.
pub fn authorization_url(issuer: &Issuer, client: Client<'_>, secrets: &Secrets) -> Option<Url> {
    let mut url = issuer.endpoints.authorization.clone()?;
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", client.id),
        ("redirect_uri", client.redirect_uri),
        ("scope", "openid"),
        ("state", &secrets.state),
        ("nonce", &secrets.nonce),
        ("code_challenge", &secrets.challenge()),
        ("code_challenge_method", "S256"),
    ]);
    Some(url)
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
}

/// Exchanges a code for an ID token. `Ok(Err(…))` is a refusal by the issuer.
///
/// # Errors
/// When the request failed, or there is no ID token in the answer.
pub async fn exchange(
    issuer: &Issuer,
    client: Client<'_>,
    client_secret: Option<&str>,
    code: &str,
    secrets: &Secrets,
) -> Result<Result<String, OauthError>, Error> {
    let url = &issuer.endpoints.token;
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", client.redirect_uri),
        ("client_id", client.id),
        ("code_verifier", &secrets.verifier),
    ];
    form.extend(client_secret.map(|secret| ("client_secret", secret)));
    match issuer.post::<TokenAnswer>(url, &form).await? {
        Ok(TokenAnswer { id_token: Some(token) }) => Ok(Ok(token)),
        Ok(TokenAnswer { id_token: None }) => Err(Error::NoTokens(url.clone())),
        Err(refused) => Ok(Err(refused)),
    }
}

/// The subject of an ID token that came from the token endpoint. That connection was encrypted and the server verified, which
/// stands for the signature (OpenID Connect Core 1.0, section 3.1.3.7, number 6).
///
/// # Errors
/// When the token is not for this sign-in.
pub fn subject(
    issuer: &Issuer,
    client: Client<'_>,
    secrets: &Secrets,
    token: &str,
    now_seconds: i64,
) -> Result<String, Unacceptable> {
    let claims = Claims::of(token).ok_or(Unacceptable::NotAToken)?;
    let audiences = claims.aud.all();
    let is_authorized = match &claims.azp {
        Some(party) => party == client.id,
        None => audiences.len() == 1,
    };
    if claims.iss != issuer.endpoints.issuer {
        return Err(Unacceptable::Issuer);
    }
    if !audiences.contains(&client.id) || !is_authorized {
        return Err(Unacceptable::Audience);
    }
    if claims.exp.is_none_or(|end| end.saturating_add(LEEWAY_SECONDS) <= now_seconds) {
        return Err(Unacceptable::Expired);
    }
    if claims.nonce.as_ref() != Some(&secrets.nonce) {
        return Err(Unacceptable::Nonce);
    }
    if claims.sub.is_empty() { Err(Unacceptable::Subject) } else { Ok(claims.sub) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoints, Http, HttpError};
    use async_trait::async_trait;
    use http::{Request, Response};
    use std::sync::{Arc, Mutex};

    const CLIENT: Client<'_> =
        Client { id: "portal", redirect_uri: "https://b.example/portal/sign-in/callback" };

    /// Answers with a text, and keeps the last form.
    #[derive(Default)]
    struct Recorded {
        answer: &'static str,
        form: Mutex<String>,
    }

    #[async_trait]
    impl Http for Recorded {
        async fn send(&self, request: Request<String>) -> Result<Response<String>, HttpError> {
            *self.form.lock().unwrap() = request.into_body();
            Ok(Response::new(self.answer.to_owned()))
        }
    }

    fn issuer(http: Arc<dyn Http>) -> Issuer {
        let endpoints = Endpoints {
            issuer: "https://i.example/".to_owned(),
            authorization: "https://i.example/authorize?tenant=a".parse().ok(),
            token: "https://i.example/token".parse().unwrap(),
            device_authorization: None,
            revocation: None,
            scopes_supported: None,
        };
        Issuer { http, endpoints }
    }

    /// The verifier of RFC 7636, appendix B.
    fn secrets() -> Secrets {
        Secrets {
            state: "s&1".to_owned(),
            nonce: "n1".to_owned(),
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        }
    }

    #[test]
    fn a_browser_takes_the_challenge_along_and_no_secret() {
        let issuer = issuer(Arc::new(Recorded::default()));
        let url = authorization_url(&issuer, CLIENT, &secrets()).unwrap();
        insta::assert_snapshot!(url, @"https://i.example/authorize?tenant=a&response_type=code&client_id=portal&redirect_uri=https%3A%2F%2Fb.example%2Fportal%2Fsign-in%2Fcallback&scope=openid&state=s%261&nonce=n1&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256");
        assert!(!url.as_str().contains(&secrets().verifier));
        let random = Secrets::of([[1; 32], [2; 32], [3; 32]]);
        assert_eq!((random.verifier.len(), random.state != random.nonce), (43, true));
    }

    #[tokio::test]
    async fn a_code_is_exchanged_with_its_verifier() {
        let http = Arc::new(Recorded { answer: r#"{"id_token":"a.b.c"}"#, ..Recorded::default() });
        let issuer_of = |http: &Arc<Recorded>| issuer(http.clone());
        let token = exchange(&issuer_of(&http), CLIENT, Some("hunter2"), "c/1", &secrets()).await;
        assert_eq!(token.unwrap().unwrap(), "a.b.c");
        insta::assert_snapshot!(http.form.lock().unwrap(), @"grant_type=authorization_code&code=c%2F1&redirect_uri=https%3A%2F%2Fb.example%2Fportal%2Fsign-in%2Fcallback&client_id=portal&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk&client_secret=hunter2");
        let without =
            Arc::new(Recorded { answer: r#"{"access_token":"x"}"#, ..Recorded::default() });
        let token = exchange(&issuer_of(&without), CLIENT, None, "c", &secrets()).await;
        assert!(matches!(token, Err(Error::NoTokens(_))));
    }

    #[test]
    fn a_token_is_for_one_sign_in() {
        let issuer = issuer(Arc::new(Recorded::default()));
        let subject = |claims: &str| {
            let token = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
            subject(&issuer, CLIENT, &secrets(), &token, 1_000)
        };
        let good =
            r#"{"iss":"https://i.example/","sub":"alice","aud":"portal","exp":941,"nonce":"n1"}"#;
        assert_eq!(subject(good).as_deref(), Ok("alice"));
        for (from, to, error) in [
            ("https://i.example/", "https://j.example/", Unacceptable::Issuer),
            (r#""portal""#, r#""cli""#, Unacceptable::Audience),
            (r#""portal""#, r#"["portal","cli"]"#, Unacceptable::Audience),
            (r#""portal""#, r#""portal","azp":"cli""#, Unacceptable::Audience),
            ("941", "940", Unacceptable::Expired),
            (r#","exp":941"#, "", Unacceptable::Expired),
            ("n1", "n2", Unacceptable::Nonce),
            (r#","nonce":"n1""#, "", Unacceptable::Nonce),
            ("alice", "", Unacceptable::Subject),
        ] {
            assert_eq!(subject(&good.replace(from, to)), Err(error), "{to}");
        }
        let several = good.replace(r#""portal""#, r#"["cli","portal"],"azp":"portal""#);
        assert_eq!(subject(&several).as_deref(), Ok("alice"));
        assert_eq!(
            super::subject(&issuer, CLIENT, &secrets(), "opaque", 0),
            Err(Unacceptable::NotAToken)
        );
    }
}
