//! What a disk may hold after a power cut, from the notes that `tests/power-cut` takes while the broker runs.
//!
//! - What was written to a file before a sync of it began that ended is there. Of what was written later, any part may be: nothing, all, up
//!   to some point, or some writes and not others, torn at sectors; a sector of a part that is new may be zeros.
//! - The names in a folder are those of the last sync of the folder. Of what was created, deleted and renamed since, any part may have
//!   happened, but no rename by half. What else makes a name safe is said by [`Names`].
//! - A folder at the beginning of a run is as safe as it looks: the cut before it is over.
//!
//! The notes: each has 32 bytes of head (`TGPC` as a number; kind; inode; number; length of what follows; little endian), then
//!
//! | kind | number | what follows |
//! |------|--------|--------------|
//! | 1 write | offset | the bytes |
//! | 2 resize | length of the file | – |
//! | 3 sync of a file begins | of the sync | the names that lead to it from the folder that is watched |
//! | 4 sync of a folder begins | of the sync | the names in it |
//! | 5 sync ends | of the sync | – |
//!
//! A name: inode (8 bytes), whether it is a folder (1), length of the name (2), the name.

use crate::{Folder, library};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

const HEAD: usize = 32;
const MAGIC: u32 = 0x5450_5743;
const SECTOR: u64 = 512;

/// What makes the name of a file safe, beside a sync of the folder that it is in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Names {
    /// A sync of the file, as ext4, XFS and Btrfs do it.
    #[default]
    BySyncOfTheFile,
    /// Nothing, as POSIX has it.
    BySyncOfTheFolderOnly,
}

/// Watches the `data/` of a broker, and cuts its power.
#[derive(Debug)]
pub struct PowerCut {
    data: PathBuf,
    notes: PathBuf,
    names: Names,
    before: Disk,
}

impl PowerCut {
    /// For the brokers of this folder.
    ///
    /// # Panics
    /// If there is no room for its notes.
    pub fn new(folder: &Folder, names: Names) -> Self {
        let (data, notes) = (folder.data_dir(), folder.path().join("power-cut"));
        fs::create_dir_all(&data).expect("data/ can be made");
        fs::create_dir_all(&notes).expect("power-cut/ can be made");
        let data = data.canonicalize().expect("data/ is there");
        let mut cut = Self { data, notes, names, before: Disk::default() };
        cut.begin().expect("the disk can be read");
        cut
    }

    /// What the broker's environment must say. A sync takes as long as it is told; if the disk lies, `fdatasync` counts for nothing.
    ///
    /// # Panics
    /// If the library that watches is not built.
    pub fn environment(&self, sync: Duration, lies: bool) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("LD_PRELOAD", library("tidegate_power_cut").into()),
            ("TIDEGATE_POWER_CUT_FOLDER", self.data.clone().into()),
            ("TIDEGATE_POWER_CUT_NOTES", self.notes.clone().into()),
            ("TIDEGATE_POWER_CUT_SYNC_MICROS", sync.as_micros().to_string().into()),
        ];
        if lies {
            environment.push(("TIDEGATE_POWER_CUT_LIES", "1".into()));
        }
        environment
    }

    /// The broker was killed: makes `data/` what a power cut at that moment might have left. `below` says a number below another.
    ///
    /// # Panics
    /// If the disk cannot be read or written, or the broker was not watched.
    pub fn strike(&mut self, below: &mut dyn FnMut(u64) -> u64) {
        let notes = fs::read(self.notes.join("journal")).expect("the broker was watched");
        let last = Disk::read(&self.data, false).expect("the disk can be read");
        let after = after(&self.before, &read_notes(&notes), &last, self.names, below);
        remove_all_in(&self.data).and_then(|()| after.write(&self.data)).expect("the disk can be written");
        self.begin().expect("the disk can be read");
    }

    /// What is there now is safe.
    ///
    /// # Errors
    /// If the disk cannot be read or written.
    fn begin(&mut self) -> io::Result<()> {
        remove_all_in(&self.notes)?;
        fs::write(self.notes.join("journal"), b"")?;
        self.before = Disk::read(&self.data, true)?;
        // Held, so that no other file gets the number of one that is deleted.
        hold(&self.data, &self.notes)
    }
}

fn hold(folder: &Path, notes: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            hold(&entry.path(), notes)?;
        } else {
            fs::hard_link(entry.path(), notes.join(metadata.ino().to_string()))?;
        }
    }
    Ok(())
}

