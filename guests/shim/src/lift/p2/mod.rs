//! What programs for WASI 0.2 ask for beside the functions of 0.1, answered inside like those. Lists are put into
//! memory that the program gives, as the canonical ABI has it.

pub mod files;
pub mod streams;

use super::{State, inside};
use crate::program::Program;
use crate::state::Single;
use alloc::vec::Vec;
use core::cell::UnsafeCell;

mod linked {
    #[link(wasm_import_module = "weir:lift")]
    unsafe extern "C" {
        /// The program's own allocation, of the canonical ABI.
        pub safe fn realloc(old: u32, old_len: u32, align: u32, len: u32) -> u32;
    }
}

/// An error code of `wasi:sockets`: no socket is to be had.
const ACCESS_DENIED: u32 = 1;
const MONOTONIC: u32 = 1;
const NANOSECONDS: u64 = 1_000_000_000;

static SCRATCH: Single<u32> = Single(UnsafeCell::new(0));

/// Sixteen bytes of the program's memory, always the same.
pub fn scratch() -> u32 {
    // SAFETY: see `Single`.
    let scratch = unsafe { &mut *SCRATCH.0.get() };
    if *scratch == 0 {
        *scratch = linked::realloc(0, 0, 8, 16);
    }
    *scratch
}

/// Memory of the program's own, of the canonical ABI.
fn realloc(old: u32, old_len: u32, align: u32, len: u32) -> u32 {
    linked::realloc(old, old_len, align, len)
}

/// Gives back the end of memory that a list did not need. What the program frees has then the size that it was given;
/// of no bytes nothing is freed.
fn shrink(at: u32, room: u32, used: u32) -> u32 {
    if used == room || used == 0 { at } else { linked::realloc(at, room, 1, used) }
}

pub fn put_byte(at: u32, byte: u8) {
    Program.copy_out(at, &[byte]);
}

/// A `result`: its case, and at `payload` what it carries.
pub fn give<T, E>(out: u32, payload: u32, result: Result<T, E>, ok: impl FnOnce(u32, T), err: impl FnOnce(u32, E)) {
    put_byte(out, u8::from(result.is_err()));
    let at = out.wrapping_add(payload);
    match result {
        Ok(value) => ok(at, value),
        Err(error) => err(at, error),
    }
}

/// Handles are places in a list, from 1 on.
fn add<T>(all: &mut Vec<Option<T>>, value: T) -> u32 {
    let free = all.iter().position(Option::is_none).unwrap_or(all.len());
    match all.get_mut(free) {
        Some(place) => *place = Some(value),
        None => all.push(Some(value)),
    }
    free as u32 + 1
}

fn get<T>(all: &mut [Option<T>], handle: u32) -> Option<&mut T> {
    all.get_mut(handle.checked_sub(1)? as usize)?.as_mut()
}

fn remove<T>(all: &mut [Option<T>], handle: u32) -> Option<T> {
    all.get_mut(handle.checked_sub(1)? as usize)?.take()
}

pub fn put_bytes(bytes: &[u8]) -> u32 {
    let at = linked::realloc(0, 0, 1, bytes.len() as u32);
    Program.copy_out(at, bytes);
    at
}

/// A list of texts, or of tuples of them, whose parts lie one after another.
fn put_list(parts: &[&[u8]], per_item: u32, out: u32) {
    let at = linked::realloc(0, 0, 4, parts.len() as u32 * 8);
    for (index, part) in (0..).zip(parts) {
        Program.store32(at.wrapping_add(index * 8), put_bytes(part));
        Program.store32(at.wrapping_add(index * 8 + 4), part.len() as u32);
    }
    Program.store32(out, at);
    Program.store32(out.wrapping_add(4), parts.len() as u32 / per_item);
}

#[unsafe(export_name = "p2:wasi:cli/environment#get-arguments")]
pub extern "C" fn get_arguments(out: u32) {
    let parts: Vec<&[u8]> = State::get().args.iter().map(Vec::as_slice).collect();
    put_list(&parts, 1, out);
}

#[unsafe(export_name = "p2:wasi:cli/environment#get-environment")]
pub extern "C" fn get_environment(out: u32) {
    let mut parts: Vec<&[u8]> = Vec::new();
    for variable in &State::get().env {
        let end = variable.iter().position(|byte| *byte == b'=').unwrap_or(variable.len());
        let (name, value) = variable.split_at(end);
        parts.extend([name, value.get(1..).unwrap_or_default()]);
    }
    put_list(&parts, 2, out);
}

/// An option that is none.
pub fn none(out: u32) {
    Program.store32(out, 0);
    Program.store64(out.wrapping_add(4), 0);
}

#[unsafe(export_name = "p2:wasi:cli/environment#initial-cwd")]
extern "C" fn initial_cwd(out: u32) {
    none(out);
}

