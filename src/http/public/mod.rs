//! The public listener's table of contents.

mod events;
mod generate;
mod health;
mod message_get;
mod message_post;
mod page;
mod session;
mod webhook;

use super::gate::Access::{Bearer, Open, Probe, Scope};
use super::openai::{chat, models};
use super::openapi::endpoint as openapi;
use super::route::Method::{Get, Post};
use super::route::Route;
use crate::security::scope::Scope::Chat;

/// Every endpoint, who may call it, and how it is described.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Get, "/", Open, page::docs, page::get),
        Route::new(Get, "/health", Probe, health::docs, health::ready),
        Route::new(Post, "/health", Probe, health::docs, health::ready),
        Route::new(Get, "/health/live", Probe, health::live_docs, health::live),
        Route::new(Get, "/health/ready", Probe, health::docs, health::ready),
        Route::new(Get, "/v1/health", Bearer, health::docs, health::ready),
        Route::new(Post, "/v1/health", Bearer, health::docs, health::ready),
        Route::new(Post, "/api/session", Open, session::docs, session::post),
        Route::new(Post, "/api/message", Scope(Chat), message_post::docs, message_post::post),
        Route::new(Get, "/api/message/{id}", Scope(Chat), message_get::docs, message_get::get),
        Route::new(Get, "/api/conversations/{id}/events", Scope(Chat), events::docs, events::get),
        // each platform's call carries that platform's own proof, which its adapter checks
        Route::new(Post, "/api/{adapter}", Open, webhook::docs, webhook::post),
        Route::new(Post, "/v1/generate", Scope(Chat), generate::docs, generate::post),
        Route::new(Post, "/v1/chat/completions", Scope(Chat), chat::docs, chat::post),
        Route::new(Get, "/v1/models", Scope(Chat), models::list_docs, models::list),
        Route::new(Get, "/v1/models/{model}", Scope(Chat), models::one_docs, models::one),
        Route::new(Get, "/api/openapi.json", Open, openapi::docs, openapi::get),
    ]
}
