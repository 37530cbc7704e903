//! What the pages load: compiled in, so that the agent is one file.

use axum::extract::{Path, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A file that is compiled in.
pub(super) struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
    fingerprint: u64,
}

/// How both pages look.
pub(super) static STYLE: Asset =
    Asset::new("page.css", "text/css; charset=utf-8", include_str!("../../../assets/page.css"));
/// Keeps the newest lines new; without it the page is read as it came.
pub(super) static LIVE: Asset = Asset::new(
    "live.js",
    "text/javascript; charset=utf-8",
    include_str!("../../../assets/live.js"),
);
/// The mark in the browser's tab.
pub(super) static ICON: Asset =
    Asset::new("icon.svg", "image/svg+xml", include_str!("../../../assets/icon.svg"));

static ALL: [&Asset; 3] = [&STYLE, &LIVE, &ICON];

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, content: &'static str) -> Self {
        Self { name, content_type, content, fingerprint: fnv1a(content.as_bytes()) }
    }

    /// Where a page loads it from. The address changes with the content, so that a browser may
    /// keep it for ever and still sees a new agent's version at once.
    pub(super) fn url(&self) -> String {
        format!("/assets/{}?v={:016x}", self.name, self.fingerprint)
    }
}

/// FNV-1a: good enough to tell versions of our own files apart, and short enough to run in a
/// constant.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}

/// Serves `/assets/{file}`.
pub(super) async fn serve(Path(file): Path<String>, RawQuery(query): RawQuery) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.name == file) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let wanted = query.as_deref().and_then(|query| query.strip_prefix("v="));
    let caching = match wanted == Some(format!("{:016x}", asset.fingerprint).as_str()) {
        true => "public, max-age=31536000, immutable",
        // Another version's address, or none: what comes today may not be right tomorrow.
        false => "no-cache",
    };
    let headers = [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, caching)];
    (headers, asset.content).into_response()
}
