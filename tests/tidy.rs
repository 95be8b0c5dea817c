//! The house's rules, checked on the text of the sources: file heads, sizes, names, and who may import whom.
//!
//! Every rule is data at the top of this file; an exception stands beside its rule with a reason. Not here: what rustfmt
//! and clippy check. A finding names the file, the line and what to do.

#![expect(clippy::expect_used, reason = "a test that can't go on fails; clippy knows #[test] only")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may import whom: a module imports only from modules below it. `a::b` stands where it is listed, not where `a` is.
const LAYERS: [&str; 25] = [
    "main",
    "cli",
    "bench",
    "app",
    "config",
    "http",
    "console",
    "ingress",
    "worker",
    "outbox",
    "views",
    "completion",
    "conversation",
    "queue",
    "store",
    "inference",
    "security",
    "live",
    "telemetry",
    "lifecycle",
    "adapters",
    // plain data that is shown, which knows nothing but itself
    "status",
    "queue::view",
    "clock",
    "lib",
];

/// A crate or item, and the only files that may name it.
const KNOWN_ONLY_TO: [(&str, &[&str]); 7] = [
    ("sled", &["src/store/sled"]),
    ("ort", &["src/inference/onnx"]),
    ("getrandom", &["src/clock.rs"]),
    ("SystemTime", &["src/clock.rs"]),
    ("axum", &["src/http/", "src/console/", "tests/"]),
    ("teloxide", &["adapters/telegram/"]),
    ("packetboat_telegram", &["src/app", "src/config/", "tests/", "adapters/telegram/"]),
];
/// Tests may put up a server of their own with it.
const FREE_IN_TESTS: &str = "axum";

/// In these folders these words of code must not stand.
const FORBIDDEN_IN: [(&str, &[&str]); 5] = [
    ("src/inference/", &["crate::queue", "crate::adapters", "crate::conversation", "crate::http"]),
    ("src/http/", &["crate::inference::onnx", "crate::inference::openai", "crate::inference::echo"]),
    // `StoreError` is part of what the queue returns; the store itself is out of reach
    ("src/http/", &["crate::store::Store", "crate::store::Batch", "crate::store::Write", "crate::store::sled"]),
    ("adapters/", &["packetboat::"]),
    ("adapters/api/", &["packetboat_telegram", "axum", "sled", "ort::", "teloxide", "reqwest"]),
];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "manager", "misc", "shared_code", "stuff"];
const EMPTY_TYPES: [&str; 5] = ["Handler", "Manager", "Processor", "Provider", "Engine"];

/// A file holds one idea. Files of tests may be longer: they are lists.
const LONG: usize = 400;
const LONGEST: usize = 500;
const LONGEST_TESTS: usize = 700;
/// Longer than [`LONG`], each with its reason.
const MAY_BE_LONG: [(&str, &str); 1] =
    [("src/store/sled.rs", "the one file that may know sled: opening, commits and durability are one idea")];

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Lines of code with their numbers: no comments, and nothing behind the unit tests' beginning.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.is_test();
        let before_tests =
            self.text.lines().enumerate().take_while(move |(_, line)| is_test || *line != "#[cfg(test)]");
        let lines = before_tests.map(|(at, line)| (at + 1, line.trim_start()));
        lines
            .filter(|(_, line)| !line.starts_with("//"))
            .map(|(at, line)| (at, line.split(" // ").next().unwrap_or(line)))
    }

    fn is_test(&self) -> bool {
        let name = Path::new(&self.path).file_stem().unwrap_or_default().to_string_lossy();
        let in_folder = ["tests/", "/tests/", "/fixture"].iter().any(|part| self.path.contains(part));
        in_folder || name == "tests" || name.ends_with("_tests") || name == "fixture" || name == "conformance"
    }

    /// `src/queue/view.rs` is `queue::view`, `src/queue/mod.rs` is `queue`.
    fn module(&self) -> Option<String> {
        let inside = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        Some(inside.strip_suffix("/mod").unwrap_or(inside).replace('/', "::"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Everything that is committed or about to be.
fn committed() -> Vec<String> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(root()).output().expect("git lists the files");
    assert!(output.status.success(), "git can't list the files: run the tests in a clone");
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn read(paths: impl Iterator<Item = String>) -> Vec<Source> {
    // a deleted file is still in the index; a binary one has no text
    paths
        .filter_map(|path| std::fs::read_to_string(root().join(&path)).ok().map(|text| Source { path, text }))
        .collect()
}

fn rust_sources() -> Vec<Source> {
    let ours = |path: &String| {
        path.ends_with(".rs") && ["src/", "adapters/", "tests/"].iter().any(|folder| path.starts_with(folder))
    };
    let sources = read(committed().into_iter().filter(ours));
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

fn no_findings(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// `word` stands in `line` as a whole word.
fn names(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_none_or(|c| !part_of_name(c));
        let after = line[at + word.len()..].chars().next().is_none_or(|c| !part_of_name(c));
        before && after
    })
}

/// A crate named as code names one: `word::…`, `use word`, `word as`.
fn names_crate(line: &str, word: &str) -> bool {
    let strings = line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let path = strings
        .match_indices(&format!("{word}::"))
        .any(|(at, _)| strings[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':'));
    path || strings.trim_end_matches(';').trim() == format!("use {word}")
}

#[test]
fn every_source_file_opens_with_what_it_is() {
    let findings = rust_sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}:1: open with `//!`: what it is, its invariants, what is not here", source.path));
    no_findings(findings.collect());
}

#[test]
fn a_file_holds_one_idea() {
    let mut findings = Vec::new();
    for source in rust_sources() {
        let lines = source.text.lines().count();
        let excused = MAY_BE_LONG.iter().any(|(path, _)| *path == source.path);
        let (limit, longest) = if source.is_test() { (LONGEST_TESTS, LONGEST_TESTS) } else { (LONG, LONGEST) };
        if lines > longest || (lines > limit && !excused) {
            let path = &source.path;
            findings.push(format!(
                "{path}: {lines} lines: split it, or give a reason in MAY_BE_LONG (never over {longest})"
            ));
        }
    }
    no_findings(findings);
}

#[test]
fn names_say_what_a_thing_is() {
    let mut findings = Vec::new();
    for source in rust_sources() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            if EMPTY_NAMES.contains(&part) || part.starts_with("new_") {
                findings.push(format!("{}: `{part}` says nothing: name it for what it holds", source.path));
            }
        }
        for (at, line) in source.code() {
            let declared = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| {
                let rest = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix(kind)?;
                rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
            });
            if let Some(name) = declared.filter(|name| EMPTY_TYPES.iter().any(|empty| name.ends_with(empty))) {
                findings.push(format!("{}:{at}: `{name}`: DESIGN.md has better words", source.path));
            }
        }
    }
    no_findings(findings);
}

