//! What the daemon itself says, in English and in Chinese. Pure.

use super::config::Language;

/// A language that the daemon speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Tongue {
    /// Chosen by the conversation, else configured, else as the sender writes, else as the platform says.
    pub fn choose(chosen: Option<Language>, configured: Language, text: &str, platform: Option<&str>) -> Self {
        let fixed = match chosen.unwrap_or(configured) {
            Language::Auto => configured,
            fixed => fixed,
        };
        match fixed {
            Language::En => Self::En,
            Language::Zh => Self::Zh,
            Language::Auto if text.starts_with('/') => {
                if platform.is_some_and(|tag| tag.to_ascii_lowercase().starts_with("zh")) { Self::Zh } else { Self::En }
            }
            Language::Auto => {
                if text.chars().any(is_han) {
                    Self::Zh
                } else {
                    Self::En
                }
            }
        }
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

/// Something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phrase {
    /// To `/start`.
    Greeting,
    /// To `/help`.
    Help,
    /// To `/new`.
    Forgotten,
    /// To `/stop`.
    Stopped,
    /// To `/lang` with a language.
    LanguageSet,
    /// To `/lang` alone.
    LanguageUsage,
    /// There will be no answer.
    Failed,
    /// The message holds nothing that the model can read.
    NoText,
    /// The model said nothing.
    Empty,
}

/// The words, as CommonMark.
pub fn say(phrase: Phrase, tongue: Tongue) -> &'static str {
    match tongue {
        Tongue::En => english(phrase),
        Tongue::Zh => chinese(phrase),
    }
}

fn english(phrase: Phrase) -> &'static str {
    match phrase {
        Phrase::Greeting => "Hello! Write to me and I will answer. `/help` shows what else I understand.",
        Phrase::Help => {
            "Just write, and I answer.\n\n- `/new` – forget what we said and begin again\n- `/stop` – end the answer that is being \
             written\n- `/lang en`, `/lang zh`, `/lang auto` – the language of messages like this one\n- `/help` – this list"
        }
        Phrase::Forgotten => "Done: I have put our conversation aside. What shall we talk about?",
        Phrase::Stopped => "Stopped.",
        Phrase::LanguageSet => "I will use English for messages like this one.",
        Phrase::LanguageUsage => "Choose with `/lang en`, `/lang zh` or `/lang auto`.",
        Phrase::Failed => {
            "Sorry, I could not answer this message. It is kept, and the operator of this bot can see why."
        }
        Phrase::NoText => "I can only read text so far. Please write it to me.",
        Phrase::Empty => "I have no answer to that. Please put it another way.",
    }
}

fn chinese(phrase: Phrase) -> &'static str {
    match phrase {
        Phrase::Greeting => "你好！直接给我发消息，我会回答。发送 `/help` 查看其他用法。",
        Phrase::Help => {
            "直接发消息即可。\n\n- `/new` – 忘记之前的内容，重新开始\n- `/stop` – 停止正在生成的回答\n- `/lang en`、`/lang zh`、`/lang \
             auto` – 选择此类提示的语言\n- `/help` – 显示本列表"
        }
        Phrase::Forgotten => "好的，之前的对话已放到一边。我们聊点什么？",
        Phrase::Stopped => "已停止。",
        Phrase::LanguageSet => "好的，此类提示将使用中文。",
        Phrase::LanguageUsage => "请用 `/lang en`、`/lang zh` 或 `/lang auto` 选择。",
        Phrase::Failed => "抱歉，这条消息我没能回答。消息已保留，管理员可以看到原因。",
        Phrase::NoText => "我目前只能阅读文字，请用文字告诉我。",
        Phrase::Empty => "这个问题我没有答案，请换一种说法。",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_follows_the_sender_unless_somebody_chose() {
        let choose = |chosen, text| Tongue::choose(chosen, Language::Auto, text, None);
        assert_eq!(choose(None, "你好"), Tongue::Zh);
        assert_eq!(choose(None, "hello"), Tongue::En);
        assert_eq!(choose(Some(Language::En), "你好"), Tongue::En);
        assert_eq!(Tongue::choose(None, Language::Zh, "hello", None), Tongue::Zh);
        assert_eq!(Tongue::choose(None, Language::Auto, "/help", Some("zh-hans")), Tongue::Zh);
    }
}
