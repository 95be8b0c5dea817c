//! The description of the API, made from the tables of contents and from the types that travel.
//!
//! Invariant: it can't describe an endpoint that isn't there or leave one out, because both come from one table.

use axum::http::StatusCode;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::gate::Access;
use super::problem::ProblemBody;
use super::route::Route;

/// One operation being described.
pub struct Docs {
    generator: SchemaGenerator,
    summary: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
}

impl Docs {
    fn new(generator: SchemaGenerator) -> Self {
        Self { generator, summary: String::new(), parameters: Vec::new(), body: None, responses: Map::new() }
    }

    /// What it does, in one sentence.
    pub fn summary(&mut self, text: &str) -> &mut Self {
        text.clone_into(&mut self.summary);
        self
    }

    /// A header that it reads.
    pub fn header(&mut self, name: &str, description: &str) -> &mut Self {
        self.parameter("header", name, false, description)
    }

    /// A key of the query that it reads.
    pub fn query(&mut self, name: &str, description: &str) -> &mut Self {
        self.parameter("query", name, false, description)
    }

    fn parameter(&mut self, place: &str, name: &str, required: bool, description: &str) -> &mut Self {
        self.parameters.push(json!({
            "in": place, "name": name, "required": required, "description": description, "schema": {"type": "string"},
        }));
        self
    }

    /// The JSON that it takes.
    pub fn takes<T: JsonSchema>(&mut self) -> &mut Self {
        let schema = self.generator.subschema_for::<T>();
        self.body = Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}));
        self
    }

    /// A body of a form that somebody else defines.
    pub fn takes_foreign(&mut self, description: &str) -> &mut Self {
        self.body = Some(json!({"description": description, "content": {"application/json": {"schema": {}}}}));
        self
    }

    /// A JSON answer.
    pub fn gives<T: JsonSchema>(&mut self, status: u16, description: &str) -> &mut Self {
        let schema = self.generator.subschema_for::<T>();
        self.answer(status, description, "application/json", &schema)
    }

    /// An answer of another kind, or JSON of a form that is described elsewhere.
    pub fn gives_kind(&mut self, status: u16, kind: &str, description: &str) -> &mut Self {
        self.answer(status, description, kind, &Schema::default())
    }

    /// An answer without a body.
    pub fn gives_nothing(&mut self, status: u16, description: &str) -> &mut Self {
        self.responses.insert(status.to_string(), json!({"description": description}));
        self
    }

    fn answer(&mut self, status: u16, description: &str, kind: &str, schema: &Schema) -> &mut Self {
        let entry = self.responses.entry(status.to_string()).or_insert_with(|| json!({"content": {}}));
        entry["description"] = json!(description);
        entry["content"][kind] = json!({"schema": schema});
        self
    }

    /// Refusals, as problem+json.
    pub fn refuses(&mut self, statuses: &[u16]) -> &mut Self {
        for status in statuses {
            let code = StatusCode::from_u16(*status).ok();
            let title = code.and_then(|code| code.canonical_reason()).unwrap_or("Error");
            self.gives_problem(*status, title);
        }
        self
    }

    fn gives_problem(&mut self, status: u16, title: &str) {
        let schema = self.generator.subschema_for::<ProblemBody>();
        self.answer(status, title, "application/problem+json", &schema);
    }
}

/// The whole document.
pub fn document(tables: &[(&str, Vec<Route>)]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for (tag, routes) in tables {
        for route in routes {
            let mut docs = Docs::new(generator);
            (route.docs)(&mut docs);
            describe_access(&mut docs, route);
            let operation = operation(&docs, route, tag);
            paths.entry(route.path).or_insert_with(|| json!({}))[route.method.as_str()] = operation;
            generator = docs.generator;
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "packetboat",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A chat bot bridge: messages in, a language model's answers out. Operations tagged `admin` are \
                served on the admin listener and the control socket.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

fn describe_access(docs: &mut Docs, route: &Route) {
    for name in path_names(route.path) {
        docs.parameter("path", name, true, "see the path");
    }
    match route.access {
        Access::Probe => {}
        Access::Open => {
            docs.refuses(&[429]);
        }
        Access::Bearer => {
            docs.refuses(&[401, 429]);
        }
        Access::Scope(_) => {
            docs.refuses(&[401, 403, 429]);
        }
    }
}

fn operation(docs: &Docs, route: &Route, tag: &str) -> Value {
    let mut operation = json!({
        "tags": [tag],
        "summary": docs.summary,
        "parameters": docs.parameters,
        "responses": docs.responses,
    });
    if let Some(body) = &docs.body {
        operation["requestBody"] = body.clone();
    }
    match route.access {
        Access::Scope(scope) => operation["security"] = json!([{"bearer": [scope.as_str()]}]),
        Access::Bearer => operation["security"] = json!([{"bearer": []}]),
        Access::Open | Access::Probe => operation["security"] = json!([]),
    }
    operation
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'))
}

/// `GET /api/openapi.json`.
pub mod endpoint {
    use axum::Json;
    use serde_json::Value;

    use super::super::{admin, public};
    use super::Docs;

    /// What OpenAPI says about it.
    pub fn docs(docs: &mut Docs) {
        docs.summary("This description").gives_kind(200, "application/json", "OpenAPI 3.1");
    }

    /// Describes everything.
    pub async fn get() -> Json<Value> {
        Json(super::document(&[("public", public::routes()), ("admin", admin::routes())]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::fixture::Fixture;
    use crate::http::{admin, public};
    use crate::security::scope::Scope;

    fn described() -> (Value, BTreeSet<(String, String)>) {
        let document = document(&[("public", public::routes()), ("admin", admin::routes())]);
        let paths = document["paths"].as_object().unwrap().clone();
        let operations = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
        });
        let operations = operations.collect();
        (document, operations)
    }

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let (document, described) = described();
        let routes = public::routes().into_iter().chain(admin::routes());
        let routes: BTreeSet<_> =
            routes.map(|route| (route.method.as_str().to_owned(), route.path.to_owned())).collect();
        assert_eq!(described, routes);
        for (method, path) in described {
            let operation = &document["paths"][&path][&method];
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn what_is_described_is_served_and_wants_the_credential_that_is_described() {
        let fixture = Fixture::new();
        let nothing = fixture.token("nobody", &[Scope::Chat]);
        let (document, operations) = described();
        for (method, path) in operations {
            let operation = &document["paths"][&path][&method];
            let concrete =
                path.replace("{id}", "x").replace("{job}", "1").replace("{adapter}", "x").replace("{model}", "x");
            let method = method.to_uppercase();
            let admin = operation["tags"][0] == "admin";
            let call = async |token: Option<&str>| {
                let answer = if admin {
                    fixture.manage(&method, &concrete, token, "").await
                } else {
                    fixture.call(&method, &concrete, token, "").await
                };
                answer.status
            };
            let closed = !operation["security"].as_array().unwrap().is_empty();
            assert_eq!(call(None).await == 401, closed, "{method} {path}");
            assert_ne!(call(None).await, 405, "{method} {path}");
            if admin {
                assert_eq!(call(Some(&nothing)).await, 403, "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let (document, _) = described();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let pointer = reference.split('"').next().unwrap().trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        assert_eq!(document["openapi"], "3.1.0");
    }
}
