//! `GET /`: the web chat, one file with everything in it.
//!
//! Invariants: nothing is loaded from anywhere else; the policy names the page's own style and script by their digests,
//! so that nothing else ever runs in it, whatever a model says. The page itself is in `page/`.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::http::openapi::Docs;

const STYLE: &str = include_str!("page/chat.css");
/// One script, in this order.
const SCRIPTS: [&str; 6] = [
    include_str!("page/words.js"),
    include_str!("page/markdown.js"),
    include_str!("page/line.js"),
    include_str!("page/shelf.js"),
    include_str!("page/turns.js"),
    include_str!("page/chat.js"),
];
const FRAME: &str = include_str!("page/index.html");

struct Page {
    html: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let script = SCRIPTS.concat();
    let html = FRAME.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", &script);
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest(&script),
        digest(STYLE),
    );
    Page { html, policy }
});

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// What OpenAPI says about it.
pub fn docs(docs: &mut Docs) {
    docs.summary("The web chat").gives_kind(200, "text/html", "One page, with everything in it");
}

/// The page.
pub async fn get() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE.policy.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE.html.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fixture::Fixture;

    #[tokio::test]
    async fn the_page_is_open_and_runs_nothing_but_its_own_script() {
        let fixture = Fixture::new();
        let answer = fixture.call("GET", "/", None, "").await;
        assert_eq!(answer.status, 200);
        let policy = answer.headers["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for address in ["http://", "https://", "//cdn", "@import", "url("] {
            let allowed = PAGE.html.matches(address).count();
            let named = PAGE.html.matches(&format!("\"{address}\"")).count()
                + PAGE.html.matches(&format!("'{address}'")).count();
            assert_eq!(allowed, named, "{address} only as a name that links may have");
        }
        assert!(!PAGE.html.contains("innerHTML"));
        assert_eq!(PAGE.html.matches("<script").count(), 1);
        assert!(!PAGE.html.contains("/*STYLE*/") && !PAGE.html.contains("/*SCRIPT*/"));
    }
}
