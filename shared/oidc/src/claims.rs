//! The claims of a token. Its signature is not verified here: see where the claims are used.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The claims that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The subject.
    pub sub: String,
    /// For whom the token is.
    pub aud: Audience,
    /// What some issuers have in access tokens instead of `aud`; API Gateway accepts it then.
    pub client_id: Option<String>,
    /// The client that asked for the token, where there are several audiences.
    pub azp: Option<String>,
    /// What the client sent with its request.
    pub nonce: Option<String>,
    /// When it ends, in seconds since 1970.
    pub exp: Option<i64>,
}

/// One audience or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// The usual form.
    One(String),
    /// A list.
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Audience {
    /// As a list.
    pub fn all(&self) -> Vec<&str> {
        match self {
            Self::One(one) => vec![one],
            Self::Several(several) => several.iter().map(String::as_str).collect(),
        }
    }
}

impl Claims {
    /// The claims of a JSON Web Token; None if the text is not one.
    pub fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let json = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// The audiences that the service compares with its own.
    pub fn audiences(&self) -> Vec<&str> {
        match self.aud.all() {
            none if none.is_empty() => self.client_id.iter().map(String::as_str).collect(),
            audiences => audiences,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn claims_are_read_from_tokens_of_several_issuers() {
        let claims = Claims::of(&token(r#"{"iss":"i","sub":"s","aud":"a","exp":5}"#)).unwrap();
        assert_eq!((claims.audiences(), claims.exp), (vec!["a"], Some(5)));
        let claims = Claims::of(&token(r#"{"aud":["a","b"],"client_id":"c"}"#)).unwrap();
        assert_eq!(claims.audiences(), ["a", "b"]);
        let claims = Claims::of(&token(r#"{"client_id":"c"}"#)).unwrap();
        assert_eq!(claims.audiences(), ["c"]);
        for opaque in ["", "opaque", "a.b.c", "ya29.a0.b.c"] {
            assert_eq!(Claims::of(opaque), None, "{opaque}");
        }
    }
}
