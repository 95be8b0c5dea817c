//! Server-sent events, as far as model servers use them: lines of `data:` with an empty line after each event. Pure.
//!
//! Invariants: a line and the whole stream are bounded; bytes are cut into lines before they are decoded, so a character
//! that arrives in two reads is whole. Not here: what the data means.

/// The longest line.
pub const LONGEST_LINE: usize = 1 << 20;
/// The most bytes of one answer.
pub const LONGEST_STREAM: usize = 32 << 20;

/// More than a server should send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Collects bytes into the data of events.
#[derive(Debug, Default)]
pub struct EventReader {
    line: Vec<u8>,
    data: Option<String>,
    received: usize,
}

impl EventReader {
    /// Takes what arrived and gives the data of the events that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        self.received += bytes.len();
        if self.received > LONGEST_STREAM {
            return Err(TooLong);
        }
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LONGEST_LINE {
                return Err(TooLong);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.line_done(&line, &mut events)?;
            }
        }
        Ok(events)
    }

    /// The stream is over: an event without its empty line still counts.
    pub fn finish(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        // bounded like any other line
        let _ = self.line_done(&line, &mut Vec::new());
        self.data.take()
    }

    fn line_done(&mut self, line: &[u8], events: &mut Vec<String>) -> Result<(), TooLong> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            events.extend(self.data.take());
        } else if let Some(value) = text.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) if data.len() + value.len() > LONGEST_LINE => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        // comments (keep-alives), `event:`, `id:` and `retry:` say nothing that we need
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = ": hello\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: x\ndata:你好\n\n\n\ndata: [DONE]";

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = EventReader::default();
        let mut events: Vec<String> = chunks.iter().flat_map(|chunk| reader.push(chunk).unwrap()).collect();
        events.extend(reader.finish());
        events
    }

    #[test]
    fn events_are_read_with_comments_and_either_line_end() {
        assert_eq!(read(&[STREAM.as_bytes()]), ["{\"a\":\n1}", "你好", "[DONE]"]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = EventReader::default();
        let results: Vec<_> = (0..3).map(|_| reader.push(&vec![b'x'; LONGEST_LINE / 2])).collect();
        assert_eq!(results[2], Err(TooLong));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::default();
        let line = format!("data: {}\n", "x".repeat(LONGEST_LINE - 100));
        assert!(reader.push(line.as_bytes()).is_ok());
        assert_eq!(reader.push(line.as_bytes()), Err(TooLong));
    }

    proptest! {
        #[test]
        fn the_events_are_the_same_however_the_bytes_arrive(cuts in prop::collection::vec(0..STREAM.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &STREAM.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(&chunks), ["{\"a\":\n1}", "你好", "[DONE]"]);
        }
    }
}