fn remove_all_in(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Files and folders, by inode number.
#[derive(Clone, Debug, Default)]
struct Disk {
    root: u64,
    files: HashMap<u64, Vec<u8>>,
    folders: HashMap<u64, Entries>,
}

type Entries = BTreeMap<OsString, Entry>;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Entry {
    inode: u64,
    is_folder: bool,
}

impl Disk {
    fn read(folder: &Path, contents: bool) -> io::Result<Self> {
        let mut disk = Self { root: fs::metadata(folder)?.ino(), ..Self::default() };
        disk.read_folder(folder, contents)?;
        Ok(disk)
    }

    fn read_folder(&mut self, folder: &Path, contents: bool) -> io::Result<()> {
        let mut entries = Entries::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let (inode, is_folder) = (metadata.ino(), metadata.is_dir());
            if is_folder {
                self.read_folder(&entry.path(), contents)?;
            } else if contents {
                self.files.insert(inode, fs::read(entry.path())?);
            }
            entries.insert(entry.file_name(), Entry { inode, is_folder });
        }
        self.folders.insert(fs::metadata(folder)?.ino(), entries);
        Ok(())
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        self.write_folder(folder, self.root)
    }

    fn write_folder(&self, folder: &Path, inode: u64) -> io::Result<()> {
        for (name, entry) in self.folders.get(&inode).into_iter().flatten() {
            let path = folder.join(name);
            if entry.is_folder {
                fs::create_dir(&path)?;
                self.write_folder(&path, entry.inode)?;
            } else {
                fs::write(path, self.files.get(&entry.inode).map_or(&[][..], |file| file))?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Note {
    Write { inode: u64, offset: u64, bytes: Vec<u8> },
    Resize { inode: u64, length: u64 },
    SyncBegins { inode: u64, is_folder: bool, number: u64, names: Vec<(OsString, Entry)> },
    SyncEnds { number: u64 },
}

/// All that are whole: the last may have been cut short with the broker.
fn read_notes(bytes: &[u8]) -> Vec<Note> {
    let number = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    let mut notes = Vec::new();
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_at_checked(HEAD) {
        let (Some(kind), Some(inode), Some(about), Some(length)) =
            (number(head, 0), number(head, 8), number(head, 16), number(head, 24))
        else {
            break;
        };
        assert_eq!(kind as u32, MAGIC, "the notes are not what they should be");
        let Some((payload, behind)) = behind.split_at_checked(length as usize) else { break };
        rest = behind;
        notes.push(match kind >> 32 {
            1 => Note::Write { inode, offset: about, bytes: payload.to_vec() },
            2 => Note::Resize { inode, length: about },
            kind @ (3 | 4) => {
                Note::SyncBegins { inode, is_folder: kind == 4, number: about, names: read_names(payload) }
            }
            5 => Note::SyncEnds { number: about },
            other => panic!("a note of kind {other}"),
        });
    }
    notes
}

fn read_names(mut bytes: &[u8]) -> Vec<(OsString, Entry)> {
    let mut names = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(11) {
        let inode = u64::from_le_bytes(*head.first_chunk().expect("eight of eleven"));
        let length = u16::from_le_bytes([head[9], head[10]]);
        let (name, rest) = rest.split_at(length.into());
        names.push((OsString::from_vec(name.to_vec()), Entry { inode, is_folder: head[8] == 1 }));
        bytes = rest;
    }
    names
}

/// How much of what is not safe is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Much {
    Nothing,
    All,
    /// Up to some point.
    Begin,
    /// Some of it.
    Some,
}

fn much(below: &mut dyn FnMut(u64) -> u64) -> Much {
    [Much::Nothing, Much::All, Much::Begin, Much::Some][below(4) as usize]
}

/// One of the disks that a power cut may leave.
fn after(
    before: &Disk,
    notes: &[Note],
    last: &Disk,
    names: Names,
    below: &mut dyn FnMut(u64) -> u64,
) -> Disk {
    let ended: HashSet<u64> = notes
        .iter()
        .filter_map(|note| match note {
            Note::SyncEnds { number } => Some(*number),
            _ => None,
        })
        .collect();
    // For each file, where its last sync began.
    let mut safe_until: HashMap<u64, usize> = HashMap::new();
    let mut safe_names = before.folders.clone();
    for (at, note) in notes.iter().enumerate() {
        let Note::SyncBegins { inode, is_folder, number, names: synced } = note else { continue };
        if !ended.contains(number) {
            continue;
        }
        if *is_folder {
            safe_names.insert(*inode, synced.iter().cloned().collect());
            continue;
        }
        safe_until.insert(*inode, at);
        if names == Names::BySyncOfTheFile {
            let mut folder = before.root;
            for (name, entry) in synced {
                let entries = safe_names.entry(folder).or_default();
                // A rename is over with the name that it gives.
                entries.retain(|_, other| other != entry);
                entries.insert(name.clone(), *entry);
                folder = entry.inode;
            }
        }
    }
    let mut after = Disk { root: before.root, ..Disk::default() };
    let mut ahead = vec![before.root];
    while let Some(folder) = ahead.pop() {
        let (none, empty) = (Entries::new(), Entries::new());
        let safe = safe_names.get(&folder).unwrap_or(&none);
        let entries = names_after(safe, last.folders.get(&folder).unwrap_or(&empty), below);
        for entry in entries.values() {
            if entry.is_folder {
                ahead.push(entry.inode);
            } else {
                let from = safe_until.get(&entry.inode).copied().unwrap_or(0);
                after.files.insert(entry.inode, file_after(entry.inode, before, notes, from, below));
            }
        }
        after.folders.insert(folder, entries);
    }
    after
}

/// What is renamed goes as a whole: names that share a file change together.
fn names_after(safe: &Entries, last: &Entries, below: &mut dyn FnMut(u64) -> u64) -> Entries {
    let mut after = safe.clone();
    let mut changed: BTreeSet<&OsStr> = safe
        .keys()
        .chain(last.keys())
        .filter(|name| safe.get(*name) != last.get(*name))
        .map(OsString::as_os_str)
        .collect();
    let much = much(below);
    while let Some(first) = changed.pop_first() {
        let mut together = vec![first];
        let mut files: HashSet<Entry> = HashSet::new();
        loop {
            files.extend(together.iter().flat_map(|name| safe.get(*name).into_iter().chain(last.get(*name))));
            let shares = |name: &&OsStr| {
                safe.get(*name).into_iter().chain(last.get(*name)).any(|entry| files.contains(entry))
            };
            let more: Vec<&OsStr> = changed.iter().copied().filter(shares).collect();
            if more.is_empty() {
                break;
            }
            changed.retain(|name| !more.contains(name));
            together.extend(more);
        }
        let happened = match much {
            Much::Nothing => false,
            Much::All => true,
            Much::Begin | Much::Some => below(2) == 0,
        };
        for name in together.into_iter().filter(|_| happened) {
            match last.get(name) {
                Some(entry) => after.insert(name.to_owned(), *entry),
                None => after.remove(name),
            };
        }
    }
    after
}

fn file_after(
    inode: u64,
    before: &Disk,
    notes: &[Note],
    safe_until: usize,
    below: &mut dyn FnMut(u64) -> u64,
) -> Vec<u8> {
    let mut file = before.files.get(&inode).cloned().unwrap_or_default();
    let changes: Vec<(usize, &Note)> = notes
        .iter()
        .enumerate()
        .filter(|(_, note)| match note {
            Note::Write { inode: of, .. } | Note::Resize { inode: of, .. } => *of == inode,
            _ => false,
        })
        .collect();
    let (safe, open): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(at, _)| *at < safe_until);
    for (_, change) in safe {
        apply(&mut file, change);
    }
    let old = file.len() as u64;
    let much = much(below);
    let until = if open.is_empty() { 0 } else { below(open.len() as u64) as usize };
    for (index, (_, change)) in open.into_iter().enumerate() {
        match much {
            Much::Nothing => {}
            Much::All => apply(&mut file, change),
            Much::Begin if index < until => apply(&mut file, change),
            Much::Begin if index == until => tear(&mut file, change, old, below),
            Much::Begin => {}
            Much::Some => match below(3) {
                0 => {}
                1 => apply(&mut file, change),
                _ => tear(&mut file, change, old, below),
            },
        }
    }
    file
}

fn apply(file: &mut Vec<u8>, change: &Note) {
    match change {
        Note::Write { offset, bytes, .. } => put(file, *offset, bytes),
        Note::Resize { length, .. } => file.resize(*length as usize, 0),
        Note::SyncBegins { .. } | Note::SyncEnds { .. } => {}
    }
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (begin, end) = (offset as usize, offset as usize + bytes.len());
    if file.len() < end {
        file.resize(end, 0);
    }
    file[begin..end].copy_from_slice(bytes);
}

/// Some sectors of a write are there. Where the file was not as long before, others may be zeros.
fn tear(file: &mut Vec<u8>, change: &Note, old: u64, below: &mut dyn FnMut(u64) -> u64) {
    let Note::Write { offset, bytes, .. } = change else { return };
    let (mut at, mut rest) = (*offset, &bytes[..]);
    // Half of the time the tear is one, with all before it there and nothing behind it.
    let until = (below(2) == 0).then(|| offset + below(bytes.len() as u64 + 1));
    while !rest.is_empty() {
        let length = (SECTOR - at % SECTOR).min(rest.len() as u64);
        let (sector, behind) = rest.split_at(length as usize);
        let (there, zeros) = match until {
            Some(until) => (at + length <= until, false),
            None => (below(2) == 0, at >= old && below(2) == 0),
        };
        if there {
            put(file, at, sector);
        } else if zeros {
            put(file, at, &vec![0; sector.len()]);
        }
        (at, rest) = (at + length, behind);
    }
}

#[cfg(test)]
mod tests;
