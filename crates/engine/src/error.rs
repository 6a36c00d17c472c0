//! What can go wrong with a run, sorted by who can mend it, and which limit was met. The command line maps a kind to an
//! exit code and says which option lifts a limit; nothing here prints, or knows of options.

use std::fmt;
use std::time::Duration;

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
    /// Whoever started the program ended it.
    Cancelled,
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
    limit: Option<Limit>,
    hint: Option<Hint>,
    source: Option<wasmtime::Error>,
}

/// A limit that a program met. What it asked for was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of linear memory: what it asked for beyond what it held, and what was left.
    Memory {
        /// Bytes asked for.
        asked: u64,
        /// Bytes held before.
        held: u64,
        /// Bytes that were left.
        left: u64,
    },
    /// Elements of a table: the size that it asked for.
    Table {
        /// Elements asked for.
        asked: u64,
    },
    /// The time of the run, or of the call.
    Time(Duration),
    /// Fuel.
    Fuel,
    /// Bytes written to streams.
    Output,
    /// Bytes of the host's memory that the values of a result may take.
    Result {
        /// The limit.
        most: u64,
    },
    /// Files and directories: how many the grants alone need.
    Inodes {
        /// Needed.
        needed: u64,
        /// The limit.
        most: u64,
    },
    /// Instances that are kept at the same time.
    Instances {
        /// The limit.
        most: u64,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Memory { asked, held, left } => write!(
                out,
                "the program asked for {asked} bytes of memory more than the {held} it holds, {left} were left"
            ),
            Limit::Table { asked } => {
                write!(out, "the program asked for a table of {asked} elements, more than it may hold")
            }
            Limit::Time(most) => write!(out, "the program ran longer than {most:?}"),
            Limit::Fuel => out.write_str("the program used up its fuel"),
            Limit::Output => out.write_str("the program wrote more output than it may"),
            Limit::Result { most } => write!(
                out,
                "the result takes more than {most} bytes of the host's memory, where an item of a list that is no number takes {}",
                size_of::<wasmtime::component::Val>()
            ),
            Limit::Inodes { needed, most } => {
                write!(out, "the grants need {needed} files and directories, but the limit is {most}")
            }
            Limit::Instances { most } => write!(out, "{most} instances are kept, which is all there may be"),
        }
    }
}

/// What may help where an error is not about a limit, for whoever knows how that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// What was to be mounted is made by the kernel: single files of it can be, or the directory as one of the host.
    GrantAsHostDirectory,
    /// What was to be mounted is no file: it can be a stream.
    GrantAsStream,
    /// Imports that nobody grants can be functions that trap.
    TrapUnknownImports,
    /// It is a module that is a library: its functions can be called.
    CallFunctions,
    /// It is a component that is a library: its functions have types, and can be called.
    CallTypedFunctions,
    /// What it imports can be linked into it, as lifting does.
    Lift,
    /// The blobs of a pack are not in the store: pulling the pack from its registry brings them.
    Pull,
    /// A pack takes no files besides its own: its program, unpacked, does.
    Unpack,
}

impl Error {
    /// An error of `kind` that `message` explains whole.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), limit: None, hint: None, source: None }))
    }

    /// A limit that was met.
    pub fn met(limit: Limit) -> Self {
        let message = limit.to_string();
        Self(Box::new(Inner { kind: Kind::Limit, message, limit: Some(limit), hint: None, source: None }))
    }

    /// The same error with a limit that was met before it and may be its cause.
    pub(crate) fn after(mut self, limit: Option<Limit>) -> Self {
        self.0.limit = limit;
        self
    }

    /// The same error with what may help.
    pub(crate) fn with_hint(mut self, hint: Hint) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// The same error, of another kind.
    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The limit that was met: the cause, or what went before a trap. Its sentence is part of the message.
    pub fn limit(&self) -> Option<&Limit> {
        self.0.limit.as_ref()
    }

    /// What may help.
    pub fn hint(&self) -> Option<Hint> {
        self.0.hint
    }

    /// Whose business this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub(crate) fn caused(kind: Kind, message: impl Into<String>, source: wasmtime::Error) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), limit: None, hint: None, source: Some(source) }))
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
    /// A limit was met.
    Limit(Limit),
    /// stdout's or stderr's reader has gone.
    BrokenPipe,
    /// Whoever started the run ends it.
    Cancelled,
    /// A function that was granted to the program failed.
    Failed(Kind, String),
}

impl fmt::Display for Stop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Exit(code) => write!(out, "the program ended with exit code {code}"),
            Stop::Limit(limit) => limit.fmt(out),
            Stop::Cancelled => out.write_str("the program was stopped"),
            Stop::Failed(_, what) => out.write_str(what),
            Stop::BrokenPipe => out.write_str("the reader of the program's output has gone"),
        }
    }
}

impl std::error::Error for Stop {}

impl From<&Stop> for Error {
    fn from(stop: &Stop) -> Self {
        match stop {
            Stop::Limit(limit) => Error::met(limit.clone()),
            Stop::BrokenPipe => Error::new(Kind::BrokenPipe, stop.to_string()),
            Stop::Cancelled => Error::new(Kind::Cancelled, stop.to_string()),
            Stop::Failed(kind, what) => Error::new(*kind, what.clone()),
            Stop::Exit(code) => {
                Error::new(Kind::Program, format!("the program exited with code {code} while it was being set up"))
            }
        }
    }
}
