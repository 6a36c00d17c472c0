//! The host's half of WASI 0.1: what still leaves a linked module. Streams, clocks, randomness,
//! arguments, environment and exit, plus weir's own narrow imports for mounted data. There is no
//! file-system logic here: a path function reaches the host only as `weir_hostdir`, with a grant of
//! tier `host`, and is then served by wasmtime-wasi.

pub(crate) mod memory;
mod poll;
pub(crate) mod stdio;
pub(crate) mod tracing;

use crate::error::Stop;
use crate::state::RunState;
use crate::sys::{Errno, Failure, Outcome};
use memory::Guest;
use wasmtime::{Caller, Error, Extern, Func, Memory, Store};

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

fn on_state(call: &mut Call<'_>, body: impl FnOnce(&mut RunState) -> Outcome) -> wasmtime::Result<i32> {
    answer(body(call.data_mut()))
}

/// The host function of this name in `wasi_snapshot_preview1`, if weir serves it.
pub(crate) fn wasi_function(store: &mut Store<RunState>, name: &str) -> Option<Func> {
    stream_function(store, name).or_else(|| process_function(store, name)).or_else(|| refused_function(store, name))
}

/// Functions on the stream ends.
fn stream_function(store: &mut Store<RunState>, name: &str) -> Option<Func> {
    let store = &mut *store;
    Some(match name {
        "fd_read" => Func::wrap(store, |mut call: Call, fd: u32, iovs: u32, count: u32, out: u32| {
            on_memory(&mut call, |guest, state| {
                if !state.streams.directions(fd)?.0 {
                    return Err(Errno::Badf.into());
                }
                let read = state.streams.read(fd, guest, iovs, count)?;
                guest.put_u32(out, read)
            })
        }),
        "fd_write" => Func::wrap(store, |mut call: Call, fd: u32, iovs: u32, count: u32, out: u32| {
            on_memory(&mut call, |guest, state| {
                if !state.streams.directions(fd)?.1 {
                    return Err(Errno::Badf.into());
                }
                let written = state.streams.write(fd, guest, iovs, count)?;
                guest.put_u32(out, written)
            })
        }),
        "fd_pread" | "fd_pwrite" => Func::wrap(store, |mut call: Call, fd: u32, _: u32, _: u32, _: u64, _: u32| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_seek" => Func::wrap(store, |mut call: Call, fd: u32, _: i64, _: u32, _: u32| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_tell" => {
            Func::wrap(store, |mut call: Call, fd: u32, _: u32| on_state(&mut call, |state| not_seekable(state, fd)))
        }
        "fd_close" => Func::wrap(store, |mut call: Call, fd: u32| on_state(&mut call, |state| state.streams.close(fd))),
        "fd_renumber" => Func::wrap(store, |mut call: Call, from: u32, to: u32| {
            on_state(&mut call, |state| state.streams.renumber(from, to))
        }),
        "fd_fdstat_get" => Func::wrap(store, |mut call: Call, fd: u32, out: u32| {
            on_memory(&mut call, |guest, state| stream_fdstat(guest, state, fd, out))
        }),
        "fd_filestat_get" => Func::wrap(store, |mut call: Call, fd: u32, out: u32| {
            on_memory(&mut call, |guest, state| {
                let mut record = [0u8; 64];
                record[16] = stream_type(state, fd)?;
                guest.put(out, &record)
            })
        }),
        "fd_fdstat_set_flags" => Func::wrap(store, |mut call: Call, fd: u32, _: u32| {
            on_state(&mut call, |state| state.streams.end(fd).map(|_| ()))
        }),
        "poll_oneoff" => Func::wrap(store, |mut call: Call, subs: u32, events: u32, count: u32, out: u32| {
            on_memory(&mut call, |guest, state| {
                let stored = poll::poll_oneoff(guest, state, subs, events, count)?;
                guest.put_u32(out, stored)
            })
        }),
        _ => return None,
    })
}

/// Arguments, environment, clocks, randomness, exit.
fn process_function(store: &mut Store<RunState>, name: &str) -> Option<Func> {
    Some(match name {
        "args_sizes_get" => Func::wrap(store, |mut call: Call, count: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_sizes(guest, &state.args, count, bytes))
        }),
        "args_get" => Func::wrap(store, |mut call: Call, array: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_strings(guest, &state.args, array, bytes))
        }),
        "environ_sizes_get" => Func::wrap(store, |mut call: Call, count: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_sizes(guest, &state.env, count, bytes))
        }),
        "environ_get" => Func::wrap(store, |mut call: Call, array: u32, bytes: u32| {
            on_memory(&mut call, |guest, state| put_strings(guest, &state.env, array, bytes))
        }),
        "clock_time_get" => Func::wrap(store, |mut call: Call, id: u32, _precision: u64, out: u32| {
            on_memory(&mut call, |guest, state| guest.put_u64(out, state.clock.now(id)?))
        }),
        "clock_res_get" => Func::wrap(store, |mut call: Call, id: u32, out: u32| {
            on_memory(&mut call, |guest, state| guest.put_u64(out, state.clock.resolution(id)?))
        }),
        "random_get" => Func::wrap(store, |mut call: Call, at: u32, len: u32| {
            on_memory(&mut call, |guest, state| Ok(state.random.fill(guest.slice_mut(at, len)?)?))
        }),
        "sched_yield" => Func::wrap(store, |_: Call| -> wasmtime::Result<i32> {
            std::thread::yield_now();
            Ok(0)
        }),
        "proc_exit" => Func::wrap(store, |_: Call, code: u32| -> wasmtime::Result<()> { Err(Stop::Exit(code).into()) }),
        "proc_raise" => Func::wrap(store, |_: Call, signal: u32| -> wasmtime::Result<i32> {
            // ABRT ends the run as abort() would; other signals have no meaning without a kernel.
            if signal == 6 { Err(Error::msg("the program raised SIGABRT")) } else { Ok(Errno::Notsup as i32) }
        }),
        _ => return None,
    })
}

