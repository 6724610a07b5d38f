//! Compiled code in `data_dir/compiled/`. Only what this crate wrote there is ever loaded, and only if not a byte has changed: reading
//! compiled code is as good as running it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};
use wasmtime::{Engine, component::Component};

/// Files kept; those used longest ago go first.
const KEPT: usize = 64;

/// In front of the code: this, then the BLAKE3 hash of the code.
const MAGIC: &[u8; 8] = b"TIDECWA1";

/// The folder of compiled code.
#[derive(Clone, Debug)]
pub(crate) struct CompiledCache {
    folder: PathBuf,
}

/// Content and compiler, as a file name.
#[derive(Debug)]
pub(crate) struct Key(String);

impl CompiledCache {
    /// Makes the folder. Without one (a read-only disk) every start compiles anew.
    pub(crate) fn new(data_dir: &Path) -> Self {
        let folder = data_dir.join("compiled");
        if let Err(error) = fs::create_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "compiled plugins are not kept");
        }
        Self { folder }
    }

    pub(crate) fn key(&self, engine: &Engine, bytes: &[u8]) -> Key {
        let mut compiler = EngineHasher(blake3::Hasher::new());
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut compiler);
        let compiler = compiler.0.finalize().to_hex();
        Key(format!("{}-{}", blake3::hash(bytes).to_hex(), &compiler[..16]))
    }

    /// The code for `key`, if it is there and sound.
    pub(crate) fn load(&self, engine: &Engine, key: &Key) -> Option<Component> {
        let path = self.path(key);
        let file = fs::read(&path).ok()?;
        let Some(code) = sound(&file) else {
            tracing::warn!(file = %path.display(), "compiled plugin is damaged; compiling again");
            return None;
        };
        match deserialize(engine, code) {
            Ok(component) => {
                // Marks it as used, for `prune`. If that fails it may be compiled once more.
                _ = fs::File::options()
                    .append(true)
                    .open(&path)
                    .and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), error = %format!("{error:#}"), "compiled plugin does not fit; compiling again");
                None
            }
        }
    }

    /// Keeps `component`. Failing to is no harm but time.
    pub(crate) fn store(&self, key: &Key, component: &Component) {
        let written = component
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))
            .and_then(|code| self.write(key, &code))
            .and_then(|()| self.prune());
        if let Err(error) = written {
            tracing::warn!(folder = %self.folder.display(), %error, "compiled plugin not kept");
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.cwasm", key.0))
    }

    fn write(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        let mut file = Vec::with_capacity(MAGIC.len() + blake3::OUT_LEN + code.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(blake3::hash(code).as_bytes());
        file.extend_from_slice(code);
        // Plugins are compiled side by side, and two names may be of the same content.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let n = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!("{}.{}.{n}.tmp", key.0, std::process::id()));
        fs::write(&unfinished, &file)?;
        fs::rename(&unfinished, self.path(key)).inspect_err(|_| _ = fs::remove_file(&unfinished))
    }

    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // One that is gone by now was surplus to somebody else, too.
            if entry.path().extension().is_some_and(|extension| extension == "cwasm")
                && let Ok(metadata) = entry.metadata()
            {
                files.push((metadata.modified()?, entry.path()));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(KEPT);
        files.into_iter().take(surplus).try_for_each(|(_, path)| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    }
}

/// The code in `file`, if it is what was written.
fn sound(file: &[u8]) -> Option<&[u8]> {
    let (hash, code) = file.strip_prefix(MAGIC)?.split_first_chunk::<{ blake3::OUT_LEN }>()?;
    (blake3::hash(code) == *hash).then_some(code)
}

#[allow(unsafe_code, reason = "the only way to read compiled code; see the safety comment")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` came from `Component::serialize` of this very version and configuration (both are part of the file's name and
    // checked again by wasmtime), was written by `CompiledCache::write` into the broker's own data folder, and its hash shows that
    // it is unchanged. Who can write into that folder can replace the broker's store as well.
    unsafe { Component::deserialize(engine, code) }
}

/// wasmtime offers its settings as something to hash; this makes a hash that is the same in the next process.
struct EngineHasher(blake3::Hasher);

impl std::hash::Hasher for EngineHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let hash = self.0.finalize();
        hash.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::PluginEngine;

    #[test]
    fn code_is_read_back_only_if_it_is_whole() {
        let data = tempfile::tempdir().unwrap();
        let engine = PluginEngine::new().unwrap().engine;
        let cache = CompiledCache::new(data.path());
        let bytes = wat::parse_str("(component)").unwrap();
        let key = cache.key(&engine, &bytes);
        assert!(cache.load(&engine, &key).is_none());
        cache.store(&key, &Component::from_binary(&engine, &bytes).unwrap());
        assert!(cache.load(&engine, &key).is_some());

        let path = cache.path(&key);
        let mut file = fs::read(&path).unwrap();
        let middle = file.len() / 2;
        file[middle] ^= 1;
        fs::write(&path, &file).unwrap();
        assert!(cache.load(&engine, &key).is_none(), "a flipped bit");
        fs::write(&path, &file[..middle]).unwrap();
        assert!(cache.load(&engine, &key).is_none(), "a truncated file");
    }

    #[test]
    fn only_the_newest_files_are_kept() {
        let data = tempfile::tempdir().unwrap();
        let cache = CompiledCache::new(data.path());
        for n in 0..70 {
            cache.write(&Key(n.to_string()), b"code").unwrap();
            let file = fs::File::options().append(true).open(cache.path(&Key(n.to_string()))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n)).unwrap();
        }
        cache.prune().unwrap();
        assert_eq!(fs::read_dir(&cache.folder).unwrap().count(), KEPT);
        assert!(!cache.path(&Key("5".into())).exists());
        assert!(cache.path(&Key("6".into())).exists());
    }
}
