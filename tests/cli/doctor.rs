//! `doctor`: what it finds, and what it says to do.

use std::net::TcpListener;

use crate::program::Home;

fn echo_on(port: u16) -> Home {
    let home = Home::with(&format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nconsole_listen = \"127.0.0.1:0\"\n[model]\nbackend = \"echo\"\n"
    ));
    home.run(&["init", "--yes"]).well();
    home
}

#[test]
fn a_good_configuration_only_lacks_its_daemon() {
    let ran = echo_on(0).run(&["doctor", "--offline", "--json"]).well();
    let findings = ran.json()["findings"].as_array().cloned().unwrap();
    let bad: Vec<_> = findings.iter().filter(|finding| finding["level"] != "ok").collect();
    assert!(bad.iter().all(|finding| finding["area"] == "daemon" || finding["area"] == "storage"), "{bad:?}");
    assert!(findings.iter().any(|finding| finding["area"] == "clock"));
}

#[test]
fn a_busy_port_names_its_holder_and_the_next_step() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = echo_on(holder.local_addr().unwrap().port()).run(&["doctor", "--offline"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains(&format!("(pid {})", std::process::id())), "{}", ran.out);
    assert!(ran.out.contains("choose another port with server.listen"), "{}", ran.out);
}

#[test]
fn a_missing_model_names_the_folder_and_the_next_step() {
    let home =
        Home::with("[server]\nlisten = \"127.0.0.1:0\"\nconsole_listen = \"127.0.0.1:0\"\n[model]\npath = \"m\"\n");
    let ran = home.run(&["doctor", "--offline"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("/m does not exist") && ran.out.contains("set [model] path"), "{}", ran.out);
}

#[test]
fn a_broken_configuration_is_a_finding_and_the_rest_is_still_checked() {
    let ran = Home::with("[server]\nlisen = 1\n").run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    let findings = ran.json()["findings"].clone();
    assert_eq!(findings[0]["area"], "config");
    assert!(findings[0]["message"].as_str().unwrap().contains("packetboat.toml, line 2"), "{findings}");
    assert!(findings.as_array().unwrap().iter().any(|finding| finding["area"] == "clock"));
}

#[test]
fn a_secret_file_that_others_can_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::with("[model]\nbackend = \"echo\"\n[adapters.telegram]\ntoken = { file = \"token\" }\n");
    std::fs::write(home.path("token"), "1:hunter2").unwrap();
    std::fs::set_permissions(home.path("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = home.run(&["doctor", "--offline"]);
    assert!(ran.out.contains("chmod 600"), "{}", ran.out);
    assert!(!ran.out.contains("hunter2"), "{}", ran.out);
}
