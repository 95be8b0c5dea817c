//! Writes the documented example file from the sections' structs: their doc comments become its comments, their
//! defaults its values.
//!
//! Invariants: loading the example is the same as loading an empty file; keys stand in the order of the structs' fields. A
//! test compares `config/packetboat.example.toml` with this, so nobody edits that file by hand.

use std::fmt::Write as _;

use packetboat_telegram::config::TelegramConfig;
use serde_json::Value as Json;

use super::fields::fields_of;
use super::keys::{SCHEMA, SECRET_FORMS, is_secret, properties, resolve};
use super::show::shorten;
use super::{AdaptersConfig, Config};
use crate::conversation::config::ConversationConfig;
use crate::http::config::ServerConfig;
use crate::inference::config::ModelConfig;
use crate::queue::config::DeliveryConfig;
use crate::security::config::SecurityConfig;
use crate::store::config::StorageConfig;
use crate::telemetry::config::LogConfig;

/// Comments are wrapped here.
const WIDTH: usize = 118;

/// The file's whole text.
pub fn text() -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "packetboat: every key with its default. A key that is not set by default, and a platform that is off, starts with \
         `#`: remove it and fill in. Written by `packetboat config example`; `packetboat init` makes one to start with.",
    );
    comment(&mut out, &format!("A secret is never written here, only where it is: {SECRET_FORMS}."));
    comment(
        &mut out,
        "An environment variable such as PACKETBOAT__SERVER__LISTEN overrides the key `listen` of [server].",
    );
    for (name, schema) in in_order("", &SCHEMA) {
        if name == "adapters" {
            for (adapter, schema) in in_order("adapters", schema) {
                section(&mut out, &format!("adapters.{adapter}"), schema, "#");
            }
        } else {
            section(&mut out, name, schema, "");
        }
    }
    out
}

fn section(out: &mut String, path: &str, schema: &Json, off: &str) {
    out.push('\n');
    comment(out, description(schema));
    let _ = writeln!(out, "{off}[{path}]");
    for (name, schema) in in_order(path, schema) {
        comment(out, description(schema));
        choices(out, schema);
        let (set, value) = value_of(path, name, schema);
        let off = if set { off } else { "#" };
        let _ = writeln!(out, "{off}{name} = {value}");
    }
}

/// A section's keys, in the order of its struct's fields.
fn in_order<'a>(path: &str, schema: &'a Json) -> Vec<(&'a str, &'a Json)> {
    let order = match path {
        "" => fields_of::<Config>(),
        "server" => fields_of::<ServerConfig>(),
        "storage" => fields_of::<StorageConfig>(),
        "model" => fields_of::<ModelConfig>(),
        "conversation" => fields_of::<ConversationConfig>(),
        "delivery" => fields_of::<DeliveryConfig>(),
        "adapters" => fields_of::<AdaptersConfig>(),
        "adapters.telegram" => fields_of::<TelegramConfig>(),
        "security" => fields_of::<SecurityConfig>(),
        "log" => fields_of::<LogConfig>(),
        // a new section without a line above still appears, in alphabetical order
        _ => &[],
    };
    let mut keys: Vec<(&str, &Json)> =
        properties(schema).into_iter().flatten().map(|(name, schema)| (name.as_str(), schema)).collect();
    keys.sort_by_key(|(name, _)| order.iter().position(|field| field == name).unwrap_or(usize::MAX));
    keys
}

fn description(schema: &Json) -> &str {
    schema.get("description").or_else(|| resolve(schema).get("description")).and_then(Json::as_str).unwrap_or_default()
}

fn comment(out: &mut String, text: &str) {
    // rustdoc breaks lines where the source does; here a paragraph is one comment
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        wrap(out, "# ", "# ", paragraph);
    }
}

/// Words in lines of at most [`WIDTH`] columns.
fn wrap(out: &mut String, first: &str, next: &str, text: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            next.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(out, "{line}");
}

fn choices(out: &mut String, schema: &Json) {
    let Some(all) = resolve(schema).get("oneOf").and_then(Json::as_array) else { return };
    for one in all {
        if let (Some(value), Some(meaning)) = (one.get("const"), one.get("description").and_then(Json::as_str)) {
            wrap(out, "#   ", "#     ", &format!("{value}: {meaning}"));
        }
    }
}

/// The default, or for a key that has none something to fill in; the flag says which.
fn value_of(path: &str, name: &str, schema: &Json) -> (bool, String) {
    match schema.get("default") {
        Some(default) if !default.is_null() => (true, toml(default)),
        _ => (required(path, name), sample(path, name, schema)),
    }
}

fn required(path: &str, name: &str) -> bool {
    let section = path.split('.').try_fold(&*SCHEMA, |schema, part| properties(schema)?.get(part));
    let required = section.and_then(|schema| resolve(schema).get("required")).and_then(Json::as_array);
    required.is_some_and(|keys| keys.iter().any(|key| key == name))
}

fn sample(path: &str, name: &str, schema: &Json) -> String {
    if is_secret(schema) {
        let section = path.rsplit('.').next().unwrap_or(path);
        return format!("{{ env = \"{}_{}\" }}", section.to_uppercase(), name.to_uppercase());
    }
    if let Some(inner) = properties(schema) {
        let keys: Vec<String> = inner.keys().map(|key| format!("{key} = \"…\"")).collect();
        return format!("{{ {} }}", keys.join(", "));
    }
    let kind = resolve(schema).get("type");
    let text =
        kind.is_some_and(|kind| kind == "string" || kind.as_array().is_some_and(|all| all.contains(&"string".into())));
    if text { "\"…\"".to_owned() } else { "…".to_owned() }
}

fn toml(value: &Json) -> String {
    match value {
        Json::Number(number) => number.as_f64().filter(|_| number.is_f64()).map_or_else(
            || number.to_string(),
            |float| toml_edit::Value::from(shorten(float).unwrap_or(float)).to_string(),
        ),
        Json::String(text) => toml_edit::Value::from(text.as_str()).to_string(),
        Json::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Json::Bool(_) | Json::Null => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/packetboat.example.toml");

    #[test]
    fn the_example_file_is_what_the_structs_say() {
        let written = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(
            written == text(),
            "config/packetboat.example.toml is out of date; run\n    cargo run -- config example > config/packetboat.example.toml"
        );
    }

    #[test]
    fn the_example_means_the_same_as_an_empty_file() {
        let example: Config = toml_edit::de::from_str(&text()).expect("the example loads");
        assert_eq!(example, Config::default());
    }

    #[test]
    fn an_adapter_of_the_example_loads_when_its_marks_are_removed() {
        let all = text();
        let start = all.find("#[adapters.telegram]").expect("telegram is there");
        let section: Vec<&str> = all[start..].lines().take_while(|line| !line.is_empty()).collect();
        let keys: Vec<&str> = section.iter().filter(|line| !line.starts_with("# ")).map(|line| &line[1..]).collect();
        let config: Config = toml_edit::de::from_str(&keys.join("\n")).expect("it loads");
        assert!(config.adapters.telegram.is_some());
    }
}
