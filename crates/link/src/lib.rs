//! Bytes to bytes: inspect WebAssembly programs and link them with the shim.
//!
//! Nothing here runs code, opens a file or knows an engine. A program written for files
//! (WASI 0.1) becomes one core module with two memories, its own and that of the shim which holds
//! its file system; what a program can reach is read from its bytes alone.
#![forbid(unsafe_code)]

mod builtin;
mod code;
mod component;
mod error;
mod head;
mod inspect;
pub mod lift;
pub mod limits;
mod link;
mod module;
mod once;
pub mod p1;
pub mod pack;
mod restart;

pub use builtin::{SHIM, link, link_unvalidated};
pub use error::{LinkError, LinkErrorKind, MemoryProblem};
pub use head::{component_head, has_shared_memory, module_head};
pub use inspect::{ComponentKind, ImportReport, InspectError, Inspection, Kind, PathString, Verdict, inspect};
pub use link::{
    DroppedSection, Exit, LinkOptions, LinkReport, Linked, RemainingImport, Unwind, link_unvalidated_with_shim,
    link_with_shim,
};
pub use once::for_one_use;

/// The module name of the functions through which the shim reaches the program's memory. Calls to
/// them are replaced by instructions.
pub const PROGRAM: &str = "weir:program";
/// The module name of the functions through which the shim reaches the data segment of a pack. Calls to
/// them are replaced by instructions.
pub const PACK: &str = "weir:pack";
/// The module name of the function that decompresses a chunk of a pack. Calls to it become calls to one of
/// the shim's decompressors.
pub const CODEC: &str = "weir:codec";
/// The module name of the functions by which the shim starts a lifted program. Calls to them become calls to the
/// program.
pub const LIFT: &str = "weir:lift";
/// The module name of the functions by which the shim moves the streams of a lifted program. They become imports of
/// the component model.
pub const FLOW: &str = "weir:flow";
/// The module name of the narrow imports that a linked module may have besides WASI's own.
pub const WEIR: &str = "weir";
/// The module name of the WASI functions for real directories of the host.
pub const HOST_DIRECTORIES: &str = "weir_hostdir";
/// The export name of the shim's memory.
pub const MEMORY_EXPORT: &str = "weir_memory";
/// The export name of the global (`i64`, mutable) that holds the exit code in [`Exit::Unwind`], or
/// -1 while the program has not exited. Every entry sets it back to -1.
pub const EXIT_GLOBAL: &str = "weir_exit";
