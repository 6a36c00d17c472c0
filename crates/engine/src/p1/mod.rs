//! The host's half of WASI 0.1: what still leaves a linked module. Streams, clocks, randomness,
//! arguments, environment and exit, plus weir's own narrow imports for mounted data. There is no
//! file-system logic here: a path function reaches the host only as `weir_hostdir`, with a grant of
//! tier `host`, and is then served by wasmtime-wasi.

pub(crate) mod memory;
mod poll;
pub(crate) mod stdio;
mod tracing;

use crate::arm::Thread;
use crate::error::Stop;
use crate::state::RunState;
use crate::sys::{Errno, Failure, Outcome};
use memory::Guest;
use std::task::{Context, Poll, ready};
use wasmtime::{Caller, Error, Extern, Linker, Memory};

type Call<'a> = Caller<'a, RunState>;

/// Turns the outcome of a host call into what the program sees.
fn answer(outcome: Outcome) -> wasmtime::Result<i32> {
    match outcome {
        Ok(()) => Ok(0),
        Err(Failure::Errno(errno)) => Ok(errno as i32),
        Err(Failure::Stop(error)) => Err(error),
    }
}

/// Runs `body` on the program's memory and the run's state.
fn on_memory(call: &mut Call<'_>, body: impl FnOnce(&mut Guest, &mut RunState) -> Outcome) -> wasmtime::Result<i32> {
    let Some(memory) = call.data().memory.or_else(|| bind_memories(call).0) else {
        return Err(Error::msg("the program called a WASI function but has no memory"));
    };
    let (bytes, state) = memory.data_and_store_mut(call);
    answer(body(&mut Guest(bytes), state))
}

/// The memories of a module whose start function calls before its instance was handed to us.
#[cold]
fn bind_memories(call: &mut Call<'_>) -> (Option<Memory>, Option<Memory>) {
    let memory = call.get_export("memory").and_then(Extern::into_memory);
    let shim_memory = call.get_export("weir_memory").and_then(Extern::into_memory);
    let state = call.data_mut();
    (state.memory, state.shim_memory) = (memory, shim_memory);
    (memory, shim_memory)
}

/// Runs `body` on the program's memory and the run's state as often as it takes until it is ready.
fn waiting<'a>(
    mut call: Call<'a>,
    mut body: impl FnMut(&mut Context<'_>, &mut Guest, &mut RunState) -> Poll<Outcome> + Send + 'a,
) -> Box<dyn Future<Output = wasmtime::Result<i32>> + Send + 'a> {
    Box::new(std::future::poll_fn(move |context| {
        let Some(memory) = call.data().memory.or_else(|| bind_memories(&mut call).0) else {
            return Poll::Ready(Err(Error::msg("the program called a WASI function but has no memory")));
        };
        let (bytes, state) = memory.data_and_store_mut(&mut call);
        body(context, &mut Guest(bytes), state).map(answer)
    }))
}

fn on_state(call: &mut Call<'_>, body: impl FnOnce(&mut RunState) -> Outcome) -> wasmtime::Result<i32> {
    answer(body(call.data_mut()))
}

/// Defines an import of `wasi_snapshot_preview1` or of `weir`; says whether weir serves it.
pub(crate) fn define(linker: &mut Linker<RunState>, module: &str, name: &str) -> wasmtime::Result<bool> {
    Ok(match module {
        "wasi_snapshot_preview1" => {
            stream_function(linker, name)? || process_function(linker, name)? || refused_function(linker, name)?
        }
        "weir" if name == "trace" => tracing::define(linker).map(|()| true)?,
        "weir" => weir_function(linker, name)?,
        _ => false,
    })
}

const WASI: &str = "wasi_snapshot_preview1";
const WEIR: &str = "weir";

