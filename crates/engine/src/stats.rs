//! What a run cost.

use std::time::Duration;

/// Times, bytes and memory of one run. Times are wall clock.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Reading the program, or mapping its compiled code from the cache.
    pub load_time: Duration,
    /// Linking the shim into it; zero on a cache hit.
    pub link_time: Duration,
    /// Compiling; zero on a cache hit.
    pub compile_time: Duration,
    /// Whether the compiled code came from the cache.
    pub cache_hit: bool,
    /// Making the instance: memories, imports, mounts.
    pub instantiate_time: Duration,
    /// The program itself.
    pub run_time: Duration,
    /// Most bytes of linear memory held at once, all memories together.
    pub memory_peak: u64,
    /// Bytes read from stdin and mapped streams.
    pub stream_bytes_in: u64,
    /// Bytes written to stdout, stderr and mapped streams.
    pub stream_bytes_out: u64,
    /// Bytes that the host read from mounted files and listings for the program.
    pub mount_bytes_read: u64,
    /// Fuel used, when it was limited.
    pub fuel_used: Option<u64>,
    /// What the user should know though the run went on.
    pub warnings: Vec<String>,
    /// The first paths that the program looked for outside everything granted, in order. Components only: a
    /// WASI 0.1 program's own library looks through the directories that it was given, and asks for nothing else.
    pub looked_for: Vec<String>,
}
