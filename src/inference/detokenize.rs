//! Token ids become text piece by piece, without ever cutting a character.
//!
//! Invariants: every piece is whole UTF-8; the pieces put together are what decoding all ids at once gives. A token may
//! hold a part of a character (byte-level vocabularies), and a token's text may depend on its neighbour (leading
//! spaces), so each step decodes the last tokens together with those before them and hands out the difference. Pure.

/// What a decoder puts where bytes do not make a character (yet).
const INCOMPLETE: char = '\u{FFFD}';

/// The tokens that the next piece depends on.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    ids: Vec<u32>,
    /// `ids[..shown]` have been handed out; they stay as context.
    shown: usize,
}

impl Detokenizer {
    /// Takes the next token and gives the text that is certain now.
    pub fn push(&mut self, id: u32, decode: impl Fn(&[u32]) -> String) -> String {
        self.ids.push(id);
        let before = decode(&self.ids[..self.shown]);
        let with = decode(&self.ids);
        if with.ends_with(INCOMPLETE) || with.len() <= before.len() {
            return String::new();
        }
        self.ids.drain(..self.shown);
        self.shown = self.ids.len();
        difference(&before, with)
    }

    /// The text is over: what was held back comes out, incomplete characters included.
    pub fn finish(&mut self, decode: impl Fn(&[u32]) -> String) -> String {
        let before = decode(&self.ids[..self.shown]);
        let with = decode(&self.ids);
        self.ids.clear();
        self.shown = 0;
        difference(&before, with)
    }
}

/// What `with` has more than `before`; all of it where the context changed the beginning (no known decoder does).
fn difference(before: &str, with: String) -> String {
    match with.get(before.len()..) {
        Some(rest) => rest.to_owned(),
        None => with,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A vocabulary in which token n is the byte n.
    fn bytes(ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().map(|id| *id as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A vocabulary of words whose decoder drops the very first space, as SentencePiece's do.
    fn words(ids: &[u32]) -> String {
        let text: String = ids.iter().map(|id| [" a", " bc", ",", " 好"][*id as usize % 4]).collect();
        text.strip_prefix(' ').unwrap_or(&text).to_owned()
    }

    fn pieces(ids: &[u32], decode: impl Fn(&[u32]) -> String + Copy) -> Vec<String> {
        let mut detokenizer = Detokenizer::default();
        let mut pieces: Vec<String> = ids.iter().map(|id| detokenizer.push(*id, decode)).collect();
        pieces.push(detokenizer.finish(decode));
        pieces
    }

    #[test]
    fn a_character_of_three_tokens_comes_in_one_piece() {
        let ids: Vec<u32> = "a好b".bytes().map(u32::from).collect();
        assert_eq!(pieces(&ids, bytes), ["a", "", "", "好", "b", ""]);
    }

    #[test]
    fn a_character_that_is_never_completed_comes_at_the_end() {
        let ids: Vec<u32> = [b'a', 0xE5, 0xA5].map(u32::from).to_vec();
        assert_eq!(pieces(&ids, bytes), ["a", "", "", "\u{FFFD}"]);
    }

    proptest! {
        #[test]
        fn the_pieces_of_any_bytes_are_the_text(ids in prop::collection::vec(0u32..256, 0..40)) {
            prop_assert_eq!(pieces(&ids, bytes).concat(), bytes(&ids));
        }

        #[test]
        fn the_pieces_of_any_text_are_the_text_and_whole(text in "[^\\p{C}\u{FFFD}]{0,24}") {
            let ids: Vec<u32> = text.bytes().map(u32::from).collect();
            let pieces = pieces(&ids, bytes);
            prop_assert_eq!(pieces.concat(), text);
            prop_assert!(pieces.iter().all(|piece| !piece.contains(INCOMPLETE)));
        }

        #[test]
        fn spaces_that_depend_on_the_neighbour_survive(ids in prop::collection::vec(0u32..4, 0..20)) {
            prop_assert_eq!(pieces(&ids, words).concat(), words(&ids));
        }
    }
}
