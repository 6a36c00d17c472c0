//! What can go wrong between a program, the store and a registry, sorted by what can be done about it.
//!
//! Messages say what happened, where, and what to do; they hold the cause, so there is no `source()`. Nothing of
//! another library's error type is visible.

use std::fmt;
use std::path::Path;
use weir_types::Shown;

/// What sort of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The store's folder cannot be read or written.
    Store,
    /// The registry cannot be reached, or stopped answering.
    Network,
    /// The registry wants other credentials.
    Auth,
    /// The registry, or the store, does not have it.
    NotFound,
    /// Bytes are not what their digest says.
    Digest,
    /// A limit of `limits` was met.
    TooLarge,
    /// A reference is not well formed, or may not be used so.
    Reference,
    /// The registry's certificate, or the encryption, is not good.
    Tls,
    /// The registry's answer makes no sense.
    Answer,
    /// The file or artifact is not a program.
    Program,
}

/// A failure of the store or of a registry.
#[derive(Clone, Debug)]
pub struct Error(Box<(Kind, String)>);

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new((kind, message.into())))
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.0
    }

    /// A failure of the file system at `path`; `doing` reads like "cannot write".
    pub(crate) fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        let advice = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "; nothing was left behind: free some space (weir store gc), or set WEIR_STORE_DIR to another disk"
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "; set WEIR_STORE_DIR to a folder of yours"
            }
            _ => "",
        };
        Self::new(Kind::Store, format!("{doing} {}: {error}{advice}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Shown(&self.0.1))
    }
}

impl std::error::Error for Error {}
