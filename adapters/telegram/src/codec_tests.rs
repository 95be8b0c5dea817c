//! Golden files: what Telegram sends, and the envelope that comes of it. Set `PACKETBOAT_BLESS=1` to write the outcomes anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;
use crate::wire::Update;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<Groups>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow: Vec<i64>,
    update: Value,
    becomes: Value,
}

fn outcome(golden: &Golden) -> Value {
    let me = Identity { id: 123, username: "Packetboat_Bot".to_owned() };
    let policy = Policy {
        adapter: AdapterName::new("telegram"),
        groups: golden.groups.unwrap_or_default(),
        allow: golden.allow.iter().copied().collect(),
    };
    let update: Update = serde_json::from_value(golden.update.clone()).unwrap();
    let Some(message) = update.message else { return Value::String("no message".to_owned()) };
    match read(&message, &me, &policy) {
        Ok(inbound) => serde_json::to_value(inbound).unwrap(),
        Err(ignored) => Value::String(ignored.to_string()),
    }
}

#[test]
fn every_golden_update_becomes_its_envelope() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("PACKETBOAT_BLESS").is_some();
    let mut files: BTreeMap<String, Golden> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut golden: Golden = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if bless {
            golden.becomes = outcome(&golden);
            fs::write(&path, serde_json::to_string_pretty(&golden).unwrap() + "\n").unwrap();
        }
        files.insert(path.file_name().unwrap().to_string_lossy().into_owned(), golden);
    }
    assert!(files.len() >= 20, "only {} golden files", files.len());
    for (name, golden) in &files {
        let seen = outcome(golden);
        assert_eq!(seen, golden.becomes, "{name}: {}", golden.about);
        if let Ok(inbound) = serde_json::from_value::<Inbound>(seen) {
            assert!(Target::of(&inbound.envelope).is_some(), "{name}: an answer would not find back");
        }
    }
}
