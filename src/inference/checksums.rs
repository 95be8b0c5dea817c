//! `SHA256SUMS`: when it lies in a model's folder, every file that it lists must match.
//!
//! Invariant: nothing outside the folder is read, whatever the list says. Not here: who made the list.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::files;
use super::load_error::LoadError;

/// The list's name, in `sha256sum`'s own format.
pub const LIST: &str = "SHA256SUMS";

/// Checks the folder against its list; gives how many files matched, none without a list.
pub fn verify(folder: &Path) -> Result<Option<usize>, LoadError> {
    let list = folder.join(LIST);
    if !list.exists() {
        return Ok(None);
    }
    let text = files::text(&list)?;
    let mut matched = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (expected, name) = entry(line).ok_or_else(|| {
            LoadError::files(
                format!("{} has a line that is not `checksum  name`", list.display()),
                format!("write it again: cd {} && sha256sum * > {LIST}", folder.display()),
            )
        })?;
        let path = files::inside(folder, name, &list)?;
        if !checksum(&path)?.eq_ignore_ascii_case(expected) {
            return Err(LoadError::files(
                format!("{} does not match its checksum in {LIST}: it is damaged, cut off or changed", path.display()),
                "download that file again (for the bundled model: git checkout models/bundled)",
            ));
        }
        matched += 1;
    }
    Ok(Some(matched))
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let (checksum, name) = line.split_once(char::is_whitespace)?;
    let name = name.trim_start();
    let name = name.strip_prefix('*').unwrap_or(name);
    let valid = checksum.len() == 64 && checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
    (valid && !name.is_empty()).then_some((checksum, name))
}

fn checksum(path: &Path) -> Result<String, LoadError> {
    let (mut file, _) = files::open(path)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file
            .read(&mut block)
            .map_err(|error| LoadError::files(format!("can't read {}: {error}", path.display()), "check the disk"))?;
        if read == 0 {
            break;
        }
        digest.update(&block[..read]);
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published digest of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn folder(list: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("a.bin"), "abc").unwrap();
        std::fs::write(home.path().join(LIST), list).unwrap();
        home
    }

    #[test]
    fn files_that_match_are_counted() {
        let home = folder(&format!("# made by hand\n{ABC}  a.bin\n{} *a.bin\n", ABC.to_uppercase()));
        assert_eq!(verify(home.path()), Ok(Some(2)));
    }

    #[test]
    fn a_changed_file_is_named() {
        let home = folder(&format!("{ABC}  a.bin\n"));
        std::fs::write(home.path().join("a.bin"), "abd").unwrap();
        let error = verify(home.path()).unwrap_err().to_string();
        assert!(error.contains("a.bin") && error.contains("download"), "{error}");
    }

    #[test]
    fn a_missing_file_and_a_name_outside_are_refused() {
        for list in [format!("{ABC}  b.bin\n"), format!("{ABC}  ../a.bin\n"), "nonsense\n".to_owned()] {
            assert!(verify(folder(&list).path()).is_err(), "{list}");
        }
    }

    #[test]
    fn without_a_list_nothing_is_checked() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(verify(home.path()), Ok(None));
    }
}
