//! What the file system says of a file: any write changes it, so bytes that were checked once need no second check.

use rustix::fs::Stat;

/// Inode, size and times of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl Seen {
    /// What `state` says.
    pub(crate) fn of(state: &Stat) -> Self {
        let nanoseconds = |seconds: i64, part: u64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Self {
            inode: state.st_ino,
            size: state.st_size as u64,
            modified: nanoseconds(state.st_mtime, state.st_mtime_nsec),
            changed: nanoseconds(state.st_ctime, state.st_ctime_nsec),
        }
    }

    /// The text of a note: `weir-seen-1 INODE SIZE MODIFIED CHANGED`.
    pub(crate) fn text(&self) -> String {
        let Self { inode, size, modified, changed } = self;
        format!("weir-seen-1 {inode} {size} {modified} {changed}\n")
    }
}
