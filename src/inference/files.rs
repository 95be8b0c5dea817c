//! Reading a model's files with distrust: a file may be missing, empty, a Git LFS pointer, or not what its name says.
//!
//! Invariants: nothing outside the model's folder is opened by a name that came from a file; every error names the file
//! and the next step. Not here: which files a layout needs (`layout.rs`).

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::load_error::LoadError;

/// How a Git LFS pointer begins.
const LFS: &[u8] = b"version https://git-lfs";
/// The longest JSON or template file that is read whole; large vocabularies take some tens of megabytes.
const LONGEST_TEXT: u64 = 256 << 20;

/// Opens a file that must be there with something in it.
pub fn open(path: &Path) -> Result<(File, u64), LoadError> {
    let shown = path.display();
    let missing = |what: String| LoadError::files(what, "copy the model's folder again, with every file");
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing(format!("{shown} is missing")),
        _ => LoadError::files(format!("can't read {shown}: {error}"), "let the daemon's user read it"),
    })?;
    let meta = file.metadata().map_err(|error| missing(format!("can't read {shown}: {error}")))?;
    if !meta.is_file() {
        return Err(missing(format!("{shown} is not a file")));
    }
    if meta.len() == 0 {
        return Err(missing(format!("{shown} is empty (an interrupted download?)")));
    }
    refuse_pointer(path, meta.len())?;
    Ok((file, meta.len()))
}

fn refuse_pointer(path: &Path, length: u64) -> Result<(), LoadError> {
    if length > 1024 {
        return Ok(());
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LFS.len() as u64).read_to_end(&mut head));
    if read.is_ok() && head == LFS {
        return Err(LoadError::files(
            format!("{} is a Git LFS pointer, not the file itself", path.display()),
            "fetch the real file: git lfs install && git lfs pull (or download it from the model's page)",
        ));
    }
    Ok(())
}

/// A text file, whole.
pub fn text(path: &Path) -> Result<String, LoadError> {
    let (file, length) = open(path)?;
    let damaged = |cause: String| {
        LoadError::files(format!("{} {cause}", path.display()), "download that file again and replace it")
    };
    if length > LONGEST_TEXT {
        return Err(damaged(format!("has {length} bytes, far more than such a file ever has")));
    }
    let mut text = String::new();
    file.take(LONGEST_TEXT).read_to_string(&mut text).map_err(|error| damaged(format!("is unreadable: {error}")))?;
    Ok(text)
}

/// A JSON file, parsed.
pub fn json(path: &Path) -> Result<Value, LoadError> {
    serde_json::from_str(&text(path)?).map_err(|error| {
        LoadError::files(
            format!("{} is not valid JSON ({error}); it may be cut off", path.display()),
            "download that file again and replace it",
        )
    })
}

/// A JSON file that may be absent.
pub fn optional_json(path: &Path) -> Result<Option<Value>, LoadError> {
    if path.exists() { json(path).map(Some) } else { Ok(None) }
}

/// `name`, which some file of the model gave, inside `folder`: never absolute, never upwards, never through a link to
/// somewhere else.
pub fn inside(folder: &Path, name: &str, named_by: &Path) -> Result<PathBuf, LoadError> {
    let refused = |why: &str| {
        LoadError::files(
            format!("{} names the file {name:?}, {why}", named_by.display()),
            "don't use this model unless you trust it; a sound model keeps its files in its own folder (copy links as files)",
        )
    };
    let relative = Path::new(name);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if name.is_empty() || name.contains(['\0', '\\']) || !plain {
        return Err(refused("which is not a plain path inside the model's folder"));
    }
    let path = folder.join(relative);
    // a missing file is told apart by whoever opens it
    let (Ok(real), Ok(home)) = (path.canonicalize(), folder.canonicalize()) else { return Ok(path) };
    if !real.starts_with(&home) {
        return Err(refused("a link that leads out of the model's folder"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn missing_empty_and_pointer_files_are_told_apart() {
        let home = folder();
        let path = home.path().join("model.onnx");
        let what = || open(&path).unwrap_err().to_string();
        assert!(what().contains("model.onnx is missing"));
        std::fs::write(&path, "").unwrap();
        assert!(what().contains("is empty"));
        std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n").unwrap();
        assert!(what().contains("git lfs pull"));
        std::fs::write(&path, "data").unwrap();
        assert!(open(&path).is_ok());
    }

    #[test]
    fn json_that_is_cut_off_names_the_file() {
        let home = folder();
        let path = home.path().join("config.json");
        std::fs::write(&path, "{\"a\": [1, 2").unwrap();
        let error = json(&path).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains("download"), "{error}");
    }

    #[test]
    fn a_name_may_not_lead_out_of_the_folder() {
        let home = folder();
        let outside = folder();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), home.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), home.path().join("way")).unwrap();
        for name in ["/etc/passwd", "../secret", "a/../../secret", "", "a\\b", "link", "way/secret", "a\0b"] {
            assert!(inside(home.path(), name, Path::new("model.onnx")).is_err(), "{name:?}");
        }
        assert!(inside(home.path(), "onnx/model.onnx_data", Path::new("model.onnx")).is_ok());
    }
}
