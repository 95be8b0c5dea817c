//! Where the ONNX Runtime library and the bundled model lie: beside the program, where a package puts them, or in a
//! source checkout.
//!
//! Invariants: a place that somebody named (configuration, environment) is used or refused, never passed over; every
//! error names the next step. Not here: loading it (`onnx_session.rs`).

use std::path::{Path, PathBuf};

use super::load_error::LoadError;

/// ONNX Runtime's own variable for the same purpose.
const VARIABLE: &str = "ORT_DYLIB_PATH";
const NEXT: &str = "run `make runtime` in packetboat's folder, or name the library with [model] runtime";

/// The library's file: as configured, as the environment says, or found.
pub fn library(configured: Option<&Path>) -> Result<PathBuf, LoadError> {
    let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
    let found = match (configured, variable) {
        (Some(path), _) => named(path, "[model] runtime")?,
        (None, Some(path)) => named(Path::new(&path), VARIABLE)?,
        (None, None) => library_in(&library_places(&around()))?,
    };
    // the loader would search the system for a bare name
    found.canonicalize().map_err(|error| LoadError::runtime(format!("can't read {}: {error}", found.display()), NEXT))
}

/// A file, or a folder with the library in it.
fn named(path: &Path, by: &str) -> Result<PathBuf, LoadError> {
    let found = if path.is_dir() { in_folder(path) } else { Some(path.to_owned()).filter(|path| path.is_file()) };
    found.ok_or_else(|| LoadError::runtime(format!("{by} names {}, and there is no library", path.display()), NEXT))
}

fn library_in(places: &[PathBuf]) -> Result<PathBuf, LoadError> {
    places.iter().find_map(|place| in_folder(place)).ok_or_else(|| {
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        LoadError::runtime(format!("libonnxruntime.so is in none of: {}", looked.join(", ")), NEXT)
    })
}

/// The highest version in a folder.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let is_library = |name: &str| name.starts_with("libonnxruntime.so") || name == "libonnxruntime.dylib";
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let libraries = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_library));
    libraries.map(|entry| entry.path()).filter(|path| path.is_file()).max_by_key(|path| version(path))
}

fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// The folder of the bundled model.
pub fn bundled_model_dir() -> Result<PathBuf, LoadError> {
    let places = bundled_places(&around());
    places.iter().find(|place| place.is_dir()).cloned().ok_or_else(|| {
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        LoadError::files(
            format!("the bundled model is in none of: {}", looked.join(", ")),
            "set [model] path to a model's folder, or start packetboat from its own folder",
        )
    })
}

/// The program's folder first, then the current one: where the search begins.
fn around() -> Vec<PathBuf> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let program = program.and_then(|path| path.parent().map(Path::to_owned));
    program.into_iter().chain(std::env::current_dir().ok()).collect()
}

fn library_places(around: &[PathBuf]) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(program) = around.first() {
        places.push(program.clone());
        places.extend(program.parent().map(|prefix| prefix.join("lib/packetboat")));
    }
    places.push(PathBuf::from("/usr/lib/packetboat"));
    places.extend(checkouts(around).map(|checkout| checkout.join(".runtime")));
    unique(places)
}

fn bundled_places(around: &[PathBuf]) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let program = around.first();
    places.extend(program.and_then(|program| program.parent()).map(|prefix| prefix.join("share/packetboat/bundled")));
    places.push(PathBuf::from("/usr/share/packetboat/bundled"));
    places.extend(checkouts(around).map(|checkout| checkout.join("models/bundled")));
    unique(places)
}

/// Folders upwards that are a source checkout.
fn checkouts(around: &[PathBuf]) -> impl Iterator<Item = &Path> {
    let upwards = around.iter().flat_map(|start| start.ancestors());
    upwards.filter(|folder| folder.join("Cargo.toml").is_file())
}

fn unique(places: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = std::collections::HashSet::new();
    places.into_iter().filter(|place| seen.insert(place.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }

    #[test]
    fn the_highest_version_in_a_folder_is_taken() {
        let home = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libonnxruntime_providers_shared.so"] {
            touch(&home.path().join(name));
        }
        assert_eq!(named(home.path(), "test"), Ok(home.path().join("libonnxruntime.so.1.31.1")));
    }

    #[test]
    fn a_named_place_without_a_library_is_refused_with_the_next_step() {
        let error = library(Some(Path::new("/nonexistent/libonnxruntime.so"))).unwrap_err().to_string();
        assert!(error.contains("[model] runtime names /nonexistent/libonnxruntime.so"), "{error}");
        assert!(error.contains("make runtime"), "{error}");
    }

    #[test]
    fn a_checkout_is_found_upwards_from_the_program() {
        let home = tempfile::tempdir().unwrap();
        touch(&home.path().join("Cargo.toml"));
        touch(&home.path().join(".runtime/libonnxruntime.so.1.31.1"));
        touch(&home.path().join("models/bundled/model.onnx"));
        let around = vec![home.path().join("target/debug/deps")];
        assert_eq!(library_in(&library_places(&around)), Ok(home.path().join(".runtime/libonnxruntime.so.1.31.1")));
        assert!(bundled_places(&around).contains(&home.path().join("models/bundled")));
    }

    #[test]
    fn beside_the_program_comes_before_the_checkout() {
        let home = tempfile::tempdir().unwrap();
        touch(&home.path().join("Cargo.toml"));
        touch(&home.path().join(".runtime/libonnxruntime.so.1.31.1"));
        touch(&home.path().join("bin/libonnxruntime.so.1.30.0"));
        let around = vec![home.path().join("bin")];
        assert_eq!(library_in(&library_places(&around)), Ok(home.path().join("bin/libonnxruntime.so.1.30.0")));
    }

    #[test]
    fn nothing_anywhere_lists_the_places() {
        let error = library_in(&[PathBuf::from("/nonexistent/a")]).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/a") && error.contains("make runtime"), "{error}");
    }
}
