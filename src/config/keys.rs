//! Which keys exist, taken from the sections' schemas: finds unknown ones and secrets that are not references.
//!
//! Not here: types and values, which serde checks, and rules between keys (`validate.rs`).

use std::sync::LazyLock;

use serde_json::{Map, Value as Json};
use toml_edit::{Item, TableLike};

use super::Config;
use super::error::Problem;

/// What a secret may look like, for errors and for the example file.
pub const SECRET_FORMS: &str = "`{ env = \"NAME\" }`, `{ file = \"/path\" }`, `{ credential = \"name\" }` (systemd) or \
                                `{ command = [\"program\", \"argument\"] }`";

/// The whole configuration's JSON schema.
pub static SCHEMA: LazyLock<Json> = LazyLock::new(|| schemars::schema_for!(Config).to_value());

/// Follows references and the optional-value form (`anyOf` with null) to the schema itself.
pub fn resolve(schema: &Json) -> &Json {
    if let Some(name) = reference(schema) {
        return SCHEMA.pointer(&format!("/$defs/{name}")).map_or(schema, resolve);
    }
    let alternatives = schema.get("anyOf").and_then(Json::as_array);
    let some = alternatives.and_then(|all| all.iter().find(|one| one.get("type") != Some(&Json::from("null"))));
    some.map_or(schema, resolve)
}

/// A secret's schema, optional or not.
pub fn is_secret(schema: &Json) -> bool {
    let alternatives = schema.get("anyOf").and_then(Json::as_array);
    reference(schema) == Some("SecretRef")
        || alternatives.is_some_and(|all| all.iter().any(|one| reference(one) == Some("SecretRef")))
}

/// The keys of a table's schema.
pub fn properties(schema: &Json) -> Option<&Map<String, Json>> {
    resolve(schema).get("properties").and_then(Json::as_object)
}

fn reference(schema: &Json) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// Unknown keys and inline secrets, each with what to write instead.
pub fn problems(table: &dyn TableLike) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(table, &SCHEMA, "", &mut found);
    found
}

fn walk(table: &dyn TableLike, schema: &Json, prefix: &str, found: &mut Vec<Problem>) {
    let Some(known) = properties(schema) else { return };
    for (name, item) in table.iter() {
        let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        match known.get(name) {
            None => found.push(Problem::at_key(&key, "there is no such key", suggestion(name, prefix, known))),
            Some(schema) if is_secret(schema) => found.extend(inline_secret(&key, item)),
            Some(schema) => {
                if let Some(inner) = item.as_table_like() {
                    walk(inner, schema, &key, found);
                }
            }
        }
    }
}

fn suggestion(name: &str, prefix: &str, known: &Map<String, Json>) -> String {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    if let Some(nearest) = nearest(name, names.iter().copied()) {
        return format!("did you mean `{nearest}`?");
    }
    let elsewhere = properties(&SCHEMA)
        .into_iter()
        .flatten()
        .find(|(section, schema)| *section != prefix && properties(schema).is_some_and(|keys| keys.contains_key(name)));
    if let Some((section, _)) = elsewhere {
        return format!("`{name}` belongs into [{section}]");
    }
    let list = names.join(", ");
    if prefix.is_empty() { format!("the sections are {list}") } else { format!("[{prefix}] knows {list}") }
}

/// The most similar of `names`, if any is similar enough to be meant.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = names.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.82).then_some(best.1)
}

/// Never repeats what stands there: it may be the secret.
fn inline_secret(key: &str, item: &Item) -> Option<Problem> {
    let forms = || format!("refer to it: {SECRET_FORMS}");
    let Some(table) = item.as_table_like() else {
        return Some(Problem::at_key(key, "a secret is never written into this file", forms()));
    };
    let mut entries = table.iter();
    let (Some((form, value)), None) = (entries.next(), entries.next()) else {
        return Some(Problem::at_key(key, "exactly one reference is needed here", forms()));
    };
    match form {
        "env" if !value.as_str().is_some_and(is_variable_name) => {
            Some(Problem::at_key(key, "`env` takes a variable's name, letters, digits and `_`", forms()))
        }
        "file" | "credential" if value.as_str().is_none_or(str::is_empty) => {
            Some(Problem::at_key(key, format!("`{form}` takes a text that is not empty"), forms()))
        }
        "command" if !value.as_array().is_some_and(|words| !words.is_empty() && words.iter().all(|w| w.is_str())) => {
            Some(Problem::at_key(key, "`command` takes a list, the program first", forms()))
        }
        "env" | "file" | "credential" | "command" => None,
        _ => Some(Problem::at_key(key, "this is no kind of reference", forms())),
    }
}

fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Turns serde's words for a wrong type or value into a message and a hint.
pub fn explain(key: &str, message: String) -> (String, String) {
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let written = rest.split('`').next().unwrap_or_default();
        let allowed: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
        let hint = match nearest(written, allowed.iter().copied()) {
            Some(nearest) => format!("did you mean \"{nearest}\"?"),
            None => "use one of those".to_owned(),
        };
        let list: Vec<String> = allowed.iter().map(|value| format!("\"{value}\"")).collect();
        return (format!("\"{written}\" is none of {}", list.join(", ")), hint);
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        let field = rest.split('`').next().unwrap_or_default();
        let secret = schema_of(&format!("{key}.{field}")).is_some_and(is_secret);
        let hint = if secret { format!("add {field} = {SECRET_FORMS}") } else { format!("add {field} = …") };
        return (format!("`{field}` is missing"), hint);
    }
    let hint = if message.contains("expected a duration") || message.contains("time unit") {
        "a duration is a text such as \"30s\", \"5m\" or \"7days\""
    } else if message.contains("expected a string") {
        "put it in quotes"
    } else if message.contains("socket address") {
        "an address and a port, for example \"127.0.0.1:18789\""
    } else {
        "see this key in config/packetboat.example.toml"
    };
    (message, hint.to_owned())
}

fn schema_of(key: &str) -> Option<&'static Json> {
    let mut schema: &'static Json = &SCHEMA;
    for part in key.split('.') {
        schema = properties(schema)?.get(part)?;
    }
    Some(schema)
}
