//! The error of everything here: what went wrong and whose business it is. It can be asked which limit was met and what may
//! help; it names no option of a command line.

use std::fmt;
use weir_engine as engine;
pub use weir_engine::{Hint, Limit};

/// Whose business an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The program cannot be read, is no WebAssembly, or lacks what is asked of it.
    Program,
    /// A grant cannot be honoured: a host path is missing, a tier is exceeded, a value has another type.
    Grant,
    /// The program asks for an import that nobody grants.
    Import,
    /// The program stopped with a trap.
    Trap,
    /// The program met one of its limits: [`Error::limit`] says which.
    Limit,
    /// Results could not be saved.
    Save,
    /// The reader of the program's output has gone away.
    BrokenPipe,
    /// Whoever started the program ended it.
    Cancelled,
    /// The store or a registry failed.
    Registry,
    /// weir or the machine failed.
    Internal,
}

/// What went wrong, where, and what to do about it.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
enum Inner {
    Own { kind: Kind, message: String, hint: Option<Hint> },
    Engine(engine::Error),
}

impl Error {
    /// An error of `kind` that `message` explains whole: for what an embedder grants by functions of its own.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self(Box::new(Inner::Own { kind, message: message.to_string(), hint: None }))
    }

    /// The same with what may help.
    pub(crate) fn hinted(kind: Kind, message: impl fmt::Display, hint: Hint) -> Self {
        Self(Box::new(Inner::Own { kind, message: message.to_string(), hint: Some(hint) }))
    }

    /// What is wrong with a program itself.
    pub(crate) fn of_program(program: &engine::Program, what: impl fmt::Display) -> Self {
        Self::new(Kind::Program, format!("{}: {what}", program.path().display()))
    }

    /// For a function that an embedder grants: its error ends the program, and comes out of the run again.
    pub(crate) fn into_engine(self) -> engine::Error {
        match *self.0 {
            Inner::Engine(error) => error,
            Inner::Own { kind, message, .. } => engine::Error::new(
                match kind {
                    Kind::Program => engine::Kind::Program,
                    Kind::Import => engine::Kind::Import,
                    Kind::Trap => engine::Kind::Trap,
                    Kind::Limit => engine::Kind::Limit,
                    Kind::Save => engine::Kind::Save,
                    Kind::BrokenPipe => engine::Kind::BrokenPipe,
                    Kind::Cancelled => engine::Kind::Cancelled,
                    Kind::Internal => engine::Kind::Internal,
                    Kind::Grant | Kind::Registry => engine::Kind::Grant,
                },
                message,
            ),
        }
    }

    /// Whose business this is.
    pub fn kind(&self) -> Kind {
        match &*self.0 {
            Inner::Own { kind, .. } => *kind,
            Inner::Engine(error) => match error.kind() {
                engine::Kind::Program => Kind::Program,
                engine::Kind::Grant => Kind::Grant,
                engine::Kind::Import => Kind::Import,
                engine::Kind::Trap => Kind::Trap,
                engine::Kind::Limit => Kind::Limit,
                engine::Kind::Save => Kind::Save,
                engine::Kind::BrokenPipe => Kind::BrokenPipe,
                engine::Kind::Cancelled => Kind::Cancelled,
                engine::Kind::Internal => Kind::Internal,
            },
        }
    }

    /// The limit that was met: the cause, or what went before a trap.
    pub fn limit(&self) -> Option<&Limit> {
        if let Inner::Engine(error) = &*self.0 { error.limit() } else { None }
    }

    /// What may help, where that is no matter of limits.
    pub fn hint(&self) -> Option<Hint> {
        match &*self.0 {
            Inner::Own { hint, .. } => *hint,
            Inner::Engine(error) => error.hint(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Inner::Own { message, .. } => out.write_str(message),
            Inner::Engine(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Inner::Engine(error) = &*self.0 { error.source() } else { None }
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        Self(Box::new(Inner::Engine(error)))
    }
}

impl From<weir_store::Error> for Error {
    fn from(error: weir_store::Error) -> Self {
        let kind = if error.kind() == weir_store::Kind::Program { Kind::Program } else { Kind::Registry };
        Self::new(kind, error)
    }
}
