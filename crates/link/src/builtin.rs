//! The shim that comes with weir: `guests/shim`, compiled by `scripts/shim.sh`.

use crate::error::LinkError;
use crate::link::{LinkOptions, Linked, link_unvalidated_with_shim, link_with_shim};

/// The bytes of the shim.
pub const SHIM: &[u8] = include_bytes!("../shim.wasm");

/// The same with what lifts programs to functions, which no other program has to carry.
pub(crate) const LIFT_SHIM: &[u8] = include_bytes!("../lift-shim.wasm");

/// Links a program with the shim that comes with weir.
///
/// # Errors
///
/// As [`link_with_shim`].
pub fn link(program: &[u8], options: &LinkOptions) -> Result<Linked, LinkError> {
    link_with_shim(program, SHIM, options)
}

/// Links a program that will be validated later with the shim that comes with weir.
///
/// # Errors
///
/// As [`link_unvalidated_with_shim`].
pub fn link_unvalidated(program: &[u8], options: &LinkOptions) -> Result<Linked, LinkError> {
    link_unvalidated_with_shim(program, SHIM, options)
}
