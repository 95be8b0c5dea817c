//! Checking a model's folder from its files to its first token: for `packetboat model verify` and `packetboat doctor`.
//!
//! Invariants: every check that can be made is made; the first one that fails for good ends the list, because the rest
//! depends on it; every finding that is not ok says what to do next. Blocks. Not here: printing.

use std::path::Path;

use super::codec::Codec;
use super::config::Device;
use super::layout::{Layout, ModelFiles, inspect};
use super::load_error::LoadError;
use super::onnx_session::{OrtDecoder, Place, environment};
use super::scheduler::Decoder as _;
use super::{ChatMessage, Prompt, Role, checksums, runtime};
use crate::clock::SharedClock;

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Nothing to do.
    pub ok: bool,
    /// What was looked at, and what was found.
    pub what: String,
    /// What to do next, when it is not ok.
    pub next: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { ok: true, what: what.into(), next: None }
    }

    fn bad(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { ok: false, what: what.into(), next: Some(next.into()) }
    }
}

impl From<LoadError> for Finding {
    fn from(error: LoadError) -> Self {
        Self::bad(error.what(), error.next())
    }
}

/// Checks the model in `folder` on the processor, with the library named or found.
pub fn verify(folder: &Path, library: Option<&Path>, clock: SharedClock) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = check(folder, library, clock, &mut findings) {
        findings.push(error.into());
    }
    findings
}

/// Whether the ONNX Runtime library is there and can be loaded.
pub fn verify_runtime(library: Option<&Path>) -> Finding {
    let found = runtime::library(library).and_then(|path| environment(&path).map(|_| path));
    match found {
        Ok(path) => Finding::good(format!("ONNX Runtime loads from {}", path.display())),
        Err(error) => error.into(),
    }
}

fn check(
    folder: &Path,
    library: Option<&Path>,
    clock: SharedClock,
    findings: &mut Vec<Finding>,
) -> Result<(), LoadError> {
    let files = inspect(folder, Device::Cpu)?;
    let layout = match files.layout {
        Layout::Genai => "onnxruntime-genai",
        Layout::Optimum => "Optimum or transformers.js",
    };
    findings.push(Finding::good(format!("{} is whole, {layout} layout", files.graph.display())));
    findings.push(match checksums::verify(&files.folder)? {
        Some(count) => Finding::good(format!("{count} files match {}", checksums::LIST)),
        None => Finding::good(format!("no {} in the folder, so its files can't be compared", checksums::LIST)),
    });
    let codec = Codec::load(&files, clock)?;
    findings.push(Finding::good(format!("{} loads", files.tokenizer.display())));
    findings.push(template(&files, &codec));
    findings.push(ending(&files, &codec));
    let path = runtime::library(library)?;
    let environment = environment(&path)?;
    findings.push(Finding::good(format!("ONNX Runtime loads from {}", path.display())));
    let mut decoder = OrtDecoder::on_cpu(&environment, &files, None)?;
    findings.push(first_token(&files, &codec, &mut decoder)?);
    Ok(())
}

fn template(files: &ModelFiles, codec: &Codec) -> Finding {
    if codec.is_plain() {
        return Finding::bad(
            format!("{} has no chat template; a plain one is used and answers may be poor", files.folder.display()),
            "use a chat (instruct) model, or put its chat_template.jinja into the folder",
        );
    }
    Finding::good("the chat template is understood")
}

fn ending(files: &ModelFiles, codec: &Codec) -> Finding {
    if codec.eos_ids().is_empty() {
        return Finding::bad(
            "no file says which token ends an answer, so every answer will run to max_tokens",
            format!("put the model's generation_config.json into {}", files.folder.display()),
        );
    }
    Finding::good(format!("answers end at the tokens {:?}", codec.eos_ids()))
}

fn first_token(files: &ModelFiles, codec: &Codec, decoder: &mut OrtDecoder) -> Result<Finding, LoadError> {
    let next = "download the model again; if it stays so, the model is damaged or needs a newer ONNX Runtime";
    let failed = |cause: String| {
        LoadError::graph(format!("{} loads and does not generate: {cause}", files.graph.display()), next)
    };
    let hello = Prompt::Chat(vec![ChatMessage { role: Role::User, content: "Hello".to_owned() }]);
    let tokens = codec.encode(&hello).map_err(|error| failed(error.to_string()))?;
    let mut cache = decoder.begin().map_err(|error| failed(error.to_string()))?;
    let logits = decoder.step(&tokens, &mut cache).map_err(|error| failed(error.to_string()))?;
    if !logits.iter().any(|logit| logit.is_finite()) {
        return Err(failed("it gives no numbers to choose from".to_owned()));
    }
    let place = match decoder.place() {
        Place::Cpu => "the processor",
        Place::Cuda => "CUDA",
    };
    Ok(Finding::good(format!("the model generates on {place}")))
}

/// Nothing to do.
pub fn all_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FakeClock;

    fn fixture(layout: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixtures").join(layout);
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), home.path().join(entry.file_name())).unwrap();
        }
        home
    }

    fn last(home: &tempfile::TempDir) -> Finding {
        verify(home.path(), None, FakeClock::at(0)).pop().unwrap()
    }

    #[test]
    fn a_sound_model_passes_every_check() {
        for layout in ["genai", "optimum"] {
            let findings = verify(fixture(layout).path(), None, FakeClock::at(0));
            assert!(all_ok(&findings), "{findings:?}");
            assert_eq!(findings.len(), 7);
        }
        assert!(verify_runtime(None).ok);
    }

    #[test]
    fn a_damaged_file_ends_the_list_with_the_next_step() {
        let home = fixture("genai");
        let weights = home.path().join("model.onnx.data");
        let bytes = std::fs::read(&weights).unwrap();
        std::fs::write(&weights, &bytes[..1000]).unwrap();
        let finding = last(&home);
        assert!(finding.what.contains("model.onnx.data is cut off") && finding.next.is_some(), "{finding:?}");
        let mut changed = bytes.clone();
        changed[77] ^= 1;
        std::fs::write(&weights, changed).unwrap();
        assert!(last(&home).what.contains("does not match its checksum"));
        std::fs::remove_file(&weights).unwrap();
        assert!(last(&home).what.contains("model.onnx.data is missing"));
    }

    #[test]
    fn a_library_that_is_not_there_is_told_after_the_files() {
        let home = fixture("optimum");
        let findings = verify(home.path(), Some(Path::new("/nonexistent/lib.so")), FakeClock::at(0));
        let finding = findings.last().unwrap();
        assert!(finding.next.as_deref().is_some_and(|next| next.contains("make runtime")), "{finding:?}");
        assert!(findings.len() > 1);
    }

    #[test]
    fn a_missing_template_and_missing_ends_are_worth_a_word() {
        let home = fixture("optimum");
        for name in
            ["chat_template.jinja", "generation_config.json", "config.json", "SHA256SUMS", "tokenizer_config.json"]
        {
            std::fs::remove_file(home.path().join(name)).unwrap();
        }
        let findings = verify(home.path(), None, FakeClock::at(0));
        let bad: Vec<&str> =
            findings.iter().filter(|finding| !finding.ok).map(|finding| finding.what.as_str()).collect();
        assert!(bad.iter().any(|what| what.contains("no chat template")), "{findings:?}");
        assert!(bad.iter().any(|what| what.contains("run to max_tokens")), "{findings:?}");
        assert!(findings.last().unwrap().ok, "{findings:?}");
    }
}
