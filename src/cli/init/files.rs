//! Files and folders that only their owner can read, made once and never overwritten.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::cli::error::CliError;

/// Makes the folder (mode 0700) and those above it; whether it was missing. A folder that is there keeps its mode.
pub fn private_folder(path: &Path) -> Result<bool, CliError> {
    folder(path, 0o700)
}

/// Makes a folder with this mode.
pub fn folder(path: &Path, mode: u32) -> Result<bool, CliError> {
    if path.is_dir() {
        return Ok(false);
    }
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map(|()| true).map_err(|error| failed("the folder", path, &error))
}

/// Writes a file (mode 0600); whether it was missing. One that is there stays as it is.
pub fn private_file(path: &Path, text: &str) -> Result<bool, CliError> {
    file(path, text, 0o600)
}

/// Writes a file with this mode.
pub fn file(path: &Path, text: &str, mode: u32) -> Result<bool, CliError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(failed("the file", path, &error)),
    };
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map(|()| true).map_err(|error| failed("the file", path, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(format!("can't make {what} {}: {error}", path.display()), "choose another folder with --dir")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().map(|metadata| metadata.permissions().mode() & 0o777).unwrap_or_default()
    }

    #[test]
    fn what_is_made_only_its_owner_can_read_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        assert!(private_folder(&inner).unwrap());
        assert!(!private_folder(&inner).unwrap());
        let file = inner.join("secret");
        assert!(private_file(&file, "one").unwrap());
        assert!(!private_file(&file, "two").unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        assert_eq!((mode(&inner), mode(&file)), (0o700, 0o600));
    }
}
