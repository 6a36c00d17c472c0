//! The virtual file system of weir.
//!
//! One tree of directories, regular files, symbolic links and stream nodes, held in memory, whose file
//! contents may be ranges of immutable blobs that are copied only where they are written. The same code
//! runs inside WebAssembly modules (the shim) and in the host (under components).
//!
//! - [`Vfs`] is the tree: operations on nodes and on paths relative to a directory node.
//! - [`p1::Process`] is a descriptor table over it with the file-system functions of WASI 0.1.
//! - [`image`] is the form in which a tree is handed over: the boot image and directory listings.
//! - [`pack`] is the form in which a whole tree with its bytes lies inside a module.
//! - [`Platform`] and [`Memory`] are all that it needs from outside.
//!
//! What it refuses: host paths, IO, clocks of its own, unsafe code, panics, unbounded recursion and
//! allocations sized by a program before a quota was asked. Every failure is an [`Errno`].
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::string_slice
    )
)]

extern crate alloc;

mod content;
mod directory;
mod errno;
pub mod image;
pub mod lift;
pub mod p1;
pub mod pack;
mod platform;
mod vfs;

pub use errno::Errno;
pub use platform::{BlobId, Memory, Platform, StreamId};
pub use vfs::{
    DIRECTORY_SIZE, DirEntry, FileType, NodeId, OpenHow, SetTime, Stat, Times, Usage, Vfs, Walk, WalkEntry, load_image,
};
