//! Loaded with `LD_PRELOAD`: notes what a program writes and syncs below one folder. From its notes a test builds what a disk may hold after
//! a power cut (`tidegate_tests::PowerCut`, which also says what the notes look like).
//!
//! - `TIDEGATE_POWER_CUT_FOLDER`: what is watched.
//! - `TIDEGATE_POWER_CUT_NOTES`: a folder on the same file system: `journal` is appended to, and every file that is opened for writing gets
//!   a hard link there, named by its inode number, so that no number is given twice.
//! - `TIDEGATE_POWER_CUT_SYNC_MICROS`: how long a sync takes. The real one is not done: nothing here loses power.
//! - `TIDEGATE_POWER_CUT_LIES`: `fdatasync` succeeds and counts for nothing, as in a program that skips the sync of its commits. `fsync`, which
//!   makes new files and names safe, still counts, so that what is lost is commits and not the store.
//!
//! Files are known by their inode numbers. Names need no notes: renaming and deleting by raw system calls (as `rustix` does) goes unseen, but
//! a sync notes the names that it makes durable, and the test sees those that there were in the end.
//!
//! What is not handled: `mmap` with writes, `io_uring`, `O_TMPFILE`, `O_SYNC`.

mod hooks;
mod notes;
