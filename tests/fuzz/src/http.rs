//! Whole requests, through the router that users and agents talk to. Whatever they say, the answer
//! is never a server error, an error has a code and a text, and a part of a file is as long as its
//! headers say.

mod service;

use ::http::{Method, Request, Response, StatusCode};
use axum::body::Body;
use serde_json::Value;
use service::Service;
use std::cell::RefCell;

/// Requests to one service. Then it is replaced by a new one, so that memory does not grow.
const REQUESTS_PER_SERVICE: usize = 5000;

thread_local! {
    static SERVICE: RefCell<Option<(Service, usize)>> = const { RefCell::new(None) };
}

/// A request as text: method and target, headers line by line, an empty line, the body.
pub fn check(data: &[u8]) {
    SERVICE.with_borrow_mut(|slot| {
        let (service, count) = slot.get_or_insert_with(|| (Service::new(), 0));
        let Some(request) = parse(service, data) else { return };
        let method = request.method().clone();
        let (parts, body) = service.send(request).into_parts();
        assert!(
            !parts.status.is_server_error(),
            "{}: {}",
            parts.status,
            String::from_utf8_lossy(&body)
        );
        if method != Method::HEAD {
            check_answer(&Response::from_parts(parts, body));
        }
        *count += 1;
        if *count == REQUESTS_PER_SERVICE {
            *slot = None;
        }
    });
}

fn check_answer(response: &Response<Vec<u8>>) {
    let (status, body) = (response.status(), response.body());
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(length) = header("content-length") {
        assert_eq!(length, body.len().to_string(), "{status}");
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let range = header("content-range").expect("a part says which one it is");
        let (first, last) = range
            .trim_start_matches("bytes ")
            .split_once('/')
            .expect("a size")
            .0
            .split_once('-')
            .expect("a first and a last byte");
        let number = |text: &str| text.parse::<usize>().expect("a number");
        assert_eq!(number(last) - number(first) + 1, body.len());
    }
    if status.is_client_error() && status != StatusCode::RANGE_NOT_SATISFIABLE {
        let error: Value = serde_json::from_slice(body).expect("errors are JSON");
        for field in ["code", "message"] {
            let text = error["error"][field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{status} without a {field}: {error}");
        }
    }
}

/// `None` for what an HTTP server refuses before the router sees it.
fn parse(service: &Service, data: &[u8]) -> Option<Request<Body>> {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[][..]),
    };
    let head = service.fill_in(std::str::from_utf8(head).ok()?);
    let body = match std::str::from_utf8(body) {
        Ok(text) => service.fill_in(text).into_bytes(),
        Err(_) => body.to_vec(),
    };
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    let mut has_token = false;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        has_token |= name.eq_ignore_ascii_case("authorization");
        request = request.header(name, value.trim());
    }
    if !has_token {
        request = request.header("authorization", format!("Bearer {}", service::TOKEN));
    }
    request.header("host", "127.0.0.1").body(Body::from(body)).ok()
}
