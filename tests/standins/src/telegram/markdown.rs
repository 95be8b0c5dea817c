//! `parse_mode=MarkdownV2`: markers to entities; a reserved character that is not escaped is refused, as by the server.
//!
//! Not here: the legacy `Markdown` dialect's own looseness; it is read by the same rules.

use super::formatting::{Entity, Formatted, utf16_len};

const RESERVED: &str = "_*[]()~`>#+-=|{}.!";

/// Parses, or says why not.
pub(crate) fn parse(source: &str) -> Result<Formatted, String> {
    let mut parser = Parser { source, at: 0, text: String::new(), open: Vec::new(), entities: Vec::new() };
    while let Some(c) = parser.rest().chars().next() {
        parser.step(c)?;
    }
    if let Some(open) = parser.open.last() {
        return Err(unclosed(open));
    }
    let Parser { text, mut entities, .. } = parser;
    entities.retain(|entity| entity.length > 0);
    entities.sort_by_key(|entity| (entity.offset, usize::MAX - entity.length));
    Ok(Formatted { text, entities })
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    text: String,
    open: Vec<Open>,
    entities: Vec<Entity>,
}

struct Open {
    marker: &'static str,
    entity: Entity,
    begin: usize,
}

/// Longest marker first.
const MARKERS: [(&str, &str); 7] = [
    ("```", "pre"),
    ("||", "spoiler"),
    ("__", "underline"),
    ("*", "bold"),
    ("_", "italic"),
    ("~", "strikethrough"),
    ("`", "code"),
];

fn unclosed(open: &Open) -> String {
    let mut name = open.entity.kind.clone();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("Can't find end of {name} entity at byte offset {}", open.begin)
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, c: char) {
        self.text.push(c);
        self.at += c.len_utf8();
    }

    fn step(&mut self, c: char) -> Result<(), String> {
        let escaped = self.rest().strip_prefix('\\').and_then(|rest| rest.chars().next());
        if let Some(escaped) = escaped.filter(|c| c.is_ascii() && !c.is_ascii_control()) {
            self.at += 1;
            self.push(escaped);
            return Ok(());
        }
        let verbatim = self.open.last().filter(|open| matches!(open.marker, "`" | "```")).map(|open| open.marker);
        if let Some(marker) = verbatim {
            if self.rest().starts_with(marker) {
                self.close();
            } else {
                self.push(c);
            }
            return Ok(());
        }
        match c {
            '>' if self.text.is_empty() || self.text.ends_with('\n') => self.quote(),
            '[' => self.open("[", Entity::new("text_link", utf16_len(&self.text), 0)),
            ']' if self.open.last().is_some_and(|open| open.marker == "[") => self.link(),
            _ => return self.marker(c),
        }
        Ok(())
    }

    fn marker(&mut self, c: char) -> Result<(), String> {
        let Some((marker, kind)) = MARKERS.into_iter().find(|(marker, _)| self.rest().starts_with(marker)) else {
            if RESERVED.contains(c) {
                return Err(format!("Character '{c}' is reserved and must be escaped with the preceding '\\'"));
            }
            self.push(c);
            return Ok(());
        };
        if self.open.last().is_some_and(|open| open.marker == marker) {
            self.close();
        } else if let Some(open) = self.open.iter().find(|open| open.marker == marker) {
            return Err(unclosed(self.open.last().unwrap_or(open)));
        } else {
            self.open(marker, Entity::new(kind, utf16_len(&self.text), 0));
        }
        Ok(())
    }

    fn open(&mut self, marker: &'static str, mut entity: Entity) {
        let begin = self.at;
        self.at += marker.len();
        if marker == "```" {
            let line = self.rest().split('\n').next().unwrap_or_default();
            let fits = self.rest().len() > line.len() && !line.contains(['`', ' ']);
            if fits {
                self.at += line.len() + 1;
                entity.language = (!line.is_empty()).then(|| line.to_owned());
            }
        }
        self.open.push(Open { marker, entity, begin });
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.pop() {
            self.at += open.marker.len();
            open.entity.length = utf16_len(&self.text) - open.entity.offset;
            self.entities.push(open.entity);
        }
    }

    fn link(&mut self) {
        self.close();
        let target = self.rest().strip_prefix('(').and_then(|rest| rest.split_once(')'));
        if let Some((url, _)) = target {
            self.at += url.len() + 2;
            if let Some(entity) = self.entities.last_mut() {
                entity.url = Some(url.replace('\\', ""));
            }
        } else {
            self.entities.pop();
        }
    }

    /// One quoted line.
    fn quote(&mut self) {
        self.at += 1;
        let line = self.rest().split('\n').next().unwrap_or_default();
        let offset = utf16_len(&self.text);
        self.entities.push(Entity::new("blockquote", offset, utf16_len(&line.replace('\\', ""))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_become_entities() {
        let read = parse("*bold _both_* `co*de` [li\\-nk](https://a.b)\n```rust\nfn x()\n```").unwrap();
        assert_eq!(read.text, "bold both co*de li-nk\nfn x()\n");
        let kinds: Vec<&str> = read.entities.iter().map(|entity| entity.kind.as_str()).collect();
        assert_eq!(kinds, ["bold", "italic", "code", "text_link", "pre"]);
        assert_eq!(read.entities[3].url.as_deref(), Some("https://a.b"));
        assert_eq!(read.entities[4].language.as_deref(), Some("rust"));
    }

    #[test]
    fn a_reserved_character_must_be_escaped() {
        let refusal = parse("It works.").unwrap_err();
        assert_eq!(refusal, "Character '.' is reserved and must be escaped with the preceding '\\'");
        assert_eq!(parse("It works\\.").unwrap().text, "It works.");
    }

    #[test]
    fn an_open_marker_is_refused() {
        assert_eq!(parse("a *b").unwrap_err(), "Can't find end of Bold entity at byte offset 2");
    }
}
