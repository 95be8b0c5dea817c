//! `init`: what it makes, and that it never overwrites.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::program::Home;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn it_makes_what_only_its_owner_can_read_and_the_next_step_is_told() {
    let home = Home::empty();
    let ran = home.run(&["init", "--dir", "boat", "--yes"]).well();
    assert!(ran.out.contains("packetboat serve --login-link --config boat/packetboat.toml"), "{}", ran.out);
    assert_eq!(mode(&home.path("boat")), 0o700);
    assert_eq!(mode(&home.path("boat/packetboat.toml")), 0o600);
    assert_eq!(mode(&home.path("boat/data")), 0o700);
    assert_eq!(mode(&home.path("boat/data/tokens/key")), 0o600);
    home.run(&["config", "validate", "--config", "boat/packetboat.toml"]).well();
}

#[test]
fn a_second_run_changes_nothing() {
    let home = Home::empty();
    home.run(&["init", "--yes"]).well();
    let files = ["packetboat.toml", "data/tokens/key"].map(|name| home.path(name));
    let before = files.clone().map(|path| std::fs::read(path).unwrap());
    let ran = home.run(&["init", "--yes", "--backend", "echo"]).well();
    assert!(ran.out.contains("nothing was changed") && ran.err.contains("stays as it is"), "{ran:?}");
    assert_eq!(files.map(|path| std::fs::read(path).unwrap()), before);
}

#[test]
fn what_was_lost_is_made_again() {
    let home = Home::empty();
    home.run(&["init", "--yes"]).well();
    std::fs::remove_dir_all(home.path("data")).unwrap();
    home.run(&["init", "--yes"]).well();
    assert!(home.path("data/tokens/key").exists());
}

#[test]
fn flags_become_the_configuration() {
    let home = Home::empty();
    let words = ["init", "--yes", "--listen", "127.0.0.1:4001", "--telegram-token-env", "BOT", "--model-path", "m"];
    let made = home.run(&[&words[..], &["--json"]].concat()).well().json();
    assert_eq!(made["next"][0], "set BOT to what @BotFather gave you");
    let shown = home.run(&["config", "show", "--json"]).well().json();
    assert_eq!(shown["server"]["listen"], "127.0.0.1:4001");
    assert_eq!(shown["adapters"]["telegram"]["token"]["env"], "BOT");
    assert_eq!(shown["model"]["path"], home.path("m").canonicalize().unwrap_or(home.path("m")).to_str().unwrap());
}

#[test]
fn a_wrong_answer_leaves_nothing_behind() {
    let home = Home::empty();
    let ran = home.run(&["init", "--yes", "--listen", "0.0.0.0:80"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("server.listen") && ran.err.contains("trusted_proxies"), "{}", ran.err);
    assert!(!home.path("packetboat.toml").exists());
    assert_eq!(home.run(&["init", "--yes", "--model-url", "http://x/v1"]).code, 2, "the model's name is missing");
}

#[test]
fn for_the_unit_the_configuration_is_readable_and_the_data_folder_is_the_units() {
    let home = Home::empty();
    home.run(&["init", "--system", "--dir", "etc", "--yes"]).well();
    assert_eq!((mode(&home.path("etc")), mode(&home.path("etc/packetboat.toml"))), (0o755, 0o644));
    let shown = home.run(&["config", "show", "storage.path", "--config", "etc/packetboat.toml"]).well();
    assert_eq!(shown.out, "\"/var/lib/packetboat\"\n");
    assert_eq!(std::fs::read_dir(home.path("etc")).unwrap().count(), 1, "no data folder");
}
