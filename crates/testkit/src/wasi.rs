//! WASI 0.1 as tests call it, wherever it runs.

/// WASI 0.1 as a test calls it.
pub trait Wasi {
    /// Calls a function with its raw arguments; gives the errno.
    fn call(&mut self, name: &str, arguments: &[u64]) -> u16;

    /// The memory that pointers mean.
    fn memory(&mut self) -> &mut [u8];

    /// Where this is, for messages.
    fn place(&self) -> &'static str;
}

/// A directory entry as `fd_readdir` stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirent {
    /// The cookie of the entry after this one.
    pub next: u64,
    /// The inode number.
    pub ino: u64,
    /// The WASI file type.
    pub kind: u8,
    /// The name.
    pub name: String,
}