#[unsafe(export_name = "p2:wasi:cli/terminal-stdin#get-terminal-stdin")]
extern "C" fn get_terminal_stdin(out: u32) {
    Program.store64(out, 0);
}

#[unsafe(export_name = "p2:wasi:cli/terminal-stdout#get-terminal-stdout")]
extern "C" fn get_terminal_stdout(out: u32) {
    Program.store64(out, 0);
}

#[unsafe(export_name = "p2:wasi:cli/terminal-stderr#get-terminal-stderr")]
extern "C" fn get_terminal_stderr(out: u32) {
    Program.store64(out, 0);
}

#[unsafe(export_name = "p2:wasi:random/random#get-random-u64")]
extern "C" fn get_random_u64() -> u64 {
    inside::random()
}

#[unsafe(export_name = "p2:wasi:random/random#get-random-bytes")]
pub extern "C" fn get_random_bytes(len: u64, out: u32) {
    let Ok(len) = u32::try_from(len) else { core::arch::wasm32::unreachable() };
    let at = linked::realloc(0, 0, 1, len);
    inside::random_get(at, len);
    Program.store32(out, at);
    Program.store32(out.wrapping_add(4), len);
}

#[unsafe(export_name = "p2:wasi:random/insecure#get-insecure-random-u64")]
extern "C" fn get_insecure_random_u64() -> u64 {
    inside::random()
}

#[unsafe(export_name = "p2:wasi:random/insecure#get-insecure-random-bytes")]
extern "C" fn get_insecure_random_bytes(len: u64, out: u32) {
    get_random_bytes(len, out);
}

#[unsafe(export_name = "p2:wasi:random/insecure-seed#insecure-seed")]
pub extern "C" fn insecure_seed(out: u32) {
    Program.store64(out, inside::random());
    Program.store64(out.wrapping_add(8), inside::random());
}

#[unsafe(export_name = "p2:wasi:clocks/monotonic-clock#now")]
pub extern "C" fn monotonic_now() -> u64 {
    inside::time(MONOTONIC).unwrap_or(0)
}

#[unsafe(export_name = "p2:wasi:clocks/monotonic-clock#resolution")]
extern "C" fn monotonic_resolution() -> u64 {
    1
}

fn put_time(time: u64, out: u32) {
    Program.store64(out, time / NANOSECONDS);
    Program.store32(out.wrapping_add(8), (time % NANOSECONDS) as u32);
}

#[unsafe(export_name = "p2:wasi:clocks/wall-clock#now")]
pub extern "C" fn wall_now(out: u32) {
    put_time(inside::time(0).unwrap_or(0), out);
}

#[unsafe(export_name = "p2:wasi:clocks/wall-clock#resolution")]
extern "C" fn wall_resolution(out: u32) {
    put_time(1, out);
}

/// Waiting takes no time: what is waited for has always come, so that one handle stands for all.
const READY: u32 = 1;

#[unsafe(export_name = "p2:wasi:clocks/monotonic-clock#subscribe-duration")]
extern "C" fn subscribe_duration(_duration: u64) -> u32 {
    READY
}

#[unsafe(export_name = "p2:wasi:clocks/monotonic-clock#subscribe-instant")]
extern "C" fn subscribe_instant(_instant: u64) -> u32 {
    READY
}

#[unsafe(export_name = "p2:wasi:io/poll#[method]pollable.block")]
extern "C" fn pollable_block(_pollable: u32) {}

#[unsafe(export_name = "p2:wasi:io/poll#[method]pollable.ready")]
extern "C" fn pollable_ready(_pollable: u32) -> u32 {
    1
}

#[unsafe(export_name = "p2:wasi:io/poll#[resource-drop]pollable")]
extern "C" fn pollable_drop(_pollable: u32) {}

#[unsafe(export_name = "p2:wasi:io/poll#poll")]
extern "C" fn poll(_list: u32, len: u32, out: u32) {
    let at = linked::realloc(0, 0, 4, len.wrapping_mul(4));
    (0..len).for_each(|index| Program.store32(at.wrapping_add(index * 4), index));
    Program.store32(out, at);
    Program.store32(out.wrapping_add(4), len);
}

/// `err(access-denied)`.
fn denied(out: u32) {
    Program.store32(out, 1);
    Program.store32(out.wrapping_add(4), ACCESS_DENIED);
}

#[unsafe(export_name = "p2:wasi:sockets/tcp-create-socket#create-tcp-socket")]
extern "C" fn create_tcp_socket(_family: u32, out: u32) {
    denied(out);
}

#[unsafe(export_name = "p2:wasi:sockets/udp-create-socket#create-udp-socket")]
extern "C" fn create_udp_socket(_family: u32, out: u32) {
    denied(out);
}
