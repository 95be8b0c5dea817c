//! Connections: accepted up to a bound, given little time, and ended politely.
//!
//! Invariants: there are never more than `max_connections`; nobody holds one without sending a request within the header
//! timeout; a stop lets requests in progress finish, until the grace runs out. axum's own `serve` has no header timeout,
//! so this is hyper's. Not here: what is answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::client::Peer;

/// A client that has not sent its request line and headers by then is gone; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// Where connections come from.
pub enum Listener {
    /// In the clear.
    Plain(TcpListener),
    /// HTTPS.
    Tls(TcpListener, TlsAcceptor),
    /// The control socket.
    Control(UnixListener),
}

/// How many, and how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at the same time; more wait. Share one among listeners to bound them together.
    pub connections: Arc<Semaphore>,
    /// After a stop, requests in progress have this long.
    pub grace: Duration,
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// Serves until `stop`, then until the requests in progress are answered or the grace has run out.
pub async fn serve(listener: Listener, router: Router, limits: Limits, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let end = CancellationToken::new();
    while let Some((accepted, place)) = next(&listener, &limits, &stop).await {
        let tls = match &listener {
            Listener::Tls(_, acceptor) => Some(acceptor.clone()),
            Listener::Plain(_) | Listener::Control(_) => None,
        };
        let (router, stop, end) = (router.clone(), stop.clone(), end.clone());
        connections.spawn(async move {
            tokio::select! {
                () = attend(accepted, tls, router, stop) => {}
                () = end.cancelled() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.grace, connections.wait()).await.is_err() {
        tracing::warn!(
            http.connections = connections.len(),
            "requests were cut off: the grace after the stop has run out"
        );
        end.cancel();
        connections.wait().await;
    }
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next connection, or `None` when it is time to stop.
async fn next(listener: &Listener, limits: &Limits, stop: &CancellationToken) -> Option<(Accepted, Place)> {
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => return None,
            place = Arc::clone(&limits.connections).acquire_owned() => place.ok()?,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = accept(listener) => accepted,
        };
        match accepted {
            Ok(accepted) => return Some((accepted, place)),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Plain(tcp) | Listener::Tls(tcp, _) => {
            let (stream, peer) = tcp.accept().await?;
            // answers are small and people wait for them
            let _ = stream.set_nodelay(true);
            Ok(Accepted::Tcp(stream, peer))
        }
        Listener::Control(unix) => Ok(Accepted::Unix(unix.accept().await?.0)),
    }
}

/// It was gone before we took it.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn attend(accepted: Accepted, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    match (accepted, tls) {
        (Accepted::Tcp(stream, peer), None) => speak(stream, Peer::Network(peer), router, stop).await,
        (Accepted::Tcp(stream, peer), Some(acceptor)) => {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => speak(stream, Peer::Network(peer), router, stop).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        }
        (Accepted::Unix(stream), _) => match owner(&stream) {
            true => speak(stream, Peer::LocalOwner, router, stop).await,
            false => tracing::warn!("another user called the control socket and was refused"),
        },
    }
}

/// The kernel says that the caller is the daemon's own user, or root.
fn owner(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours || peer.uid() == 0)
}

async fn speak<S>(stream: S, peer: Peer, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
