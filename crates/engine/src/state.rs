//! What the host holds for one run of a core program.

use crate::arm::{Limited, Thread};
use crate::blobs::Blobs;
use crate::clock::{Clock, Random};
use crate::deadline::Deadline;
use crate::limiter::Limiter;
use crate::p1::stdio::Streams;
use crate::trace::Trace;
use wasmtime::Memory;
use wasmtime_wasi::p1::WasiP1Ctx;

/// The data of a store that runs a core program.
pub(crate) struct RunState {
    /// The program's memory; pointers in WASI calls mean this one.
    pub memory: Option<Memory>,
    /// The shim's memory, in a linked program.
    pub shim_memory: Option<Memory>,
    /// Arguments and environment, each ended by a NUL byte as WASI 0.1 hands them over.
    pub args: Vec<Vec<u8>>,
    pub env: Vec<Vec<u8>>,
    pub streams: Streams,
    pub blobs: Blobs,
    pub clock: Clock,
    pub random: Random,
    pub deadline: Deadline,
    pub thread: Thread,
    pub limiter: Limiter,
    pub trace: Option<Trace>,
    /// Real directories, only with a grant of tier `host`.
    pub host_dirs: Option<WasiP1Ctx>,
}

impl Limited for RunState {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}
