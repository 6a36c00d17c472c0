//! Every limit that weir puts on a program, with its default and the reason for it.
//!
//! A limit is a cost that a program can cause in the host. All of them are here, so that one look
//! tells what a hostile program can do at most.

use core::time::Duration;

/// One kibibyte, in bytes.
pub const KIB: u64 = 1 << 10;
/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;
/// One gibibyte, in bytes.
pub const GIB: u64 = 1 << 30;

/// Bytes of a string or list that is given to a function: 2^28 - 1, the most that the component model lets through.
pub const VALUE_BYTES_MAX: u64 = (1 << 28) - 1;
/// Bytes of a text that says what to do, such as a binding or a trace: far more than any that somebody wrote.
pub const TEXT_BYTES_MAX: u64 = 256 * MIB;

/// What one run of a program may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, all memories together. Default 4 GiB: what one 32-bit memory can
    /// address, so that no honest program meets it.
    pub memory_max: u64,
    /// Elements of all tables together. Default 10 million: the largest interpreters use some ten
    /// thousand; a table element costs the host 8 bytes.
    pub table_elements_max: u64,
    /// Wall-clock time of the run. Default none: a command-line program may wait for its user.
    pub time_max: Option<Duration>,
    /// Whether code can be interrupted though no time is set: for programs that share threads with others or may be
    /// stopped. Default no: it costs speed in loops.
    pub interruptible: bool,
    /// Fuel, wasmtime's count of executed operations. Default none: counting costs speed.
    pub fuel_max: Option<u64>,
    /// Bytes written to stdout, stderr and mapped streams together. Default none: a pipe is a
    /// program's honest work; the reader limits it.
    pub output_max: Option<u64>,
    /// Bytes of stack of the program. Default 8 MiB: the usual thread's stack on Linux.
    pub stack_max: u64,
    /// Host resources (descriptors, streams, pollables) that a component may hold. Default 100,000.
    pub resources_max: u64,
    /// Bytes that one host call may make the host allocate for a component's arguments. Default
    /// 128 MiB.
    pub call_bytes_max: u64,
    /// Bytes of the host's memory that the values of a function's result may take. A byte of a string or of a list of bytes
    /// takes one, an item of a list that is no number as much as any value. Default 2 GiB.
    pub result_bytes_max: u64,
    /// Bytes of randomness in one call of a component. Default 64 MiB.
    pub random_max: u64,
    /// What the file system may hold.
    pub files: Quota,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_max: 4 * GIB,
            table_elements_max: 10_000_000,
            time_max: None,
            interruptible: false,
            fuel_max: None,
            output_max: None,
            stack_max: 8 * MIB,
            resources_max: 100_000,
            call_bytes_max: 128 * MIB,
            result_bytes_max: 2 * GIB,
            random_max: 64 * MIB,
            files: Quota::default(),
        }
    }
}

/// What a virtual file system may hold. Mounted data that was not written does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes written into the file system and still held. Default 1 GiB.
    pub bytes_max: u64,
    /// Nodes (files, directories, symbolic links), mounted ones that were looked at included.
    /// Default 1 million.
    pub inodes_max: u64,
    /// Open descriptors. Default 4,096, four times the usual Linux default.
    pub open_files_max: u32,
    /// Bytes of one path. Default 4,096 (Linux' PATH_MAX).
    pub path_bytes_max: u32,
    /// Bytes of one name in a directory. Default 255 (Linux' NAME_MAX).
    pub name_bytes_max: u32,
    /// Directories below one another. Default 512.
    pub depth_max: u32,
    /// Symbolic links followed in one resolution. Default 40 (Linux' limit).
    pub symlinks_max: u32,
    /// Size of one file, holes included. Default 1 TiB: sparse files are free until written.
    pub file_size_max: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            bytes_max: GIB,
            inodes_max: 1_000_000,
            open_files_max: 4096,
            path_bytes_max: 4096,
            name_bytes_max: 255,
            depth_max: 512,
            symlinks_max: 40,
            file_size_max: 1 << 40,
        }
    }
}
