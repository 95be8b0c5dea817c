//! HTTP: the public listener, the admin listener, the control socket.
//!
//! ```text
//! connection limit ─► names ─► limiter ─► credential and scope ─► body, capped ─► endpoint
//!    serve.rs       origin.rs   ──────── gate.rs ────────           extract.rs
//! ```
//!
//! The tables of contents are [`public::routes`] and [`admin::routes`]; one endpoint is one file, in the order refusals,
//! docs, endpoint, tests. Invariants: the credential is checked before the body is read; a 2xx on a message means that it
//! is durable; no input alone leads to a 5xx. Not here: the platforms' own signatures (their adapters), what an answer
//! says (`conversation/`, `inference/`).

use std::sync::Arc;

use axum::Router;

pub mod adapter;
pub mod admin;
mod ask;
pub mod bind;
pub mod client;
pub mod config;
mod extract;
pub mod gate;
pub mod line;
mod names;
mod openai;
mod openapi;
pub mod origin;
pub mod problem;
pub mod public;
mod route;
pub mod serve;
pub mod services;
mod sse;
pub mod tls;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile_tests;

use gate::Perimeter;
use services::Services;

/// The routes of the public listener.
pub fn public(services: &Arc<Services>, perimeter: Arc<Perimeter>) -> Router {
    gate::guard(route::router(public::routes(), services), services, Some(perimeter))
}

/// The routes of the admin listener.
pub fn admin(services: &Arc<Services>, perimeter: Arc<Perimeter>) -> Router {
    gate::guard(route::router(admin::routes(), services), services, Some(perimeter))
}

/// Everything, for the control socket: its peers are the daemon's own user, so no limiter and no names.
pub fn control(services: &Arc<Services>) -> Router {
    let everything = public::routes().into_iter().chain(admin::routes()).collect();
    gate::guard(route::router(everything, services), services, None)
}
