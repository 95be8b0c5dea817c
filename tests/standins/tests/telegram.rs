//! The Telegram stand-in against an independent client, python-telegram-bot, which maps every error to a class of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use packetboat_standins::telegram::TelegramStandIn;
use tokio::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python() -> PathBuf {
    let default = || repository().join(".venv/bin/python");
    let python = std::env::var_os("PACKETBOAT_TEST_PYTHON").map_or_else(default, PathBuf::from);
    assert!(python.exists(), "{} is missing: run make test-deps", python.display());
    python
}

#[tokio::test]
async fn python_telegram_bot_takes_the_stand_in_for_telegram() {
    let telegram = TelegramStandIn::start().await.unwrap();
    let output = Command::new(python())
        .arg(repository().join("tests/clients/telegram_ptb.py"))
        .args([telegram.url(), telegram.token()])
        .env_remove("HTTP_PROXY")
        .env_remove("HTTPS_PROXY")
        .env_remove("ALL_PROXY")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}\n{}", telegram.dump());
    assert!(out.contains("ok: every check passed"), "{out}\n{err}");
}
