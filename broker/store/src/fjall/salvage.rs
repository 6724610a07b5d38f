//! What to do with a tree that cannot be read everywhere: its readable rows become a new tree, and the files that were damaged are kept in
//! the folder `damaged`.
//!
//! A row of which only the newest version was in a damaged block may come back as it was before.

use super::{journal::sync_folder, trees};
use crate::backend::{Damage, Table};
use lsm_tree::{
    AbstractTree, Cache, Checksum, CompressionType, InternalValue, SeqNo, Table as TableFile, table::Scanner,
};
use std::{
    collections::HashSet,
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Where damaged files are kept.
pub(super) const KEPT: &str = "damaged";
/// Bytes of rows in memory before they become a table.
const AT_ONCE: u64 = 8 << 20;

/// The error says that something is not as it was written, not that the disk cannot be used now.
pub(super) fn is_damage(error: &lsm_tree::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match error {
        lsm_tree::Error::Io(error) => matches!(error.kind(), UnexpectedEof | InvalidData | NotFound),
        _ => true,
    }
}

/// A salvage that was interrupted is finished, or begun anew later.
pub(super) fn tidy(folder: &Path, table: Table) -> io::Result<()> {
    let [tree, new, old] = places(folder, table);
    if !tree.exists() && old.exists() && new.exists() {
        std::fs::rename(&new, &tree)?;
    }
    for rest in [new, old] {
        if rest.exists() && tree.exists() {
            std::fs::remove_dir_all(rest)?;
        }
    }
    Ok(())
}

fn places(folder: &Path, table: Table) -> [PathBuf; 3] {
    ["", ".new", ".old"].map(|suffix| folder.join(format!("{}{suffix}", table.name())))
}

/// Writes the tree anew from what can be read of it. Nobody may have it open.
pub(super) fn salvage(folder: &Path, table: Table) -> Result<Vec<Damage>, lsm_tree::Error> {
    tidy(folder, table)?;
    let [tree, new, old] = places(folder, table);
    let mut damage = Vec::new();
    let mut report = |file: &Path, what: String| -> io::Result<()> {
        let kept = folder.join(KEPT);
        std::fs::create_dir_all(&kept)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut place = kept.join(format!("{}-{name}", table.name()));
        let mut copies = 1;
        while place.exists() {
            copies += 1;
            place = kept.join(format!("{}-{name}-{copies}", table.name()));
        }
        if file.exists() {
            std::fs::hard_link(file, &place)?;
        }
        damage.push(Damage { place, table: Some(table), what: what.into() });
        Ok(())
    };
    let (current, listed) = (tree.join("current"), listed(&tree));
    if listed.is_none() {
        report(&current, format!("the list of the tables of `{}`", table.name()))?;
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(tree.join("tables"))? {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
        files.extend(id.filter(|id| listed.as_ref().is_none_or(|ids| ids.contains(id))).map(|id| (id, path)));
    }
    files.sort_unstable();
    let found: HashSet<_> = files.iter().map(|(id, _)| *id).collect();
    for id in listed.iter().flatten().filter(|id| !found.contains(id)) {
        report(&tree.join("tables").join(id.to_string()), "it is missing".into())?;
    }
    {
        let target = trees::open_one(&new, &trees::Shared::small())?;
        for (_, path) in &files {
            let mut room = 0;
            let keep = |row: InternalValue| {
                room += target.append_entry(row).0;
                if room > AT_ONCE {
                    room = 0;
                    target.flush_active_memtable(0)?;
                }
                Ok(())
            };
            if let Some(what) = read_table(path, keep)? {
                report(path, what)?;
            }
        }
        target.flush_active_memtable(0)?;
        // Each row has its newest version afterwards, whichever table that was in.
        target.major_compact(AT_ONCE, SeqNo::MAX >> 1)?;
    }
    std::fs::rename(&tree, &old)?;
    std::fs::rename(&new, &tree)?;
    sync_folder(folder)?;
    std::fs::remove_dir_all(&old)?;
    Ok(damage)
}

/// Hands on what can be read, and says what could not be.
fn read_table(
    path: &Path,
    mut keep: impl FnMut(InternalValue) -> lsm_tree::Result<()>,
) -> lsm_tree::Result<Option<String>> {
    let cache = Arc::new(Cache::with_capacity_bytes(0));
    let none = Checksum::from_raw(0);
    let opened = calmly(|| TableFile::recover(path.to_owned(), none, 0, 0, cache, None, false, false));
    let mut unreadable = 0;
    if let Ok(table) = opened {
        let blocks = table.metadata.data_block_count;
        let mut rows = table.iter();
        loop {
            match calmly(|| rows.next().transpose()) {
                Ok(Some(row)) => keep(row)?,
                Ok(None) if unreadable == 0 => return Ok(None),
                Ok(None) => return Ok(Some(format!("{unreadable} of its {blocks} blocks"))),
                Err(_) => unreadable += 1,
            }
            // The list of its blocks is not readable either.
            if unreadable > blocks {
                break;
            }
        }
    }
    // Block after block, as far as that goes. Rows that were kept already are kept once more, which changes nothing.
    let mut rows = match calmly(|| Scanner::new(path, usize::MAX, CompressionType::None, 0)) {
        Ok(rows) => rows,
        Err(_) => return Ok(Some("all of it".into())),
    };
    let mut read = 0_u64;
    while let Ok(Some(row)) = calmly(|| rows.next().transpose()) {
        keep(row)?;
        read += 1;
    }
    Ok(Some(format!("what follows after {read} rows, perhaps nothing")))
}

/// A panic about what is read is an error like others.
pub(super) fn calmly<T>(read: impl FnOnce() -> lsm_tree::Result<T>) -> lsm_tree::Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(lsm_tree::Error::Unrecoverable))
}

/// The tables that are part of the tree; `None` if nobody can say.
fn listed(tree: &Path) -> Option<HashSet<u64>> {
    let version = version_file(tree)?;
    let archive = sfa::Reader::new(&version).ok()?;
    let mut list = archive.toc().section(b"tables")?.buf_reader(&version).ok()?;
    let mut ids = HashSet::new();
    let [levels] = bytes(&mut list)?;
    for _ in 0..levels {
        let [runs] = bytes(&mut list)?;
        for _ in 0..runs {
            for _ in 0..u32::from_le_bytes(bytes(&mut list)?) {
                ids.insert(u64::from_le_bytes(bytes(&mut list)?));
                // Kind of checksum, checksum, sequence number.
                let _: [u8; 25] = bytes(&mut list)?;
            }
        }
    }
    Some(ids)
}

/// The file that lists the tables, if it is as it was written.
pub(super) fn version_file(tree: &Path) -> Option<PathBuf> {
    let current = std::fs::read(tree.join("current")).ok()?;
    let (id, rest) = current.split_first_chunk()?;
    let (checksum, [0]) = rest.split_first_chunk()? else { return None };
    let version = tree.join(format!("v{}", u64::from_le_bytes(*id)));
    let content = std::fs::read(&version).ok()?;
    (xxh3_128(&content) == u128::from_le_bytes(*checksum)).then_some(version)
}

fn bytes<const N: usize>(reader: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// A file has the checksum that it had when it was written.
pub(super) fn is_whole(file: &Path, checksum: Checksum) -> io::Result<bool> {
    let mut file = std::fs::File::open(file)?;
    let (mut hash, mut some) = (Xxh3::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut some)? {
            0 => return Ok(hash.digest128() == checksum.into_u128()),
            read => hash.update(some.get(..read).unwrap_or_default()),
        }
    }
}
