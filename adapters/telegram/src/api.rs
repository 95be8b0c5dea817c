//! Calls of the Bot API: teloxide's typed payloads over a transport of our own.
//!
//! Why not teloxide's transport: it sleeps ten seconds inside a call when the server answers 5xx, drops the error code, gives
//! up on an answer whose shape is newer than the crate, and its errors show the URL, which holds the token.
//! Invariant: no error of this file shows the token, a message's text, or a URL.

use std::error::Error as _;
use std::time::Duration;

use packetboat_adapter_api::secret::Secret;
use reqwest::header;
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use teloxide::requests::Payload;
use url::Url;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// A network that drops quiet connections silently is noticed within this time, not at the end of a call.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long any call but a long poll may take.
const CALL: Duration = Duration::from_secs(30);

/// One bot's access to the Bot API.
#[derive(Debug)]
pub(crate) struct Api {
    client: reqwest::Client,
    base: String,
    token: Secret,
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// Telegram said no.
    #[error("{description} ({code})")]
    Refused { code: u16, description: String, retry_after: Option<Duration>, migrate_to: Option<i64> },
    /// The call never reached Telegram.
    #[error("can't reach Telegram: {0}")]
    Unreached(String),
    /// It was sent, and nothing came back.
    #[error("no answer from Telegram: {0}")]
    NoAnswer(String),
    /// What came back is not the Bot API's.
    #[error("Telegram answered {status} with something that is not the Bot API's")]
    Garbled { status: u16 },
}

#[derive(Deserialize)]
struct Answer<T> {
    ok: bool,
    result: Option<T>,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

impl Api {
    /// A client for the Bot API at `api_url`. A server on this machine is reached without the environment's proxy.
    pub(crate) fn new(api_url: &Url, token: Secret) -> Result<Self, reqwest::Error> {
        let mut builder =
            reqwest::Client::builder().connect_timeout(CONNECT).tcp_keepalive(KEEP_ALIVE).redirect(Policy::none());
        if matches!(api_url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let base = api_url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client: builder.build()?, base, token })
    }

    /// One call with the usual time limit.
    pub(crate) async fn call<P, T>(&self, payload: &P) -> Result<T, CallError>
    where
        P: Payload + Serialize + Sync,
        T: DeserializeOwned,
    {
        self.call_within(payload, CALL).await
    }

    /// One call; `limit` covers everything from connecting to the last byte.
    pub(crate) async fn call_within<P, T>(&self, payload: &P, limit: Duration) -> Result<T, CallError>
    where
        P: Payload + Serialize + Sync,
        T: DeserializeOwned,
    {
        let url = format!("{}/bot{}/{}", self.base, self.token.expose(), P::NAME);
        let response = self.client.post(url).timeout(limit).json(payload).send().await;
        let response = response.map_err(|error| self.describe(error))?;
        let status = response.status().as_u16();
        let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await.map_err(|error| self.describe(error))?;
        let garbled = || CallError::Garbled { status };
        let answer: Answer<T> = match serde_json::from_slice(&body) {
            Ok(answer) => answer,
            // an error's envelope is read even where the result would have another shape
            Err(_) if status == 429 => return Err(self.refused(429, "Too Many Requests", asked, None)),
            Err(_) => return Err(garbled()),
        };
        if answer.ok {
            return answer.result.ok_or_else(garbled);
        }
        let code = if answer.error_code == 0 { status } else { answer.error_code };
        let wait = answer.parameters.retry_after.or(asked.filter(|_| code == 429));
        Err(self.refused(code, &answer.description, wait, answer.parameters.migrate_to_chat_id))
    }

    fn refused(&self, code: u16, description: &str, wait: Option<u64>, migrate_to: Option<i64>) -> CallError {
        let description = self.scrub(description.chars().take(200).collect());
        CallError::Refused { code, description, retry_after: wait.map(Duration::from_secs), migrate_to }
    }

    /// The error's chain of causes without its URL.
    fn describe(&self, error: reqwest::Error) -> CallError {
        let unreached = error.is_connect() || error.is_builder();
        let timeout = error.is_timeout();
        let error = error.without_url();
        let mut words = if timeout { "timed out".to_owned() } else { error.to_string() };
        let mut source = error.source().filter(|_| !timeout);
        while let Some(cause) = source {
            words = format!("{words}: {cause}");
            source = cause.source();
        }
        let words = self.scrub(words);
        if unreached { CallError::Unreached(words) } else { CallError::NoAnswer(words) }
    }

    fn scrub(&self, text: String) -> String {
        text.replace(self.token.expose(), "…")
    }
}
