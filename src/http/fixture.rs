//! A whole HTTP side without store, model and network: for the tests of every endpoint.

mod line;
mod model;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, Method, Request};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use packetboat_adapter_api::adapter::{Adapter, Capabilities, Health, Intake, Journal, Webhook};
use packetboat_adapter_api::envelope::{Envelope, Inbound, Outbound, Part, Receipt};
use packetboat_adapter_api::error::{ListenError, SendError};
use packetboat_adapter_api::ids::{AdapterName, ConversationId, MessageId, SenderId};
pub use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub use line::FakeLine;
pub use model::Parrot;

use super::client::Peer;
use super::config::ServerConfig;
use super::gate::Perimeter;
use super::services::{SamplingDefaults, Services};
use crate::clock::FakeClock;
use crate::completion::Completions;
use crate::live::LiveHub;
use crate::queue::view::QueueStats;
use crate::security::limiter::Limiter;
use crate::security::login::LoginCodes;
use crate::security::scope::Scope;
use crate::security::tokens::Tokens;
use crate::status::{ModelStatus, Status};

pub struct Fixture {
    pub services: Arc<Services>,
    pub line: Arc<FakeLine>,
    pub model: Arc<Parrot>,
    pub public: Router,
    pub admin: Router,
    pub draining: Arc<AtomicBool>,
    _folder: TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with_limit(Limiter::new(100_000, 100_000))
    }

    pub fn with_limit(limiter: Limiter) -> Self {
        let line = Arc::new(FakeLine::default());
        Self::build(limiter, line.clone(), line)
    }

    /// Messages go to `intake` and not to the line.
    pub fn with_intake(intake: Arc<dyn Intake>) -> Self {
        Self::build(Limiter::new(100_000, 100_000), Arc::default(), intake)
    }

    fn build(limiter: Limiter, line: Arc<FakeLine>, intake: Arc<dyn Intake>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = FakeClock::at(1_800_000_000_000);
        let model = Arc::new(Parrot::default());
        let draining = Arc::new(AtomicBool::new(false));
        let drains = Arc::clone(&draining);
        let postcard: Arc<dyn Adapter> = Arc::new(Postcard(AdapterName::new("postcard")));
        let services = Arc::new(Services {
            intake,
            line: line.clone(),
            live: Arc::new(LiveHub::default()),
            completions: Arc::new(Completions::new(model.clone(), 2)),
            tokens: Arc::new(Tokens::open(&folder.path().join("tokens"), clock.clone()).unwrap()),
            login: Arc::new(LoginCodes::new(clock.clone())),
            status: Arc::new(move || status(drains.load(Ordering::SeqCst))),
            metrics: Arc::new(|| "packetboat_accepted_total 7\n# EOF\n".to_owned()),
            webhooks: HashMap::from([("postcard".to_owned(), postcard)]),
            clock,
            stopping: CancellationToken::new(),
            base_url: "http://127.0.0.1:18789".to_owned(),
            max_body: 512 * 1024,
            session_lifetime: Duration::from_secs(3600),
            sampling: SamplingDefaults { max_tokens: 64, temperature: 0.7, top_p: 0.9, top_k: 40 },
            request_timeout: Duration::from_secs(60),
            run: 9,
        });
        let bound = "127.0.0.1:18789".parse().unwrap();
        let perimeter = Perimeter::new(&ServerConfig::default(), bound, Arc::new(limiter)).unwrap();
        let perimeter = Arc::new(perimeter);
        let public = super::public(&services, Arc::clone(&perimeter));
        let admin = super::admin(&services, perimeter);
        Self { services, line, model, public, admin, draining, _folder: folder }
    }

    /// Takes nothing new, as after the first signal.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.services.stopping.cancel();
    }

    pub fn token(&self, subject: &str, scopes: &[Scope]) -> String {
        self.services.tokens.issue(subject, scopes, 3600).unwrap().token
    }

    pub async fn call(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        self.call_with(method, path, token, &[], body).await
    }

    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        Answer::of(self.open(method, path, token, headers, body).await).await
    }

    pub async fn open(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        self.public.clone().oneshot(request(method, path, token, headers, body)).await.unwrap()
    }

    pub async fn manage(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        Answer::of(self.admin.clone().oneshot(request(method, path, token, &[], body)).await.unwrap()).await
    }
}

/// A request as it comes from a client on this machine.
pub fn request(method: &str, path: &str, token: Option<&str>, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut builder = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        builder = builder.header("host", "localhost:18789");
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        builder = builder.header("content-type", "application/json");
    }
    if let Some(token) = token {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let peer = Peer::Network("127.0.0.1:40000".parse().unwrap());
    builder.extension(peer).body(Body::from(body.to_owned())).unwrap()
}

fn status(draining: bool) -> Status {
    Status {
        version: "0.0.0".into(),
        uptime_s: 1,
        ready: true,
        draining,
        model: ModelStatus {
            name: "parrot".into(),
            backend: "echo".into(),
            device: "none".into(),
            context_window: 128,
        },
        adapters: Vec::new(),
        queue: QueueStats::default(),
    }
}

