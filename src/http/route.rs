//! One line of a table of contents, and how such a table becomes a router.
//!
//! Invariant: whoever adds an endpoint says who may call it and how it is described; there is no route without both.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodFilter, MethodRouter, on};

use super::gate::{self, Access};
use super::openapi::Docs;
use super::problem::Problem;
use super::services::Shared;

/// Which method an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; HEAD comes with it.
    Get,
    /// Does something.
    Post,
    /// Ends something.
    Delete,
}

impl Method {
    /// As OpenAPI writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// One endpoint.
pub struct Route {
    /// GET, POST or DELETE.
    pub method: Method,
    /// With `{name}` for what varies.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    /// What OpenAPI says about it.
    pub docs: fn(&mut Docs),
    endpoint: MethodRouter<Shared>,
}

impl Route {
    /// A line of the table.
    pub fn new<H, T>(method: Method, path: &'static str, access: Access, docs: fn(&mut Docs), endpoint: H) -> Self
    where
        H: Handler<T, Shared>,
        T: 'static,
    {
        Self { method, path, access, docs, endpoint: on(method.filter(), endpoint) }
    }
}

/// The path of the endpoint that answers, for logs: never the caller's own text.
#[derive(Debug, Clone, Copy)]
pub struct Path(pub &'static str);

/// The table as a router, with each endpoint behind its credential check.
pub fn router(routes: Vec<Route>, services: &Shared) -> Router {
    let tables = routes.into_iter().fold(Router::new(), |router, route| {
        let (path, access) = (Path(route.path), route.access);
        let holder = Arc::clone(services);
        let endpoint = route.endpoint.route_layer(from_fn(move |request: Request, next: Next| {
            let services = Arc::clone(&holder);
            async move {
                let mut response = gate::admit(&services, access, request, next).await;
                response.extensions_mut().insert(path);
                response
            }
        }));
        router.route(route.path, endpoint)
    });
    tables.fallback(nothing_here).method_not_allowed_fallback(wrong_method).with_state(Arc::clone(services))
}

async fn nothing_here() -> Problem {
    Problem::not_found("there is nothing at this path; GET /api/openapi.json lists what there is")
}

async fn wrong_method() -> Problem {
    let status = http::StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "method_not_allowed", "this path does not take this method; see the Allow header")
}
