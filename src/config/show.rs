//! A configuration as text: what `config show` prints. Secrets are references, so there is none to hide.

use toml_edit::visit_mut::{VisitMut, visit_value_mut};
use toml_edit::{DocumentMut, Value};

use super::Config;

/// TOML with every key that has a value, defaults included.
pub fn to_toml(config: &Config) -> Result<String, toml_edit::ser::Error> {
    let mut document = toml_edit::ser::to_document(config)?;
    Sections.visit_document_mut(&mut document);
    ShortFloats.visit_document_mut(&mut document);
    Ok(document.to_string())
}

/// The serializer writes `server = { … }`; people write `[server]`.
struct Sections;

impl VisitMut for Sections {
    fn visit_document_mut(&mut self, document: &mut DocumentMut) {
        open(document.as_table_mut());
        if let Some(adapters) = document.get_mut("adapters").and_then(toml_edit::Item::as_table_mut) {
            adapters.set_implicit(true);
            open(adapters);
        }
    }
}

fn open(table: &mut toml_edit::Table) {
    for (_, item) in table.iter_mut() {
        if item.is_inline_table() {
            item.make_value();
            if let Ok(inner) = std::mem::take(item).into_table() {
                *item = toml_edit::Item::Table(inner);
            }
        }
    }
}

/// An `f32` of 0.7 became 0.699999988079071 on its way to TOML's `f64`.
struct ShortFloats;

impl VisitMut for ShortFloats {
    fn visit_value_mut(&mut self, value: &mut Value) {
        if let Some(shorter) = value.as_float().and_then(shorten) {
            *value = Value::from(shorter);
        }
        visit_value_mut(self, value);
    }
}

/// The shortest decimal that is the same `f32`, when the number came from one.
pub fn shorten(float: f64) -> Option<f64> {
    let narrow = float as f32;
    (f64::from(narrow) == float).then(|| narrow.to_string().parse().ok()).flatten()
}
