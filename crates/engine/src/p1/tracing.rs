//! The import `weir.trace`, by which a program that was linked for tracing reports its calls.

use super::memory::Guest;
use crate::state::RunState;
use wasmtime::{Caller, Linker};

/// Defines the import.
#[allow(clippy::too_many_arguments, reason = "the signature is fixed: a function id, nine slots, a result")]
pub(crate) fn define(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let defined = linker.func_wrap(
        "weir",
        "trace",
        |mut call: Caller<'_, RunState>,
         function: u32,
         a0: i64,
         a1: i64,
         a2: i64,
         a3: i64,
         a4: i64,
         a5: i64,
         a6: i64,
         a7: i64,
         a8: i64,
         errno: i32| {
            let arguments = [a0, a1, a2, a3, a4, a5, a6, a7, a8];
            let Some(mut trace) = call.data_mut().trace.take() else { return };
            match call.data().memory {
                Some(memory) => {
                    let (bytes, _) = memory.data_and_store_mut(&mut call);
                    trace.record(Some(&Guest(bytes)), function, &arguments, errno);
                }
                None => trace.record(None, function, &arguments, errno),
            }
            call.data_mut().trace = Some(trace);
        },
    );
    defined.map(drop)
}
