//! The file system of weir as a component: what the wasi:filesystem imports of a packed component are
//! wired to, and everything that has to come along because it shares resources with them.
//!
//! One crate serves WASI 0.2 (`p2`) and 0.3 (`p3`) over the same tree, so that a program which uses both
//! sees the same files. `crates/link` drops at pack time what a program does not import, renames the
//! imports to the versions that the program uses, and adds the files as one passive data segment.
//!
//! Functions of the modules `weir:pack`, `weir:codec` and `weir:host` are no imports of the result: the
//! linker replaces calls to them.
//!
//! No call here traps but where the same call traps on a host: a resource that is dropped while others
//! that came from it are still there.
#![no_std]

extern crate alloc;

mod files;
mod packed;
mod state;

#[cfg(feature = "p2")]
mod p2;
#[cfg(feature = "p3")]
mod p3;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Nothing here panics on purpose; if it does all the same the program must not go on.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
