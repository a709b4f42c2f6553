//! Style sheets, scripts and images, under names that have a digest of their content, so that browsers keep them for
//! ever.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
};
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static [u8],
    /// `portal.0123456789abcdef.css`
    fingerprinted: String,
    compressed: LazyLock<Vec<u8>, Box<dyn FnOnce() -> Vec<u8> + Send>>,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! assets {
    ($($name:literal $content_type:expr;)*) => {
        static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| vec![
            $(Asset::new($name, $content_type, include_bytes!(concat!("../assets/", $name)))),*
        ]);
    };
}

assets! {
    "portal.css" STYLE;
    "portal.js" SCRIPT;
    "charts.js" SCRIPT;
    "log.js" SCRIPT;
    "files.js" SCRIPT;
    "preview.js" SCRIPT;
    "htmx.min.js" SCRIPT;
    "hx-ptag.min.js" SCRIPT;
    "uplot.min.js" SCRIPT;
    "uplot.min.css" STYLE;
    "icon.svg" "image/svg+xml";
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, content: &'static [u8]) -> Self {
        let digest = hex::encode(&Sha256::digest(content)[..8]);
        let fingerprinted = match name.rsplit_once('.') {
            Some((stem, extension)) => format!("{stem}.{digest}.{extension}"),
            None => format!("{name}.{digest}"),
        };
        let compressed = LazyLock::new(Box::new(|| compressed(content)) as Box<_>);
        Self { name, content_type, content, fingerprinted, compressed }
    }
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(content);
    written.and_then(|()| encoder.finish()).expect("memory takes whatever is written")
}

/// The path of an asset, for a template.
pub(crate) fn path(name: &str) -> String {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    format!("/portal/assets/{}", found.map_or(name, |asset| &asset.fingerprinted))
}

pub(crate) async fn answer(Path(name): Path<String>, request: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.fingerprinted == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let accepted = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let gzip = accepted.unwrap_or_default().split(',').any(|it| it.trim().starts_with("gzip"));
    let mut response = match gzip {
        true => asset.compressed.as_slice().into_response(),
        false => asset.content.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So much a browser has to read before a page is live.
    const MOST_JAVASCRIPT_BYTES: usize = 120_000;

    #[test]
    fn the_scripts_are_small() {
        let scripts = ASSETS.iter().filter(|asset| asset.content_type == SCRIPT);
        let total: usize = scripts.map(|asset| asset.content.len()).sum();
        assert!(total < MOST_JAVASCRIPT_BYTES, "{total} bytes");
    }

    #[test]
    fn a_template_names_assets_that_exist() {
        for asset in ASSETS.iter() {
            assert!(path(asset.name).ends_with(&asset.fingerprinted), "{}", asset.name);
            assert!(asset.compressed.len() < asset.content.len().max(200), "{}", asset.name);
        }
    }
}
