//! A call's parameters, however they came: query string, form, multipart or JSON. All end up as text, as in the real server.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Multipart, Request};
use http::header;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Refusal;

/// Name to text; a JSON array or object stays JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// From a JSON object (a webhook's answer, say); null is absent.
    pub(crate) fn from_json(value: &Value) -> Self {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let fields = value.as_object().into_iter().flatten();
        Self(fields.filter_map(|(name, value)| Some((name.to_lowercase(), text(value)?))).collect())
    }

    /// Reads a request's query and body; a later source wins.
    pub(crate) async fn read(request: Request) -> Result<Self, Refusal> {
        let mut params = Self::default();
        params.add_form(request.uri().query().unwrap_or_default().as_bytes());
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().to_lowercase();
        if kind.starts_with("multipart/form-data") {
            params.add_multipart(request).await?;
            return Ok(params);
        }
        let body = axum::body::to_bytes(request.into_body(), 8 << 20).await;
        let body = body.map_err(|_| Refusal::new(413, "Request Entity Too Large"))?;
        if kind.starts_with("application/json") {
            let unreadable = || Refusal::bad_request("can't parse JSON object");
            let value: Value =
                if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(|_| unreadable())? };
            params.0.extend(Self::from_json(&value).0);
        } else {
            params.add_form(&body);
        }
        Ok(params)
    }

    fn add_form(&mut self, text: &[u8]) {
        let pairs = url::form_urlencoded::parse(text);
        self.0.extend(pairs.map(|(name, value)| (name.to_lowercase(), value.into_owned())));
    }

    async fn add_multipart(&mut self, request: Request) -> Result<(), Refusal> {
        let unreadable = || Refusal::bad_request("can't parse multipart/form-data");
        let mut form = Multipart::from_request(request, &()).await.map_err(|_| unreadable())?;
        while let Some(field) = form.next_field().await.map_err(|_| unreadable())? {
            let name = field.name().unwrap_or_default().to_lowercase();
            self.0.insert(name, field.text().await.map_err(|_| unreadable())?);
        }
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// An integer; absent or unreadable is `None`, as in the real server.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.trim().parse().ok()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).trim().to_lowercase().as_str(), "true" | "1" | "yes")
    }

    /// A parameter that is itself JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Option<Result<T, serde_json::Error>> {
        self.get(name).filter(|text| !text.is_empty()).map(serde_json::from_str)
    }

    /// All of them, for the record of calls.
    pub(crate) fn to_map(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }
}
