//! The Telegram stand-in by hand: `telegram-standin [PORT] [real]`. Prints one JSON line with its address and token, then serves
//! until it is killed. Drive it with POST /control/say and the like (see `telegram/control.rs`).

use std::io::{self, Write};

use packetboat_standins::telegram::{Rules, TelegramStandIn};

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1).peekable();
    let port = words.next_if(|word| word != "real").and_then(|word| word.parse().ok()).unwrap_or(0);
    let rules = if words.any(|word| word == "real") { Rules::real() } else { Rules::quick() };
    let telegram = TelegramStandIn::start_with(rules, port).await?;
    let line =
        serde_json::json!({"url": telegram.url(), "token": telegram.token(), "username": telegram.bot_username()});
    writeln!(io::stdout(), "{line}")?;
    std::future::pending().await
}
