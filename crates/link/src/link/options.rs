//! What linking is asked to do and what it reports.

use crate::index::IndexMap;

/// What to link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkOptions {
    /// Keep the shim's way to real directories of the host (the imports from [`HOST_DIRECTORIES`]).
    /// Without it calls to them answer `badf`, and the result provably imports no path function.
    ///
    /// [`HOST_DIRECTORIES`]: crate::HOST_DIRECTORIES
    pub host_dirs: bool,
    /// Keep the import that copies a range of a blob into the program, for mounts given at run
    /// time. Without it such calls answer `-nosys`.
    pub mounts: bool,
    /// Keep the imports of streams that are mapped to paths. Without it such calls answer `badf`.
    pub streams: bool,
    /// Export the shim's control functions (`weir_*`) and its memory (`weir_memory`).
    pub control: bool,
    /// Report every WASI call of the program to the import `weir.trace`, after it was served and
    /// with its result (before it for `proc_exit`, with result 0).
    ///
    /// The import's type is `(function i32, a0 i64, ... a8 i64, result i32) -> ()`: `function` is
    /// an index into [`P1_FUNCTIONS`](crate::p1::P1_FUNCTIONS), 32-bit arguments are
    /// zero-extended, and the slots that the function does not use are 0.
    pub trace: bool,
    /// How `proc_exit` ends the program.
    pub exit: Exit,
}

impl Default for LinkOptions {
    /// A file system made of data, nothing of the host, ended by the host.
    fn default() -> LinkOptions {
        LinkOptions { host_dirs: false, mounts: true, streams: true, control: true, trace: false, exit: Exit::Host }
    }
}

/// How `proc_exit` ends the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It stays an import of the host, which ends the instance.
    Host,
    /// It throws an exception that every exported function catches, and leaves its code in the
    /// exported global [`EXIT_GLOBAL`](crate::EXIT_GLOBAL); the instance stays usable.
    ///
    /// An exported function that was ended this way returns zeros or null references. Handlers in
    /// the program that catch every exception and do not rethrow it can swallow the exit; the
    /// global keeps the code even then, and the report says whether there are such handlers.
    Unwind,
}

/// A linked program.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The module.
    pub bytes: Vec<u8>,
    /// What was done.
    pub report: LinkReport,
    /// Where the functions of the program are now; of several, those of the first.
    pub(crate) functions: IndexMap,
}

/// What linking did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkReport {
    /// Whether the shim was linked in; it is not when the program cannot get at files anyway.
    pub shim_linked: bool,
    /// Whether the bytes differ from the program's.
    pub changed: bool,
    /// The program's WASI imports that are now functions of the module.
    pub resolved: Vec<String>,
    /// The imports that the host has to provide.
    pub remaining: Vec<RemainingImport>,
    /// The shim's imports that were replaced by functions which only answer an error.
    pub stubbed: Vec<String>,
    /// Custom sections that were left out on purpose.
    pub dropped: Vec<DroppedSection>,
    /// Whether calls are reported to `weir.trace`.
    pub traced: bool,
    /// What became of `proc_exit` in [`Exit::Unwind`], if the program can call it.
    pub unwind: Option<Unwind>,
    /// The index of the shim's memory.
    pub shim_memory: Option<u32>,
    /// Whether an empty memory 0 was added because the program has none.
    pub memory_added: bool,
    /// Functions of the shim that were linked in, and how many it has.
    pub shim_functions: (u32, u32),
    /// Bytes of the program.
    pub program_bytes: u64,
    /// Bytes of the result.
    pub linked_bytes: u64,
}

/// An import of the linked module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemainingImport {
    /// The imported module.
    pub module: String,
    /// The imported name.
    pub name: String,
    /// Whether the program itself imports it.
    pub by_program: bool,
    /// Whether the shim imports it.
    pub by_shim: bool,
}

/// A custom section that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedSection {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Why.
    pub reason: &'static str,
}

/// How exits are caught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwind {
    /// Exports that catch an exit.
    pub wrapped: Vec<String>,
    /// Exports that cannot catch one, because a result of theirs has no default value: the
    /// exception reaches the host.
    pub unwrapped: Vec<String>,
    /// Whether the program has handlers that catch every exception and could swallow an exit.
    pub catches_all: bool,
}
