//! Calls of the API in the same process.

use crate::Portal;
use crate::failure::Failure;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::convert::Infallible;
use tower::ServiceExt as _;

/// The version of the API that pages use.
const VERSION: &str = "api-version=2018-05-01";

/// The most items in one answer of a list.
const PAGE: usize = 1000;

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
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut next = Some(format!("{path}{separator}maxresults={}", most.min(PAGE)));
        let mut items = Vec::new();
        while let Some(path) = next.take_if(|_| items.len() < most) {
            let page: Listed<T> = self.get(&path).await?;
            items.extend(page.value);
            next = page.next_link.map(|link| without_host(&link).to_owned());
        }
        let more = next.is_some() || items.len() > most;
        items.truncate(most);
        Ok(Items { items, more })
    }

    /// The first page of a list that is a POST, such as that of output files.
    pub(crate) async fn list_by_post<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Items<T>, Failure> {
        let page: Listed<T> = self.post(path, None).await?;
        Ok(Items { items: page.value, more: page.next_link.is_some() })
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
    fn links_of_the_api_are_paths() {
        assert_eq!(without_host("http://127.0.0.1:8470/a/b?c=d"), "/a/b?c=d");
        assert_eq!(without_host("/a"), "/a");
        assert_eq!(without_host("https://example.org"), "/");
    }
}
