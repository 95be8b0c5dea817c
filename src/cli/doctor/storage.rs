//! The data folder and the secrets: there, private, writable, with room.

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use packetboat_adapter_api::secret::SecretRef;

use super::finding::Finding;
use crate::config::Loaded;
use crate::store::config::StorageConfig;

/// Below this much room nothing can be kept.
const FULL: u64 = 64 << 20;
/// Below this much somebody should know.
const TIGHT: u64 = 1 << 30;
/// A socket's address, its end included, is no longer than this on Linux.
const LONGEST_SOCKET: usize = 107;

/// Each secret that is referred to.
pub fn secrets(loaded: &Loaded) -> Vec<Finding> {
    let mut findings: Vec<Finding> = loaded
        .unreadable_secrets()
        .iter()
        .map(|problem| Finding::fail("secrets", problem.describe(&loaded.path), ""))
        .collect();
    let references = loaded.config.secrets();
    for (key, secret) in &references {
        if let SecretRef::File(path) = secret {
            findings.extend(open_to_others("secrets", &format!("{key}: the file {}", path.display()), path));
        }
    }
    if findings.is_empty() && !references.is_empty() {
        findings.push(Finding::ok("secrets", format!("{} can be read, and only by this user", references.len())));
    }
    findings
}

/// The folder that everything durable lies in.
pub fn data_folder(storage: &StorageConfig) -> Vec<Finding> {
    let path = &storage.path;
    let place = path.display();
    if !path.exists() {
        let next = "`packetboat init` makes it, and so does `packetboat serve`";
        return vec![Finding::warn("storage", format!("the data folder {place} is not there yet"), next)];
    }
    let mut findings: Vec<Finding> =
        open_to_others("storage", &format!("the data folder {place}"), path).into_iter().collect();
    match try_to_write(path) {
        Ok(()) => findings.push(Finding::ok("storage", format!("{place} can be written"))),
        Err(error) => {
            let next = "make its owner the user that the daemon runs as, and check that the disk is not read-only";
            findings.push(Finding::fail("storage", format!("{place} can't be written: {error}"), next));
        }
    }
    findings.extend(room(path));
    if path.join("control.sock").as_os_str().len() > LONGEST_SOCKET {
        let next = "choose a storage.path that is shorter than 90 characters";
        findings.push(Finding::fail("storage", "the path is too long for a control socket", next));
    }
    findings
}

fn open_to_others(area: &'static str, what: &str, path: &Path) -> Option<Finding> {
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    let wanted = if path.is_dir() { 0o700 } else { 0o600 };
    (mode & 0o077 != 0).then(|| {
        let next = format!("chmod {wanted:o} {}", path.display());
        Finding::warn(area, format!("{what} is open to other users (mode {mode:o})"), next)
    })
}

fn try_to_write(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?.sync_all()?;
    std::fs::remove_file(probe)
}

fn room(path: &Path) -> Option<Finding> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let message = format!("{:.1} GiB free on its disk", free as f64 / f64::from(1 << 30));
    Some(match free {
        ..FULL => Finding::fail("storage", message, "make room: new messages are refused when the disk is full"),
        FULL..TIGHT => Finding::warn("storage", message, "make room before it is full"),
        TIGHT.. => Finding::ok("storage", message),
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_data_folder_that_others_can_read_is_named_with_the_command_that_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let storage = StorageConfig { path: folder.path().to_owned(), ..StorageConfig::default() };
        let findings = data_folder(&storage);
        let open = findings.iter().find(|finding| finding.level == Level::Warn).expect("a warning");
        assert_eq!(open.next, format!("chmod 700 {}", folder.path().display()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