#[test]
fn a_thing_that_one_file_knows_is_named_nowhere_else() {
    let mut findings = Vec::new();
    for source in rust_sources().iter().filter(|source| source.path != "tests/tidy.rs") {
        for (word, allowed) in KNOWN_ONLY_TO {
            let free = word == FREE_IN_TESTS && source.is_test();
            if free || allowed.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            for (at, line) in source.code() {
                let found = if word == "SystemTime" { names(line, word) } else { names_crate(line, word) };
                if found {
                    findings.push(format!("{}:{at}: only {} may name `{word}`", source.path, allowed.join(", ")));
                }
            }
        }
        for (folder, words) in FORBIDDEN_IN {
            let lines = source.code().filter(|_| source.path.starts_with(folder));
            for (at, line) in lines {
                let found =
                    words.iter().filter(|word| names(line, word.trim_end_matches("::")) && line.contains(**word));
                findings.extend(found.map(|word| format!("{}:{at}: nothing in {folder} names `{word}`", source.path)));
            }
        }
    }
    no_findings(findings);
}

#[test]
fn adapters_import_the_seam_and_never_each_other() {
    let mut findings = Vec::new();
    let manifests =
        committed().into_iter().filter(|path| path.starts_with("adapters/") && path.ends_with("/Cargo.toml"));
    for manifest in read(manifests) {
        let text = manifest.text.split("[dev-dependencies]").next().unwrap_or_default();
        let own = text.lines().find_map(|line| line.strip_prefix("name = "));
        for line in text.lines().filter(|line| line.starts_with("packetboat")) {
            let name = line.split(['.', ' ']).next().unwrap_or_default();
            if name != "packetboat-adapter-api" && own.is_some() {
                findings.push(format!("{}: an adapter depends on `{name}`", manifest.path));
            }
        }
    }
    no_findings(findings);
}

/// The place in [`LAYERS`] of the longest listed path that `module` begins with.
fn layer(module: &str) -> Option<usize> {
    let within =
        |listed: &str| module == listed || module.strip_prefix(listed).is_some_and(|rest| rest.starts_with("::"));
    LAYERS
        .iter()
        .enumerate()
        .filter(|(_, listed)| within(listed))
        .max_by_key(|(_, listed)| listed.len())
        .map(|(at, _)| at)
}

#[test]
fn imports_run_downward_only() {
    let mut findings = Vec::new();
    for source in rust_sources() {
        // a test may look at everything, and `lib` lists everything
        let Some(module) = source.module().filter(|module| module != "lib" && !source.is_test()) else { continue };
        let Some(own) = layer(&module) else {
            findings.push(format!("{}: `{module}` has no place in LAYERS: give it one", source.path));
            continue;
        };
        for (at, line) in source.code() {
            for (start, _) in line.match_indices("crate::") {
                if line[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let rest = &line[start + "crate::".len()..];
                let path =
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap_or_default();
                match layer(path) {
                    Some(other) if other >= own => {}
                    Some(_) => findings.push(format!("{}:{at}: `{module}` stands below `{path}`", source.path)),
                    None => findings.push(format!("{}:{at}: `{path}` has no place in LAYERS", source.path)),
                }
            }
        }
    }
    no_findings(findings);
}

#[test]
fn exceptions_to_lints_are_expected_and_have_reasons() {
    let mut findings = Vec::new();
    for source in rust_sources().iter().filter(|source| !source.is_test()) {
        for (at, line) in source.code() {
            if line.contains("#[allow(") || line.contains("#![allow(") {
                findings.push(format!("{}:{at}: use #[expect(…, reason = \"…\")]", source.path));
            }
            if line.contains(".unwrap()") {
                findings.push(format!("{}:{at}: an error has a way up: use `?`", source.path));
            }
        }
    }
    no_findings(findings);
}

#[test]
fn nothing_committed_knows_this_machine() {
    // in pieces, so that this file does not find itself
    let told = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("--index", "-url"),
        concat!("--extra-index", "-url"),
        concat!("PIP_INDEX", "_URL"),
        concat!("[source.crates", "-io]"),
    ];
    let mut findings = Vec::new();
    for file in read(committed().into_iter()) {
        for (at, line) in file.text.lines().enumerate() {
            let found = told.iter().filter(|word| line.contains(**word));
            findings.extend(found.map(|word| format!("{}:{}: `{word}` is of one machine", file.path, at + 1)));
            let elsewhere = line.starts_with("source = ") && !line.contains("github.com/rust-lang/crates.io-index");
            if file.path == "Cargo.lock" && elsewhere {
                findings.push(format!("{}:{}: a dependency that is not from crates.io", file.path, at + 1));
            }
        }
    }
    no_findings(findings);
}
