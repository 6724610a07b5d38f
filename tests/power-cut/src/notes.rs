//! Whether a descriptor is watched, and what is noted about it. Only raw system calls here: whatever the C library offers may be hooked.

use libc::{c_int, c_long, iovec, mode_t};
use std::{
    ffi::{CStr, CString, OsString},
    os::unix::ffi::OsStringExt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

const MAGIC: u32 = 0x5450_5743;
const WRITE: u32 = 1;
const RESIZE: u32 = 2;
const SYNC_OF_FILE_BEGINS: u32 = 3;
const SYNC_OF_FOLDER_BEGINS: u32 = 4;
const SYNC_ENDS: u32 = 5;

const PATH: usize = 4096;

struct Notes {
    folder: Vec<u8>,
    folder_of_notes: c_int,
    journal: c_int,
    sync_micros: u64,
    lies: bool,
    syncs: AtomicU64,
}

/// A watched file or folder behind a descriptor.
pub(crate) struct Watched {
    notes: &'static Notes,
    inode: u64,
    is_folder: bool,
    path: Vec<u8>,
}

fn variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsString::into_vec)
}

fn notes() -> Option<&'static Notes> {
    static NOTES: OnceLock<Option<Notes>> = OnceLock::new();
    let begin = || {
        let folder = variable("TIDEGATE_POWER_CUT_FOLDER")?;
        let place = CString::new(variable("TIDEGATE_POWER_CUT_NOTES")?).ok()?;
        let micros = variable("TIDEGATE_POWER_CUT_SYNC_MICROS").and_then(|text| String::from_utf8(text).ok());
        let folder_of_notes = open(libc::AT_FDCWD, &place, libc::O_PATH | libc::O_DIRECTORY, 0)?;
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT;
        Some(Notes {
            folder,
            folder_of_notes,
            journal: open(folder_of_notes, c"journal", flags, 0o600)?,
            sync_micros: micros.and_then(|text| text.parse().ok()).unwrap_or(0),
            lies: variable("TIDEGATE_POWER_CUT_LIES").is_some(),
            syncs: AtomicU64::new(0),
        })
    };
    NOTES.get_or_init(begin).as_ref()
}

fn open(folder: c_int, path: &CStr, flags: c_int, mode: mode_t) -> Option<c_int> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero.
    let file = unsafe { libc::syscall(libc::SYS_openat, folder, path.as_ptr(), flags, mode) };
    c_int::try_from(file).ok().filter(|file| *file >= 0)
}

fn close(file: c_int) {
    // SAFETY: it is ours.
    unsafe { libc::syscall(libc::SYS_close, file) };
}

fn status(file: c_int) -> Option<libc::stat> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: there is room for the answer, which is there when the call succeeds.
    unsafe { (libc::fstat(file, status.as_mut_ptr()) == 0).then(|| status.assume_init()) }
}

fn magic_link(file: c_int) -> CString {
    CString::new(format!("/proc/self/fd/{file}")).unwrap_or_default()
}

fn path_of(file: c_int) -> Option<Vec<u8>> {
    let mut path = vec![0_u8; PATH];
    let link = magic_link(file);
    // SAFETY: there is room for as many bytes as are asked for.
    let length = unsafe {
        libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, link.as_ptr(), path.as_mut_ptr(), path.len())
    };
    path.truncate(usize::try_from(length).ok()?);
    Some(path)
}

/// None for what is not below the folder.
pub(crate) fn watched(file: c_int) -> Option<Watched> {
    let notes = notes()?;
    let status = status(file)?;
    let kind = status.st_mode & libc::S_IFMT;
    if kind != libc::S_IFREG && kind != libc::S_IFDIR {
        return None;
    }
    let path = path_of(file)?;
    let rest = path.strip_prefix(&notes.folder[..])?;
    if !rest.is_empty() && rest[0] != b'/' {
        return None;
    }
    Some(Watched { notes, inode: status.st_ino, is_folder: kind == libc::S_IFDIR, path })
}

impl Watched {
    fn note(&self, kind: u32, number: u64, payload: &[iovec], length: usize) {
        let mut head = [0_u8; 32];
        head[..4].copy_from_slice(&MAGIC.to_le_bytes());
        head[4..8].copy_from_slice(&kind.to_le_bytes());
        head[8..16].copy_from_slice(&self.inode.to_le_bytes());
        head[16..24].copy_from_slice(&number.to_le_bytes());
        head[24..].copy_from_slice(&(length as u64).to_le_bytes());
        let mut pieces = vec![iovec { iov_base: head.as_mut_ptr().cast(), iov_len: head.len() }];
        let mut left = length;
        for piece in payload {
            let taken = piece.iov_len.min(left);
            left -= taken;
            pieces.push(iovec { iov_base: piece.iov_base, iov_len: taken });
        }
        // SAFETY: the pieces are ours or the caller's, who has just written them elsewhere. Appended at once: notes do not mix.
        unsafe {
            libc::syscall(libc::SYS_writev, self.notes.journal, pieces.as_ptr(), pieces.len());
        }
    }

    fn note_bytes(&self, kind: u32, number: u64, bytes: &[u8]) {
        let piece = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        self.note(kind, number, &[piece], bytes.len());
    }

