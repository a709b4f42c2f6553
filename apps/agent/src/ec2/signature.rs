//! Signature Version 4 of a POST request without a query (IAM User Guide, "Create a signed AWS API
//! request").
//!
//! Not by a crate: that of the AWS SDK brings 34 crates to every build of `batchai local`. The tests
//! compare with it, and with AWS's own examples.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;

/// What a signature is made for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub region: &'a str,
    /// `execute-api` for API Gateway, `lambda` for a function URL.
    pub service: &'a str,
    pub time: Timestamp,
}

/// A request as it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// With percent-encoding, as it is sent.
    pub path: &'a str,
    pub host: &'a str,
    pub body: &'a [u8],
}

/// The headers that sign `message`, beside `host`.
pub fn headers(
    credentials: &Credentials,
    scope: Scope<'_>,
    message: Message<'_>,
) -> Vec<(&'static str, String)> {
    let time = scope.time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut signed = vec![("host", message.host.to_owned()), ("x-amz-date", time)];
    if !credentials.session_token.is_empty() {
        signed.push(("x-amz-security-token", credentials.session_token.clone()));
    }
    let authorization = authorization(credentials, scope, message, &signed);
    signed.remove(0);
    signed.push(("authorization", authorization));
    signed
}

/// `signed`: the headers in the order of their names.
fn authorization(
    credentials: &Credentials,
    scope: Scope<'_>,
    message: Message<'_>,
    signed: &[(&str, String)],
) -> String {
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut request = format!("POST\n{}\n\n", encoded(message.path));
    for (name, value) in signed {
        // Writing to a string does not fail.
        let _ = writeln!(request, "{name}:{}", value.trim());
    }
    let _ = write!(request, "\n{names}\n{}", digest(message.body));
    let Scope { region, service, time } = scope;
    let day = time.strftime("%Y%m%d").to_string();
    let name = format!("{day}/{region}/{service}/aws4_request");
    let time = time.strftime("%Y%m%dT%H%M%SZ");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{name}\n{}", digest(request.as_bytes()));
    let mut key = format!("AWS4{}", credentials.secret_key).into_bytes();
    for word in [&day, region, service, "aws4_request", &text] {
        key = keyed(&key, word);
    }
    let (access_key, signature) = (&credentials.access_key, hex::encode(key));
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{name}, SignedHeaders={names}, Signature={signature}"
    )
}

/// Every service but S3 encodes the path of the request once more.
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(byte.into());
            }
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    code.update(text.as_bytes());
    code.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn signed(session_token: &str, message: Message<'_>) -> String {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: SECRET.into(),
            session_token: session_token.into(),
        };
        let time = "2015-08-30T12:36:00Z".parse().unwrap();
        let scope = Scope { region: "us-east-1", service: "service", time };
        let headers = headers(&credentials, scope, message);
        headers.into_iter().find(|(name, _)| *name == "authorization").unwrap().1
    }

    /// Cases `post-vanilla` and `post-sts-header-before` of AWS's test suite for Signature Version 4.
    #[test]
    fn the_examples_of_aws() {
        let message = Message { path: "/", host: "example.amazonaws.com", body: b"" };
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
            SignedHeaders=host;x-amz-date, \
            Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        assert_eq!(signed("", message), expected);
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAe\
            MicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0\
            KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+\
            scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead";
        assert!(signed(token, message).ends_with(signature));
    }

    #[test]
    fn the_signer_of_the_sdk_agrees() {
        use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
        use aws_sigv4::sign::v4::SigningParams;
        let identity = aws_credential_types::Credentials::new(
            "AKIDEXAMPLE",
            SECRET,
            Some("to/ken==".to_owned()),
            None,
            "test",
        );
        let identity = identity.into();
        for (path, body) in [
            ("/nodes/v1/w/c/u/n/sync", "{}"),
            ("/base/nodes/v1/w/a%20b/%C3%BC~+/n/sync", r#"{"a":"ü"}"#),
        ] {
            let host = "abc.execute-api.eu-west-1.amazonaws.com";
            let time = "2015-08-30T12:36:00Z".parse::<Timestamp>().unwrap();
            let parameters = SigningParams::builder()
                .identity(&identity)
                .region("us-east-1")
                .name("service")
                .time(std::time::SystemTime::from(time))
                .settings(SigningSettings::default())
                .build()
                .unwrap();
            let url = format!("https://{host}{path}");
            let signable = SignableRequest::new(
                "POST",
                &url,
                [("host", host)].into_iter(),
                SignableBody::Bytes(body.as_bytes()),
            );
            let output = sign(signable.unwrap(), &parameters.into()).unwrap();
            let message = Message { path, host, body: body.as_bytes() };
            assert!(signed("to/ken==", message).ends_with(output.signature()), "{path}");
        }
    }
}
