//! What the rules read and what they say: files with their text, and violations.

/// One thing that is wrong: where, what, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// The file, from the root of the checkout.
    pub path: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Violation {
    pub fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

/// A file of the checkout with its text.
pub struct File {
    /// From the root, with `/`.
    pub path: String,
    pub text: String,
}

/// A file for tests of the rules.
#[cfg(test)]
pub fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}
