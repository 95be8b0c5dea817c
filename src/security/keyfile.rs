//! The signing key on disk: made once, 32 random bytes, readable by its owner alone.
//!
//! Invariants: an empty, short or readable-by-others key stops the daemon instead of letting everybody in; two programs
//! that start at the same time end up with the same key; the key is durable before the first token is signed with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::clock::random_bytes;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system said no.
    #[error("can't {step} {path}: {source}; check who owns the folder and that the disk has room")]
    Io {
        /// `read`, `write` …
        step: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others could read it, so others may know it.
    #[error(
        "{path} may be read by others (mode {mode:o}); run `chmod 600 {path}`, or remove it to make a new key (every token ends)"
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not 32 bytes.
    #[error(
        "{path} is no signing key ({length} bytes instead of {KEY_LENGTH}); remove it to make a new key (every token ends)"
    )]
    Broken {
        /// The key file.
        path: PathBuf,
        /// What is there.
        length: usize,
    },
}

const KEY_LENGTH: usize = 32;

/// Makes `folder` with mode 0700 if it is not there.
pub fn private_folder(folder: &Path) -> Result<(), KeyError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| KeyError::Io { step: "make", path: folder.to_owned(), source })
}

/// Reads the key at `path`, or makes it.
pub fn load_or_make(path: &Path) -> Result<[u8; KEY_LENGTH], KeyError> {
    match read(path) {
        Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            make(path)?;
            // whoever was first, this is the key that is on disk
            read(path)
        }
        outcome => outcome,
    }
}

fn read(path: &Path) -> Result<[u8; KEY_LENGTH], KeyError> {
    let failed = |source| KeyError::Io { step: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes).map_err(failed)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| KeyError::Broken { path: path.to_owned(), length })
}

/// Writes a whole key beside `path` and links it there: nobody ever sees half a key, and a second maker's link fails.
fn make(path: &Path) -> Result<(), KeyError> {
    let failed = |source| KeyError::Io { step: "write", path: path.to_owned(), source };
    let draft = path.with_extension(format!("{:016x}", u64::from_le_bytes(random_bytes())));
    let outcome = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&random_bytes::<KEY_LENGTH>())?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    })();
    // best effort: a draft left behind is random bytes that sign nothing
    let _ = fs::remove_file(&draft);
    outcome.map_err(failed)?;
    sync_folder_of(path).map_err(failed)
}

/// Makes a new or renamed entry of `path`'s folder durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_key_is_private_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = load_or_make(&path).unwrap();
        assert_eq!(first, load_or_make(&path).unwrap());
        assert_ne!(first, [0; KEY_LENGTH]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn an_empty_or_short_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for content in [&b""[..], b"short"] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(load_or_make(&path), Err(KeyError::Broken { .. })));
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        load_or_make(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load_or_make(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn two_makers_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        make(&path).unwrap();
        let first = read(&path).unwrap();
        make(&path).unwrap();
        assert_eq!(first, read(&path).unwrap());
    }
}
