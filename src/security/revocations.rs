//! Which tokens are revoked: a text file, one `id revoked-at` per line, appended and fsynced.
//!
//! Invariants: durable when [`Revocations::add`] returns; an entry stays until no token as old as it can still be valid;
//! a line torn by a power cut was never acknowledged and is dropped. Not here: what a token is (`tokens.rs`).

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::keyfile::sync_folder_of;

/// The list in memory and its file.
#[derive(Debug)]
pub struct Revocations {
    path: PathBuf,
    revoked_at: HashMap<String, u64>,
}

impl Revocations {
    /// Reads the file and rewrites it without entries from before `oldest` (seconds since 1970 UTC).
    pub fn open(path: PathBuf, oldest: u64) -> io::Result<Self> {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            outcome => outcome?,
        };
        // a last line without its end was torn
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let revoked_at: HashMap<String, u64> =
            whole.lines().filter_map(parse).filter(|(_, at)| *at >= oldest).collect();
        let list = Self { path, revoked_at };
        if !text.is_empty() {
            list.rewrite()?;
        }
        Ok(list)
    }

    /// It was revoked.
    pub fn contains(&self, id: &str) -> bool {
        self.revoked_at.contains_key(id)
    }

    /// Revokes; durable on return.
    pub fn add(&mut self, id: &str, now: u64) -> io::Result<()> {
        if self.contains(id) {
            return Ok(());
        }
        let existed = self.path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        file.write_all(line(id, now).as_bytes())?;
        file.sync_all()?;
        if !existed {
            sync_folder_of(&self.path)?;
        }
        self.revoked_at.insert(id.to_owned(), now);
        Ok(())
    }

    fn rewrite(&self) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let lines: String = self.revoked_at.iter().map(|(id, at)| line(id, *at)).collect();
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        sync_folder_of(&self.path)
    }
}

fn line(id: &str, at: u64) -> String {
    format!("{id} {at}\n")
}

fn parse(line: &str) -> Option<(String, u64)> {
    let (id, at) = line.split_once(' ')?;
    Some((id.to_owned(), at.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        Revocations::open(path.clone(), 0).unwrap().add("a", 10).unwrap();
        let mut reopened = Revocations::open(path.clone(), 0).unwrap();
        assert!(reopened.contains("a"));
        reopened.add("b", 11).unwrap();
        let again = Revocations::open(path, 0).unwrap();
        assert!(again.contains("a") && again.contains("b"));
    }

    #[test]
    fn a_torn_line_is_dropped_and_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        fs::write(&path, "a 10\nb 1").unwrap();
        let mut list = Revocations::open(path.clone(), 0).unwrap();
        assert!(list.contains("a") && !list.contains("b"));
        list.add("c", 12).unwrap();
        let reopened = Revocations::open(path, 0).unwrap();
        assert!(reopened.contains("a") && reopened.contains("c"));
    }

    #[test]
    fn entries_too_old_to_matter_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        fs::write(&path, "old 10\nnew 20\n").unwrap();
        let list = Revocations::open(path.clone(), 15).unwrap();
        assert!(!list.contains("old") && list.contains("new"));
        assert_eq!(fs::read_to_string(path).unwrap(), "new 20\n");
    }
}
