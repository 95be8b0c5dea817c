//! `token`: offline with the data folder, through the daemon when it runs.

use crate::program::Home;
use crate::standin::{Standin, done};

#[test]
fn a_token_is_printed_alone_on_standard_output() {
    let home = Home::empty();
    home.run(&["init", "--yes"]).well();
    let ran = home.run(&["token", "generate", "--expiry", "86400", "--scope", "chat,read,operate,admin"]).well();
    assert_eq!(ran.out.trim().split('.').count(), 3, "{}", ran.out);
    assert!(ran.err.contains("valid until"), "{}", ran.err);
    let made = home.run(&["token", "generate", "--expiry", "24h", "--scope", "full_access", "--json"]).well().json();
    assert_eq!(made["id"].as_str().map(str::len), Some(32));
}

#[test]
fn a_scope_that_does_not_exist_is_misuse_and_the_known_ones_are_told() {
    let ran = Home::with("").run(&["token", "generate", "--scope", "everything"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("full_access"), "{}", ran.err);
}

#[test]
fn a_token_is_revoked_without_a_daemon_too() {
    let home = Home::empty();
    home.run(&["init", "--yes"]).well();
    let id = "0123456789abcdef0123456789abcdef";
    home.run(&["token", "revoke", id]).well();
    assert!(std::fs::read_to_string(home.path("data/tokens/revoked")).unwrap().contains(id));
    assert_eq!(home.run(&["token", "revoke", "nonsense"]).code, 1);
}

#[test]
fn a_running_daemon_is_told_of_a_revocation() {
    let home = Home::with("");
    let daemon = Standin::start(&home.path("data"), |_, _, _| done());
    home.run(&["token", "revoke", "a/b"]).well();
    assert_eq!(daemon.asked(), ["DELETE /api/admin/tokens/a%2Fb"]);
}
