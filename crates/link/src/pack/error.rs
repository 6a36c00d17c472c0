//! Why a pack cannot be made or read.

use crate::error::LinkError;
use std::fmt;
use weir_types::Shown;

/// Why a pack cannot be made or read.
#[derive(Debug)]
pub struct PackError {
    kind: PackErrorKind,
    message: String,
}

/// What went wrong, for callers that act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackErrorKind {
    /// The program cannot be linked.
    Program,
    /// A file cannot be put into a pack.
    File,
    /// It would be too large for any engine.
    TooLarge,
    /// The bytes are no pack, or a damaged one.
    Damaged,
    /// The bytes of the file are not in the pack: it was pruned, or is there by reference.
    Absent,
}

impl PackError {
    pub(crate) fn new(kind: PackErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A pack that is not as its maker left it.
    pub fn damaged(what: impl fmt::Display) -> Self {
        let message = format!("the pack is damaged: {what}; make it again, or fetch it again where it came from");
        Self { kind: PackErrorKind::Damaged, message }
    }

    /// What went wrong.
    pub fn kind(&self) -> PackErrorKind {
        self.kind
    }
}

impl fmt::Display for PackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Shown(&self.message))
    }
}

impl std::error::Error for PackError {}

impl From<LinkError> for PackError {
    fn from(error: LinkError) -> Self {
        Self { kind: PackErrorKind::Program, message: error.to_string() }
    }
}