/// Functions on the stream ends.
fn stream_function(linker: &mut Linker<RunState>, name: &str) -> wasmtime::Result<bool> {
    let defined = match name {
        "fd_read" => linker.func_wrap_async(WASI, name, |call: Call, (fd, iovs, count, out): (u32, u32, u32, u32)| {
            waiting(call, move |context, guest, state| {
                let moved = ready!(state.streams.poll_read(context, fd, guest, (iovs, count)))?;
                Poll::Ready(guest.put_u32(out, moved))
            })
        }),
        "fd_write" => linker.func_wrap_async(WASI, name, |call: Call, (fd, iovs, count, out): (u32, u32, u32, u32)| {
            waiting(call, move |context, guest, state| {
                let moved = ready!(state.streams.poll_write(context, fd, guest, (iovs, count)))?;
                Poll::Ready(guest.put_u32(out, moved))
            })
        }),
        "fd_pread" | "fd_pwrite" => {
            linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u32, _: u32, _: u64, _: u32| {
                on_state(&mut call, |state| not_seekable(state, fd))
            })
        }
        "fd_seek" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: i64, _: u32, _: u32| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_tell" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u32| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_close" => {
            linker.func_wrap(WASI, name, |mut call: Call, fd: u32| on_state(&mut call, |state| state.streams.close(fd)))
        }
        "fd_renumber" => linker.func_wrap(WASI, name, |mut call: Call, from: u32, to: u32| {
            on_state(&mut call, |state| state.streams.renumber(from, to))
        }),
        "fd_fdstat_get" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, out: u32| {
            on_memory(&mut call, |guest, state| stream_fdstat(guest, state, fd, out))
        }),
        "fd_filestat_get" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, out: u32| {
            on_memory(&mut call, |guest, state| {
                let mut record = [0u8; 64];
                record[16] = stream_type(state, fd)?;
                guest.put(out, &record)
            })
        }),
        "fd_fdstat_set_flags" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u32| {
            on_state(&mut call, |state| state.streams.check(fd))
        }),
        "poll_oneoff" => {
            linker.func_wrap_async(WASI, name, |call: Call, (subs, events, count, out): (u32, u32, u32, u32)| {
                let mut wait = None;
                waiting(call, move |context, guest, state| {
                    let stored = ready!(poll::poll_oneoff(context, &mut wait, guest, state, (subs, events, count)))?;
                    Poll::Ready(guest.put_u32(out, stored))
                })
            })
        }
        _ => return Ok(false),
    };
    defined.map(|_| true)
}

/// Arguments, environment, clocks, randomness, exit.
fn process_function(linker: &mut Linker<RunState>, name: &str) -> wasmtime::Result<bool> {
    let defined = match name {
        "args_sizes_get" => linker.func_wrap(WASI, name, |mut call: Call, count: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_sizes(guest, &state.args, count, bytes))
        }),
        "args_get" => linker.func_wrap(WASI, name, |mut call: Call, array: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_strings(guest, &state.args, array, bytes))
        }),
        "environ_sizes_get" => linker.func_wrap(WASI, name, |mut call: Call, count: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_sizes(guest, &state.env, count, bytes))
        }),
        "environ_get" => linker.func_wrap(WASI, name, |mut call: Call, array: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_strings(guest, &state.env, array, bytes))
        }),
        "clock_time_get" => linker.func_wrap(WASI, name, |mut call: Call, id: u32, _precision: u64, out: u32| {
            on_memory(&mut call, |guest, state| guest.put_u64(out, state.clock.now(id)?))
        }),
        "clock_res_get" => linker.func_wrap(WASI, name, |mut call: Call, id: u32, out: u32| {
            on_memory(&mut call, |guest, state| guest.put_u64(out, state.clock.resolution(id)?))
        }),
        "random_get" => linker.func_wrap(WASI, name, |mut call: Call, at: u32, len: u32| {
            on_memory(&mut call, |guest, state| Ok(state.random.fill(guest.slice_mut(at, len)?)?))
        }),
        "sched_yield" => linker.func_wrap_async(WASI, name, |call: Call, (): ()| {
            let thread = call.data().thread;
            Box::new(async move {
                match thread {
                    Thread::Own => std::thread::yield_now(),
                    Thread::Shared => tokio::task::yield_now().await,
                }
                wasmtime::Result::Ok(0)
            })
        }),
        "proc_exit" => {
            linker.func_wrap(WASI, name, |_: Call, code: u32| -> wasmtime::Result<()> { Err(Stop::Exit(code).into()) })
        }
        "proc_raise" => linker.func_wrap(WASI, name, |_: Call, signal: u32| -> wasmtime::Result<i32> {
            // ABRT ends the run as abort() would; other signals have no meaning without a kernel.
            if signal == 6 { Err(Error::msg("the program raised SIGABRT")) } else { Ok(Errno::Notsup as i32) }
        }),
        _ => return Ok(false),
    };
    defined.map(|_| true)
}

/// Functions that mean nothing for a stream: a program that has only streams gets an honest errno.
fn refused_function(linker: &mut Linker<RunState>, name: &str) -> wasmtime::Result<bool> {
    let defined = match name {
        "fd_datasync" | "fd_sync" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Inval))
        }),
        "fd_advise" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u64, _: u64, _: u32| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_allocate" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u64, _: u64| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_filestat_set_size" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u64| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Inval))
        }),
        "fd_filestat_set_times" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u64, _: u64, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Badf))
        }),
        "fd_fdstat_set_rights" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u64, _: u64| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsup))
        }),
        "fd_prestat_get" => {
            linker.func_wrap(WASI, name, |_: Call, _: u32, _: u32| -> wasmtime::Result<i32> { Ok(Errno::Badf as i32) })
        }
        "fd_prestat_dir_name" => {
            linker.func_wrap(WASI, name, |_: Call, _: u32, _: u32, _: u32| -> wasmtime::Result<i32> {
                Ok(Errno::Badf as i32)
            })
        }
        "sock_accept" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u32, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
        }),
        "sock_recv" => {
            linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u32, _: u32, _: u32, _: u32, _: u32| {
                on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
            })
        }
        "sock_send" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u32, _: u32, _: u32, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
        }),
        "sock_shutdown" => linker.func_wrap(WASI, name, |mut call: Call, fd: u32, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
        }),
        _ => return Ok(false),
    };
    defined.map(|_| true)
}