/// A whole answer.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn events(&self) -> Vec<Seen> {
        self.text().split("\n\n").filter_map(Seen::read).collect()
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Seen {
    fn read(block: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim_start_matches(':').trim_start().to_owned())
        };
        let data = serde_json::from_str(&field("data")?).ok()?;
        Some(Self { name: field("event").unwrap_or_default(), id: field("id").unwrap_or_default(), data })
    }
}

/// A stream being read.
pub struct Listening {
    body: BodyDataStream,
    pending: String,
}

impl Listening {
    pub fn new(response: Response) -> Self {
        Self { body: response.into_body().into_data_stream(), pending: String::new() }
    }

    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some((block, rest)) = self.pending.split_once("\n\n") {
                let seen = Seen::read(block);
                self.pending = rest.to_owned();
                if seen.is_some() {
                    return seen;
                }
                continue;
            }
            let piece = self.body.next().await?.unwrap();
            self.pending.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

/// A platform that writes by webhook.
struct Postcard(AdapterName);

#[async_trait]
impl Adapter for Postcard {
    fn name(&self) -> &AdapterName {
        &self.0
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { idempotent_send: false }
    }

    fn health(&self) -> Health {
        Health::Up
    }

    async fn listen(&self, _: &dyn Intake, stop: CancellationToken) -> Result<(), ListenError> {
        stop.cancelled().await;
        Ok(())
    }

    async fn send(&self, _: &Outbound, _: &dyn Journal) -> Result<Receipt, SendError> {
        Ok(Receipt("posted".into()))
    }

    async fn probe(&self) -> Result<String, ListenError> {
        Ok("the post office".into())
    }

    fn webhook(&self) -> Option<&dyn Webhook> {
        Some(self)
    }
}

#[async_trait]
impl Webhook for Postcard {
    async fn receive(&self, request: Request<Bytes>, intake: &dyn Intake) -> http::Response<Bytes> {
        let text = String::from_utf8(request.body().to_vec()).unwrap();
        let envelope = Envelope {
            adapter: self.0.clone(),
            conversation: ConversationId::new("c"),
            sender: SenderId::new("s"),
            message: MessageId::new("card-1"),
            sent_at_ms: None,
            language: None,
            reply_to: None,
        };
        intake.accept(Inbound { envelope, parts: vec![Part::text(text)] }).await.unwrap();
        http::Response::new(Bytes::from_static(b"taken"))
    }
}

/// `cargo test -p packetboat --lib serve_the_page -- --ignored --nocapture` and open the link that it prints: the page
/// with a talker that needs no model. `tests/clients/web_chat.py` can drive it.
mod by_hand {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::{FakeLine, Fixture};
    use crate::http::serve::{Limits, Listener, serve};
    use crate::http::services::Services;
    use crate::live::LiveEvent;
    use crate::queue::view::Stage;

    const ANSWER: &str = "## Of course\n\nHere is *how* it goes, **step by step**:\n\n1. Take a message\n2. Store it\n   - durably\n   - once\n\
        3. Answer it\n\n```python\ndef answer(message):\n    return f\"you said {message!r}\"  # <b>not markup</b>\n```\n\n| what | when |\n|---|---|\n\
        | accepted | at once |\n| answered | soon |\n\n> Durable means durable.\n\nMore at [the page](https://example.org/x) and `make run`. 中文也可以。";

    async fn talk(services: Arc<Services>, line: Arc<FakeLine>) {
        let mut place = 0;
        loop {
            let Some(inbound) = line.nth(place) else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            place += 1;
            let lane = (inbound.envelope.adapter.clone(), inbound.envelope.conversation.clone());
            let message = inbound.envelope.message.to_string();
            let mut said = String::new();
            let text = if inbound.text().starts_with('/') { "Stopped.".to_owned() } else { ANSWER.to_owned() };
            for piece in text.split_inclusive(' ') {
                tokio::time::sleep(Duration::from_millis(40)).await;
                if line.nth(place).is_some_and(|next| next.text() == "/stop") {
                    break;
                }
                said.push_str(piece);
                services.live.publish(&lane, LiveEvent::Token { message: message.clone(), text: piece.to_owned() });
            }
            line.answer(&message, &said);
            assert_ne!(line.state(&message), Some(Stage::Dead));
            services.live.publish(&lane, LiveEvent::Reply { message, text: said });
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "for a person's eyes; runs until it is interrupted"]
    async fn serve_the_page() {
        let fixture = Fixture::new();
        let port = std::env::var("PACKETBOAT_PAGE_PORT").unwrap_or_else(|_| "18790".to_owned());
        let tcp = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
        println!("http://127.0.0.1:{port}/#login={}", fixture.services.login.create("owner"));
        tokio::spawn(talk(fixture.services.clone(), fixture.line.clone()));
        let limits = Limits { connections: Arc::new(Semaphore::new(64)), grace: Duration::from_secs(1) };
        serve(Listener::Plain(tcp), fixture.public.clone(), limits, fixture.services.stopping.clone()).await;
    }
}
