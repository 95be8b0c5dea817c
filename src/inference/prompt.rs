//! The chat template: a conversation becomes the text that the model was trained on.
//!
//! The template comes with the model (`chat_template.jinja`, or `chat_template` in `tokenizer_config.json`) and is
//! written for Python's Jinja; minijinja renders it with Python's string and list methods added. Without a template a
//! plain one of our own is used, with a warning. Invariants: rendering changes nothing and reaches nothing outside; an
//! error never holds what people said. Not here: tokens.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};
use serde_json::Value as Json;

use super::files;
use super::load_error::LoadError;
use super::strftime::strftime;
use super::{ChatMessage, GenerateError, Role};
use crate::clock::SharedClock;

const NAME: &str = "chat_template";
/// For models without a template: most models follow it somehow.
const PLAIN: &str = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";

/// A model's chat template, compiled.
pub struct ChatTemplate {
    environment: Environment<'static>,
    special: SpecialTokens,
    plain: bool,
}

/// Special tokens' texts, as templates know them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<String>,
    /// Ends an answer.
    pub eos: Option<String>,
    /// Fills up.
    pub pad: Option<String>,
    /// Stands for the unknown.
    pub unk: Option<String>,
}

impl SpecialTokens {
    fn read(config: &Json) -> Self {
        let text = |name: &str| {
            let token = &config[name];
            token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
        };
        Self { bos: text("bos_token"), eos: text("eos_token"), pad: text("pad_token"), unk: text("unk_token") }
    }
}

impl ChatTemplate {
    /// From the model's folder.
    pub fn load(folder: &Path, clock: SharedClock) -> Result<Self, LoadError> {
        let config = files::optional_json(&folder.join("tokenizer_config.json"))?.unwrap_or(Json::Null);
        let separate = folder.join("chat_template.jinja");
        let (source, from) = if separate.exists() {
            (Some(files::text(&separate)?), separate)
        } else {
            (template_in(&config), folder.join("tokenizer_config.json"))
        };
        Self::compile(source.as_deref(), SpecialTokens::read(&config), clock).map_err(|error| {
            let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
            LoadError::files(
                format!("the chat template in {}{line} can't be used: {}", from.display(), error.kind()),
                "put a chat_template.jinja that Jinja understands into the model's folder",
            )
        })
    }

    fn compile(source: Option<&str>, special: SpecialTokens, clock: SharedClock) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        // as the model's authors' own library sets it
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |text: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
        });
        environment.add_function("strftime_now", move |format: String| strftime(&format, clock.now_ms()));
        environment.add_filter("tojson", json_text);
        let plain = source.is_none();
        // marks what training learns from; says nothing about the text
        let source = source.unwrap_or(PLAIN).replace("{% generation %}", "").replace("{% endgeneration %}", "");
        environment.add_template_owned(NAME, source)?;
        Ok(Self { environment, special, plain })
    }

    /// There was no template: ours is a guess.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The token that ends an answer, by its text.
    pub fn eos(&self) -> Option<&str> {
        self.special.eos.as_deref()
    }

    /// The text up to where the model goes on.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<String, GenerateError> {
        let first = self.render_with(messages);
        let error = match first {
            Ok(text) => return Ok(text),
            Err(error) => error,
        };
        // many templates refuse a system message; as a part of the first question they take it
        if let Some(folded) = without_system(messages)
            && let Ok(text) = self.render_with(&folded)
        {
            return Ok(text);
        }
        let line = error.line().map_or(String::new(), |line| format!(" at line {line}"));
        Err(GenerateError::Reject(format!(
            "the model's chat template refuses this conversation{line} ({}); check the order of the roles",
            error.kind()
        )))
    }

    fn render_with(&self, messages: &[ChatMessage]) -> Result<String, minijinja::Error> {
        let special = &self.special;
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => role_name(message.role), content => message.content.as_str() })
            .collect();
        self.environment.get_template(NAME)?.render(context! {
            messages => messages,
            add_generation_prompt => true,
            bos_token => defined(&special.bos),
            eos_token => defined(&special.eos),
            pad_token => defined(&special.pad),
            unk_token => defined(&special.unk),
            tools => Value::from(()),
            documents => Value::from(()),
        })
    }
}

