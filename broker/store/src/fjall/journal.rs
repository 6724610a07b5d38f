//! The journal: what was committed and is perhaps in no tree yet.
//!
//! A file begins with a head and goes on with records, each of them a batch:
//!
//! | bytes | of the head |                | bytes | of a record |
//! |-------|-------------|----------------|-------|-------------|
//! | 8     | `TIDEGATJ`  |                | 4     | `TgBa` |
//! | 8     | its number, as in its name | | 4     | length of the batch |
//! | 8     | the first sequence number  | | 8     | sequence number |
//! | 8     | XXH3 of the other 24 bytes | | 8     | XXH3 of length, sequence number and batch, with the number of the journal as its seed |
//!
//! A batch without operations is the last one: no record follows, and the file was complete when the next was begun. Numbers are little
//! endian.
//!
//! # Torn and damaged
//! A broker that is killed, or a power cut, leaves a last record that is not all there. That is normal and not a word is said about it:
//! its commit was never confirmed. A record that does not check although a later one does, or one missing before the end of a file that
//! was complete, is damage.

use crate::backend::{Operation, Table};
use bytes::Bytes;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: &[u8; 8] = b"TIDEGATJ";
const HEAD: usize = 32;
const MARK: &[u8; 4] = b"TgBa";
const RECORD_HEAD: usize = 24;
/// Commits that need not even reach the operating system are kept back up to this many bytes.
const KEPT_BACK: usize = 64 << 10;

/// The journal that is written to.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    number: u64,
    /// What is there of it; anything behind is a failed write.
    length: u64,
    /// Not written yet.
    kept_back: Vec<u8>,
    /// Written since the last sync.
    unsynced: bool,
    #[cfg(test)]
    faults: super::faults::Faults,
}

/// Why a record could not be appended.
pub(super) enum AppendError {
    /// It is not there, and never will be.
    NotThere(io::Error),
    /// It may be there, or not.
    Unknown(io::Error),
}

