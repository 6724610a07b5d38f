//! What lies in the plugin folder, and which of it has settled. A file counts once it has stayed the same for a moment; half of a
//! file that is being copied is not looked at.

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// So long must a file stay the same.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);

/// Tells one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint {
    len: u64,
    modified: Option<SystemTime>,
    inode: u64,
    /// Events seen; a second write within one tick of the file system's clock shows nowhere else.
    touched: u64,
}

impl Fingerprint {
    fn of(path: &Path) -> Option<Self> {
        // Follows links: what counts is the file they lead to.
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { len: metadata.len(), modified: metadata.modified().ok(), inode, touched: 0 })
    }

    /// Whether the file at `path` is still this one, but for events.
    pub(crate) fn is_still(&self, path: &Path) -> bool {
        Self::of(path) == Some(Self { touched: 0, ..*self })
    }
}

/// One name's files. None: not there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Files {
    /// `NAME.wasm`
    pub(crate) wasm: Option<Fingerprint>,
    /// `NAME.toml`
    pub(crate) toml: Option<Fingerprint>,
}

/// What a look at the folder found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Names whose files have settled.
    pub(crate) settled: BTreeMap<String, Files>,
    /// Names whose files are changing: to be left alone.
    pub(crate) changing: BTreeSet<String>,
}

/// The folder, as seen so far.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: BTreeMap<OsString, Seen>,
    touched: Arc<Mutex<BTreeMap<OsString, u64>>>,
}

#[derive(Debug)]
struct Seen {
    fingerprint: Option<Fingerprint>,
    since: Option<Instant>,
}

/// Tells of changes as they happen, for as long as it lives.
pub(crate) struct Watching {
    _watcher: RecommendedWatcher,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, files: BTreeMap::new(), touched: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notifies `changed` of every change from now on.
    pub(crate) fn watch(&self, changed: Arc<Notify>) -> notify::Result<Watching> {
        let touched = self.touched.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(event) = event {
                if !writes(event.kind) {
                    return;
                }
                let mut touched = touched.lock();
                for name in event.paths.iter().filter_map(|path| path.file_name()) {
                    *touched.entry(name.to_owned()).or_default() += 1;
                }
            }
            // After an error (events lost) a look is due all the more.
            changed.notify_one();
        })?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(Watching { _watcher: watcher })
    }

    /// Looks at the folder. `trust`: take everything as settled, as at the start.
    ///
    /// # Errors
    /// The folder cannot be read. Nothing is said about its files then.
    pub(crate) fn look(&mut self, now: Instant, trust: bool) -> io::Result<Found> {
        let mut present = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let path = self.path.join(&name);
            if !path.extension().is_some_and(|extension| extension == "wasm" || extension == "toml") {
                continue;
            }
            if let Some(fingerprint) = Fingerprint::of(&path) {
                present.insert(name, fingerprint);
            }
        }
        for (name, fingerprint) in &mut present {
            fingerprint.touched = self.touched.lock().get(name).copied().unwrap_or_default();
        }
        let known: BTreeSet<OsString> = self.files.keys().chain(present.keys()).cloned().collect();
        let mut found = Found::default();
        for name in known {
            let fingerprint = present.get(&name).copied();
            let seen = self.files.entry(name.clone()).or_insert(Seen { fingerprint: None, since: None });
            if seen.fingerprint != fingerprint {
                *seen = Seen { fingerprint, since: (!trust).then_some(now) };
            }
            if seen.since.is_some_and(|since| now.saturating_duration_since(since) < SETTLE) {
                found.changing.insert(stem(&name));
                continue;
            }
            let files = found.settled.entry(stem(&name)).or_default();
            match Path::new(&name).extension() {
                Some(extension) if extension == "wasm" => files.wasm = fingerprint,
                _ => files.toml = fingerprint,
            }
            if fingerprint.is_none() {
                self.files.remove(&name);
            }
        }
        for name in &found.changing {
            found.settled.remove(name);
        }
        Ok(found)
    }
}

/// `NAME` of `NAME.wasm`.
fn stem(file: &OsString) -> String {
    Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reading changes nothing; we read ourselves.
fn writes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// Whether `name` can be a plugin's.
pub(crate) fn is_plugin_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_it_has_stayed_the_same() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(place.path().into());
        let start = Instant::now();
        let file = place.path().join("a.wasm");
        fs::write(&file, "one").unwrap();
        fs::write(place.path().join("readme.txt"), "").unwrap();
        assert!(folder.look(start, false).unwrap().changing.contains("a"));
        fs::write(&file, "three").unwrap();
        let found = folder.look(start + SETTLE, false).unwrap();
        assert!(found.changing.contains("a"), "it changed again");
        let found = folder.look(start + SETTLE * 2, false).unwrap();
        assert!(found.changing.is_empty());
        assert_eq!(found.settled.keys().collect::<Vec<_>>(), ["a"]);
        assert!(found.settled["a"].wasm.unwrap().is_still(&file));

        fs::remove_file(&file).unwrap();
        assert!(folder.look(start + SETTLE * 2, false).unwrap().changing.contains("a"));
        assert_eq!(folder.look(start + SETTLE * 3, false).unwrap().settled["a"], Files::default());
        assert!(folder.look(start + SETTLE * 4, false).unwrap().settled.is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_folder() {
        let place = tempfile::tempdir().unwrap();
        assert!(Folder::new(place.path().join("missing")).look(Instant::now(), true).is_err());
    }

    #[test]
    fn names_are_plain() {
        for name in ["a", "rate-limit_2", "9"] {
            assert!(is_plugin_name(name));
        }
        for name in ["", "A", "a b", "a.b", "ä", ".hidden"] {
            assert!(!is_plugin_name(name), "{name}");
        }
    }
}
