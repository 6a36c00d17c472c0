//! The engine: loads, caches, limits, grants to and runs WebAssembly programs. Owns wasmtime; no
//! other crate names it.
//!
//! - [`Program`] is a program on disk; [`Cache`] keeps compiled code between runs.
//! - [`CoreProgram`] runs core modules (WASI 0.1), linked with the shim by the caller: this crate
//!   never edits a module's bytes.
//! - [`Run`] says what is handed over and what may be used, [`Outcome`] how it ended.
//!
//! What it refuses: reaching a host path, socket, variable or clock that no grant names.

mod arm;
mod blobs;
mod blocking;
mod cache;
mod calling;
mod clock;
mod component;
mod control;
mod core;
mod deadline;
mod direct;
mod ends;
mod engines;
mod error;
mod explain;
mod exports;
mod flow;
mod functions;
mod host_dirs;
mod imports;
mod invalid;
mod library;
mod lifted;
mod limiter;
mod load;
mod numbers;
mod opening;
mod p1;
mod places;
mod ports;
mod recipe;
mod run;
mod running;
mod save;
mod source;
mod state;
mod stats;
mod sys;
mod ticker;
mod trace;
mod uses;
mod value;
pub mod wave;
mod within;

pub use blocking::wait;
pub use cache::Cache;
pub use component::{ComponentCode, ComponentProgram};
pub use control::Usage;
pub use core::{CoreCode, CoreProgram, Live};
pub use ends::{Blob, Ends, Input, Object, Output, Written, pipe};
pub use error::{Error, Hint, Kind, Limit};
pub use flow::{Arg, Sink, open_within_time, within_time, written_within_time};
pub use functions::{Caller, Functions};
pub use imports::{check_component, check_functions, check_module, is_served};
pub use library::{Library, LibraryInstance};
pub use lifted::{Function as LiftedFunction, Instance as LiftedInstance, KeptFunction};
pub use load::as_it_is;
pub use numbers::{Called, ModuleFunction};
pub use run::{Carried, Outcome, Run};
pub use running::Running;
pub use save::Save;
pub use source::{Format, Program};
pub use stats::Stats;
pub use trace::{Calls, Function, Touch, Touched, Trace};
pub use uses::{PathUse, Uses};

pub use value::{Numbers, Value};
/// Types of the component model.
pub use wasmtime::component::Type;

/// The BLAKE3 digest of `bytes`.
pub fn digest(bytes: &[u8]) -> weir_types::Digest {
    weir_types::Digest(*blake3::hash(bytes).as_bytes())
}

/// A WASI errno in words; `ok` for success.
pub fn errno_words(errno: u16) -> String {
    match (errno, weir_vfs::Errno::from_number(errno)) {
        (0, _) => "ok".into(),
        (_, Some(errno)) => errno.name().into(),
        (number, None) => format!("errno {number}"),
    }
}
