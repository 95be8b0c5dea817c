//! Commands in a chat: `/start`, `/help`, `/new`, `/stop`, `/lang`. Pure.

use super::config::Language;

/// Something that the daemon does itself, without the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A greeting, the first thing that Telegram sends.
    Start,
    /// What can be done here.
    Help,
    /// Forget what was said so far.
    New,
    /// End the answer that is being written, and withdraw what waits.
    Stop,
    /// The language of the daemon's own words; `None`: which one is it?
    Lang(Option<Language>),
}

impl Command {
    /// Reads a message; `None`: it is for the model. A command stands alone, at the beginning, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let name = words.next()?.to_ascii_lowercase();
        let argument = words.next().map(str::to_ascii_lowercase);
        match (name.as_str(), argument.as_deref()) {
            // Telegram's deep links add a parameter to /start
            ("/start", _) => Some(Self::Start),
            ("/help", None) => Some(Self::Help),
            ("/new" | "/reset", None) => Some(Self::New),
            ("/stop", None) => Some(Self::Stop),
            ("/lang", None) => Some(Self::Lang(None)),
            ("/lang", Some("en" | "english")) => Some(Self::Lang(Some(Language::En))),
            ("/lang", Some("zh" | "cn" | "chinese" | "中文")) => Some(Self::Lang(Some(Language::Zh))),
            ("/lang", Some("auto")) => Some(Self::Lang(Some(Language::Auto))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stands_alone_at_the_beginning() {
        assert_eq!(Command::parse("/NEW "), Some(Command::New));
        assert_eq!(Command::parse("/start abc"), Some(Command::Start));
        assert_eq!(Command::parse("/lang 中文"), Some(Command::Lang(Some(Language::Zh))));
        assert_eq!(Command::parse("/stop the music"), None);
        assert_eq!(Command::parse("please /stop"), None);
        assert_eq!(Command::parse("/usr/bin"), None);
        assert_eq!(Command::parse(""), None);
    }
}
