//! The functions of the C library that are taken over. Each does what it says, by a system call, and has it noted.
//!
//! Those that take a mode only sometimes are declared as if they always did: on the machines that Linux runs on, an argument that is not
//! there is read as whatever the register holds, and not used.

use crate::notes::{made_folder, watched};
use libc::{c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t};
use std::ffi::CStr;

/// `openat`, as all of them.
unsafe fn open_at(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as the caller says.
    let file = unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) } as c_int;
    if file >= 0
        && let Some(watched) = watched(file)
    {
        watched.opened(file, flags);
    }
    file
}

macro_rules! opens {
    ($($name:ident, $at:ident, $creates:ident;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            // SAFETY: as the caller says.
            unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $at(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
            // SAFETY: as the caller says.
            unsafe { open_at(folder, path, flags, mode) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $creates(path: *const c_char, mode: mode_t) -> c_int {
            // SAFETY: as the caller says.
            unsafe { open_at(libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
        }
    )*};
}

opens! {
    open, openat, creat;
    open64, openat64, creat64;
}

fn wrote(file: c_int, offset: Option<off_t>, pieces: &[iovec], written: c_long) -> ssize_t {
    if let Ok(length @ 1..) = usize::try_from(written)
        && let Some(watched) = watched(file)
    {
        watched.wrote(file, offset, pieces, length);
    }
    written as ssize_t
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: as the caller says.
    let written = unsafe { libc::syscall(libc::SYS_write, file, bytes, count) };
    wrote(file, None, &[iovec { iov_base: bytes.cast_mut(), iov_len: count }], written)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(file: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: as the caller says.
    let written = unsafe { libc::syscall(libc::SYS_writev, file, pieces, count) };
    if written < 1 {
        return written as ssize_t;
    }
    // SAFETY: the system has read them.
    wrote(file, None, unsafe { std::slice::from_raw_parts(pieces, count as usize) }, written)
}

macro_rules! writes_at {
    ($($pwrite:ident, $pwritev:ident, $ftruncate:ident, $fallocate:ident, $posix_fallocate:ident;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $pwrite(file: c_int, bytes: *const c_void, count: size_t, offset: off_t) -> ssize_t {
            // SAFETY: as the caller says.
            let written = unsafe { libc::syscall(libc::SYS_pwrite64, file, bytes, count, offset) };
            wrote(file, Some(offset), &[iovec { iov_base: bytes.cast_mut(), iov_len: count }], written)
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $pwritev(file: c_int, pieces: *const iovec, count: c_int, offset: off_t) -> ssize_t {
            // SAFETY: as the caller says. The last argument is the upper half of the offset, where that needs one.
            let written = unsafe { libc::syscall(libc::SYS_pwritev, file, pieces, count, offset, 0) };
            if written < 1 {
                return written as ssize_t;
            }
            // SAFETY: the system has read them.
            wrote(file, Some(offset), unsafe { std::slice::from_raw_parts(pieces, count as usize) }, written)
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $ftruncate(file: c_int, length: off_t) -> c_int {
            // SAFETY: no memory takes part.
            let done = unsafe { libc::syscall(libc::SYS_ftruncate, file, length) } as c_int;
            if done == 0 && let Some(watched) = watched(file) {
                watched.resized(length);
            }
            done
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $fallocate(file: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
            // SAFETY: no memory takes part.
            let done = unsafe { libc::syscall(libc::SYS_fallocate, file, mode, offset, length) } as c_int;
            if done == 0 && let Some(watched) = watched(file) {
                watched.allocated(file);
            }
            done
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $posix_fallocate(file: c_int, offset: off_t, length: off_t) -> c_int {
            // SAFETY: no memory takes part.
            match unsafe { $fallocate(file, 0, offset, length) } {
                0 => 0,
                _ => std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO),
            }
        }
    )*};
}

writes_at! {
    pwrite, pwritev, ftruncate, fallocate, posix_fallocate;
    pwrite64, pwritev64, ftruncate64, fallocate64, posix_fallocate64;
}

/// A real sync of what is not watched; the other is noted.
fn sync(file: c_int, call: c_long) -> c_int {
    match watched(file) {
        Some(watched) => {
            watched.sync(file, call == libc::SYS_fdatasync);
            0
        }
        // SAFETY: no memory takes part.
        None => unsafe { libc::syscall(call, file) as c_int },
    }
}

#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    sync(file, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(file, libc::SYS_fdatasync)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdirat(folder: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: as the caller says.
    let made = unsafe { libc::syscall(libc::SYS_mkdirat, folder, path, mode) } as c_int;
    if made == 0 {
        // SAFETY: the system has read it.
        made_folder(folder, unsafe { CStr::from_ptr(path) });
    }
    made
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: as the caller says.
    unsafe { mkdirat(libc::AT_FDCWD, path, mode) }
}

/// Copies inside the system are refused for what is watched: programs fall back to reading and writing.
fn refused() -> ssize_t {
    // SAFETY: every thread has one.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut off_t,
    to: c_int,
    to_offset: *mut off_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    if watched(to).is_some() {
        return refused();
    }
    // SAFETY: as the caller says.
    unsafe {
        libc::syscall(libc::SYS_copy_file_range, from, from_offset, to, to_offset, length, flags) as ssize_t
    }
}

macro_rules! sends_file {
    ($($name:ident;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(to: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
            if watched(to).is_some() {
                return refused();
            }
            // SAFETY: as the caller says.
            unsafe { libc::syscall(libc::SYS_sendfile, to, from, offset, count) as ssize_t }
        }
    )*};
}

sends_file! {
    sendfile;
    sendfile64;
}
