//! What a new configuration shall say, and its text.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml_edit::Value;

/// From the flags, then from the wizard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// For systemd: the data folder is the unit's, and what was typed becomes a credential.
    pub system: bool,
    /// `None` = the default.
    pub listen: Option<SocketAddr>,
    /// `None` = the default.
    pub console_listen: Option<SocketAddr>,
    /// Who answers.
    pub model: Model,
    /// The first platform.
    pub telegram: Telegram,
}

/// Who answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Model {
    /// The small one that comes with the program.
    #[default]
    Bundled,
    /// An ONNX model.
    Folder(PathBuf),
    /// A server that speaks the OpenAI API.
    Server {
        /// Up to and including `/v1`.
        url: String,
        /// As the server names it.
        name: String,
        /// Holds the key.
        key_variable: Option<String>,
        /// The key itself, as it was typed; goes into a file of its own.
        key: Option<String>,
    },
    /// Nobody: it repeats.
    Echo,
}

/// Where the bot's token is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Telegram {
    /// No Telegram.
    #[default]
    Off,
    /// In this environment variable.
    Variable(String),
    /// In this file.
    File(PathBuf),
    /// As it was typed; goes into a file of its own.
    Typed(String),
}

/// As the unit hands them over, and as files are named.
const TELEGRAM: &str = "telegram-token";
const MODEL_KEY: &str = "model-key";
/// The unit's StateDirectory.
const SYSTEM_DATA: &str = "/var/lib/packetboat";

impl Answers {
    /// The configuration file's text.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Made by `packetboat init`. `packetboat config example` prints every key with its meaning and default;\n\
             # `packetboat config validate` checks this file.\n\n[server]\n",
        );
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 18789)));
        key(&mut text, "listen", &listen.to_string());
        if let Some(console) = self.console_listen {
            key(&mut text, "console_listen", &console.to_string());
        }
        text.push_str("\n[storage]\n");
        key(&mut text, "path", if self.system { SYSTEM_DATA } else { "data" });
        text.push_str("\n[model]\n");
        self.model_section(&mut text);
        let token = match &self.telegram {
            Telegram::Off => return text,
            Telegram::Variable(name) => reference("env", name),
            Telegram::File(path) => reference("file", &shown(path)),
            Telegram::Typed(_) => self.typed_reference(TELEGRAM),
        };
        let _ = writeln!(text, "\n[adapters.telegram]\ntoken = {token}");
        text
    }

    fn model_section(&self, text: &mut String) {
        match &self.model {
            Model::Bundled => text.push_str(
                "# the small model that comes with packetboat: it knows packetboat, and little else; for a real one\n\
                 # path = \"/path/to/a/model\"\nbackend = \"onnx\"\n",
            ),
            Model::Folder(path) => {
                key(text, "backend", "onnx");
                key(text, "path", &shown(path));
            }
            Model::Server { url, name, key_variable, key: typed } => {
                key(text, "backend", "openai");
                key(text, "base_url", url);
                key(text, "name", name);
                let api_key = match (key_variable, typed) {
                    (Some(variable), _) => Some(reference("env", variable)),
                    (None, Some(_)) => Some(self.typed_reference(MODEL_KEY)),
                    (None, None) => None,
                };
                if let Some(api_key) = api_key {
                    let _ = writeln!(text, "api_key = {api_key}");
                }
            }
            Model::Echo => key(text, "backend", "echo"),
        }
    }

    fn typed_reference(&self, name: &str) -> String {
        if self.system { reference("credential", name) } else { reference("file", &format!("secrets/{name}")) }
    }

    /// Names and contents of the files that hold what was typed.
    pub fn typed_secrets(&self) -> Vec<(&'static str, &str)> {
        let mut secrets = Vec::new();
        if let Telegram::Typed(token) = &self.telegram {
            secrets.push((TELEGRAM, token.as_str()));
        }
        if let Model::Server { key: Some(key), key_variable: None, .. } = &self.model {
            secrets.push((MODEL_KEY, key.as_str()));
        }
        secrets
    }

    /// The folder of those files, beside the configuration.
    pub fn secrets_folder(&self) -> &'static str {
        if self.system { "credentials" } else { "secrets" }
    }

    /// What is left to do by hand.
    pub fn reminders(&self, folder: &Path) -> Vec<String> {
        let mut steps = Vec::new();
        for (name, _) in self.typed_secrets().into_iter().filter(|_| self.system) {
            let path = folder.join(self.secrets_folder()).join(name);
            steps.push(format!(
                "systemctl edit packetboat, and add: [Service] LoadCredential={name}:{}",
                path.display()
            ));
        }
        if let Telegram::Variable(name) = &self.telegram {
            steps.push(format!("set {name} to what @BotFather gave you"));
        }
        if let Model::Server { key_variable: Some(name), .. } = &self.model {
            steps.push(format!("set {name} to the model server's key"));
        }
        steps
    }
}

fn key(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name} = {}", Value::from(value));
}

fn reference(kind: &str, value: &str) -> String {
    format!("{{ {kind} = {} }}", Value::from(value))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use packetboat_adapter_api::secret::SecretRef;

    use super::*;
    use crate::config;

    fn loads(answers: &Answers) -> config::Config {
        config::check(Path::new("/tmp/packetboat.toml"), &answers.to_toml()).expect("it loads")
    }

    #[test]
    fn the_shortest_answers_give_the_default_configuration() {
        assert_eq!(loads(&Answers::default()), config::Config::default());
    }

    #[test]
    fn every_answer_is_quoted_properly() {
        let answers = Answers {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 1))),
            console_listen: Some(SocketAddr::from(([127, 0, 0, 1], 2))),
            system: true,
            model: Model::Folder("/models/it's \"big\" \\ 大".into()),
            telegram: Telegram::Variable("TOKEN".into()),
        };
        let config = loads(&answers);
        assert_eq!(config.model.path.as_deref(), Some(Path::new("/models/it's \"big\" \\ 大")));
        assert_eq!(answers.reminders(Path::new("/etc")), ["set TOKEN to what @BotFather gave you"]);
    }

    #[test]
    fn a_typed_secret_is_never_in_the_configuration() {
        let model = Model::Server {
            url: "https://models.example.org/v1".into(),
            name: "m".into(),
            key_variable: None,
            key: Some("hunter1".into()),
        };
        let answers = Answers { model, telegram: Telegram::Typed("1:hunter2".into()), ..Answers::default() };
        assert!(!answers.to_toml().contains("hunter"));
        assert_eq!(answers.typed_secrets(), [(TELEGRAM, "1:hunter2"), (MODEL_KEY, "hunter1")]);
        let token = |answers| loads(answers).adapters.telegram.map(|telegram| telegram.token);
        assert_eq!(token(&answers), Some(SecretRef::File("secrets/telegram-token".into())));
        let system = Answers { system: true, ..answers.clone() };
        assert_eq!(token(&system), Some(SecretRef::Credential("telegram-token".into())));
        let steps = system.reminders(Path::new("/etc/packetboat"));
        assert!(steps[0].contains("LoadCredential=telegram-token:/etc/packetboat/credentials/telegram-token"));
    }
}
