//! `config`, and how every command fails on a configuration that is wrong.

use crate::program::Home;

#[test]
fn a_missing_configuration_says_how_to_make_one() {
    let ran = Home::empty().run_with(&["status"], &[("PACKETBOAT_CONFIG", "")], "");
    // a machine may have a system-wide configuration: then the daemon is what is missing
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("packetboat init") || ran.err.contains("no daemon runs"), "{}", ran.err);
}

#[test]
fn a_wrong_key_ends_every_command_with_its_line() {
    let home = Home::with("[server]\nlisen = \"127.0.0.1:1\"\n");
    for words in
        [&["config", "validate"][..], &["serve"], &["queue", "list"], &["chat", "-m", "hi"], &["token", "generate"]]
    {
        let ran = home.run(words);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{words:?}");
        assert!(ran.err.contains("packetboat.toml, line 2: server.lisen"), "{words:?}: {}", ran.err);
        assert!(ran.err.contains("did you mean `listen`?"), "{words:?}: {}", ran.err);
    }
}

#[test]
fn an_unreadable_secret_ends_serve_with_its_line() {
    let home = Home::with("[adapters.telegram]\ntoken = { env = \"NOT_SET_ANYWHERE\" }\n");
    for words in [&["config", "validate"][..], &["serve"]] {
        let ran = home.run(words);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("packetboat.toml, line 2: adapters.telegram.token"), "{}", ran.err);
        assert!(ran.err.contains("NOT_SET_ANYWHERE is not set"), "{}", ran.err);
    }
    let ran = home.run_with(&["config", "validate"], &[("NOT_SET_ANYWHERE", "1:hunter2")], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn show_prints_what_applies_and_never_a_secret() {
    let home = Home::with("[model]\ntemperature = 0.3\n[adapters.telegram]\ntoken = { env = \"BOT\" }\n");
    let environment = [("BOT", "1:hunter2"), ("PACKETBOAT__SERVER__LISTEN", "127.0.0.1:4000")];
    for words in [&["config", "show"][..], &["config", "show", "--json"]] {
        let ran = home.run_with(words, &environment, "").well();
        assert!(ran.out.contains("127.0.0.1:4000") && ran.out.contains("BOT"), "{}", ran.out);
        assert!(!ran.out.contains("hunter2"), "{}", ran.out);
    }
    assert_eq!(home.run(&["config", "show", "model.temperature"]).well().out, "0.3\n");
    assert_eq!(home.run(&["config", "show", "model.temperature", "--json"]).well().json(), 0.3);
    assert_eq!(home.run(&["config", "show", "model.nothing"]).code, 1);
}

#[test]
fn the_example_is_a_valid_configuration() {
    let home = Home::empty();
    let example = home.run(&["config", "example"]).well().out;
    std::fs::write(home.path("packetboat.toml"), example).unwrap();
    assert!(home.run(&["config", "validate"]).well().out.ends_with("packetboat.toml is valid\n"));
}

#[test]
fn misuse_ends_with_code_2_and_help_with_0() {
    let home = Home::empty();
    assert_eq!(home.run(&["queue", "lst"]).code, 2);
    assert_eq!(home.run(&["queue", "list", "--state", "gone"]).code, 2);
    assert_eq!(home.run(&[]).code, 2);
    assert_eq!(home.run(&["--help"]).code, 0);
    assert_eq!(home.run(&["--version"]).well().out, format!("packetboat {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_and_manual_pages_are_written() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(&["completions", shell]).well().out.contains("doctor"), "{shell}");
    }
    home.run(&["man", "pages"]).well();
    assert!(home.path("pages/packetboat.1").exists() && home.path("pages/packetboat-queue-verify.1").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let home = Home::empty();
    let mut child = home.command(&["config", "example"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
