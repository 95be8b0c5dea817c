//! A daemon's control socket with canned answers, which remembers what it was asked.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Lives as long as the test.
pub struct Standin {
    _runtime: Runtime,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answers = fn(&Method, &str, &Value) -> Option<Response>;

impl Standin {
    /// Answers on `data/control.sock`; what `answers` does not know is 404 in the daemon's form.
    pub fn start(data: &Path, answers: Answers) -> Self {
        std::fs::create_dir_all(data).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&asked);
        let app = Router::new().fallback(move |request: Request| {
            let notes = Arc::clone(&notes);
            async move { answer(request, &notes, answers).await }
        });
        let _guard = runtime.enter();
        let listener = tokio::net::UnixListener::bind(data.join("control.sock")).unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { _runtime: runtime, asked }
    }

    /// `METHOD path body`, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(request: Request, notes: &Mutex<Vec<String>>, answers: Answers) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    let text = String::from_utf8(body.to_vec()).unwrap();
    notes.lock().unwrap().push(format!("{} {path} {text}", head.method).trim_end().to_owned());
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    answers(&head.method, &path, &body).unwrap_or_else(|| {
        let problem =
            json!({ "title": "Not Found", "detail": "there is no job 7", "code": "not_found", "status": 404 });
        with(StatusCode::NOT_FOUND, &problem)
    })
}

fn with(status: StatusCode, body: &Value) -> Response {
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

/// 200 with JSON.
pub fn ok(body: &Value) -> Option<Response> {
    Some(with(StatusCode::OK, body))
}

/// 204.
pub fn done() -> Option<Response> {
    Some(Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).unwrap())
}

/// A stream of bytes.
pub fn streamed(body: Body) -> Option<Response> {
    Some(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
}
