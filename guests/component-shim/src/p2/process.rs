//! What a program has besides files: arguments, variables, standard streams, clocks. The host's, wrapped
//! where resources of wasi:io are in it.

use super::Shim;
use super::bindings::exports::wasi::io::{poll, streams};
use super::bindings::exports::wasi::{cli, clocks};
use super::bindings::wasi as host;
use super::io::{InputStream, OutputStream, Pollable};
use crate::packed;
use alloc::string::String;
use alloc::vec::Vec;

/// What the program is called where the host gives no name.
const NAME: &str = "program";

impl cli::environment::Guest for Shim {
    /// The host's variables first, because the first of a name wins.
    fn get_environment() -> Vec<(String, String)> {
        let mut all = host::cli::environment::get_environment();
        for (name, value) in packed::entry().unwrap_or_default().env {
            if all.iter().all(|(known, _)| *known != name) {
                all.push((name, value));
            }
        }
        all
    }

    /// The program's name, then the pack's arguments, then the host's further ones.
    fn get_arguments() -> Vec<String> {
        let mut all = host::cli::environment::get_arguments();
        if all.is_empty() {
            all.push(NAME.into());
        }
        all.splice(1..1, packed::entry().unwrap_or_default().args);
        all
    }

    fn initial_cwd() -> Option<String> {
        host::cli::environment::initial_cwd()
    }
}

impl cli::stdin::Guest for Shim {
    fn get_stdin() -> streams::InputStream {
        InputStream::host(host::cli::stdin::get_stdin())
    }
}

impl cli::stdout::Guest for Shim {
    fn get_stdout() -> streams::OutputStream {
        OutputStream::host(host::cli::stdout::get_stdout())
    }
}

impl cli::stderr::Guest for Shim {
    fn get_stderr() -> streams::OutputStream {
        OutputStream::host(host::cli::stderr::get_stderr())
    }
}

impl clocks::monotonic_clock::Guest for Shim {
    fn now() -> u64 {
        host::clocks::monotonic_clock::now()
    }

    fn resolution() -> u64 {
        host::clocks::monotonic_clock::resolution()
    }

    fn subscribe_instant(when: u64) -> poll::Pollable {
        Pollable::host(host::clocks::monotonic_clock::subscribe_instant(when))
    }

    fn subscribe_duration(when: u64) -> poll::Pollable {
        Pollable::host(host::clocks::monotonic_clock::subscribe_duration(when))
    }
}

#[unsafe(export_name = "now:p2")]
extern "C" fn now() -> u64 {
    let now = host::clocks::wall_clock::now();
    now.seconds.saturating_mul(1_000_000_000).saturating_add(now.nanoseconds.into())
}

/// The program's own name among its arguments.
#[unsafe(export_name = "name:p2")]
unsafe extern "C" fn name(name: *mut Vec<u8>) {
    let own = host::cli::environment::get_arguments().into_iter().next().unwrap_or_default();
    // SAFETY: called by `state::complain` alone, with an empty vector.
    unsafe { *name = own.into_bytes() };
}

#[unsafe(export_name = "complain:p2")]
unsafe extern "C" fn complain(text: *const u8, len: usize) {
    /// What one call takes at most.
    const PIECE_BYTES: usize = 4096;
    // SAFETY: called by `state::complain` alone, with a text.
    let text = unsafe { core::slice::from_raw_parts(text, len) };
    let stderr = host::cli::stderr::get_stderr();
    for piece in text.chunks(PIECE_BYTES) {
        if stderr.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}
