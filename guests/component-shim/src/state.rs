//! The one tree of the component, and what it needs from outside.

use crate::packed;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use weir_vfs::image::{Image, Preopen};
use weir_vfs::pack::{Place, place};
use weir_vfs::{BlobId, Errno, Platform, Vfs};

/// State of the component.
pub struct Single<T>(pub UnsafeCell<T>);

// SAFETY: a component runs in one thread, and references to what is in it do not live across a call that
// could come back here: see `with` and the users of the others.
unsafe impl<T> Sync for Single<T> {}

mod instruction {
    // Resolved by the linker to functions of `p2` or `p3`, whichever the program uses.
    #[allow(improper_ctypes, reason = "both sides are this crate")]
    #[link(wasm_import_module = "weir:host")]
    unsafe extern "C" {
        pub safe fn now() -> u64;
        pub fn complain(text: *const u8, len: usize);
        /// Puts what the program is called into a vector, if it can know.
        pub fn name(name: *mut super::Vec<u8>);
    }
}

/// Where the tree runs: immutable bytes are those that the component carries.
pub struct Inside;

impl Platform for Inside {
    type Memory = [u8];
    const CLOCK_IS_CHEAP: bool = true;

    fn now(&mut self) -> u64 {
        instruction::now()
    }

    fn blob_read(
        &mut self,
        blob: BlobId,
        offset: u64,
        memory: &mut [u8],
        at: usize,
        len: usize,
    ) -> Result<usize, Errno> {
        let out = memory.get_mut(at..).unwrap_or_default();
        let len = len.min(out.len());
        self.blob_load(blob, offset, out.get_mut(..len).unwrap_or_default())
    }

    fn blob_load(&mut self, blob: BlobId, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        match place(blob) {
            Place::Segment(base) => packed::read(base.checked_add(offset).ok_or(Errno::Io)?, out),
            Place::Chunks => packed::read_chunked(offset, out),
            // There is no host that could have them.
            Place::Host | Place::Pruned => Err(Errno::Io),
        }
    }

    fn blob_open(&mut self, blob: BlobId, offset: u64) -> Result<(), Errno> {
        if place(blob) == Place::Pruned {
            packed::complain_of_pruned(offset);
            return Err(Errno::Io);
        }
        Ok(())
    }
}

/// The tree and how much of it is open.
pub struct Open {
    pub tree: Vfs<Inside>,
    pub preopens: Vec<Preopen>,
    /// Opened nodes that descriptors and streams hold.
    pub nodes: u32,
}

static OPEN: Single<Option<Open>> = Single(UnsafeCell::new(None));

/// Does something with the tree, which is made at the first call. `act` must not call this again, nor
/// anything that waits.
pub fn with<R>(act: impl FnOnce(&mut Open) -> R) -> R {
    // SAFETY: one thread; no `act` calls this again, and the imports that the tree itself calls (the clock,
    // stderr) are host functions, which do not call back.
    let open = unsafe { &mut *OPEN.0.get() };
    match open {
        Some(open) => act(open),
        None => act(boot(open)),
    }
}

#[cold]
fn boot(open: &mut Option<Open>) -> &mut Open {
    let image = if packed::is_pack() {
        packed::image().ok().and_then(|bytes| Image::decode(&bytes).ok())
    } else {
        Some(Image::default())
    };
    let booted = image.and_then(|image| {
        let tree = Vfs::boot(Inside, &image).ok()?;
        Some(Open { tree, preopens: image.preopens, nodes: 0 })
    });
    match booted {
        Some(booted) => open.insert(booted),
        // A damaged pack: without the tree that it was given the program must not run.
        None => core::arch::wasm32::unreachable(),
    }
}

/// Writes a message that begins with the program's name to stderr, if the program has one.
#[cold]
pub fn complain(parts: &[&str]) {
    let mut name = Vec::new();
    // SAFETY: the function is one of this crate, which gets a vector.
    unsafe { instruction::name(&raw mut name) };
    let name = String::from_utf8(name).ok().filter(|name| !name.is_empty());
    let mut message = String::from("weir: ");
    message.push_str(name.as_deref().unwrap_or("the pack"));
    message.extend(parts.iter().copied());
    // SAFETY: the text is readable for its length.
    unsafe { instruction::complain(message.as_ptr(), message.len()) };
}

/// For programs that have no arguments.
#[unsafe(export_name = "name:none")]
extern "C" fn no_name(_: *mut Vec<u8>) {}

/// For programs that have no stderr, or none that can be written to from here.
#[unsafe(export_name = "complain:none")]
extern "C" fn complain_to_nobody(_: *const u8, _: usize) {}
