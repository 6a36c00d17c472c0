//! What programs for WASI 0.3 ask for, answered inside: the functions of its interfaces, and those of the component model
//! by which an asynchronous program waits. Files are memory and streams of the function hold up the call that reads or
//! writes them, so an asynchronous call has always returned when it comes back. What the program waits for is only what
//! passes between its own tasks: its streams, and the futures of those that it handed over.
//!
//! [`ends`] has the ends of streams and futures, [`tasks`] what waits for them and drives the program.

mod ends;
mod files;
mod tasks;

use super::inside;
use super::p2;
use crate::program::Program;

/// The state of an asynchronous call, in the lower four bits of its answer: it has returned.
const RETURNED: u32 = 2;

/// Functions that are as in WASI 0.2, perhaps under another name.
macro_rules! same {
    ($($export:literal $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? = $act:expr;)*) => {$(
        #[unsafe(export_name = $export)]
        extern "C" fn $name($($arg: $type),*) $(-> $result)? {
            $act
        }
    )*};
}

same! {
    "p3:wasi:cli/environment#get-arguments" arguments(out: u32) = p2::get_arguments(out);
    "p3:wasi:cli/environment#get-environment" environment(out: u32) = p2::get_environment(out);
    "p3:wasi:cli/environment#get-initial-cwd" initial_cwd(out: u32) = p2::none(out);
    "p3:wasi:cli/terminal-stdin#get-terminal-stdin" terminal_stdin(out: u32) = Program.store64(out, 0);
    "p3:wasi:cli/terminal-stdout#get-terminal-stdout" terminal_stdout(out: u32) = Program.store64(out, 0);
    "p3:wasi:cli/terminal-stderr#get-terminal-stderr" terminal_stderr(out: u32) = Program.store64(out, 0);
    "p3:wasi:random/random#get-random-u64" random_u64() -> u64 = inside::random();
    "p3:wasi:random/random#get-random-bytes" random_bytes(len: u64, out: u32) = p2::get_random_bytes(len, out);
    "p3:wasi:random/insecure#get-insecure-random-u64" insecure_u64() -> u64 = inside::random();
    "p3:wasi:random/insecure#get-insecure-random-bytes" insecure_bytes(len: u64, out: u32) =
        p2::get_random_bytes(len, out);
    "p3:wasi:random/insecure-seed#get-insecure-seed" insecure_seed(out: u32) = p2::insecure_seed(out);
    "p3:wasi:clocks/monotonic-clock#now" monotonic_now() -> u64 = p2::monotonic_now();
    "p3:wasi:clocks/monotonic-clock#get-resolution" monotonic_resolution() -> u64 = 1;
    "p3:wasi:clocks/system-clock#now" system_now(out: u32) = p2::wall_now(out);
    "p3:wasi:clocks/system-clock#get-resolution" system_resolution() -> u64 = 1;
    // Sleeping takes no time.
    "p3:wasi:clocks/monotonic-clock#wait-for" wait_for(_duration: u64) = ();
    "p3:wasi:clocks/monotonic-clock#wait-until" wait_until(_mark: u64) = ();
    "p3:wasi:clocks/monotonic-clock#[async-lower]wait-for" wait_for_async(_duration: u64) -> u32 = RETURNED;
    "p3:wasi:clocks/monotonic-clock#[async-lower]wait-until" wait_until_async(_mark: u64) -> u32 = RETURNED;
    "p3:wasi:sockets/types#[static]tcp-socket.create" create_tcp_socket(_family: u32, out: u32) = denied(out);
    "p3:wasi:sockets/types#[static]udp-socket.create" create_udp_socket(_family: u32, out: u32) = denied(out);
    "p3:wasi:sockets/ip-name-lookup#resolve-addresses" resolve(_at: u32, _len: u32, out: u32) = denied(out);
    "p3:wasi:sockets/ip-name-lookup#[async-lower]resolve-addresses" resolve_async(
        _at: u32, _len: u32, out: u32
    ) -> u32 = {
        denied(out);
        RETURNED
    };
}

/// `err(access-denied)`, the first of the error codes of sockets.
fn denied(out: u32) {
    Program.store32(out, 1);
    Program.store32(out.wrapping_add(4), 0);
}
