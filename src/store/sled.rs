//! The store on sled 0.34. The only file that knows sled.
//!
//! One thread writes: it takes every commit that waits, puts them into one sled batch, makes it durable once, and answers
//! all of them (group commit). Invariants: a commit returns `Ok` only after its bytes were fdatasynced; commits take effect
//! in the order of their arrival; a failed write stops the store until the next start, because what is on the disk is
//! then unknown.
//!
//! sled's own `flush` is sync_file_range, which a power cut defeats: the log file is fdatasynced here after it, and
//! what sled never syncs (its `conf`, its snapshots, the folder) when it opens.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Batch, Entry, Store, StoreError, Write, counter_value};
use crate::telemetry::metrics::Metrics;

/// Commits that may wait for the writer; the next one waits for a place.
const WAITING: usize = 4096;
/// Commits that share one flush at most.
const GROUP: usize = 1024;
/// Growing batches are refused when the disk has less than this left, so that answers still fit.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// sled moves values into files of their own (`blobs/`) from about this size on.
const BLOB_BYTES: usize = 16 * 1024;
/// The page cache, in bytes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Groups between two looks at the disk.
const LOOK_EVERY: u32 = 64;

/// A store in a folder of its own.
pub struct SledStore {
    tree: sled::Tree,
    requests: mpsc::Sender<Request>,
    size: Arc<AtomicU64>,
    // dropped last: closes the writer's queue first, see Drop
    writer: Option<thread::JoinHandle<()>>,
}

struct Request {
    batch: Batch,
    /// `None`: nobody waits, and nothing needs a flush.
    answer: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl SledStore {
    /// Opens or creates the store in `path`; locks it for this process. `max_disk` in bytes, 0 = no bound but the disk.
    pub fn open(path: &Path, max_disk: u64, metrics: Arc<Metrics>) -> Result<Self, StoreError> {
        let failed = |cause: String, hint: &str| StoreError::Open {
            path: path.display().to_string(),
            cause,
            hint: hint.to_owned(),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed(error.to_string(), "check that the folder's parent exists and is writable"))?;
        let db = open_repairing(path).map_err(|error| failed(error.to_string(), hint(&error)))?;
        let tree = db.open_tree("packetboat").map_err(|error| failed(error.to_string(), hint(&error)))?;
        sync_folder(path).map_err(|error| failed(error.to_string(), "check the disk"))?;
        let log = File::open(path.join("db")).map_err(|error| failed(error.to_string(), "check the disk"))?;
        let (requests, inbox) = mpsc::channel(WAITING);
        let size = Arc::new(AtomicU64::new(folder_bytes(path)));
        let writer = Writer {
            db,
            tree: tree.clone(),
            log,
            path: path.to_owned(),
            max_disk,
            size: Arc::clone(&size),
            groups: 0,
            full: None,
            broken: AtomicBool::new(false),
            metrics,
        };
        let writer = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(inbox))
            .map_err(|error| failed(error.to_string(), "the system gives no more threads: check its limits"))?;
        Ok(Self { tree, requests, size, writer: Some(writer) })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        // the writer ends when the last sender is gone; wait, so that sled's lock is free when we return
        drop(std::mem::replace(&mut self.requests, closed));
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Store for SledStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        let stopped = || StoreError::Failed("the store has stopped; restart the daemon".to_owned());
        self.requests.send(Request { batch, answer: Some(answer) }).await.map_err(|_| stopped())?;
        done.await.map_err(|_| stopped())?
    }

