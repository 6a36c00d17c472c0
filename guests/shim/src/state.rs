//! The one process of the module: booted at the first call, then the same for every call.

use crate::host::Inside;
use crate::packed;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::Errno;
use weir_vfs::image::{Image, ImageError};
use weir_vfs::p1::Process;

/// State of the module.
pub struct Single<T>(pub UnsafeCell<T>);

// SAFETY: a linked module runs in one thread, and no function of the shim is entered while another
// one runs: host calls do not call back.
unsafe impl<T> Sync for Single<T> {}

static PROCESS: Single<Option<Process<Inside>>> = Single(UnsafeCell::new(None));

/// The process. Callers keep the reference for one call only.
#[inline]
#[allow(clippy::mut_from_ref, reason = "one thread, no re-entrance; see `Single`")]
pub fn process() -> &'static mut Process<Inside> {
    // SAFETY: see `Single`; each exported function takes the reference once.
    let process = unsafe { &mut *PROCESS.0.get() };
    match process {
        Some(process) => process,
        None => boot(process),
    }
}

/// Makes the process, if it can be made of what the call brings.
///
/// # Errors
/// What is wrong with its tree.
#[cfg(feature = "lift")]
pub fn begin() -> Result<(), Errno> {
    // SAFETY: see `Single`.
    unsafe { *PROCESS.0.get() = Some(Process::boot(Inside, &image())?) };
    Ok(())
}

#[cold]
fn boot(process: &mut Option<Process<Inside>>) -> &mut Process<Inside> {
    let Ok(booted) = Process::boot(Inside, &image()) else {
        // Without the tree that was granted the program must not run.
        core::arch::wasm32::unreachable()
    };
    process.insert(booted)
}

/// What the module carries, and over it what the host gives as blob 0. Without either there is no tree,
/// and the program has its streams only.
fn image() -> Image {
    let of_pack = packed::is_pack().then(|| packed::image().ok().and_then(|bytes| Image::decode(&bytes).ok()));
    let mut image = match of_pack {
        None => Image::default(),
        Some(Some(image)) => image,
        // A damaged pack.
        Some(None) => core::arch::wasm32::unreachable(),
    };
    match granted_image() {
        None => {}
        Some(Ok(over)) => image.lay_over(over),
        Some(Err(_)) => core::arch::wasm32::unreachable(),
    }
    image
}

/// What the parameters of the call bring.
#[cfg(feature = "lift")]
fn granted_image() -> Option<Result<Image, ImageError>> {
    crate::lift::image().map(Ok)
}

#[cfg(not(feature = "lift"))]
fn granted_image() -> Option<Result<Image, ImageError>> {
    use crate::host::weir;
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let start = bytes.len();
        bytes.resize(start + 16_384, 0);
        let at = bytes[start..].as_mut_ptr() as u32;
        match weir::blob_read(0, start as u64, 1, at, 16_384) {
            read if read < 0 => return None,
            read => bytes.truncate(start + read as usize),
        }
        if bytes.len() == start {
            return Some(Image::decode(&bytes));
        }
    }
}

/// Paths of the call under way: two, since `path_rename` and `path_link` take two.
static PATHS: Single<[Vec<u8>; 2]> = Single(UnsafeCell::new([Vec::new(), Vec::new()]));

/// The path at `at` in the program's memory, copied into slot `slot`.
///
/// # Errors
/// `Nametoolong` above the quota, `Ilseq` for bytes that are not UTF-8.
pub fn path(slot: usize, at: u32, len: u32, len_max: u32) -> Result<&'static str, Errno> {
    if len > len_max {
        return Err(Errno::Nametoolong);
    }
    // SAFETY: see `Single`; the two slots are taken by different parameters of one call.
    let buffer = unsafe { &mut (*PATHS.0.get())[slot & 1] };
    if buffer.len() < len as usize {
        buffer.resize(len as usize, 0);
    }
    let bytes = &mut buffer[..len as usize];
    crate::program::Program.copy_in(at, bytes);
    core::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)
}
