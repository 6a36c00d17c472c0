//! Drivers for tests: every function of WASI 0.1, called by name with raw numbers and pointers, in two
//! places. [`Linked`] calls into a module that the linker made from a program and the shim, as a real
//! program would; [`InHost`] calls the same file system compiled for the host. A test written against
//! [`Wasi`] runs in both; [`calls`] says the same calls in words.

pub mod calls;
mod host;
mod linked;
mod wasi;

pub use host::InHost;
pub use linked::Linked;
use std::borrow::Cow;
pub use wasi::{Dirent, Wasi};

/// A component for instances that serve one call each, as the front door prepares it.
///
/// # Errors
/// Never.
pub fn once(bytes: &[u8]) -> Result<Cow<'_, [u8]>, weir_engine::Error> {
    Ok(weir_link::for_one_use(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned))
}
