//! Why a program cannot be linked: what is wrong, at which byte, and what to do.

use crate::p1::Signature;
use core::fmt;
use weir_types::Shown;

/// The error of [`link`](crate::link). One word wide; ask it with the methods below.
#[derive(Debug)]
pub struct LinkError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: LinkErrorKind,
    offset: Option<usize>,
}

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkErrorKind {
    /// The bytes are not WebAssembly at all.
    NotWasm {
        /// What they look like.
        looks_like: &'static str,
    },
    /// The bytes are a component (WASI 0.2 or 0.3), which is not linked with the shim.
    IsComponent,
    /// The module is damaged or invalid.
    Invalid {
        /// What the parser says.
        message: String,
    },
    /// The module is an object file: input for a linker, not a program.
    ObjectFile {
        /// The custom section that shows it.
        section: String,
    },
    /// An import from a WASI module that WASI does not have.
    UnknownImport {
        /// The imported module.
        module: String,
        /// The imported name.
        name: String,
    },
    /// An import from a WASI module that is not a function.
    NotAFunction {
        /// The imported module.
        module: String,
        /// The imported name.
        name: String,
    },
    /// A WASI import with a type that WASI does not give it.
    SignatureMismatch {
        /// The imported module.
        module: String,
        /// The imported name.
        name: String,
        /// The type in the program.
        found: String,
        /// The type in WASI.
        expected: String,
    },
    /// A function of `wasi_unstable` whose memory layout the shim does not know.
    UnstableLayout {
        /// The imported name.
        name: String,
    },
    /// An import from a module name that only weir itself may use.
    ReservedModule {
        /// The imported module.
        module: String,
        /// The imported name.
        name: String,
    },
    /// Memory 0 cannot be used: imported, shared, 64-bit or with pages of another size.
    Memory {
        /// What is wrong with it.
        problem: MemoryProblem,
    },
    /// An export name that linking needs is taken.
    ExportTaken {
        /// The name.
        name: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The linked module would exceed a limit that engines agree on.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there would be.
        count: u64,
        /// How many there may be.
        count_max: u64,
    },
    /// A component that cannot be packed.
    Component {
        /// What is in the way, and what to do.
        message: String,
    },
    /// A program that cannot be lifted.
    Lift {
        /// What is in the way, and what to do.
        message: String,
    },
    /// The shim does not keep its contract: a fault of weir, not of the program.
    Shim {
        /// What is wrong with it.
        message: String,
    },
}

/// What is wrong with the program's memory 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryProblem {
    /// It is imported.
    Imported,
    /// It is shared between threads.
    Shared,
    /// It has 64-bit addresses.
    Wide,
    /// Its pages are not 64 KiB.
    PageSize,
}

impl LinkError {
    pub(crate) fn new(kind: LinkErrorKind) -> LinkError {
        LinkError { inner: Box::new(Inner { kind, offset: None }) }
    }

    pub(crate) fn at(kind: LinkErrorKind, offset: usize) -> LinkError {
        LinkError { inner: Box::new(Inner { kind, offset: Some(offset) }) }
    }

    pub(crate) fn invalid(message: impl Into<String>, offset: usize) -> LinkError {
        LinkError::at(LinkErrorKind::Invalid { message: message.into() }, offset)
    }

    /// An index of a module beyond what it has.
    pub(crate) fn out_of_bounds(what: &'static str, index: u32, count: u32, offset: usize) -> LinkError {
        LinkError::invalid(format!("{what} index {index} is out of bounds: there are {count}"), offset)
    }

    pub(crate) fn parse(error: wasmparser::Error) -> LinkError {
        LinkError::invalid(error.message(), error.offset())
    }

    pub(crate) fn shim(message: impl Into<String>) -> LinkError {
        LinkError::new(LinkErrorKind::Shim { message: message.into() })
    }

    pub(crate) fn signature(module: &str, name: &str, found: String, expected: &Signature, offset: usize) -> LinkError {
        let kind = LinkErrorKind::SignatureMismatch {
            module: module.into(),
            name: name.into(),
            found,
            expected: expected.to_string(),
        };
        LinkError::at(kind, offset)
    }