/// A token that the model does not have is undefined, as for Python: none would be printed as a word.
fn defined(token: &Option<String>) -> Value {
    token.as_deref().map_or(Value::UNDEFINED, Value::from)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The system message's words put before the first question; none when there is nothing to fold.
fn without_system(messages: &[ChatMessage]) -> Option<Vec<ChatMessage>> {
    let (system, rest): (Vec<_>, Vec<_>) = messages.iter().cloned().partition(|message| message.role == Role::System);
    let mut rest = rest;
    let question = rest.iter_mut().find(|message| message.role == Role::User)?;
    if system.is_empty() {
        return None;
    }
    let orders: Vec<&str> = system.iter().map(|message| message.content.as_str()).collect();
    question.content = format!("{}\n\n{}", orders.join("\n\n"), question.content);
    Some(rest)
}

/// `chat_template`: a string, or a list of named ones.
fn template_in(config: &Json) -> Option<String> {
    let template = &config["chat_template"];
    if let Some(text) = template.as_str() {
        return Some(text.to_owned());
    }
    let named = template.as_array()?;
    let default = named.iter().find(|entry| entry["name"] == "default").or(named.first())?;
    default["template"].as_str().map(str::to_owned)
}

/// As Python writes JSON for prompts: nothing escaped for web pages.
fn json_text(value: &Value, arguments: minijinja::value::Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    // accepted and ignored: our output is never ASCII-only, keys keep their order
    let _: Option<Value> = arguments.get("ensure_ascii")?;
    let _: Option<Value> = arguments.get("sort_keys")?;
    let _: Option<Value> = arguments.get("separators")?;
    arguments.assert_all_used()?;
    let text = if indent.is_some() { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    text.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FakeClock;

    fn template(source: Option<&str>, special: SpecialTokens) -> ChatTemplate {
        ChatTemplate::compile(source, special, FakeClock::at(1_709_210_096_000)).unwrap()
    }

    fn message(role: Role, content: &str) -> ChatMessage {
        ChatMessage { role, content: content.to_owned() }
    }

    fn talk() -> Vec<ChatMessage> {
        vec![message(Role::System, "Be brief."), message(Role::User, " Hi <b> \"you\" ")]
    }

    #[test]
    fn pythons_methods_and_blocks_work() {
        let source = "{{ bos_token }}{%- for message in messages %}\n    {% if message['role'].startswith('sys') %}\n\
                      {{ message.content.strip().upper() }}|{% else %}{{ message['content'] | trim }}{% endif %}\n\
                      {% endfor %}{% if add_generation_prompt and tools is none %}<a>{% endif %}";
        let special = SpecialTokens { bos: Some("<s>".to_owned()), ..SpecialTokens::default() };
        let text = template(Some(source), special).render(&talk()).unwrap();
        assert_eq!(text, "<s>BE BRIEF.|Hi <b> \"you\"<a>");
    }

    #[test]
    fn the_day_comes_from_the_clock() {
        let template = template(Some("{{ strftime_now('%d %b %Y') }}"), SpecialTokens::default());
        assert_eq!(template.render(&[]).unwrap(), "29 Feb 2024");
    }

    #[test]
    fn a_template_that_refuses_system_messages_gets_them_in_the_question() {
        let source = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}\
                      {% endif %}[{{ m.content }}]{% endfor %}";
        let text = template(Some(source), SpecialTokens::default()).render(&talk()).unwrap();
        assert_eq!(text, "[Be brief.\n\n Hi <b> \"you\" ]");
    }

    #[test]
    fn a_refusal_never_repeats_what_was_said() {
        let source = "{{ raise_exception('bad: ' ~ messages[0].content) }}";
        let error = template(Some(source), SpecialTokens::default()).render(&talk()).unwrap_err();
        assert!(matches!(&error, GenerateError::Reject(text) if text.contains("chat template")), "{error}");
        assert!(!error.to_string().contains("brief"));
    }

    #[test]
    fn json_is_not_escaped_for_web_pages() {
        let template =
            template(Some("{{ messages[1].content | tojson(ensure_ascii=False) }}"), SpecialTokens::default());
        assert_eq!(template.render(&talk()).unwrap(), r#"" Hi <b> \"you\" ""#);
    }

    #[test]
    fn a_model_without_a_template_gets_a_plain_one() {
        let template = template(None, SpecialTokens::default());
        assert!(template.is_plain());
        assert_eq!(template.render(&[message(Role::User, "Hi")]).unwrap(), "user: Hi\nassistant:");
    }

    #[test]
    fn the_template_of_a_folder_is_found_where_models_keep_it() {
        let home = tempfile::tempdir().unwrap();
        let load = || ChatTemplate::load(home.path(), FakeClock::at(0));
        assert!(load().unwrap().is_plain());
        let list = r#"{"eos_token": {"content": "</s>"}, "chat_template": [
            {"name": "tool_use", "template": "T"}, {"name": "default", "template": "D{{ eos_token }}"}]}"#;
        std::fs::write(home.path().join("tokenizer_config.json"), list).unwrap();
        assert_eq!(load().unwrap().render(&[]).unwrap(), "D</s>");
        std::fs::write(home.path().join("chat_template.jinja"), "J").unwrap();
        assert_eq!(load().unwrap().render(&[]).unwrap(), "J");
        std::fs::write(home.path().join("chat_template.jinja"), "a\n{% if %}").unwrap();
        let error = load().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("chat_template.jinja, line 2"), "{error}");
    }
}
