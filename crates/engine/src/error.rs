//! What can go wrong with a run, sorted by who can mend it. The command line maps a kind to an
//! exit code; nothing here prints.

use std::fmt;

/// Whose business an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program cannot be read, is no WebAssembly, or lacks what a run needs.
    Program,
    /// A grant cannot be honoured: a host path is missing, a tier is exceeded.
    Grant,
    /// The program asks for an import that nobody grants.
    Import,
    /// The program stopped with a trap.
    Trap,
    /// The program met one of its limits.
    Limit,
    /// Results could not be saved.
    Save,
    /// The reader of the program's output has gone away.
    BrokenPipe,
    /// weir or the machine failed.
    Internal,
}

/// An error of the engine: what happened, where, and what to do about it.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    source: Option<wasmtime::Error>,
}

impl Error {
    /// An error of `kind` that `message` explains whole.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// Whose business this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub(crate) fn caused(kind: Kind, message: impl Into<String>, source: wasmtime::Error) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: Some(source) }))
    }

    /// What the machine did not give; with advice where it is room for memory.
    pub(crate) fn machine(what: &str, error: wasmtime::Error) -> Self {
        if !is_no_room(&error) {
            return Self::caused(Kind::Internal, what, error);
        }
        let advice = "the machine gives no more address space: a program's memory is reserved before it is used, some \
                      gigabytes for each; lift the limit on this process (`ulimit -v unlimited`)";
        Self::new(Kind::Internal, format!("{what}: {advice}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// Whether the machine, not a limit of weir, refused memory.
pub(crate) fn is_no_room(error: &wasmtime::Error) -> bool {
    let no_room = rustix::io::Errno::NOMEM;
    error.chain().any(|cause| {
        cause.downcast_ref() == Some(&no_room)
            || cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.raw_os_error() == Some(no_room.raw_os_error()))
    })
}

/// Reasons for which the host ends a run, thrown through wasm frames and recognised at the end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// `proc_exit` with its code.
    Exit(u32),
    /// A limit was met; the sentence says which and how to raise it.
    Limit(String),
    /// stdout's or stderr's reader has gone.
    BrokenPipe,
}

impl fmt::Display for Stop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Exit(code) => write!(out, "the program ended with exit code {code}"),
            Stop::Limit(what) => out.write_str(what),
            Stop::BrokenPipe => out.write_str("the reader of the program's output has gone"),
        }
    }
}

impl std::error::Error for Stop {}
