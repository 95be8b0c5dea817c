//! Stop strings: the text ends before the first of them, wherever the pieces happen to be cut.
//!
//! Invariants: nothing that could be the beginning of a stop string leaves before that is decided; the same text with
//! the same stops comes out the same however it was cut into pieces. Pure.

/// Holds text back while it may still become a stop string.
#[derive(Debug, Clone, Default)]
pub struct StopFilter {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopFilter {
    /// Empty stop strings are ignored: they would end every text before it begins.
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new(), stopped: false }
    }

    /// Takes the next piece and gives what may be shown now.
    pub fn push(&mut self, piece: &str) -> String {
        if self.stopped {
            return String::new();
        }
        if self.stops.is_empty() {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        if let Some(start) = self.first_stop() {
            self.stopped = true;
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let keep = self.held.len() - self.possible_start();
        let rest = self.held.split_off(keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// The text is over: what was held back is text after all.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// A stop string came; nothing more will be shown.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Where the text must end: the stop string that is complete first, so that the cut does not depend on the pieces.
    fn first_stop(&self) -> Option<usize> {
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop).map(|at| (at + stop.len(), at)));
        found.min().map(|(_, start)| start)
    }

    /// The length of the longest end of the held text that begins some stop string.
    fn possible_start(&self) -> usize {
        let begins = |stop: &str| {
            let longest = (stop.len() - 1).min(self.held.len());
            (1..=longest).rev().find(|&length| {
                let at = self.held.len() - length;
                self.held.as_bytes()[at..] == stop.as_bytes()[..length]
            })
        };
        self.stops.iter().filter_map(|stop| begins(stop)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(stops: &[String], pieces: &[String]) -> (Vec<String>, bool) {
        let mut filter = StopFilter::new(stops);
        let mut shown: Vec<String> = pieces.iter().map(|piece| filter.push(piece)).collect();
        shown.push(filter.finish());
        (shown, filter.stopped())
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_stop_string_across_pieces_is_never_shown() {
        let (shown, stopped) = through(&owned(&["</end>"]), &owned(&["Hello <", "/e", "nd> more", " words"]));
        assert_eq!(shown.concat(), "Hello ");
        assert!(stopped);
    }

    #[test]
    fn a_beginning_that_comes_to_nothing_is_shown_in_the_end() {
        let (shown, stopped) = through(&owned(&["</end>"]), &owned(&["a </e", "x b </en"]));
        assert_eq!(shown.concat(), "a </ex b </en");
        assert!(!stopped);
    }

    #[test]
    fn multibyte_text_is_cut_between_characters_only() {
        let (shown, stopped) = through(&owned(&["停止"]), &owned(&["你好停", "下，停", "止！"]));
        assert_eq!(shown.concat(), "你好停下，");
        assert!(stopped);
    }

    #[test]
    fn an_empty_stop_string_stops_nothing() {
        let (shown, stopped) = through(&owned(&[""]), &owned(&["abc"]));
        assert_eq!((shown.concat().as_str(), stopped), ("abc", false));
    }

    /// One character at a time, in the simplest way.
    fn reference(stops: &[String], text: &str) -> String {
        let mut seen = String::new();
        for character in text.chars() {
            seen.push(character);
            let ends = stops.iter().filter(|stop| !stop.is_empty() && seen.ends_with(stop.as_str()));
            if let Some(longest) = ends.map(String::len).max() {
                seen.truncate(seen.len() - longest);
                return seen;
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn the_text_is_the_same_however_it_is_cut(
            pieces in prop::collection::vec("[ab停é]{0,4}", 0..12),
            stops in prop::collection::vec("[ab停é]{0,4}", 0..4),
        ) {
            let (shown, stopped) = through(&stops, &pieces);
            let whole = pieces.concat();
            let expected = reference(&stops, &whole);
            prop_assert_eq!(shown.concat(), expected.clone());
            prop_assert_eq!(stopped, expected != whole);
        }

        #[test]
        fn nothing_shown_ever_has_to_be_taken_back(
            pieces in prop::collection::vec("[ab停]{0,3}", 1..10),
            stop in "[ab停]{1,4}",
        ) {
            let mut filter = StopFilter::new(std::slice::from_ref(&stop));
            let mut shown = String::new();
            for piece in &pieces {
                shown.push_str(&filter.push(piece));
                prop_assert!(!shown.contains(&stop));
            }
        }
    }
}
