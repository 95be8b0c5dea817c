//! `status`, `queue`, `dead`, `login`: what the daemon says, for people and for programs.

use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use crate::program::Home;
use crate::standin::{Standin, done, ok};

fn totals() -> Value {
    json!({ "accepted": 5, "delivered": 2, "dead": 1, "cancelled": 0, "pending": 2 })
}

fn stats() -> Value {
    json!({
        "totals": totals(), "waiting": 1, "leased": 1, "outbox": 0, "duplicates": 4, "oldest_pending_ms": 61_000,
        "disk_bytes": 1_048_576,
    })
}

fn job(number: u64) -> Value {
    json!({
        "job": number, "adapter": "telegram", "conversation": "小船\u{1b}[2J", "message": "m", "state": "dead",
        "attempts": 8, "accepted_at_ms": 1_763_684_999_123_u64, "last_error": "blocked",
    })
}

fn answers(method: &Method, path: &str, _: &Value) -> Option<Response> {
    let model = json!({ "name": "bundled", "backend": "onnx", "device": "cpu", "context_window": 512 });
    let adapter = json!({ "name": "telegram", "health": "down", "cause": "no route" });
    match (method.as_str(), path) {
        ("GET", "/api/admin/status") => ok(&json!({
            "version": "0.1.0", "uptime_s": 3700, "ready": true, "draining": false, "model": model,
            "adapters": [adapter], "queue": stats(),
        })),
        ("GET", "/api/admin/queue/stats") => ok(&stats()),
        ("GET", "/api/admin/queue/jobs?after=0&limit=100&state=dead") => ok(&json!({ "jobs": [job(3), job(12)] })),
        ("GET", "/api/admin/queue/jobs?after=0&limit=100") => ok(&json!({ "jobs": [] })),
        ("GET", "/api/admin/queue/jobs?state=dead&after=0&limit=500") => ok(&json!({ "jobs": [job(3), job(12)] })),
        ("GET", "/api/admin/queue/jobs?state=dead&after=12&limit=500") => ok(&json!({ "jobs": [] })),
        ("POST", "/api/admin/login-link") => ok(&json!({ "url": "http://127.0.0.1:18789/#login=x" })),
        ("POST", "/api/admin/queue/jobs/3/retry" | "/api/admin/queue/jobs/12/retry") => done(),
        _ => None,
    }
}

fn served() -> (Home, Standin) {
    let home = Home::with("");
    let daemon = Standin::start(&home.path("data"), answers);
    (home, daemon)
}

#[test]
fn without_a_daemon_every_command_says_so_and_how_to_start_one() {
    let home = Home::with("");
    for words in [&["status"][..], &["queue", "stats"], &["dead", "list"], &["chat", "-m", "hi"], &["login"]] {
        let ran = home.run(words);
        assert_eq!(ran.code, 1, "{words:?}");
        assert!(ran.err.contains("no daemon runs") && ran.err.contains("packetboat serve"), "{words:?}: {}", ran.err);
    }
}

#[test]
fn status_shows_the_model_the_adapters_and_the_law() {
    let (home, _daemon) = served();
    let text = home.run(&["status"]).well().out;
    for part in
        ["ready, up 1h 1m", "bundled (onnx, cpu, 512 tokens)", "telegram  down", "no route", "holds: 5 accepted"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(home.run(&["status", "--json"]).well().json()["queue"]["totals"]["pending"], 2);
}

#[test]
fn a_list_is_aligned_and_can_not_steer_the_terminal() {
    let (home, daemon) = served();
    let text = home.run(&["dead", "list"]).well().out;
    assert!(text.contains("  3  dead   2025-11-21T00:29:59Z") && text.contains(" 12  dead"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(home.run(&["queue", "list"]).well().out, "none\n");
    let jobs = home.run(&["queue", "list", "--state", "dead", "--json"]).well().json();
    assert_eq!(jobs["jobs"][1]["job"], 12);
    assert_eq!(daemon.asked().len(), 3);
}

#[test]
fn the_daemons_refusal_is_told_in_its_words() {
    let (home, _daemon) = served();
    let ran = home.run(&["queue", "show", "7"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "error: there is no job 7\n"));
}

#[test]
fn all_dead_letters_are_retried_page_by_page() {
    let (home, daemon) = served();
    assert_eq!(home.run(&["dead", "retry", "--all"]).well().out, "retry: 2 dead letters\n");
    let posts: Vec<String> = daemon.asked().into_iter().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(posts, ["POST /api/admin/queue/jobs/3/retry", "POST /api/admin/queue/jobs/12/retry"]);
    assert_eq!(home.run(&["dead", "retry"]).code, 2, "one or all must be said");
}

#[test]
fn a_login_link_is_printed_alone() {
    let (home, _daemon) = served();
    assert_eq!(home.run(&["login"]).well().out, "http://127.0.0.1:18789/#login=x\n");
}

#[test]
fn verify_fails_when_something_does_not_add_up() {
    fn well(_: &Method, _: &str, _: &Value) -> Option<Response> {
        ok(&json!({ "totals": totals(), "jobs": 5, "deliveries": 2, "problems": [] }))
    }
    fn broken(_: &Method, _: &str, _: &Value) -> Option<Response> {
        ok(&json!({ "totals": totals(), "jobs": 5, "deliveries": 2, "problems": ["job 3 has no inbound record"] }))
    }
    fn unlawful(_: &Method, _: &str, _: &Value) -> Option<Response> {
        let totals = json!({ "accepted": 6, "delivered": 2, "dead": 1, "cancelled": 0, "pending": 2 });
        ok(&json!({ "totals": totals, "jobs": 5, "deliveries": 2, "problems": [] }))
    }
    let codes = [well as fn(&Method, &str, &Value) -> _, broken, unlawful].map(|answers| {
        let home = Home::with("");
        let _daemon = Standin::start(&home.path("data"), answers);
        (home.run(&["queue", "verify"]).code, home.run(&["queue", "verify", "--json"]).code)
    });
    assert_eq!(codes, [(0, 0), (1, 1), (1, 1)]);
}
