//! A lifted library: its own functions are what is called, again and again, and what it keeps it keeps. Around them
//! everything is answered inside as for a program; what it prints goes nowhere.
//!
//! The memory that the component model knows is the library's, so what it writes by address is put there.

use super::{State, function, inside, lay_out, p2};
use crate::program::Program;

const SUCCESS: u32 = 0;
const REALTIME: u32 = 0;
const INVAL: u32 = weir_vfs::Errno::Inval.number() as u32;
const NANOSECONDS: u64 = 1_000_000_000;

/// Called before anything of the library.
#[unsafe(export_name = "library:prepare")]
extern "C" fn prepare() {
    let state = State::get();
    state.stdout.max = 0;
    state.stderr.max = 0;
    if lay_out(&function(), &[]).is_err() {
        // The record was checked when it was written.
        core::arch::wasm32::unreachable()
    }
}

#[unsafe(export_name = "library:clock_time_get")]
extern "C" fn clock_time_get(clock: u32, _precision: u64, out: u32) -> u32 {
    let time = if clock == REALTIME { Some(wall_time()) } else { inside::time_but_wall(clock) };
    match time {
        Some(time) => {
            Program.store64(out, time);
            SUCCESS
        }
        None => INVAL,
    }
}

fn wall_time() -> u64 {
    let at = p2::scratch();
    inside::wall_now(at);
    Program.load64(at).wrapping_mul(NANOSECONDS).wrapping_add(u64::from(Program.load32(at.wrapping_add(8))))
}
