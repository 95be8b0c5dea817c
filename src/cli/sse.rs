//! Reads a stream of server-sent events out of the pieces that a connection gives.
//!
//! Invariant: pieces may end anywhere, also inside a character. Not here: what the events mean.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` line; empty when there was none.
    pub name: String,
    /// The `data:` lines, joined.
    pub data: String,
    /// The `id:` line, for `Last-Event-ID`.
    pub id: Option<String>,
}

/// Collects pieces until events are whole.
#[derive(Debug, Default)]
pub struct Decoder {
    waiting: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Decoder {
    /// Takes a piece; gives the events that it completes.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<Event> {
        self.waiting.extend_from_slice(piece);
        let mut whole = Vec::new();
        while let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.waiting.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            whole.extend(self.line(line.trim_end_matches(['\r', '\n'])));
        }
        whole
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // a line that starts with a colon is a comment that keeps the connection open
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::default();
        pieces.iter().flat_map(|piece| decoder.feed(piece)).collect()
    }

    #[test]
    fn events_are_whole_wherever_the_pieces_end() {
        let text = "event: token\nid: 7\ndata: {\"text\":\"船\"}\n\n: ping\n\ndata: a\ndata: b\r\n\r\n".as_bytes();
        let expected = [
            Event { name: "token".into(), data: "{\"text\":\"船\"}".into(), id: Some("7".into()) },
            Event { name: String::new(), data: "a\nb".into(), id: None },
        ];
        assert_eq!(decode(&[text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(decode(&bytes), expected);
    }

    #[test]
    fn an_event_without_data_is_no_event() {
        assert!(decode(&[b"event: token\n\n: comment\n\n"]).is_empty());
    }
}
