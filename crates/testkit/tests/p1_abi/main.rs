//! WASI 0.1 by its binary interface: every function, every errno, every memory layout. What concerns
//! files is said once and runs in both places, in a linked module under the engine and in the host over
//! the same file system; what only the engine serves runs in a linked module.

mod calls;
mod common;
mod differential;
mod escapes;
mod files;
mod host_dirs;
mod hostile;
mod layouts;
mod limits;
mod mounts;
mod odd;
mod paths;
mod pointers;
mod poll;
mod process;
mod renames;
mod save;
mod streams;
mod unstable;