/// The host function of this name in module `weir`: mounted data and mapped streams.
fn weir_function(linker: &mut Linker<RunState>, name: &str) -> wasmtime::Result<bool> {
    let defined = match name {
        "blob_read" => linker.func_wrap(WEIR, name, blob_read),
        "stream_read" => {
            linker.func_wrap_async(WEIR, name, |call: Call, (stream, iovs, count, out): (u32, u32, u32, u32)| {
                waiting(call, move |context, guest, state| {
                    let moved = ready!(state.streams.poll_read(context, stream, guest, (iovs, count)))?;
                    Poll::Ready(guest.put_u32(out, moved))
                })
            })
        }
        "stream_write" => {
            linker.func_wrap_async(WEIR, name, |call: Call, (stream, iovs, count, out): (u32, u32, u32, u32)| {
                waiting(call, move |context, guest, state| {
                    let moved = ready!(state.streams.poll_write(context, stream, guest, (iovs, count)))?;
                    Poll::Ready(guest.put_u32(out, moved))
                })
            })
        }
        _ => return Ok(false),
    };
    defined.map(|_| true)
}

/// Copies a range of a blob into the program's memory (0) or the shim's (1). Returns the bytes
/// copied, fewer only at the blob's end, or a negative errno.
fn blob_read(mut call: Call, blob: u32, offset: u64, memory: u32, at: u32, len: u32) -> wasmtime::Result<i32> {
    let state = call.data();
    let mut memories = (state.memory, state.shim_memory);
    if memories.0.is_none() {
        memories = bind_memories(&mut call);
    }
    let Some(target) = (if memory == 0 { memories.0 } else { memories.1 }) else {
        return Err(Error::msg("a module asked for mounted data but has no memory for it"));
    };
    let (bytes, state) = target.data_and_store_mut(&mut call);
    let start = at as usize;
    // The count must fit the answer's sign; a read may always be short.
    let end = start + len.min(i32::MAX as u32) as usize;
    let Some(span) = bytes.get_mut(start..end) else {
        return Err(Error::msg("a module asked for mounted data outside its memory"));
    };
    Ok(match state.blobs.read(blob, offset, span) {
        Ok(read) => read as i32,
        Err(errno) => -(errno as i32),
    })
}

fn on_stream(state: &RunState, fd: u32, errno: Errno) -> Outcome {
    state.streams.check(fd)?;
    Err(errno.into())
}

fn not_seekable(state: &RunState, fd: u32) -> Outcome {
    on_stream(state, fd, Errno::Spipe)
}

/// Character device for a terminal, else unknown: what wasmtime answers, and what C libraries take
/// for "not a terminal".
fn stream_type(state: &mut RunState, fd: u32) -> Outcome<u8> {
    Ok(if state.streams.is_terminal(fd)? { 2 } else { 0 })
}

fn stream_fdstat(guest: &mut Guest, state: &mut RunState, fd: u32, out: u32) -> Outcome {
    const FD_READ: u64 = 1 << 1;
    const FD_WRITE: u64 = 1 << 6;
    let (read, write) = state.streams.directions(fd)?;
    let rights = if read { FD_READ } else { 0 } | if write { FD_WRITE } else { 0 };
    let mut record = [0u8; 24];
    record[0] = stream_type(state, fd)?;
    record[8..16].copy_from_slice(&rights.to_le_bytes());
    record[16..24].copy_from_slice(&rights.to_le_bytes());
    guest.put(out, &record)
}

fn put_sizes(guest: &mut Guest, strings: &[Vec<u8>], count: u32, bytes: u32) -> Outcome {
    let total: usize = strings.iter().map(Vec::len).sum();
    guest.put_u32(count, strings.len() as u32)?;
    guest.put_u32(bytes, u32::try_from(total).map_err(|_| Errno::Overflow)?)
}

fn put_strings(guest: &mut Guest, strings: &[Vec<u8>], array: u32, bytes: u32) -> Outcome {
    let mut at = bytes;
    for (index, string) in strings.iter().enumerate() {
        guest.put_u32(array.wrapping_add(index as u32 * 4), at)?;
        guest.put(at, string)?;
        at = at.checked_add(string.len() as u32).ok_or(Failure::Errno(Errno::Overflow))?;
    }
    Ok(())
}
