//! A bare web server in front of whatever a test wants to be called: the daemon's router, as far as an adapter is concerned.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::wire;

/// A server on a free port of 127.0.0.1; ends when dropped.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Door {
    /// Every call, whatever its path, is answered by `answer`; bodies up to 1 MiB.
    pub async fn open<A, F>(answer: A) -> io::Result<Self>
    where
        A: Fn(http::Request<Bytes>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = http::Response<Bytes>> + Send,
    {
        let router = Router::new().fallback(move |request: Request| {
            let answer = answer.clone();
            async move {
                let (head, body) = request.into_parts();
                match axum::body::to_bytes(body, 1 << 20).await {
                    Ok(body) => answer(http::Request::from_parts(head, body)).await.map(Body::from),
                    Err(_) => too_large(),
                }
            }
        });
        let stop = CancellationToken::new();
        let address = wire::serve(router, 0, stop.clone()).await?;
        Ok(Self { address, stop })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn too_large() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}
