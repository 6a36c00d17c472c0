//! Why a run stopped, in words.

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Limit, Stop, is_no_room};
use crate::limiter::Limiter;
use wasmtime::{Trap, WasmBacktrace};

/// Why no instance could be made: usually because the program asks for more than it may have.
pub(crate) fn setup(deadline: &Deadline, limiter: &Limiter, error: wasmtime::Error) -> Error {
    match &limiter.refused {
        Some(refused) if !error.is::<Trap>() && !error.is::<Stop>() => Error::met(refused.clone()),
        _ => run(deadline, limiter, error),
    }
}

/// Why a run with this deadline and these limits stopped.
pub(crate) fn run(deadline: &Deadline, limiter: &Limiter, error: wasmtime::Error) -> Error {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stop.into();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => return (&deadline.error()).into(),
        Some(Trap::OutOfFuel) => return Error::met(Limit::Fuel),
        None if is_no_room(&error) => return Error::machine("no memory for the program", error),
        _ => {}
    }
    let mut message = format!("the program trapped: {}", error.root_cause());
    if let Some(refused) = &limiter.refused {
        message.push_str(&format!("\n  before that, {refused}"));
    }
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        // wasmtime's text begins with a line of its own.
        let frames = backtrace.to_string();
        let frames = frames.split_once('\n').map_or(frames.as_str(), |(_, frames)| frames);
        // What it advises behind them is for users of its own command line.
        let frames = frames.split_once("\nnote: ").map_or(frames, |(frames, _)| frames);
        message.push_str(&format!("\nwasm backtrace, innermost call first:\n{}", frames.trim_end()));
    }
    Error::new(Kind::Trap, message).after(limiter.refused.clone())
}