impl Journal {
    pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:010}.journal"))
    }

    /// A new one, of which the disk knows when this returns.
    pub(super) fn create(folder: &Path, number: u64, first: u64) -> io::Result<Self> {
        let path = Self::path_of(folder, number);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let mut head = MAGIC.to_vec();
        head.extend(number.to_le_bytes());
        head.extend(first.to_le_bytes());
        head.extend(xxh3_64(&head).to_le_bytes());
        let written = file.write_all_at(&head, 0).and_then(|()| file.sync_all()).and_then(|()| {
            // The name of it, too.
            sync_folder(folder)
        });
        if let Err(error) = written {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self {
            file,
            path,
            number,
            length: HEAD as u64,
            kept_back: Vec::new(),
            unsynced: false,
            #[cfg(test)]
            faults: super::faults::Faults::of(folder),
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn bytes(&self) -> u64 {
        self.length + self.kept_back.len() as u64
    }

    /// Appends a batch. `to_system`: the operating system has it, and all before, when this returns.
    pub(super) fn append(&mut self, seqno: u64, batch: &[u8], to_system: bool) -> Result<(), AppendError> {
        let before = self.kept_back.len();
        let length = u32::try_from(batch.len())
            .map_err(|_| AppendError::NotThere(io::Error::other("a batch of 4 GiB or more")))?;
        self.kept_back.extend(MARK);
        self.kept_back.extend(length.to_le_bytes());
        self.kept_back.extend(seqno.to_le_bytes());
        self.kept_back.extend(checksum(self.number, length, seqno, batch).to_le_bytes());
        self.kept_back.extend(batch);
        if !to_system && self.kept_back.len() < KEPT_BACK {
            return Ok(());
        }
        if let Err(error) = self.write() {
            self.kept_back.truncate(before);
            // Half of it may be there, or all of it.
            let undone = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
            return Err(match undone {
                Ok(()) => AppendError::NotThere(error),
                Err(_) => AppendError::Unknown(error),
            });
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.write(&self.file, &self.kept_back, self.length)?;
        self.file.write_all_at(&self.kept_back, self.length)?;
        self.length += self.kept_back.len() as u64;
        self.kept_back = Vec::new();
        self.unsynced = true;
        Ok(())
    }

    /// The disk has it all. After an error nobody knows what the disk has.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.kept_back.is_empty() {
            self.write()?;
        }
        if self.unsynced {
            #[cfg(test)]
            self.faults.sync()?;
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Nothing follows.
    pub(super) fn end(&mut self, seqno: u64) -> Result<(), AppendError> {
        self.append(seqno, &[], true)?;
        self.sync().map_err(AppendError::Unknown)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn checksum(journal: u64, length: u32, seqno: u64, batch: &[u8]) -> u64 {
    let mut hash = Xxh3::with_seed(journal);
    hash.update(&length.to_le_bytes());
    hash.update(&seqno.to_le_bytes());
    hash.update(batch);
    hash.digest()
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Operations as one batch.
pub(super) fn encode(operations: &[&Operation]) -> Vec<u8> {
    let mut batch = Vec::new();
    for operation in operations {
        let (kind, key, value) = match operation {
            Operation::Put(table, key, value) => ((*table as u8) << 1 | 1, key, Some(value)),
            Operation::Delete(table, key) => ((*table as u8) << 1, key, None),
        };
        batch.push(kind);
        for bytes in std::iter::once(key).chain(value) {
            // Whoever commits keeps it below 4 GiB.
            batch.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            batch.extend(&bytes[..]);
        }
    }
    batch
}

fn decode(mut batch: &[u8]) -> Option<Vec<Operation>> {
    fn bytes(batch: &mut &[u8]) -> Option<Bytes> {
        let (length, rest) = batch.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        *batch = rest;
        Some(Bytes::copy_from_slice(bytes))
    }
    let mut operations = Vec::new();
    while let Some((kind, rest)) = batch.split_first() {
        batch = rest;
        let table = *Table::ALL.get(usize::from(kind >> 1))?;
        let key = bytes(&mut batch)?;
        operations.push(match kind & 1 {
            1 => Operation::Put(table, key, bytes(&mut batch)?),
            _ => Operation::Delete(table, key),
        });
    }
    Some(operations)
}

/// What a journal says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// Sequence numbers from here on were not given.
    pub(super) next: u64,
    pub(super) batches: Vec<(u64, Vec<Operation>)>,
    /// It is complete.
    ended: bool,
    /// What could not be read, for people.
    pub(super) damage: Vec<String>,
}

/// All journals of a folder, by number.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(number) = name.and_then(|name| name.strip_suffix(".journal")?.parse().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort_unstable();
    Ok(journals)
}

/// All that can be read, by number.
pub(super) fn read_all(folder: &Path) -> io::Result<Vec<Contents>> {
    let mut journals = Vec::new();
    for (number, path) in list(folder)? {
        journals.push(read(path, number)?);
    }
    // One that is followed by another was complete.
    let mut followed = false;
    for journal in journals.iter_mut().rev() {
        if followed && !journal.ended && journal.damage.is_empty() {
            journal.damage.push("its end".into());
        }
        followed |= !journal.batches.is_empty();
    }
    Ok(journals)
}

/// Keeps a copy of a damaged file.
pub(super) fn keep(folder: &Path, journal: &Path) -> io::Result<PathBuf> {
    let kept = folder.join(super::salvage::KEPT);
    std::fs::create_dir_all(&kept)?;
    let place = kept.join(journal.file_name().unwrap_or_default());
    match std::fs::hard_link(journal, &place) {
        // It was read before, and could not be deleted.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(place),
    }
}

fn read(path: PathBuf, number: u64) -> io::Result<Contents> {
    let file = std::fs::read(&path)?;
    let mut contents = Contents { number, path, ..Contents::default() };
    match file.get(..HEAD) {
        Some(head) if head.starts_with(MAGIC) && head[24..] == xxh3_64(&head[..24]).to_le_bytes() => {
            contents.next = number_at(head, 16).unwrap_or_default();
        }
        _ if file.len() <= HEAD => return Ok(contents),
        _ => contents.damage.push("its first 32 bytes".into()),
    }
    let mut at = HEAD.min(file.len());
    while at < file.len() {
        if let Some((seqno, batch)) = record(&file, at, number)
            && !contents.ended
        {
            at += RECORD_HEAD + batch.len();
            contents.next = contents.next.max(seqno + 1);
            if batch.is_empty() {
                contents.ended = true;
            } else if let Some(operations) = decode(batch) {
                contents.batches.push((seqno, operations));
            } else {
                contents.damage.push(format!("a batch of {} bytes that makes no sense", batch.len()));
            }
            continue;
        }
        // A write that was never finished has nothing behind it.
        let Some(next) = (at + 1..file.len()).find(|at| record(&file, *at, number).is_some()) else {
            break;
        };
        contents.damage.push(format!("bytes {at} to {next}"));
        contents.ended = false;
        at = next;
    }
    Ok(contents)
}

fn record(file: &[u8], at: usize, number: u64) -> Option<(u64, &[u8])> {
    let rest = file.get(at..)?.strip_prefix(MARK)?;
    let length = u32::from_le_bytes(*rest.first_chunk()?);
    let (seqno, sum) = (number_at(rest, 4)?, number_at(rest, 12)?);
    let batch = rest.get(RECORD_HEAD - MARK.len()..)?.get(..usize::try_from(length).ok()?)?;
    (checksum(number, length, seqno, batch) == sum).then_some((seqno, batch))
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