/// Functions that mean nothing for a stream: a program that has only streams gets an honest errno.
fn refused_function(store: &mut Store<RunState>, name: &str) -> Option<Func> {
    Some(match name {
        "fd_datasync" | "fd_sync" => {
            Func::wrap(store, |mut call: Call, fd: u32| on_state(&mut call, |state| on_stream(state, fd, Errno::Inval)))
        }
        "fd_advise" => Func::wrap(store, |mut call: Call, fd: u32, _: u64, _: u64, _: u32| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_allocate" => Func::wrap(store, |mut call: Call, fd: u32, _: u64, _: u64| {
            on_state(&mut call, |state| not_seekable(state, fd))
        }),
        "fd_filestat_set_size" => Func::wrap(store, |mut call: Call, fd: u32, _: u64| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Inval))
        }),
        "fd_filestat_set_times" => Func::wrap(store, |mut call: Call, fd: u32, _: u64, _: u64, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Badf))
        }),
        "fd_fdstat_set_rights" => Func::wrap(store, |mut call: Call, fd: u32, _: u64, _: u64| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsup))
        }),
        "fd_prestat_get" => {
            Func::wrap(store, |_: Call, _: u32, _: u32| -> wasmtime::Result<i32> { Ok(Errno::Badf as i32) })
        }
        "fd_prestat_dir_name" => {
            Func::wrap(store, |_: Call, _: u32, _: u32, _: u32| -> wasmtime::Result<i32> { Ok(Errno::Badf as i32) })
        }
        "sock_accept" => Func::wrap(store, |mut call: Call, fd: u32, _: u32, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
        }),
        "sock_recv" => Func::wrap(store, |mut call: Call, fd: u32, _: u32, _: u32, _: u32, _: u32, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
        }),
        "sock_send" => Func::wrap(store, |mut call: Call, fd: u32, _: u32, _: u32, _: u32, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
        }),
        "sock_shutdown" => Func::wrap(store, |mut call: Call, fd: u32, _: u32| {
            on_state(&mut call, |state| on_stream(state, fd, Errno::Notsock))
        }),
        _ => return None,
    })
}

/// The host function of this name in module `weir`: mounted data and mapped streams.
pub(crate) fn weir_function(store: &mut Store<RunState>, name: &str) -> Option<Func> {
    Some(match name {
        "blob_read" => Func::wrap(store, blob_read),
        "stream_read" => Func::wrap(store, |mut call: Call, stream: u32, iovs: u32, count: u32, out: u32| {
            on_memory(&mut call, |guest, state| {
                let read = state.streams.read(stream, guest, iovs, count)?;
                guest.put_u32(out, read)
            })
        }),
        "stream_write" => Func::wrap(store, |mut call: Call, stream: u32, iovs: u32, count: u32, out: u32| {
            on_memory(&mut call, |guest, state| {
                let written = state.streams.write(stream, guest, iovs, count)?;
                guest.put_u32(out, written)
            })
        }),
        _ => return None,
    })
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
    state.streams.end(fd)?;
    Err(errno.into())
}

fn not_seekable(state: &RunState, fd: u32) -> Outcome {
    on_stream(state, fd, Errno::Spipe)
}

/// Character device for a terminal, else unknown: what wasmtime answers, and what C libraries take
/// for "not a terminal".
fn stream_type(state: &RunState, fd: u32) -> Outcome<u8> {
    Ok(if state.streams.is_terminal(fd)? { 2 } else { 0 })
}

fn stream_fdstat(guest: &mut Guest, state: &RunState, fd: u32, out: u32) -> Outcome {
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
