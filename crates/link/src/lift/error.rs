//! Why a program cannot be lifted.

use crate::error::LinkError;
use crate::pack::PackError;
use std::fmt;

/// Why a program cannot be lifted: a sentence that says what, where and what to do.
#[derive(Debug)]
pub struct LiftError {
    message: String,
}

impl LiftError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for LiftError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for LiftError {}

impl From<LinkError> for LiftError {
    fn from(error: LinkError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<PackError> for LiftError {
    fn from(error: PackError) -> Self {
        Self::new(error.to_string())
    }
}
