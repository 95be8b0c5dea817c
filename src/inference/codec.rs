//! Text to tokens and back: the model's tokenizer and chat template together.
//!
//! Invariants: a rendered conversation is tokenised as it is (the template writes the special tokens itself), bare text
//! gets the tokenizer's own; special tokens never show in the text; nobody can write a special token into a conversation
//! and so pass for the system or the model. Not here: which tokens to choose.

use tokenizers::Tokenizer;

use super::layout::ModelFiles;
use super::load_error::LoadError;
use super::prompt::ChatTemplate;
use super::{ChatMessage, GenerateError, Prompt};
use crate::clock::SharedClock;

/// A model's tokenizer and template.
pub struct Codec {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    eos_ids: Vec<u32>,
    /// Texts of tokens that mean something to the model, such as the end of a turn.
    special: Vec<String>,
}

impl Codec {
    /// From a model's files.
    pub fn load(files: &ModelFiles, clock: SharedClock) -> Result<Self, LoadError> {
        let path = &files.tokenizer;
        let text = super::files::text(path)?;
        let mut tokenizer: Tokenizer = text.parse().map_err(|error| {
            LoadError::files(
                format!("{} is not a tokenizer that packetboat understands ({error})", path.display()),
                "download that file again; a model needs the fast tokenizer's tokenizer.json",
            )
        })?;
        // limits meant for training would cut long prompts silently
        let _ = tokenizer.with_truncation(None);
        tokenizer.with_padding(None);
        let template = ChatTemplate::load(&files.folder, clock)?;
        let mut eos_ids = files.settings.eos_ids.clone();
        let named = template.eos().and_then(|token| tokenizer.token_to_id(token));
        eos_ids.extend(named.filter(|id| !files.settings.eos_ids.contains(id)));
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.into_values().filter(|token| token.special && token.content.chars().count() > 1);
        let special = special.map(|token| token.content).collect();
        Ok(Self { tokenizer, template, eos_ids, special })
    }

    /// The model brought no chat template.
    pub fn is_plain(&self) -> bool {
        self.template.is_plain()
    }

    /// Tokens that end the answer.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// The prompt's tokens.
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        let (text, special) = match prompt {
            Prompt::Chat(messages) => {
                let messages: Vec<ChatMessage> = messages.iter().map(|message| self.plain_text(message)).collect();
                (self.template.render(&messages)?, self.template.is_plain())
            }
            Prompt::Text(text) => (text.clone(), true),
        };
        let encoding = self.tokenizer.encode_fast(text, special);
        // the cause could hold the text
        let encoding = encoding.map_err(|_| {
            GenerateError::Reject("the tokenizer refuses this text; shorten it or change it".to_owned())
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The message with every special token's text broken up, so that it is read as the words it is.
    fn plain_text(&self, message: &ChatMessage) -> ChatMessage {
        let mut content = message.content.clone();
        for token in self.special.iter().filter(|token| message.content.contains(token.as_str())) {
            let first = token.chars().next().map_or(0, char::len_utf8);
            content = content.replace(token.as_str(), &format!("{} {}", &token[..first], &token[first..]));
        }
        ChatMessage { role: message.role, content }
    }

    /// The tokens' text.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }
}