    fn post(&self, batch: Batch) {
        // a full queue drops the hint: there is more urgent work
        let _ = self.requests.try_send(Request { batch, answer: None });
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.tree.get(key).map_err(failed)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        let start = if from > prefix { from } else { prefix };
        self.tree
            .range(start.to_vec()..)
            .take_while(|entry| entry.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
            .take(limit)
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(failed))
            .collect()
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Entry>, StoreError> {
        let last = self.tree.scan_prefix(prefix).next_back().transpose().map_err(failed)?;
        Ok(last.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }
}

/// The one thread that writes.
struct Writer {
    db: sled::Db,
    tree: sled::Tree,
    log: File,
    path: PathBuf,
    max_disk: u64,
    size: Arc<AtomicU64>,
    groups: u32,
    full: Option<String>,
    broken: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Writer {
    fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut group = Vec::new();
        while inbox.blocking_recv_many(&mut group, GROUP) > 0 {
            if self.groups.is_multiple_of(LOOK_EVERY) {
                self.look_at_disk();
            }
            self.groups = self.groups.wrapping_add(1);
            self.write_group(std::mem::take(&mut group));
        }
    }

    fn write_group(&self, requests: Vec<Request>) {
        let mut group = Group::default();
        let mut written = Vec::with_capacity(requests.len());
        for Request { batch, answer } in requests {
            let taken = self.admit(&batch).and_then(|()| group.add(&self.tree, batch));
            match (taken, answer) {
                (Ok(()), Some(answer)) => written.push(answer),
                (Err(error), Some(answer)) => drop(answer.send(Err(error))),
                (_, None) => {}
            }
        }
        let begun = Instant::now();
        let outcome = self.make_durable(group, !written.is_empty());
        if !written.is_empty() {
            self.metrics.store_commit_seconds.observe(begun.elapsed().as_secs_f64());
            self.metrics.store_group_size.observe(written.len() as f64);
        }
        for answer in written {
            // whoever asked may have gone; the batch is durable all the same
            let _ = answer.send(outcome.clone());
        }
    }

    fn admit(&self, batch: &Batch) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Failed(
                "an earlier write failed; check the disk and restart the daemon".to_owned(),
            ));
        }
        match &self.full {
            Some(cause) if batch.grows => Err(StoreError::Full(cause.clone())),
            _ => Ok(()),
        }
    }

    fn make_durable(&self, group: Group, flush: bool) -> Result<(), StoreError> {
        let blobs = group.largest >= BLOB_BYTES;
        let write = || -> Result<(), String> {
            self.tree.apply_batch(group.into_batch()).map_err(|error| error.to_string())?;
            if !flush {
                return Ok(());
            }
            self.db.flush().map_err(|error| error.to_string())?;
            if blobs {
                sync_blobs(&self.path).map_err(|error| error.to_string())?;
            }
            self.log.sync_data().map_err(|error| error.to_string())
        };
        write().map_err(|cause| {
            self.broken.store(true, Ordering::Relaxed);
            tracing::error!(error = %cause, "the store can't write; nothing more is accepted until a restart");
            StoreError::Failed(cause)
        })
    }

    fn look_at_disk(&mut self) {
        let size = folder_bytes(&self.path);
        self.size.store(size, Ordering::Relaxed);
        let free = free_bytes(&self.path);
        let full = if self.max_disk > 0 && size >= self.max_disk {
            Some(format!(
                "storage.max_disk ({} bytes) is reached; raise it or shorten storage.keep_finished",
                self.max_disk
            ))
        } else if free.is_some_and(|free| free < RESERVE_BYTES) {
            Some("the disk of the data folder is nearly full; free some space".to_owned())
        } else {
            None
        };
        if let (Some(cause), None) = (&full, &self.full) {
            tracing::error!(%cause, "new messages are refused");
        }
        self.full = full;
        if self.full.is_some() {
            // look again at the very next group: space may come back at any time
            self.groups = u32::MAX;
        }
    }
}

/// Batches that become durable together, in order.
#[derive(Default)]
struct Group {
    writes: HashMap<Vec<u8>, Option<Vec<u8>>>,
    largest: usize,
}

impl Group {
    fn add(&mut self, tree: &sled::Tree, batch: Batch) -> Result<(), StoreError> {
        for key in &batch.absent {
            if let Some(value) = self.get(tree, key)? {
                return Err(StoreError::Exists(value));
            }
        }
        // reads may fail; do them before anything is changed
        let mut resolved = Vec::with_capacity(batch.writes.len());
        let mut sums: HashMap<Vec<u8>, i64> = HashMap::new();
        for write in batch.writes {
            resolved.push(match write {
                Write::Put(key, value) => (key, Some(value)),
                Write::Delete(key) => (key, None),
                Write::Add(key, delta) => {
                    let before = match sums.get(&key) {
                        Some(sum) => *sum,
                        None => counter_value(self.get(tree, &key)?.as_deref()),
                    };
                    let sum = before.saturating_add(delta);
                    sums.insert(key.clone(), sum);
                    (key, Some(sum.to_le_bytes().to_vec()))
                }
            });
        }
        for (key, value) in resolved {
            self.largest = self.largest.max(value.as_ref().map_or(0, Vec::len));
            self.writes.insert(key, value);
        }
        Ok(())
    }

