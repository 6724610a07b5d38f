//! What lies in the plugin folder, and which of it has settled. A file counts once it has stayed the same for a moment; half of a
//! file that is being copied is not looked at.

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
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
/// The same for one that was renamed to where it is: it is whole, but another may belong to it.
const SETTLE_RENAMED: Duration = Duration::from_millis(20);

/// Tells one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint {
    len: u64,
    modified: Option<SystemTime>,
    inode: u64,
    /// Events seen; a second write within one tick of the file system's clock shows nowhere else.
    touched: u64,
}

/// What lies under a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entry {
    /// A file, or a link that leads to one.
    File(Fingerprint),
    /// Something that cannot be read as one.
    NotAFile(NotAFile),
}

/// Why something is no file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotAFile {
    #[error("a folder, not a file; put the file itself there")]
    Folder,
    #[error("a link that leads nowhere; let it lead to a file, or remove it")]
    DanglingLink,
    #[error("neither a file nor a link to one; put a file there")]
    Special,
    #[error("cannot be looked at ({0}); let the broker read it")]
    Hidden(io::ErrorKind),
}

impl Entry {
    /// None: nothing is there.
    fn of(path: &Path) -> Option<Self> {
        // Follows links: what counts is the file they lead to.
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_there = fs::symlink_metadata(path).is_ok();
                return is_there.then_some(Self::NotAFile(NotAFile::DanglingLink));
            }
            Err(error) => return Some(Self::NotAFile(NotAFile::Hidden(error.kind()))),
        };
        if metadata.is_dir() {
            return Some(Self::NotAFile(NotAFile::Folder));
        }
        if !metadata.is_file() {
            return Some(Self::NotAFile(NotAFile::Special));
        }
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        let modified = metadata.modified().ok();
        Some(Self::File(Fingerprint { len: metadata.len(), modified, inode, touched: 0 }))
    }

    fn touched(self, times: u64) -> Self {
        match self {
            Self::File(fingerprint) => Self::File(Fingerprint { touched: times, ..fingerprint }),
            other => other,
        }
    }

    /// Whether what lies at `path` is still this, but for events.
    pub(crate) fn is_still(self, path: &Path) -> bool {
        Self::of(path) == Some(self.touched(0))
    }
}

/// One name's files. None: not there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Files {
    /// `NAME.wasm`
    pub(crate) wasm: Option<Entry>,
    /// `NAME.toml`
    pub(crate) toml: Option<Entry>,
}

/// Which files are taken as they are, though they may have changed this very moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// None of them.
    Nobody,
    /// Those of one name.
    Only(&'a str),
    /// Every one.
    Everybody,
}

impl Trust<'_> {
    fn includes(self, name: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Only(only) => only == name,
            Self::Everybody => true,
        }
    }
}

/// What a look at the folder found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Names whose files have settled.
    pub(crate) settled: BTreeMap<String, Files>,
    /// Names whose files are changing: to be left alone.
    pub(crate) changing: BTreeSet<String>,
    /// When the first of them may have settled.
    pub(crate) look_again: Option<Instant>,
}

/// The folder, as seen so far.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: BTreeMap<OsString, Seen>,
    touched: Arc<Mutex<BTreeMap<OsString, Touched>>>,
}

/// Events about one file.
#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    times: u64,
    /// The last one brought it there by a rename.
    renamed: bool,
}

impl Touched {
    fn renamed(self) -> Self {
        Self { times: self.times + 1, renamed: true }
    }

    fn written(self) -> Self {
        Self { times: self.times + 1, renamed: false }
    }
}

#[derive(Debug, Default)]
struct Seen {
    entry: Option<Entry>,
    /// Events it had when it was seen to change.
    times: u64,
    /// None: it has settled.
    settles: Option<Instant>,
}

