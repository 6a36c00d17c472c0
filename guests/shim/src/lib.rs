//! The shim: WASI 0.1 for a program whose files live inside its own module.
//!
//! The linker puts this module into the program's, with its own memory beside the program's. What a
//! program calls as `wasi_snapshot_preview1` is then one of the functions in `abi`: they decode
//! pointers and leave the file system itself to `weir-vfs`. Streams, clock and directories of the
//! host go out through `host`. A mistake here is a mistake inside the sandbox.
//!
//! It starts by itself at the first call, so that the order in which a program's parts start does
//! not matter, and it is used by one thread only, as WebAssembly code is.
#![no_std]

extern crate alloc;

mod abi;
mod control;
mod entry;
mod host;
#[cfg(feature = "lift")]
mod lift;
mod packed;
mod poll;
mod program;
mod state;
mod unstable;

#[cfg(feature = "lift")]
#[global_allocator]
static ALLOCATOR: lift::Arena = lift::Arena::NEW;

#[cfg(not(feature = "lift"))]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Nothing here panics on purpose; if it does all the same the program must not go on.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