    /// What went wrong.
    pub fn kind(&self) -> &LinkErrorKind {
        &self.inner.kind
    }

    /// The byte of the program where it was found, when it is at one place.
    pub fn offset(&self) -> Option<usize> {
        self.inner.offset
    }

    /// Whether the bytes are a component, which is run in another way.
    pub fn is_component(&self) -> bool {
        matches!(self.inner.kind, LinkErrorKind::IsComponent)
    }

    /// Whether the bytes are damaged, invalid or not WebAssembly (in contrast to valid WebAssembly
    /// that cannot be linked).
    pub fn is_invalid(&self) -> bool {
        matches!(self.inner.kind, LinkErrorKind::NotWasm { .. } | LinkErrorKind::Invalid { .. })
    }

    /// Whether the fault is weir's own.
    pub fn is_internal(&self) -> bool {
        matches!(self.inner.kind, LinkErrorKind::Shim { .. })
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.kind.fmt(f)?;
        match self.inner.offset {
            Some(offset) => write!(f, " (at byte {offset:#x})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LinkError {}

impl fmt::Display for MemoryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemoryProblem::Imported => {
                "the program imports its memory, but weir needs the program to define it; build it without \
                 --import-memory and without threads"
            }
            MemoryProblem::Shared => {
                "the program's memory is shared between threads, which WASI 0.1 programs cannot use here; build it \
                 without threads"
            }
            MemoryProblem::Wide => {
                "the program's memory has 64-bit addresses, but the functions of WASI 0.1 take 32-bit pointers; build \
                 it for wasm32"
            }
            MemoryProblem::PageSize => {
                "the program's memory does not have pages of 64 KiB; build it without custom page sizes"
            }
        })
    }
}

impl fmt::Display for LinkErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkErrorKind::NotWasm { looks_like } => {
                write!(f, "not a WebAssembly binary: {looks_like}; a binary begins with the bytes 00 61 73 6d")
            }
            LinkErrorKind::IsComponent => {
                f.write_str("this is a component (WASI 0.2 or 0.3); only core modules are linked with the shim")
            }
            LinkErrorKind::Invalid { message } => {
                // It quotes names of the module.
                write!(f, "the module is damaged or invalid: {}", Shown(message))
            }
            LinkErrorKind::ObjectFile { section } => write!(
                f,
                "this is an object file (it has a section `{section}`), not a program; link it with wasm-ld first"
            ),
            LinkErrorKind::UnknownImport { module, name } => write!(
                f,
                "the program imports `{module}.{name}`, which WASI 0.1 does not have; was it built for another runtime?"
            ),
            LinkErrorKind::NotAFunction { module, name } => {
                write!(f, "the program imports `{module}.{name}`, but not as a function")
            }
            LinkErrorKind::SignatureMismatch { module, name, found, expected } => write!(
                f,
                "the program imports `{module}.{name}` with type {found}, but its type is {expected}; was it built \
                 with declarations of its own?"
            ),
            LinkErrorKind::UnstableLayout { name } => write!(
                f,
                "the program imports `{UNSTABLE}.{name}`, whose old memory layout is not supported; rebuild it for \
                 wasm32-wasip1",
                UNSTABLE = crate::p1::UNSTABLE
            ),
            LinkErrorKind::ReservedModule { module, name } => write!(
                f,
                "the program imports `{module}.{name}`, but the module name `{module}` is weir's own; rename the import"
            ),
            LinkErrorKind::Memory { problem } => problem.fmt(f),
            LinkErrorKind::ExportTaken { name, wanted } => {
                write!(
                    f,
                    "the program exports `{name}` as something else, but it has to be {wanted}; rename the export"
                )
            }
            LinkErrorKind::TooMany { what, count, count_max } => {
                write!(f, "the linked module would have {count} {what}, more than the {count_max} that engines allow")
            }
            LinkErrorKind::Component { message } | LinkErrorKind::Lift { message } => f.write_str(message),
            LinkErrorKind::Shim { message } => write!(f, "the shim is broken: {message}; this is a fault of weir"),
        }
    }
}
