//! The claims of a token, to show them and to know when it expires. Its signature is not verified: only
//! the service relies on it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: Audience,
    /// What some issuers have in access tokens instead of `aud`; API Gateway accepts it then.
    pub client_id: Option<String>,
    pub exp: Option<i64>,
}

/// One audience or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
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
        match &self.aud {
            Audience::One(one) => vec![one],
            Audience::Several(several) if several.is_empty() => {
                self.client_id.iter().map(String::as_str).collect()
            }
            Audience::Several(several) => several.iter().map(String::as_str).collect(),
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
