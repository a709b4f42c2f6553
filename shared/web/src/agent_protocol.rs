//! The version of the agents' protocol: every response names that of the service, and a request of a
//! version that the service does not read is refused before its body is.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use control::Error;
use http::{HeaderMap, HeaderName, HeaderValue};
use protocol::{OLDEST_VERSION, VERSION, VERSION_HEADER};

use crate::{Failure, response};

const HEADER: HeaderName = HeaderName::from_static(VERSION_HEADER);

/// A layer of the routes of agents.
pub(crate) async fn check_version(request: Request, next: Next) -> Response {
    let mut response = match version(request.headers()) {
        Ok(_) => next.run(request).await,
        Err(failure) => response::of_failure(failure),
    };
    response.headers_mut().insert(HEADER, HeaderValue::from(VERSION));
    response
}

/// That of the request: agents of the first release do not send one.
fn version(headers: &HeaderMap) -> Result<u32, Failure> {
    let Some(value) = headers.get(HEADER) else { return Ok(OLDEST_VERSION) };
    let version = value.to_str().ok().and_then(|text| text.parse().ok());
    match version {
        Some(version) if (OLDEST_VERSION..=VERSION).contains(&version) => Ok(version),
        Some(_) | None => {
            let asked = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let message = format!(
                "The agent has version {asked} of the protocol, the service reads {OLDEST_VERSION} \
                 to {VERSION}; deploy the stack and its agent from the same release"
            );
            Err(Error::invalid("UnsupportedProtocol", message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_version_has_the_first_one() {
        let of = |text: &str| {
            version(&HeaderMap::from_iter([(HEADER, HeaderValue::from_str(text).unwrap())])).ok()
        };
        assert_eq!(version(&HeaderMap::new()).ok(), Some(1));
        assert_eq!(of("1"), Some(1));
        for unknown in ["0", "2", "-1", "1.0", "", "one"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }
}
