//! The configuration as a whole: what a person gets to read when something is wrong.

use std::path::Path;

use packetboat_adapter_api::secret::SecretRef;

use super::*;

const FILE: &str = "/etc/packetboat/packetboat.toml";

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (document, config) = parse(Path::new(FILE), text, &environment).map_err(|error| error.to_string())?;
    let broken = validate::problems(&config).into_iter().map(|problem| document.place(problem)).collect();
    ConfigError::when_any(Path::new(FILE), broken).map_err(|error| error.to_string())?;
    Ok(config)
}

fn refused(text: &str) -> String {
    read(text, &[]).expect_err("must be refused")
}

#[test]
fn an_empty_file_is_the_default_configuration() {
    assert_eq!(read("", &[]), Ok(Config::default()));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let error = refused("[server]\n\n# here\nlisten_adress = \"127.0.0.1:1\"\nlisen = \"127.0.0.1:1\"\n");
    assert!(
        error.contains(&format!("{FILE}, line 5: server.lisen: there is no such key; did you mean `listen`?")),
        "{error}"
    );
    assert!(error.contains(&format!("{FILE}, line 4: server.listen_adress")), "all of them at once: {error}");
}

#[test]
fn a_key_of_another_section_is_sent_there() {
    let error = refused("[server]\ntop_p = 1.0\n");
    assert!(error.contains("`top_p` belongs into [model]"), "{error}");
}

#[test]
fn an_unknown_section_lists_the_known_ones() {
    let error = refused("[zzz]\nx = 1\n");
    assert!(error.contains(", line 1: zzz: there is no such key; the sections are adapters, conversation"), "{error}");
}

#[test]
fn a_wrong_type_names_line_key_and_what_is_expected() {
    let error = refused("[model]\nmax_tokens = \"many\"\n");
    assert!(
        error.contains(&format!("{FILE}, line 2: model.max_tokens: ")) && error.contains("expected u32"),
        "{error}"
    );
    let error = refused("[delivery]\nbackoff = 5\n");
    assert!(error.contains(", line 2: delivery.backoff") && error.contains("\"30s\""), "{error}");
    let error = refused("[server]\nlisten = \"localhost\"\n");
    assert!(error.contains(", line 2: server.listen") && error.contains("127.0.0.1:18789"), "{error}");
}

#[test]
fn a_misspelt_choice_names_the_nearest() {
    let error = refused("[model]\nbackend = \"onx\"\n");
    assert!(error.contains(", line 2: model.backend: \"onx\" is none of \"onnx\", \"openai\", \"echo\""), "{error}");
    assert!(error.contains("did you mean \"onnx\"?"), "{error}");
}

#[test]
fn broken_toml_names_the_line() {
    let error = refused("[server]\nlisten = \n");
    assert!(error.contains(&format!("{FILE}, line 2: not TOML")), "{error}");
}

#[test]
fn an_inline_secret_is_refused_and_never_repeated() {
    for value in ["\"123:hunter2\"", "[\"hunter2\"]", "{ token = \"hunter2\" }", "{ env = \"123:hunter2\" }", "{}"] {
        let error = refused(&format!("[adapters.telegram]\ntoken = {value}\n"));
        assert!(error.contains(&format!("{FILE}, line 2: adapters.telegram.token")), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        for form in ["env =", "file =", "credential =", "command ="] {
            assert!(error.contains(form), "{form} is missing in {error}");
        }
    }
}

#[test]
fn a_missing_required_key_names_its_section() {
    let error = refused("\n[adapters.telegram]\nmode = \"poll\"\n");
    assert!(error.contains(", line 2: adapters.telegram: `token` is missing; add token = `{ env"), "{error}");
}

#[test]
fn rules_between_keys_are_reported_all_at_once() {
    let error = refused(
        "[server]\nlisten = \"0.0.0.0:80\"\n[model]\nbackend = \"openai\"\ntop_p = 0.0\n[adapters.telegram]\n\
         token = { env = \"T\" }\nmode = \"webhook\"\npoll_timeout = \"2m\"\n",
    );
    for part in [
        ", line 2: server.listen: other machines",
        ", line 3: model.base_url: backend \"openai\" needs it",
        ", line 3: model.name",
        ", line 5: model.top_p",
        ", line 1: server.public_url: adapters.telegram",
        ", line 6: adapters.telegram.webhook_secret",
        ", line 9: adapters.telegram.poll_timeout",
    ] {
        assert!(error.contains(part), "{part} is missing in\n{error}");
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let config = read(
        "[server]\nlisten = \"127.0.0.1:1\"\n",
        &[
            ("PACKETBOAT__SERVER__LISTEN", "127.0.0.1:2"),
            ("PACKETBOAT__MODEL__TEMPERATURE", "0.5"),
            ("PACKETBOAT__CONVERSATION__SYSTEM_PROMPT", "be kind"),
            ("PACKETBOAT__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
            ("PACKETBOAT__ADAPTERS__TELEGRAM__TOKEN", "{ env = \"TOKEN\" }"),
            ("PACKETBOAT_CONFIG", "elsewhere"),
        ],
    )
    .expect("loads");
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!((config.model.temperature, config.conversation.system_prompt.as_str()), (0.5, "be kind"));
    assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8"]);
    assert_eq!(config.adapters.telegram.map(|telegram| telegram.token), Some(SecretRef::Env("TOKEN".into())));
}

#[test]
fn a_problem_of_an_override_names_the_variable() {
    for (name, value) in [("PACKETBOAT__SERVER__LISEN", "x"), ("PACKETBOAT__MODEL__TOP_P", "7"), ("PACKETBOAT__X", "1")]
    {
        let error = read("[server]\nlisten = \"127.0.0.1:1\"\n", &[(name, value)]).expect_err("refused");
        assert!(error.contains(&format!("environment variable {name}: ")), "{error}");
    }
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("packetboat.toml");
    let text = "[storage]\npath = \"d\"\n[model]\npath = \"m\"\n[adapters.telegram]\ntoken = { file = \"t\" }\n";
    std::fs::write(&file, text).expect("written");
    let loaded = load_with(&file, &[]).expect("loads");
    assert_eq!(loaded.config.storage.path, folder.path().join("d"));
    assert_eq!(loaded.config.model.path, Some(folder.path().join("m")));
    let token = loaded.config.adapters.telegram.as_ref().map(|telegram| telegram.token.clone());
    assert_eq!(token, Some(SecretRef::File(folder.path().join("t"))));
    let error = loaded.check_secrets().expect_err("no such file").to_string();
    assert!(error.contains(", line 6: adapters.telegram.token: can't read the secret file"), "{error}");
}

#[test]
fn a_shown_configuration_loads_as_itself() {
    let text = "[model]\ntemperature = 0.3\n[adapters.telegram]\ntoken = { env = \"T\" }\n";
    let config = read(text, &[]).expect("loads");
    let shown = show::to_toml(&config).expect("shown");
    assert!(shown.contains("temperature = 0.3\n") && shown.contains("[adapters.telegram]"), "{shown}");
    assert_eq!(read(&shown, &[]), Ok(config));
}
