//! Calls of the API in the same process.

use crate::Portal;
use crate::failure::Failure;
use crate::links::segment;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::convert::Infallible;
use std::fmt::Write as _;
use tower::ServiceExt as _;

/// The version of the API that pages use.
const VERSION: &str = "api-version=2018-05-01";

/// The most items in one answer of a list.
const PAGE: usize = 1000;

/// The parameter of a list that has the token of a page.
const SKIP_TOKEN: &str = "$skiptoken";

/// The headers of a page's request that its calls of the API have too.
const PASSED_ON: [HeaderName; 3] =
    [AUTHORIZATION, HOST, HeaderName::from_static("x-forwarded-proto")];

/// The API as the person who looks at a page.
pub(crate) struct Api {
    router: Router,
    headers: HeaderMap,
    extensions: Extensions,
}

/// A part of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<T> {
    #[serde(default = "Vec::new")]
    value: Vec<T>,
    #[serde(default)]
    next_link: Option<String>,
}

/// One page of a list.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// What continues the list after this page.
    pub(crate) next: Option<String>,
}

/// The first items of a list.
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
    /// Whether there are others behind them.
    pub(crate) more: bool,
}

impl Api {
    /// A resource. `path` is that of the API, perhaps with a query.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let body = self.call(Method::GET, path, None).await?.1;
        read(path, &body)
    }

    /// At most `most` items of a list.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        most: usize,
    ) -> Result<Items<T>, Failure> {
        self.list_with(Method::GET, path, most).await
    }

    /// The same of a list that is read by POST, as those of files.
    pub(crate) async fn list_by_post<T: DeserializeOwned>(
        &self,
        path: &str,
        most: usize,
    ) -> Result<Items<T>, Failure> {
        self.list_with(Method::POST, path, most).await
    }

    async fn list_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        most: usize,
    ) -> Result<Items<T>, Failure> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut next = Some(format!("{path}{separator}maxresults={}", most.min(PAGE)));
        let mut items = Vec::new();
        while let Some(path) = next.take_if(|_| items.len() < most) {
            let (_, body) = self.call(method.clone(), &path, None).await?;
            let page: Listed<T> = read(&path, &body)?;
            items.extend(page.value);
            next = page.next_link.map(|link| without_host(&link).to_owned());
        }
        let more = next.is_some() || items.len() > most;
        items.truncate(most);
        Ok(Items { items, more })
    }

    /// A page of a list: its start, or what follows a page before.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        size: usize,
        after: Option<&str>,
    ) -> Result<Page<T>, Failure> {
        let mut path = format!("{path}?maxresults={}", size.min(PAGE));
        if let Some(token) = after {
            let _ = write!(path, "&{SKIP_TOKEN}={}", segment(token));
        }
        let page: Listed<T> = self.get(&path).await?;
        let next = page.next_link.as_deref().and_then(continuation);
        Ok(Page { items: page.value, next })
    }

    /// A change. The answer is what the API says, if it says anything.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(HeaderMap, Bytes), Failure> {
        self.call(method, path, body).await
    }

    /// A change that is answered by a body.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Failure> {
        let (_, body) = self.call(Method::POST, path, body).await?;
        read(path, &body)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(HeaderMap, Bytes), Failure> {
        let response = self.response(method, path, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Failure::unreadable(path))?.to_bytes();
        match parts.status.is_success() {
            true => Ok((parts.headers, body)),
            false => Err(Failure::of_answer(parts.status, &body)),
        }
    }

    /// Whatever the API answers.
    pub(crate) async fn response(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Response<Body> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let has_version = path.contains("api-version=");
        let uri = match has_version {
            true => path.to_owned(),
            false => format!("{path}{separator}{VERSION}"),
        };
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let Ok(mut request) = Request::builder().method(method).uri(&uri).body(body) else {
            return axum::response::IntoResponse::into_response(Failure::unreadable(path));
        };
        request.headers_mut().clone_from(&self.headers);
        *request.extensions_mut() = self.extensions.clone();
        let response: Result<_, Infallible> = self.router.clone().oneshot(request).await;
        match response {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn read<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        tracing::error!(%error, path, "a page cannot read an answer of the API");
        Failure::unreadable(path)
    })
}

/// The token of a link to the next page.
fn continuation(link: &str) -> Option<String> {
    let (_, query) = link.split_once('?')?;
    let token = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        name.eq_ignore_ascii_case(SKIP_TOKEN).then(|| value.to_owned())
    };
    let token = query.split('&').find_map(token)?;
    Some(percent_decode_str(&token).decode_utf8_lossy().into_owned())
}

/// The path and the query of a link.
fn without_host(link: &str) -> &str {
    let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
    rest.find('/').map_or("/", |start| &rest[start..])
}

impl FromRequestParts<Portal> for Api {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Infallible> {
        let mut headers = HeaderMap::new();
        for name in PASSED_ON {
            if let Some(value) = parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self { router: portal.api.clone(), headers, extensions: parts.extensions.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_has_a_token() {
        let link = "http://127.0.0.1/a?api-version=1&maxresults=2&$skiptoken=a%2Eb";
        assert_eq!(continuation(link).as_deref(), Some("a.b"));
        assert_eq!(continuation("/a?maxresults=2"), None);
        assert_eq!(continuation("/a"), None);
    }

    #[test]
    fn links_of_the_api_are_paths() {
        assert_eq!(without_host("http://127.0.0.1:8470/a/b?c=d"), "/a/b?c=d");
        assert_eq!(without_host("/a"), "/a");
        assert_eq!(without_host("https://example.org"), "/");
    }
}
