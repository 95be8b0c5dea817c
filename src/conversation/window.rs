//! Which part of a conversation fits into the model's context window. Pure.
//!
//! Invariants: the system prompt and the newest message are always in; older turns fall away oldest first, questions
//! together with their answers.

use crate::inference::{ChatMessage, Prompt, Role};

/// Builds the prompt; `fits` says whether the model can take it.
pub fn fit(system: &str, history: &[ChatMessage], newest: &str, fits: impl Fn(&Prompt) -> bool) -> Prompt {
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    let build = |kept: &[ChatMessage]| {
        let mut messages = Vec::with_capacity(kept.len() + 2);
        if !system.trim().is_empty() {
            messages.push(message(Role::System, system));
        }
        messages.extend_from_slice(kept);
        messages.push(message(Role::User, newest));
        Prompt::Chat(messages)
    };
    let mut kept = history;
    // a conversation begins with a question
    while kept.first().is_some_and(|first| first.role != Role::User) {
        kept = &kept[1..];
    }
    loop {
        let prompt = build(kept);
        if kept.is_empty() || fits(&prompt) {
            return prompt;
        }
        let next_question = kept.iter().skip(1).position(|turn| turn.role == Role::User);
        kept = next_question.map_or(&[], |at| &kept[at + 1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(n: usize) -> Vec<ChatMessage> {
        (0..n)
            .map(|i| ChatMessage {
                role: if i % 2 == 0 { Role::User } else { Role::Assistant },
                content: i.to_string(),
            })
            .collect()
    }

    fn shown(prompt: &Prompt) -> Vec<String> {
        match prompt {
            Prompt::Chat(messages) => messages.iter().map(|message| message.content.clone()).collect(),
            Prompt::Text(text) => vec![text.clone()],
        }
    }

    fn at_most(n: usize) -> impl Fn(&Prompt) -> bool {
        move |prompt| shown(prompt).len() <= n
    }

    #[test]
    fn old_questions_fall_away_with_their_answers() {
        assert_eq!(shown(&fit("be kind", &turns(6), "now", at_most(7))), ["be kind", "2", "3", "4", "5", "now"]);
        assert_eq!(shown(&fit("", &turns(6), "now", at_most(5))), ["2", "3", "4", "5", "now"]);
    }

    #[test]
    fn the_newest_message_stays_whatever_its_length() {
        assert_eq!(shown(&fit("be kind", &turns(4), "now", |_| false)), ["be kind", "now"]);
    }

    #[test]
    fn a_history_that_begins_with_an_answer_is_cut_to_the_next_question() {
        assert_eq!(shown(&fit("", &turns(4)[1..], "now", |_| true)), ["2", "3", "now"]);
    }
}
