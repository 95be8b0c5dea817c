//! What every request passes before an endpoint sees it: the listener's names, the limiter, the credential, the scope.
//!
//! Invariants: in that order, and all of it before a byte of the body is read; a request without a verdict is refused;
//! a panic in an endpoint is a 500 and a line in the log, not the end of the connection's other work. The one place that
//! knows where in a request a credential is (a bearer in `Authorization`; never the query string).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::time::Instant;

use super::client::{BadProxy, Peer, TrustedProxies};
use super::config::ServerConfig;
use super::openai;
use super::origin::Names;
use super::problem::Problem;
use super::route::Path;
use super::services::{Services, Shared};
use crate::security::limiter::Limiter;
use crate::security::scope::{Principal, Scope};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody; the endpoint may look at [`Caller`].
    Open,
    /// Everybody, and the limiter only decides who sees details: probes are answered whatever goes on.
    Probe,
    /// Whoever has a good credential.
    Bearer,
    /// Whoever has a good credential with this scope.
    Scope(Scope),
}

/// What stands before one listener.
#[derive(Debug)]
pub struct Perimeter {
    names: Names,
    trusted: TrustedProxies,
    limiter: Arc<Limiter>,
}

impl Perimeter {
    /// For a listener bound to `bound`. Listeners share one `limiter`.
    pub fn new(config: &ServerConfig, bound: SocketAddr, limiter: Arc<Limiter>) -> Result<Self, BadProxy> {
        let names = Names::new(bound, config.public_url.as_deref());
        Ok(Self { names, trusted: TrustedProxies::parse(&config.trusted_proxies)?, limiter })
    }

    fn check(&self, request: &Request) -> Verdict {
        let client = match request.extensions().get::<Peer>() {
            Some(Peer::Network(peer)) => self.trusted.client(*peer, request.headers()),
            // no peer is known: everybody shares one bucket
            Some(Peer::LocalOwner) | None => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        };
        let names = self.names.check_host(request.uri(), request.headers());
        let names = names.and_then(|()| self.names.check_origin(request.headers()));
        let within = self.limiter.check(client).map_err(|wait| {
            let text = "too many requests from this address; wait as Retry-After says";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text).after(wait)
        });
        Verdict { names, within }
    }
}

/// What the perimeter found.
struct Verdict {
    names: Result<(), Problem>,
    within: Result<(), Problem>,
}

/// The limiter said no; only a probe gets this far with `true`.
#[derive(Debug, Clone, Copy)]
struct Limited(bool);

/// Who calls, as far as the endpoint asked; in the request's extensions.
#[derive(Debug, Clone)]
pub struct Caller(pub Option<Principal>);

/// Wraps a router: everything before the endpoints, and what every answer carries.
pub fn guard(router: Router, services: &Shared, perimeter: Option<Arc<Perimeter>>) -> Router {
    let stopping = services.stopping.clone();
    router.layer(from_fn(move |mut request: Request, next: Next| {
        let perimeter = perimeter.clone();
        let closing = stopping.is_cancelled();
        async move {
            let begun = Instant::now();
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let verdict = match &perimeter {
                Some(perimeter) => perimeter.check(&request),
                None => Verdict { names: Ok(()), within: Ok(()) },
            };
            request.extensions_mut().insert(Limited(verdict.within.is_err()));
            // here and not in `admit`: a path that no endpoint has never gets there
            let probe = path == "/health" || path.starts_with("/health/");
            let early = verdict.names.err().or_else(|| verdict.within.err().filter(|_| !probe));
            let response = match early {
                Some(problem) => problem.into_response(),
                None => AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| panicked()),
            };
            let mut response = if openai::speaks(&path) { openai::dress(response) } else { response };
            finish(response.headers_mut(), closing);
            tell(&method, &response, begun);
            response
        }
    }))
}

fn panicked() -> Response {
    tracing::error!("an endpoint panicked; this is a bug, please report it with the backtrace above");
    Problem::internal().into_response()
}

/// Checks the credential as far as `access` asks, and lets the request pass.
pub async fn admit(services: &Services, access: Access, mut request: Request, next: Next) -> Response {
    let limited = request.extensions().get::<Limited>().is_none_or(|limited| limited.0);
    let caller = match access {
        Access::Probe if limited => Ok(None),
        Access::Open | Access::Probe => Ok(identify(services, &request).ok()),
        Access::Bearer => identify(services, &request).map(Some),
        Access::Scope(scope) => identify(services, &request).and_then(|caller| authorize(caller, scope)).map(Some),
    };
    match caller {
        Err(problem) => problem.into_response(),
        Ok(caller) => {
            request.extensions_mut().insert(Caller(caller));
            next.run(request).await
        }
    }
}

fn authorize(caller: Principal, scope: Scope) -> Result<Principal, Problem> {
    if caller.may(scope) {
        return Ok(caller);
    }
    let detail =
        format!("this token lacks the scope `{scope}`; make one with `packetboat token generate --scope {scope}`");
    Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail))
}

fn identify(services: &Services, request: &Request) -> Result<Principal, Problem> {
    let owner = request.extensions().get::<Peer>() == Some(&Peer::LocalOwner);
    match bearer(request.headers())? {
        // a token that was sent counts, on the control socket too
        Some(token) => Ok(services.tokens.verify(token)?),
        None if owner => Ok(Principal::local()),
        None => Err(Problem::unauthorized("send `Authorization: Bearer TOKEN`; `packetboat token generate` makes one")),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = || Problem::unauthorized("send exactly one Authorization header, with the scheme Bearer");
    if values.next().is_some() {
        return Err(wrong());
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(wrong)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(wrong()) }
}

/// What every answer carries.
fn finish(headers: &mut HeaderMap, closing: bool) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // answers hold conversations: no cache keeps them, unless the endpoint says otherwise
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if closing {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

fn tell(method: &http::Method, response: &Response, begun: Instant) {
    let path = response.extensions().get::<Path>().map_or("(none)", |path| path.0);
    let (status, millis) = (response.status().as_u16(), begun.elapsed().as_millis() as u64);
    if response.status().is_server_error() && response.status() != StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(http.method = %method, http.route = path, http.status = status, elapsed_ms = millis, "request failed");
    } else {
        tracing::debug!(http.method = %method, http.route = path, http.status = status, elapsed_ms = millis, "request");
    }
}

#[cfg(test)]
mod tests;
