//! The headers of every page: nothing runs in it that is not the portal's own, and nothing of it is kept.

use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// What browsers may do with pages of the portal.
#[derive(Clone, Debug)]
pub struct Policy(HeaderValue);

impl Policy {
    /// Everything from this origin, nothing inline, no frames. Pages read and write files by signed links: `files` is their
    /// origin if it is another one.
    pub fn new(files: Option<&str>) -> Self {
        let text = |files: &str| {
            format!(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
                 connect-src 'self'{files}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            )
        };
        let with_files =
            files.and_then(|url| HeaderValue::from_str(&text(&format!(" {url}"))).ok());
        Self(with_files.unwrap_or_else(|| {
            HeaderValue::from_str(&text("")).expect("the text has visible characters only")
        }))
    }

    /// Adds the headers.
    pub fn add_to(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.0.clone());
        for (name, value) in HEADERS {
            headers.insert(name, value);
        }
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_reach_the_origin_of_files_and_no_other() {
        let sources = |files| {
            let Policy(policy) = Policy::new(files);
            let text = policy.to_str().unwrap().to_owned();
            let found = text.split("; ").find(|part| part.starts_with("connect-src")).unwrap();
            found.to_owned()
        };
        assert_eq!(sources(None), "connect-src 'self'");
        assert_eq!(sources(Some("https://f.on.aws")), "connect-src 'self' https://f.on.aws");
        assert_eq!(sources(Some("bad\nvalue")), "connect-src 'self'");
    }
}
