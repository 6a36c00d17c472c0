//! Bytes to bytes: inspect WebAssembly programs and link them with the shim.
//!
//! Nothing here runs code, opens a file or knows an engine. A program written for files
//! (WASI 0.1) becomes one core module with two memories, its own and that of the shim which holds
//! its file system; what a program can reach is read from its bytes alone.
#![forbid(unsafe_code)]

mod builtin;
mod code;
mod component;
mod contract;
mod error;
mod head;
mod index;
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
pub use contract::{CODEC, EXIT_GLOBAL, FLOW, HOST_DIRECTORIES, LIFT, MEMORY_EXPORT, PACK, PROGRAM, WEIR};
pub use error::{LinkError, LinkErrorKind, MemoryProblem};
pub use head::{component_head, has_shared_memory, module_head};
pub use inspect::{ComponentKind, ImportReport, InspectError, Inspection, Kind, PathString, Verdict, inspect};
pub use link::{
    DroppedSection, Exit, LinkOptions, LinkReport, Linked, RemainingImport, Unwind, link_unvalidated_with_shim,
    link_with_shim,
};
pub use once::for_one_use;
