//! Bad input: a clear error that names the next step, and nothing accepted is lost.

use std::os::unix::fs::PermissionsExt;

use packetboat_standins::telegram::TelegramStandIn;
use serde_json::json;

use super::daemon::Daemon;
use super::telegram::section;

async fn refuses_to_start(config: &str, environment: &[(&str, &str)], names: &[&str]) {
    let daemon = Daemon::prepare(config, environment);
    let (code, error) = daemon.cli_fails(&["serve"]).await;
    assert_eq!(code, 1, "{error}");
    for name in names {
        assert!(error.contains(name), "{name} is missing in: {error}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_named_with_its_line() {
    refuses_to_start("[model]\nbakend = \"echo\"\n", &[], &["bakend", "backend", "packetboat.toml, line 5"]).await;
    refuses_to_start("[model]\nbackend = 7\n", &[], &["backend"]).await;
    refuses_to_start("[adapters.telegram]\ntoken = \"123:abc\"\n", &[], &["env", "file", "token"]).await;
    refuses_to_start("[adapters.telegram]\ntoken = { env = \"NOT_SET_ANYWHERE\" }\n", &[], &["NOT_SET_ANYWHERE"]).await;
    let exposed = [("PACKETBOAT__SERVER__LISTEN", "0.0.0.0:0")];
    refuses_to_start("[model]\nbackend = \"echo\"\n", &exposed, &["insecure", "tls"]).await;
}

#[tokio::test]
async fn a_busy_port_names_who_holds_it() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = holder.local_addr().expect("an address").to_string();
    let environment = [("PACKETBOAT__SERVER__LISTEN", address.as_str())];
    let me = std::process::id().to_string();
    refuses_to_start(
        "[model]\nbackend = \"echo\"\n",
        &environment,
        &[address.rsplit(':').next().unwrap_or_default(), &me],
    )
    .await;
}

#[tokio::test]
async fn a_missing_or_truncated_model_file_is_named() {
    refuses_to_start("[model]\npath = \"nowhere\"\n", &[], &["nowhere"]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixtures/genai");
    for entry in std::fs::read_dir(fixture).expect("reads").flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copies");
    }
    let weights = folder.path().join("model.onnx.data");
    let weights = if weights.exists() { weights } else { folder.path().join("model.onnx") };
    std::fs::File::options().write(true).open(&weights).expect("opens").set_len(1000).expect("truncates");
    let config = format!("[model]\npath = \"{}\"\n", folder.path().display());
    refuses_to_start(&config, &[], &["model.onnx"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_telegram_token_leaves_the_rest_running_and_says_what_to_do() {
    let telegram = TelegramStandIn::start().await.expect("starts");
    let config = format!("[model]\nbackend = \"echo\"\n{}", section(&telegram, ""));
    let daemon = Daemon::start_with(&config, &[("TEST_TELEGRAM_TOKEN", "1:wrong")]).await;
    assert_eq!(daemon.ask("a", "one").await, "echo: one");
    let cause = loop {
        let status = daemon.control("GET", "/api/admin/status", json!(null)).await;
        let adapters = status["adapters"].as_array().expect("adapters").clone();
        let telegram = adapters.into_iter().find(|adapter| adapter["name"] == "telegram").expect("telegram");
        if telegram["health"] == "down" {
            break telegram["cause"].as_str().expect("a cause").to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert!(cause.contains("token"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_unauthorised_calls_are_refused_and_nothing_is_queued() {
    let daemon = Daemon::start("[model]\nbackend = \"echo\"\n").await;
    let url = format!("{}/api/message", daemon.url);
    let post = |body: &str| daemon.http.post(&url).header("Content-Type", "application/json").body(body.to_owned());
    let none = post("{\"text\":\"x\"}").send().await.expect("answers");
    assert_eq!(none.status(), 401);
    assert!(none.headers().contains_key("www-authenticate"));
    for (body, expected) in
        [("{", 400), ("{\"text\":7}", 422), ("{\"text\":\"\"}", 422), ("{\"text\":\"x\",\"txet\":1}", 422)]
    {
        let response = post(body).bearer_auth(&daemon.token).send().await.expect("answers");
        let status = response.status().as_u16();
        let problem: serde_json::Value = response.json().await.expect("problem+json");
        assert!(status == expected || status == 400, "{body}: {status} {problem}");
        assert!(problem["code"].is_string(), "{problem}");
    }
    let totals = daemon.verify_settled().await;
    assert_eq!(totals["accepted"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_new_messages_and_keeps_the_old_ones() {
    let mut daemon = Daemon::start("[model]\nbackend = \"echo\"\n").await;
    assert_eq!(daemon.ask("a", "one").await, "echo: one");
    daemon.stop().await;
    let config = daemon.folder().join("packetboat.toml");
    let text = std::fs::read_to_string(&config).expect("reads");
    std::fs::write(&config, format!("{text}[storage]\nmax_disk = 1\n")).expect("writes");
    daemon.begin().await;
    let request = daemon.http.post(format!("{}/api/message", daemon.url)).bearer_auth(&daemon.token);
    let refused = request.json(&json!({ "text": "two", "id": "2" })).send().await.expect("answers");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: serde_json::Value = refused.json().await.expect("problem+json");
    assert!(problem.to_string().contains("max_disk"), "{problem}");
    let totals = daemon.verify_settled().await;
    assert_eq!((&totals["accepted"], &totals["delivered"]), (&json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_folder_is_private_and_a_second_daemon_is_told_so() {
    let daemon = Daemon::start("[model]\nbackend = \"echo\"\n").await;
    let mode =
        |path: &str| std::fs::metadata(daemon.folder().join(path)).expect("is there").permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/control.sock")), (0o700, 0o600));
    let (code, error) = daemon.cli_fails(&["serve"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("another packetboat"), "{error}");
}