    fn get(&self, tree: &sled::Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(tree.get(key).map_err(failed)?.map(|value| value.to_vec())),
        }
    }

    fn into_batch(self) -> sled::Batch {
        let mut batch = sled::Batch::default();
        for (key, value) in self.writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch
    }
}

fn failed(error: sled::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn hint(error: &sled::Error) -> &'static str {
    match error {
        sled::Error::Io(io) if io.to_string().contains("lock") => {
            "another packetboat uses this folder: stop it, or set another storage.path"
        }
        sled::Error::Io(_) => "check the disk and that this user may write there",
        _ => "restore a backup, or move the folder aside and start anew",
    }
}

/// Opens; a torn snapshot (sled rebuilds them from its log) is moved aside once.
fn open_repairing(path: &Path) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    match config.open() {
        Err(sled::Error::Corruption { .. }) => {
            tracing::warn!(path = %path.display(), "the store's snapshot is torn; it is set aside and rebuilt");
            for entry in fs::read_dir(path)?.flatten() {
                if entry.file_name().to_string_lossy().starts_with("snap.") {
                    fs::rename(entry.path(), path.join(format!("torn-{}", entry.file_name().to_string_lossy())))?;
                }
            }
            config.open()
        }
        other => other,
    }
}

/// What sled leaves unsynced when it opens: its configuration, its snapshots, the folder's entries.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn sync_blobs(path: &Path) -> std::io::Result<()> {
    let blobs = path.join("blobs");
    for entry in fs::read_dir(&blobs)?.flatten() {
        File::open(entry.path())?.sync_all()?;
    }
    File::open(blobs)?.sync_all()
}

/// Bytes that the folder's files take on the disk (blocks, not lengths: sled's log is sparse).
fn folder_bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok().map(|metadata| (entry.path(), metadata)))
        .map(|(path, metadata)| if metadata.is_dir() { folder_bytes(&path) } else { metadata.blocks() * 512 })
        .sum()
}

fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    fn open(path: &Path) -> Arc<dyn Store> {
        Arc::new(SledStore::open(path, 0, Arc::default()).expect("opens"))
    }

    #[tokio::test]
    async fn sled_keeps_the_contract_of_a_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut n = 0;
        conformance::run(|| {
            n += 1;
            open(&folder.path().join(n.to_string()))
        })
        .await;
    }

    #[tokio::test]
    async fn what_was_committed_is_there_after_a_reopen() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        store.commit(Batch::default().put(b"k", b"v").add(b"n", 2)).await.expect("commits");
        drop(store);
        let store = open(folder.path());
        assert_eq!(store.get(b"k"), Ok(Some(b"v".to_vec())));
        assert_eq!(counter_value(store.get(b"n").expect("reads").as_deref()), 2);
    }

    #[test]
    fn a_second_process_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = open(folder.path());
        let error =
            SledStore::open(folder.path(), 0, Arc::default()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("another packetboat"), "{error}");
    }

    #[tokio::test]
    async fn growth_is_refused_beyond_max_disk_and_answers_still_fit() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SledStore::open(folder.path(), 1, Arc::default()).expect("opens");
        let grows = Batch { grows: true, ..Batch::default().put(b"k", b"v") };
        assert!(matches!(store.commit(grows).await, Err(StoreError::Full(_))));
        assert_eq!(store.commit(Batch::default().put(b"k", b"v")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_large_value_survives_a_reopen() {
        let folder = tempfile::tempdir().expect("a folder");
        let large = vec![7; 300_000];
        let store = open(folder.path());
        store.commit(Batch::default().put(b"k", &large)).await.expect("commits");
        drop(store);
        assert_eq!(open(folder.path()).get(b"k"), Ok(Some(large)));
    }
}