    /// So many bytes of these were written, at an offset or, without one, where the file was.
    pub(crate) fn wrote(&self, file: c_int, offset: Option<i64>, pieces: &[iovec], length: usize) {
        let offset = offset.unwrap_or_else(|| {
            // SAFETY: no memory takes part.
            let position: c_long = unsafe { libc::syscall(libc::SYS_lseek, file, 0, libc::SEEK_CUR) };
            position - length as i64
        });
        self.note(WRITE, offset as u64, pieces, length);
    }

    /// It has this length now.
    pub(crate) fn resized(&self, length: i64) {
        self.note(RESIZE, length as u64, &[], 0);
    }

    /// It is at least as long.
    pub(crate) fn allocated(&self, file: c_int) {
        if let Some(status) = status(file) {
            self.resized(status.st_size);
        }
    }

    /// Opened for writing.
    pub(crate) fn opened(&self, file: c_int, flags: c_int) {
        if self.is_folder || flags & (libc::O_WRONLY | libc::O_RDWR) == 0 {
            return;
        }
        let (from, to) = (magic_link(file), CString::new(self.inode.to_string()).unwrap_or_default());
        // SAFETY: the paths end with a zero. It fails if there is one already, which is as good.
        unsafe {
            libc::syscall(
                libc::SYS_linkat,
                libc::AT_FDCWD,
                from.as_ptr(),
                self.notes.folder_of_notes,
                to.as_ptr(),
                libc::AT_SYMLINK_FOLLOW,
            );
        }
        if flags & libc::O_TRUNC != 0 {
            self.resized(0);
        }
    }

    /// Stands for a sync: what was written before it began is safe once it has ended.
    pub(crate) fn sync(&self, file: c_int, data_only: bool) {
        let number = self.notes.syncs.fetch_add(1, Relaxed);
        let lies = self.notes.lies && data_only;
        if !lies {
            if self.is_folder {
                self.note_bytes(SYNC_OF_FOLDER_BEGINS, number, &self.names_in(file));
            } else {
                self.note_bytes(SYNC_OF_FILE_BEGINS, number, &self.names_to());
            }
        }
        if self.notes.sync_micros > 0 {
            let seconds = (self.notes.sync_micros / 1_000_000) as i64;
            let time = libc::timespec {
                tv_sec: seconds,
                tv_nsec: (self.notes.sync_micros % 1_000_000 * 1_000) as i64,
            };
            let nowhere: *mut libc::timespec = std::ptr::null_mut();
            // SAFETY: the time is there, and what would be left of it is not asked for.
            unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, nowhere) };
        }
        if !lies {
            self.note(SYNC_ENDS, number, &[], 0);
        }
    }

    /// The names in a folder.
    fn names_in(&self, file: c_int) -> Vec<u8> {
        let mut names = Vec::new();
        // Opened again: where others have come in reading it is theirs.
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let Some(folder) = open(libc::AT_FDCWD, &magic_link(file), flags, 0) else { return names };
        let mut entries = vec![0_u8; 32 * 1024];
        loop {
            // SAFETY: there is room for as many bytes as are said.
            let read =
                unsafe { libc::syscall(libc::SYS_getdents64, folder, entries.as_mut_ptr(), entries.len()) };
            let Ok(length @ 1..) = usize::try_from(read) else { break };
            let mut rest = &entries[..length];
            // Inode (8), offset (8), length of the entry (2), kind (1), name.
            while let Some((head, _)) = rest.split_at_checked(19) {
                let (entry, behind) = rest.split_at(usize::from(u16::from_le_bytes([head[16], head[17]])));
                rest = behind;
                let name = entry[19..].split(|byte| *byte == 0).next().unwrap_or_default();
                let inode = u64::from_le_bytes(head[..8].try_into().unwrap_or_default());
                if name != b"." && name != b".." {
                    add_name(&mut names, inode, head[18] == libc::DT_DIR, name);
                }
            }
        }
        close(folder);
        names
    }

    /// The names that lead to a file, from the folder that is watched.
    fn names_to(&self) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = self.notes.folder.len();
        while at < self.path.len() {
            let end = self.path[at + 1..].iter().position(|byte| *byte == b'/');
            let end = end.map_or(self.path.len(), |position| at + 1 + position);
            let Ok(path) = CString::new(&self.path[..end]) else { return Vec::new() };
            let Some(part) = open(libc::AT_FDCWD, &path, libc::O_PATH | libc::O_NOFOLLOW, 0) else {
                // Deleted meanwhile.
                return Vec::new();
            };
            let inode = status(part).map_or(0, |status| status.st_ino);
            close(part);
            add_name(&mut names, inode, end < self.path.len(), &self.path[at + 1..end]);
            at = end;
        }
        names
    }
}

fn add_name(names: &mut Vec<u8>, inode: u64, is_folder: bool, name: &[u8]) {
    names.extend(inode.to_le_bytes());
    names.push(is_folder.into());
    names.extend((name.len() as u16).to_le_bytes());
    names.extend(name);
}

/// A folder was made: while it is held open its inode number is not given again.
pub(crate) fn made_folder(folder: c_int, path: &CStr) {
    if let Some(made) = open(folder, path, libc::O_PATH | libc::O_DIRECTORY, 0)
        && watched(made).is_none()
    {
        close(made);
    }
}
