//! The rules between keys, and the ranges that types don't hold. All that is broken is reported at once.
//!
//! Not here: anything that looks at the machine (files, ports, credentials); `packetboat doctor` does that.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use packetboat_telegram::config::{Mode, TelegramConfig};
use reqwest::Url;

use super::Config;
use super::error::Problem;
use crate::http::config::ServerConfig;
use crate::inference::config::{ModelBackend, ModelConfig};
use crate::queue::config::DeliveryConfig;
use crate::security::config::SecurityConfig;
use crate::telemetry;

/// Every broken rule; empty when the configuration can be used.
pub fn problems(config: &Config) -> Vec<Problem> {
    let mut rules = Rules::default();
    rules.server(&config.server);
    rules.model(&config.model);
    rules.delivery(&config.delivery);
    rules.security(&config.security);
    if config.storage.path.as_os_str().is_empty() {
        rules.broken("storage.path", "it is empty", "name the data folder, for example \"data\"");
    }
    if let Some(telegram) = &config.adapters.telegram {
        rules.telegram(telegram, config.server.public_url.as_deref());
    }
    if let Err(error) = telemetry::parse_filter("log.level", &config.log.level) {
        rules.broken("log.level", &error.to_string(), "");
    }
    rules.broken
}

#[derive(Default)]
struct Rules {
    broken: Vec<Problem>,
}

impl Rules {
    fn broken(&mut self, key: &str, message: &str, hint: &str) {
        self.broken.push(Problem::at_key(key, message, hint));
    }

    fn must(&mut self, holds: bool, key: &str, message: &str, hint: &str) {
        if !holds {
            self.broken(key, message, hint);
        }
    }

    fn positive(&mut self, key: &str, value: u64) {
        self.must(value >= 1, key, "it is 0, and nothing would ever be done", "use 1 or more");
    }

    fn takes_time(&mut self, key: &str, value: Duration) {
        self.must(!value.is_zero(), key, "it is 0", "use a duration such as \"30s\"");
    }

    fn url(&mut self, key: &str, text: &str, example: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let hint = format!("write it as {example}");
        match url {
            None => self.broken(key, "it is no http or https address", &hint),
            Some(ref url) if !url.username().is_empty() || url.password().is_some() => {
                self.broken(key, "it holds a user name or password", "remove it; secrets have their own keys");
            }
            Some(ref url) if url.query().is_some() || url.fragment().is_some() => {
                self.broken(key, "it has a `?` or `#` part", &hint);
            }
            Some(url) => return Some(url),
        }
        None
    }

    fn server(&mut self, server: &ServerConfig) {
        self.reachable_only_if_safe("server.listen", server.listen, server);
        self.reachable_only_if_safe("server.console_listen", server.console_listen, server);
        self.must(
            server.listen != server.console_listen || server.listen.port() == 0,
            "server.console_listen",
            "it is the same address as server.listen",
            "choose another port",
        );
        for proxy in &server.trusted_proxies {
            let known = proxy.parse::<IpNet>().is_ok() || proxy.parse::<IpAddr>().is_ok();
            let message = format!("\"{proxy}\" is no address or network");
            self.must(known, "server.trusted_proxies", &message, "write \"10.0.0.7\" or \"10.0.0.0/8\"");
        }
        if let Some(public_url) = &server.public_url {
            self.url("server.public_url", public_url, "\"https://chat.example.org\"");
        }
        self.must(
            server.max_body >= 1024,
            "server.max_body",
            "it is below 1024 bytes, too little for a message",
            "use 1048576 or so",
        );
        self.positive("server.max_connections", server.max_connections as u64);
    }

    fn reachable_only_if_safe(&mut self, key: &str, listen: SocketAddr, server: &ServerConfig) {
        let safe = server.tls.is_some() || !server.trusted_proxies.is_empty() || server.insecure;
        self.must(
            listen.ip().to_canonical().is_loopback() || safe,
            key,
            "other machines could reach it, and tokens would travel in the clear",
            "listen on 127.0.0.1, or set server.tls, or name your reverse proxy in server.trusted_proxies, or accept the \
             risk with server.insecure = true",
        );
    }

    fn model(&mut self, model: &ModelConfig) {
        let in_range = model.temperature.is_none_or(|value| (0.0..=2.0).contains(&value));
        self.must(in_range, "model.temperature", "it is not between 0 and 2", "0 is strict, 0.7 usual");
        let in_range = model.top_p.is_none_or(|value| value > 0.0 && value <= 1.0);
        self.must(in_range, "model.top_p", "it is not above 0 and at most 1", "1 chooses among all words");
        self.positive("model.max_tokens", u64::from(model.max_tokens));
        self.positive("model.max_concurrent", model.max_concurrent as u64);
        self.positive("model.threads", model.threads.unwrap_or(1) as u64);
        self.takes_time("model.request_timeout", model.request_timeout);
        self.must(
            model.context_window.is_none_or(|tokens| tokens >= 16),
            "model.context_window",
            "it is too small for a question and an answer",
            "remove it to use what the model says",
        );
        if let Some(base_url) = &model.base_url {
            self.url("model.base_url", base_url, "\"http://127.0.0.1:8000/v1\"");
        }
        if model.backend == ModelBackend::Openai {
            let why = "backend \"openai\" needs it";
            self.must(model.base_url.is_some(), "model.base_url", why, "add base_url = \"https://…/v1\" to [model]");
            let named = model.name.as_deref().is_some_and(|name| !name.is_empty());
            self.must(named, "model.name", why, "add name = the model's name at the server to [model]");
        }
    }

    fn delivery(&mut self, delivery: &DeliveryConfig) {
        self.positive("delivery.max_attempts", u64::from(delivery.max_attempts));
        self.positive("delivery.max_pending", delivery.max_pending);
        self.takes_time("delivery.backoff", delivery.backoff);
        self.takes_time("delivery.timeout", delivery.timeout);
        self.must(
            delivery.max_backoff >= delivery.backoff,
            "delivery.max_backoff",
            "it is shorter than delivery.backoff",
            "make it the longer of the two",
        );
    }

    fn security(&mut self, security: &SecurityConfig) {
        self.positive("security.requests_per_second", u64::from(security.requests_per_second));
        self.positive("security.burst", u64::from(security.burst));
        self.takes_time("security.session_lifetime", security.session_lifetime);
    }

    fn telegram(&mut self, telegram: &TelegramConfig, public_url: Option<&str>) {
        self.url("adapters.telegram.api_url", &telegram.api_url, "\"https://api.telegram.org\"");
        self.must(
            !telegram.poll_timeout.is_zero() && telegram.poll_timeout <= Duration::from_secs(50),
            "adapters.telegram.poll_timeout",
            "Telegram holds a poll for 50 seconds at most",
            "use a duration from \"1s\" to \"50s\"",
        );
        if telegram.mode == Mode::Webhook {
            let why = "mode \"webhook\" needs it";
            self.must(
                public_url.is_some(),
                "server.public_url",
                &format!("adapters.telegram: {why}"),
                "add public_url = \"https://…\" to [server], or use mode \"poll\"",
            );
            self.must(
                telegram.webhook_secret.is_some(),
                "adapters.telegram.webhook_secret",
                why,
                "add webhook_secret = { file = \"…\" }; `openssl rand -hex 32` makes a good one",
            );
        }
    }
}
