//! `parse_mode=HTML`: tags to entities, with the server's error texts.

use super::formatting::{Entity, Formatted, utf16_len};

/// Parses, or says why not.
pub(crate) fn parse(source: &str) -> Result<Formatted, String> {
    let mut parser = Parser { source, at: 0, text: String::new(), open: Vec::new(), entities: Vec::new() };
    while let Some(c) = parser.rest().chars().next() {
        match c {
            '<' => parser.tag()?,
            '&' => parser.reference(),
            other => parser.push(other),
        }
    }
    if let Some(open) = parser.open.last() {
        return Err(format!("Can't find end tag corresponding to start tag \"{}\"", open.name));
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
    name: String,
    entity: Option<Entity>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, c: char) {
        self.text.push(c);
        self.at += c.len_utf8();
    }

    fn reference(&mut self) {
        const NAMED: [(&str, char); 4] = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
        if let Some((name, c)) = NAMED.into_iter().find(|(name, _)| self.rest().starts_with(name)) {
            self.text.push(c);
            self.at += name.len();
            return;
        }
        let number = self.rest().strip_prefix("&#").and_then(|rest| rest.split_once(';'));
        let decoded = number.and_then(|(digits, _)| {
            let value = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            Some((char::from_u32(value)?, digits.len() + 3))
        });
        match decoded {
            Some((c, length)) => {
                self.text.push(c);
                self.at += length;
            }
            None => self.push('&'),
        }
    }

    fn tag(&mut self) -> Result<(), String> {
        let begin = self.at;
        let Some((inside, _)) = self.rest().strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
            return Err(format!("Unclosed start tag at byte offset {begin}"));
        };
        self.at += inside.len() + 2;
        if let Some(name) = inside.strip_prefix('/') {
            return self.close(&name.trim().to_lowercase(), begin);
        }
        let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let name = name.to_lowercase();
        let offset = utf16_len(&self.text);
        let entity = entity_of(&name, attributes, offset, self.open.last());
        let Some(entity) = entity else {
            return Err(format!("Unsupported start tag \"{name}\" at byte offset {begin}"));
        };
        self.open.push(Open { name, entity });
        Ok(())
    }

    fn close(&mut self, name: &str, begin: usize) -> Result<(), String> {
        let Some(open) = self.open.pop() else {
            return Err(format!("Unexpected end tag at byte offset {begin}"));
        };
        if !name.is_empty() && name != open.name {
            let expected = open.name;
            return Err(format!(
                "Unmatched end tag at byte offset {begin}, expected \"</{expected}>\", found \"</{name}>\""
            ));
        }
        if let Some(mut entity) = open.entity {
            entity.length = utf16_len(&self.text) - entity.offset;
            self.entities.push(entity);
        }
        Ok(())
    }
}

/// `None`: unsupported. `Some(None)`: allowed, but only an argument of the tag around it.
fn entity_of(name: &str, attributes: &str, offset: usize, around: Option<&Open>) -> Option<Option<Entity>> {
    let kind = match name {
        "b" | "strong" => "bold",
        "i" | "em" => "italic",
        "u" | "ins" => "underline",
        "s" | "strike" | "del" => "strikethrough",
        "tg-spoiler" | "span" => "spoiler",
        "a" => "text_link",
        "pre" => "pre",
        "blockquote" => "blockquote",
        "tg-emoji" => "custom_emoji",
        "code" => {
            let inside_pre = around.is_some_and(|open| open.name == "pre");
            return Some((!inside_pre).then(|| Entity::new("code", offset, 0)));
        }
        _ => return None,
    };
    let mut entity = Entity::new(kind, offset, 0);
    let quoted = |key: &str| attributes.split_once(key)?.1.trim_start_matches(['"', '\'']).split(['"', '\'']).next();
    if kind == "text_link" {
        entity.url = quoted("href=").map(str::to_owned);
        if entity.url.is_none() {
            return Some(None);
        }
    }
    Some(Some(entity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_entities_with_utf16_offsets() {
        let read = parse("👉 <b>bold <i>both</i></b> &lt;a&gt; <pre>x &amp; y</pre>").unwrap();
        assert_eq!(read.text, "👉 bold both <a> x & y");
        let expected = [Entity::new("bold", 3, 9), Entity::new("italic", 8, 4), Entity::new("pre", 17, 5)];
        assert_eq!(read.entities, expected);
    }

    #[test]
    fn errors_are_the_servers_words() {
        assert_eq!(parse("a <foo>").unwrap_err(), "Unsupported start tag \"foo\" at byte offset 2");
        assert_eq!(parse("a</b>").unwrap_err(), "Unexpected end tag at byte offset 1");
        assert_eq!(parse("<b>a").unwrap_err(), "Can't find end tag corresponding to start tag \"b\"");
        let crossed = "Unmatched end tag at byte offset 4, expected \"</b>\", found \"</i>\"";
        assert_eq!(parse("<b>a</i>").unwrap_err(), crossed);
    }
}
