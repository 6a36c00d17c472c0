//! How many of everything a module may have. These are the numbers that engines agree on, so a
//! module beyond them would be refused anyway; refusing it here keeps a hostile module from
//! costing memory first, and a linked module from becoming one that no engine takes.

use crate::error::{LinkError, LinkErrorKind};

/// Bytes of a program. Engines refuse modules beyond 1 GiB; below it no size overflows 32 bits.
pub const PROGRAM_BYTES_MAX: u64 = 1 << 30;
/// Types.
pub const TYPES_MAX: u64 = 1_000_000;
/// Functions, imports included.
pub const FUNCTIONS_MAX: u64 = 1_000_000;
/// Imports.
pub const IMPORTS_MAX: u64 = 1_000_000;
/// Exports.
pub const EXPORTS_MAX: u64 = 1_000_000;
/// Globals.
pub const GLOBALS_MAX: u64 = 1_000_000;
/// Element segments.
pub const ELEMENT_SEGMENTS_MAX: u64 = 100_000;
/// Data segments.
pub const DATA_SEGMENTS_MAX: u64 = 100_000;
/// Tables.
pub const TABLES_MAX: u64 = 100;
/// Memories.
pub const MEMORIES_MAX: u64 = 100;
/// Exception tags.
pub const TAGS_MAX: u64 = 1_000_000;
/// Custom sections. WebAssembly has no limit for them; compilers write a dozen.
pub const CUSTOM_SECTIONS_MAX: u64 = 100_000;
/// Bytes of one function body.
pub const FUNCTION_BYTES_MAX: u64 = 7_654_321;
/// Constant strings like absolute paths that an inspection lists.
pub const PATHS_MAX: usize = 192;
/// Constant strings like relative paths that an inspection lists; these are guesses more often.
pub const RELATIVE_PATHS_MAX: usize = 64;
/// Bytes of one constant path string.
pub const PATH_BYTES_MAX: usize = 256;
/// How deep components may be nested.
pub const COMPONENT_DEPTH_MAX: usize = 100;

/// Refuses a count beyond its limit.
pub(crate) fn check(what: &'static str, count: usize, count_max: u64) -> Result<(), LinkError> {
    let count = count as u64;
    if count > count_max {
        return Err(LinkError::new(LinkErrorKind::TooMany { what, count, count_max }));
    }
    Ok(())
}
