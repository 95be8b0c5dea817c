//! The text of a generation under way: what came, what may be shown, who looks on.
//!
//! Invariant: the pieces sent are exactly the text, in order; none is empty. Not here: tokens.

use tokio::sync::mpsc::UnboundedSender;

use super::stop::StopFilter;

/// Collects the text and passes it on.
#[derive(Debug)]
pub struct Answer {
    stop: StopFilter,
    text: String,
    pieces: Option<UnboundedSender<String>>,
}

impl Answer {
    /// Ends before any of `stops`; sends to `pieces` if somebody looks on.
    pub fn new(stops: &[String], pieces: Option<UnboundedSender<String>>) -> Self {
        Self { stop: StopFilter::new(stops), text: String::new(), pieces }
    }

    /// Adds text; false when a stop string came and the generation is to end.
    pub fn push(&mut self, piece: &str) -> bool {
        let shown = self.stop.push(piece);
        self.show(shown);
        !self.stop.stopped()
    }

    /// The whole text; what was held back in case of a stop string goes out now.
    pub fn finish(mut self) -> String {
        let rest = self.stop.finish();
        self.show(rest);
        self.text
    }

    fn show(&mut self, piece: String) {
        if piece.is_empty() {
            return;
        }
        self.text.push_str(&piece);
        // an onlooker who left changes nothing
        if self.pieces.as_ref().is_some_and(|pieces| pieces.send(piece).is_err()) {
            self.pieces = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the trait's own channel; a test's few pieces bound it")]
    fn pieces_are_the_text_and_end_at_the_stop_string() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut answer = Answer::new(&["END".to_owned()], Some(sender));
        assert!(answer.push("one E"));
        assert!(answer.push("N, two E"));
        assert!(!answer.push("ND three"));
        assert!(!answer.push("more"));
        assert_eq!(answer.finish(), "one EN, two ");
        let mut pieces = String::new();
        while let Ok(piece) = receiver.try_recv() {
            assert!(!piece.is_empty());
            pieces.push_str(&piece);
        }
        assert_eq!(pieces, "one EN, two ");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the trait's own channel; a test's few pieces bound it")]
    fn a_closed_receiver_changes_nothing() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        drop(receiver);
        let mut answer = Answer::new(&[], Some(sender));
        assert!(answer.push("a") && answer.push("b"));
        assert_eq!(answer.finish(), "ab");
    }
}