/// Tells of changes as they happen, for as long as it lives.
pub(crate) struct Watching {
    _watcher: RecommendedWatcher,
    /// The folder that is watched. A path may come to mean another one.
    folder: Option<u64>,
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
                let names = event.paths.iter().filter_map(|path| path.file_name());
                for name in names.filter(|name| is_of_a_plugin(Path::new(name))) {
                    let touched = touched.entry(name.to_owned()).or_default();
                    *touched = match event.kind {
                        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => touched.renamed(),
                        // Says once more what was said of each of the two names.
                        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => *touched,
                        _ => touched.written(),
                    };
                }
            }
            // Whatever its name: links to plugins may lead through it. After an error (events lost) a look is due all the more.
            changed.notify_one();
        })?;
        let folder = self.identity();
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(Watching { _watcher: watcher, folder })
    }

    /// Whether what is watched is still what the path means: a folder that was made anew, or a link in its path that leads elsewhere
    /// now, is another one.
    pub(crate) fn is_watched(&self, watching: &Watching) -> bool {
        watching.folder == self.identity()
    }

    fn identity(&self) -> Option<u64> {
        #[cfg(unix)]
        return fs::metadata(&self.path).ok().map(|folder| std::os::unix::fs::MetadataExt::ino(&folder));
        #[cfg(not(unix))]
        return None;
    }

    /// Looks at the folder.
    ///
    /// # Errors
    /// The folder cannot be read. Nothing is said about its files then.
    pub(crate) fn look(&mut self, now: Instant, trust: Trust<'_>) -> io::Result<Found> {
        let mut present = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if !is_of_a_plugin(Path::new(&name)) {
                continue;
            }
            if let Some(entry) = Entry::of(&self.path.join(&name)) {
                let times = self.touched(&name).times;
                present.insert(name, entry.touched(times));
            }
        }
        let known: BTreeSet<OsString> = self.files.keys().chain(present.keys()).cloned().collect();
        let mut found = Found::default();
        for name in known {
            let stem = stem(&name);
            let entry = present.get(&name).copied();
            let Touched { times, renamed } = self.touched(&name);
            let seen = self.files.entry(name.clone()).or_default();
            if seen.entry != entry {
                // A change behind a link has no event here.
                let settle = if renamed && seen.times != times { SETTLE_RENAMED } else { SETTLE };
                *seen = Seen { entry, times, settles: Some(now + settle) };
            }
            if trust.includes(&stem) {
                seen.settles = None;
            }
            if let Some(settles) = seen.settles.filter(|settles| *settles > now) {
                found.changing.insert(stem);
                found.look_again = found.look_again.into_iter().chain([settles]).min();
                continue;
            }
            let files = found.settled.entry(stem).or_default();
            match Path::new(&name).extension() {
                Some(extension) if extension == "wasm" => files.wasm = entry,
                _ => files.toml = entry,
            }
            if entry.is_none() {
                self.files.remove(&name);
            }
        }
        for name in &found.changing {
            found.settled.remove(name);
        }
        Ok(found)
    }

    fn touched(&self, name: &OsString) -> Touched {
        self.touched.lock().get(name).copied().unwrap_or_default()
    }
}

/// `NAME.wasm` or `NAME.toml`
fn is_of_a_plugin(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "wasm" || extension == "toml")
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
        let mut look = |now| folder.look(now, Trust::Nobody).unwrap();
        let found = look(start);
        assert!(found.changing.contains("a"));
        assert_eq!(found.look_again, Some(start + SETTLE));
        fs::write(&file, "three").unwrap();
        let found = look(start + SETTLE);
        assert!(found.changing.contains("a"), "it changed again");
        let found = look(start + SETTLE * 2);
        assert!(found.changing.is_empty());
        assert_eq!(found.settled.keys().collect::<Vec<_>>(), ["a"]);
        assert!(found.settled["a"].wasm.unwrap().is_still(&file));

        fs::remove_file(&file).unwrap();
        assert!(look(start + SETTLE * 2).changing.contains("a"));
        assert_eq!(look(start + SETTLE * 3).settled["a"], Files::default());
        assert!(look(start + SETTLE * 4).settled.is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_is_renamed_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(place.path().into());
        let _watching = folder.watch(Arc::default()).unwrap();
        fs::write(place.path().join("a.new"), "").unwrap();
        fs::rename(place.path().join("a.new"), place.path().join("a.wasm")).unwrap();
        while !folder.touched(&"a.wasm".into()).renamed {
            std::thread::yield_now();
        }
        let now = Instant::now();
        assert_eq!(folder.look(now, Trust::Nobody).unwrap().look_again, Some(now + SETTLE_RENAMED));
        let found = folder.look(now + SETTLE_RENAMED, Trust::Nobody).unwrap();
        assert!(found.settled["a"].wasm.is_some());
    }

    #[test]
    fn a_trusted_file_counts_at_once_and_others_do_not() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(place.path().into());
        let now = Instant::now();
        for name in ["a.wasm", "b.wasm"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        let found = folder.look(now, Trust::Only("a")).unwrap();
        assert!(found.settled.contains_key("a") && found.changing.contains("b"));
        assert!(folder.look(now, Trust::Nobody).unwrap().settled.contains_key("a"), "it stays settled");
        assert!(folder.look(now, Trust::Everybody).unwrap().changing.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_seen_and_told_apart() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("folder.wasm")).unwrap();
        std::os::unix::fs::symlink("nowhere", place.path().join("dangling.wasm")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place.path().join("socket.wasm")).unwrap();
        let found = Folder::new(place.path().into()).look(Instant::now(), Trust::Everybody).unwrap();
        let seen: Vec<_> =
            found.settled.into_iter().map(|(name, files)| (name, files.wasm.unwrap())).collect();
        let expected = [
            ("dangling", NotAFile::DanglingLink),
            ("folder", NotAFile::Folder),
            ("socket", NotAFile::Special),
        ];
        assert_eq!(seen, expected.map(|(name, what)| (name.to_owned(), Entry::NotAFile(what))));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_folder() {
        let place = tempfile::tempdir().unwrap();
        assert!(Folder::new(place.path().join("missing")).look(Instant::now(), Trust::Everybody).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_made_anew_is_not_the_one_that_is_watched() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("plugins");
        fs::create_dir(&path).unwrap();
        let folder = Folder::new(path.clone());
        let watching = folder.watch(Arc::default()).unwrap();
        assert!(folder.is_watched(&watching));
        fs::rename(&path, place.path().join("old")).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(!folder.is_watched(&watching));
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
