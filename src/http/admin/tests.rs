//! The operator's endpoints, each by the caller that may and the one that may not.

use crate::http::fixture::{Fixture, json};
use crate::security::scope::Scope::{Admin, Chat, FullAccess, Operate, Read};

async fn with_one_dead_letter() -> Fixture {
    let fixture = Fixture::new();
    let token = fixture.token("me", &[Chat]);
    for body in [r#"{"text":"private words","id":"m1"}"#, r#"{"text":"x","id":"m2"}"#] {
        assert_eq!(fixture.call("POST", "/api/message", Some(&token), body).await.status, 202);
    }
    fixture.line.bury("me:m1");
    fixture
}

#[tokio::test]
async fn a_reader_sees_states_and_no_content() {
    let fixture = with_one_dead_letter().await;
    let reader = fixture.token("ops", &[Read]);
    for path in ["/api/admin/status", "/api/admin/queue/stats", "/api/admin/queue/verify", "/metrics"] {
        assert_eq!(fixture.manage("GET", path, Some(&reader), "").await.status, 200, "{path}");
    }
    let jobs = fixture.manage("GET", "/api/admin/queue/jobs?state=dead,retryable", Some(&reader), "").await;
    assert_eq!(jobs.json()["jobs"][0]["message"], "me:m1");
    assert_eq!(jobs.json()["jobs"].as_array().unwrap().len(), 1);
    assert!(!jobs.text().contains("private words"));
    assert_eq!(fixture.manage("GET", "/api/admin/queue/jobs/1", Some(&reader), "").await.status, 403);
    assert_eq!(fixture.manage("POST", "/api/admin/queue/jobs/1/retry", Some(&reader), "").await.status, 403);
}

#[tokio::test]
async fn the_list_is_paged_and_refuses_what_it_does_not_know() {
    let fixture = with_one_dead_letter().await;
    let reader = fixture.token("ops", &[Read]);
    let list =
        async |query: &str| fixture.manage("GET", &format!("/api/admin/queue/jobs?{query}"), Some(&reader), "").await;
    assert_eq!(list("limit=1").await.json()["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(list("after=1").await.json()["jobs"][0]["job"], 2);
    assert_eq!(list("state=undead").await.status, 422);
    for query in ["after=x", "limit=-1", "colour=red"] {
        assert_eq!(list(query).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn an_operator_reads_retries_and_discards() {
    let fixture = with_one_dead_letter().await;
    let operator = fixture.token("ops", &[Operate]);
    let call = async |method: &str, path: &str| fixture.manage(method, path, Some(&operator), "").await;
    let shown = call("GET", "/api/admin/queue/jobs/1").await;
    assert_eq!(shown.json()["inbound"]["parts"][0]["text"], "private words");
    assert_eq!(call("POST", "/api/admin/queue/jobs/1/retry").await.status, 204);
    let conflict = call("POST", "/api/admin/queue/jobs/1/retry").await;
    assert_eq!((conflict.status, conflict.code()), (409, "wrong_state".into()));
    assert_eq!(call("POST", "/api/admin/queue/jobs/99/discard").await.status, 404);
    assert_eq!(call("GET", "/api/admin/queue/jobs/x").await.status, 404);
    assert_eq!(fixture.manage("POST", "/api/admin/tokens", Some(&operator), "{}").await.status, 403);
}

#[tokio::test]
async fn an_admin_makes_and_ends_tokens_but_none_greater_than_their_own() {
    let fixture = Fixture::new();
    let admin = fixture.token("boss", &[Admin]);
    let make = async |token: &str, body: &str| fixture.manage("POST", "/api/admin/tokens", Some(token), body).await;
    let made = make(&admin, r#"{"subject":"bot","scope":["chat"],"expiry_s":60}"#).await;
    assert_eq!(made.status, 201);
    let (id, text) = (made.json()["id"].clone(), made.json()["token"].clone());
    let text = text.as_str().unwrap();
    assert_eq!(fixture.call("GET", "/v1/models", Some(text), "").await.status, 200);
    let revoked =
        fixture.manage("DELETE", &format!("/api/admin/tokens/{}", id.as_str().unwrap()), Some(&admin), "").await;
    assert_eq!(revoked.status, 204);
    assert_eq!(fixture.call("GET", "/v1/models", Some(text), "").await.status, 401);

    let greater = r#"{"subject":"bot","scope":["full_access"],"expiry_s":60}"#;
    assert_eq!(make(&admin, greater).await.status, 403);
    assert_eq!(make(&fixture.token("root", &[FullAccess]), greater).await.status, 201);
    let wrong = [
        r#"{"subject":"a:b","scope":["chat"],"expiry_s":60}"#,
        r#"{"subject":"bot","scope":[],"expiry_s":60}"#,
        r#"{"subject":"bot","scope":["root"],"expiry_s":60}"#,
        r#"{"subject":"bot","scope":["chat"],"expiry_s":0}"#,
        r#"{"subject":"bot","scope":["chat"],"expiry_s":99999999999}"#,
    ];
    for body in wrong {
        assert_eq!(make(&admin, body).await.status, 422, "{body}");
    }
    assert_eq!(fixture.manage("DELETE", "/api/admin/tokens/nonsense", Some(&admin), "").await.status, 422);
}

#[tokio::test]
async fn a_login_link_signs_a_browser_in_with_its_fragment() {
    let fixture = Fixture::new();
    let admin = fixture.token("boss", &[Admin]);
    let link = fixture.manage("POST", "/api/admin/login-link", Some(&admin), "").await.json();
    let (base, code) = link["url"].as_str().unwrap().split_once("/#login=").unwrap();
    assert_eq!(base, "http://127.0.0.1:18789");
    let session = fixture.call("POST", "/api/session", None, &json!({"code": code}).to_string()).await;
    assert_eq!((session.status, &session.json()["subject"]), (200, &json!("owner")));
}

#[tokio::test]
async fn metrics_are_labelled_as_the_scraper_asked() {
    let fixture = Fixture::new();
    let reader = fixture.token("prometheus", &[Read]);
    let answer = fixture.manage("GET", "/metrics", Some(&reader), "").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(answer.text().contains("packetboat_accepted_total 7"));
    assert_eq!(fixture.manage("GET", "/metrics", None, "").await.status, 401);
}

#[tokio::test]
async fn the_public_listener_does_not_serve_the_operators_endpoints() {
    let fixture = Fixture::new();
    let all = fixture.token("root", &[FullAccess]);
    for path in ["/metrics", "/api/admin/status", "/api/admin/queue/jobs"] {
        assert_eq!(fixture.call("GET", path, Some(&all), "").await.status, 404, "{path}");
    }
}
