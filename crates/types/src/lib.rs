//! Words that every weir crate shares: digests, limits, grants.
//!
//! Plain data and its parsing. No IO, no async, no clock, no heavy dependency: this crate is also
//! compiled into WebAssembly modules as part of the shim.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod digest;
// For hosts: inside a module nobody asks how it is entered, and the shim stays the same bytes.
#[cfg(not(target_family = "wasm"))]
pub mod entry;
pub mod grants;
#[cfg(not(target_family = "wasm"))]
pub mod head;
pub mod limits;
#[cfg(not(target_family = "wasm"))]
pub mod p1;
#[cfg(not(target_family = "wasm"))]
mod shown;
pub mod tree;
pub mod units;

pub use digest::Digest;
#[cfg(not(target_family = "wasm"))]
pub use shown::{Shown, is_hidden};
