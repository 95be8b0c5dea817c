//! Text with entities, as the server makes it out of a call: `parse_mode` or `entities`, then clean-up, then the limit.
//!
//! Offsets and lengths are UTF-16 units. Errors are the server's words.
//! Not here: nesting rules between entity kinds (the server repairs those silently).

use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::html;
use super::markdown;
use super::params::Params;

/// The most UTF-16 units in one message.
pub const TEXT_LIMIT: usize = 4096;

/// A `MessageEntity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// `bold`, `pre`, `mention`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// In UTF-16 units.
    pub offset: usize,
    /// In UTF-16 units.
    pub length: usize,
    /// `text_link`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `pre`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

impl Entity {
    /// One without an argument.
    pub fn new(kind: &str, offset: usize, length: usize) -> Self {
        Self { kind: kind.to_owned(), offset, length, url: None, language: None }
    }
}

/// What a message says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Formatted {
    pub(crate) text: String,
    pub(crate) entities: Vec<Entity>,
}

pub(crate) fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The text of a call, checked.
pub(crate) fn read(params: &Params) -> Result<Formatted, Refusal> {
    let text = params.text("text");
    let raw = match params.text("parse_mode").to_lowercase().as_str() {
        "" => Formatted { text: text.to_owned(), entities: listed(params)? },
        "html" => html::parse(text).map_err(unparsable)?,
        "markdownv2" | "markdown" => markdown::parse(text).map_err(unparsable)?,
        _ => return Err(Refusal::bad_request("unsupported parse_mode")),
    };
    check(&raw)?;
    let clean = trim(raw);
    if clean.text.is_empty() {
        return Err(Refusal::bad_request("message text is empty"));
    }
    if utf16_len(&clean.text) > TEXT_LIMIT {
        return Err(Refusal::bad_request("message is too long"));
    }
    Ok(clean)
}

fn unparsable(cause: String) -> Refusal {
    Refusal::bad_request(&format!("can't parse entities: {cause}"))
}

fn listed(params: &Params) -> Result<Vec<Entity>, Refusal> {
    let list = params.json::<Vec<Entity>>("entities").transpose();
    let mut list = list.map_err(|error| unparsable(error.to_string()))?.unwrap_or_default();
    list.retain(|entity| entity.length > 0);
    list.sort_by_key(|entity| (entity.offset, usize::MAX - entity.length));
    Ok(list)
}

/// Entities must begin and end between characters and inside the text.
fn check(formatted: &Formatted) -> Result<(), Refusal> {
    let mut borders = vec![0];
    for c in formatted.text.chars() {
        borders.push(borders.last().copied().unwrap_or(0) + c.len_utf16());
    }
    let end = borders.last().copied().unwrap_or(0);
    for entity in &formatted.entities {
        let (from, to) = (entity.offset, entity.offset + entity.length);
        let wrong = if from > end {
            format!("entity begins after the end of the text at UTF-16 offset {from}")
        } else if borders.binary_search(&from).is_err() {
            "entity begins in a middle of a UTF-16 symbol".to_owned()
        } else if to > end {
            format!("entity beginning at UTF-16 offset {from} ends after the end of the text at UTF-16 offset {to}")
        } else if borders.binary_search(&to).is_err() {
            format!("entity beginning at UTF-16 offset {from} ends in a middle of a UTF-16 symbol")
        } else {
            continue;
        };
        return Err(Refusal::bad_request(&wrong));
    }
    Ok(())
}

/// Leading and trailing blanks go (leading ones only before the first entity); control characters go.
fn trim(formatted: Formatted) -> Formatted {
    let Formatted { text, entities } = formatted;
    let first_entity = entities.first().map_or(usize::MAX, |entity| entity.offset);
    let blanks = text.chars().take_while(|c| matches!(c, ' ' | '\n')).count().min(first_entity);
    let kept = text.get(blanks..).unwrap_or_default().trim_end().to_owned();
    let end = utf16_len(&kept);
    let clip = |mut entity: Entity| {
        entity.offset = entity.offset.saturating_sub(blanks);
        entity.length = entity.length.min(end.saturating_sub(entity.offset));
        (entity.length > 0).then_some(entity)
    };
    let entities = entities.into_iter().filter_map(clip).collect();
    Formatted { text: kept, entities }
}

/// What the server finds by itself in what a person writes: commands, mentions, links.
pub(crate) fn detect(text: &str) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut offset = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if let Some((kind, length)) = kind_of(bare) {
            found.push(Entity::new(kind, offset, length));
        }
        offset += utf16_len(word);
    }
    found
}

fn kind_of(word: &str) -> Option<(&'static str, usize)> {
    let name = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').count();
    if let Some(rest) = word.strip_prefix('/') {
        let command = name(rest);
        let at = rest.get(command..).and_then(|rest| rest.strip_prefix('@')).map_or(0, |bot| name(bot) + 1);
        return (command > 0).then_some(("bot_command", 1 + command + at));
    }
    if let Some(rest) = word.strip_prefix('@') {
        return (name(rest) >= 3).then_some(("mention", 1 + name(rest)));
    }
    let link = word.starts_with("https://") || word.starts_with("http://");
    link.then(|| ("url", utf16_len(word)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn call(value: &Value) -> Result<Formatted, String> {
        read(&Params::from_json(value)).map_err(|refusal| refusal.description)
    }

    #[test]
    fn blanks_around_are_cut_and_entities_move_along() {
        let entities = json!([{"type": "bold", "offset": 2, "length": 5}]);
        let read = call(&json!({"text": "  abc  ", "entities": entities})).unwrap();
        assert_eq!(read, Formatted { text: "abc".into(), entities: vec![Entity::new("bold", 0, 3)] });
    }

    #[test]
    fn an_entity_that_cuts_a_surrogate_pair_is_refused() {
        let entities = json!([{"type": "bold", "offset": 1, "length": 1}]);
        let refusal = call(&json!({"text": "👉 x", "entities": entities})).unwrap_err();
        assert_eq!(refusal, "Bad Request: entity begins in a middle of a UTF-16 symbol");
    }

    #[test]
    fn the_limit_counts_utf16_units_after_parsing() {
        assert!(call(&json!({"text": "👉".repeat(2048)})).is_ok());
        let refusal = call(&json!({"text": "👉".repeat(2049)})).unwrap_err();
        assert_eq!(refusal, "Bad Request: message is too long");
        assert!(call(&json!({"text": format!("<b>{}</b>", "a".repeat(4096)), "parse_mode": "HTML"})).is_ok());
    }

    #[test]
    fn a_blank_text_is_empty() {
        assert_eq!(call(&json!({"text": " \n "})).unwrap_err(), "Bad Request: message text is empty");
        assert_eq!(call(&json!({})).unwrap_err(), "Bad Request: message text is empty");
    }

    #[test]
    fn commands_mentions_and_links_are_found() {
        let kinds: Vec<_> = detect("👉 /start@my_bot @some_one https://a.b c").into_iter().collect();
        assert_eq!(
            kinds,
            [Entity::new("bot_command", 3, 13), Entity::new("mention", 17, 9), Entity::new("url", 27, 11)]
        );
    }
}
