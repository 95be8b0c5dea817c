//! The admin listener's table of contents: everything that the command line can do with a running daemon.
//!
//! Reading wants the scope `read`, changing `operate`, tokens and sign-in links `admin`. On the control socket the
//! daemon's own user has them all.

mod jobs;
pub mod login_link;
mod metrics;
mod queue;
mod tokens;

use super::gate::Access::Scope;
use super::openapi::endpoint as openapi;
use super::route::Method::{Delete, Get, Post};
use super::route::Route;
use crate::security::scope::Scope::{Admin, Operate, Read};

/// Every endpoint, who may call it, and how it is described.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Get, "/metrics", Scope(Read), metrics::docs, metrics::get),
        Route::new(Get, "/api/admin/openapi.json", Scope(Read), openapi::docs, openapi::get),
        Route::new(Get, "/api/admin/status", Scope(Read), queue::status_docs, queue::status),
        Route::new(Get, "/api/admin/queue/stats", Scope(Read), queue::stats_docs, queue::stats),
        Route::new(Get, "/api/admin/queue/verify", Scope(Read), queue::verify_docs, queue::verify),
        Route::new(Get, "/api/admin/queue/jobs", Scope(Read), jobs::list_docs, jobs::list),
        // a job's content is a conversation: who only reads the state does not see it
        Route::new(Get, "/api/admin/queue/jobs/{job}", Scope(Operate), jobs::show_docs, jobs::show),
        Route::new(Post, "/api/admin/queue/jobs/{job}/retry", Scope(Operate), jobs::retry_docs, jobs::retry),
        Route::new(Post, "/api/admin/queue/jobs/{job}/discard", Scope(Operate), jobs::discard_docs, jobs::discard),
        Route::new(Post, "/api/admin/tokens", Scope(Admin), tokens::issue_docs, tokens::issue),
        Route::new(Delete, "/api/admin/tokens/{id}", Scope(Admin), tokens::revoke_docs, tokens::revoke),
        Route::new(Post, "/api/admin/login-link", Scope(Admin), login_link::docs, login_link::post),
    ]
}

#[cfg(test)]
mod tests;
