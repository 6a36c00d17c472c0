//! The built-in functions of the component model that are about tasks, for the one that a lifted program has: sets of what
//! it waits for, its context, and the loop that a host runs for a program which returns in order to wait.

use super::ends::{self, Event};
use crate::lift::State;
use crate::program::Program;
use crate::state::Single;
use core::cell::UnsafeCell;

mod linked {
    #[link(wasm_import_module = "weir:lift")]
    unsafe extern "C" {
        /// Goes on with the program, which returned in order to wait.
        pub safe fn callback(code: u32, waitable: u32, payload: u32) -> u32;
    }
}

/// What a program answers when it returns: it is over, it lets others run, or it waits for a set, whose number follows.
const EXIT: u32 = 0;
const YIELD: u32 = 1;
const WAIT: u32 = 2;
/// The code of no event.
const NONE: u32 = 0;

/// What a task keeps for its own runtime.
static CONTEXT: Single<[u32; 2]> = Single(UnsafeCell::new([0; 2]));
/// Whether the program said that it failed; nothing until it has a result.
static RESULT: Single<Option<bool>> = Single(UnsafeCell::new(None));

fn context(slot: usize) -> &'static mut u32 {
    // SAFETY: see `Single`; taken once per call.
    unsafe { &mut (*CONTEXT.0.get())[slot & 1] }
}

/// Runs the program, which has answered `code`, to its end. Not 0 if it failed.
#[unsafe(export_name = "p3:drive")]
extern "C" fn drive(mut code: u32) -> u32 {
    loop {
        let event = match code & 0xf {
            EXIT => break,
            YIELD => None,
            WAIT => match ends::event_of(code >> 4) {
                Some(event) => Some(event),
                None => {
                    let why = b"the program waits for what none of its own tasks does, and nothing else can come\n";
                    State::get().stderr.bytes.extend_from_slice(why);
                    return 1;
                }
            },
            _ => ends::event_of(code >> 4),
        };
        code = match event {
            Some(Event { code, waitable, payload }) => linked::callback(code, waitable, payload),
            None => linked::callback(NONE, 0, 0),
        };
    }
    // SAFETY: see `Single`.
    u32::from(unsafe { *RESULT.0.get() } != Some(false))
}

#[unsafe(export_name = "p3:task-return")]
extern "C" fn task_return(failed: u32) {
    // SAFETY: see `Single`.
    unsafe { *RESULT.0.get() = Some(failed != 0) };
}

#[unsafe(export_name = "p3:root#[context-get-0]")]
extern "C" fn context_get_0() -> u32 {
    *context(0)
}

#[unsafe(export_name = "p3:root#[context-set-0]")]
extern "C" fn context_set_0(value: u32) {
    *context(0) = value;
}

#[unsafe(export_name = "p3:root#[context-get-1]")]
extern "C" fn context_get_1() -> u32 {
    *context(1)
}

#[unsafe(export_name = "p3:root#[context-set-1]")]
extern "C" fn context_set_1(value: u32) {
    *context(1) = value;
}

#[unsafe(export_name = "p3:root#[waitable-set-new]")]
extern "C" fn set_new() -> u32 {
    ends::add(ends::What::Set)
}

#[unsafe(export_name = "p3:root#[waitable-set-drop]")]
extern "C" fn set_drop(set: u32) {
    ends::remove(set);
}

#[unsafe(export_name = "p3:root#[waitable-join]")]
extern "C" fn join(waitable: u32, set: u32) {
    ends::join(waitable, set);
}

/// Gives an event, and where it is not for nothing, its two numbers.
fn give(event: Option<Event>, at: u32) -> u32 {
    let Event { code, waitable, payload } = event.unwrap_or(Event { code: NONE, waitable: 0, payload: 0 });
    Program.store32(at, waitable);
    Program.store32(at.wrapping_add(4), payload);
    code
}

#[unsafe(export_name = "p3:root#[waitable-set-poll]")]
extern "C" fn set_poll(set: u32, at: u32) -> u32 {
    give(ends::event_of(set), at)
}

#[unsafe(export_name = "p3:root#[waitable-set-wait]")]
extern "C" fn set_wait(set: u32, at: u32) -> u32 {
    match ends::event_of(set) {
        // Nothing else runs that could bring one.
        None => core::arch::wasm32::unreachable(),
        event => give(event, at),
    }
}

/// No call goes on after it came back, so that there is no subtask to drop.
#[unsafe(export_name = "p3:root#[subtask-drop]")]
extern "C" fn subtask_drop(_subtask: u32) {}

#[unsafe(export_name = "p3:root#[backpressure-inc]")]
extern "C" fn backpressure_inc() {}

#[unsafe(export_name = "p3:root#[backpressure-dec]")]
extern "C" fn backpressure_dec() {}

#[unsafe(export_name = "p3:root#[backpressure-set]")]
extern "C" fn backpressure_set(_on: u32) {}

#[unsafe(export_name = "p3:root#[thread-yield]")]
extern "C" fn thread_yield() -> u32 {
    0
}

#[unsafe(export_name = "p3:root#[yield]")]
extern "C" fn yield_() -> u32 {
    0
}
