//! The one place where the limits of a run are put on its store.

use crate::deadline::Deadline;
use crate::engines::Room;
use crate::error::{Error, Kind};
use crate::limiter::Limiter;
use crate::recipe::Metering;
use crate::ticker::{Alarm, Turn};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Store, UpdateDeadline};
use weir_types::limits::Limits;

/// What every store holds.
pub(crate) trait Limited: 'static {
    fn limiter(&mut self) -> &mut Limiter;
}

/// Whose thread a run is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    /// Its own: whoever wants the result waits for it, so that waiting may block the thread.
    Own,
    /// That of many: waiting gives it to others, and so does computing, from time to time.
    Shared,
}

/// What interrupts a run; it must be kept for as long as the run lasts.
#[derive(Default)]
pub(crate) struct Watch {
    _alarm: Option<Alarm>,
    _turn: Option<Arc<Turn>>,
}

/// Puts `limits` on a store of `room`; `call_bytes` is what one call of the host may hold at most.
///
/// # Errors
/// The run has a limit that the code was not compiled for: nothing would hold it. Or the machine has no thread to spare.
pub(crate) fn arm<T: Limited>(
    store: &mut Store<T>,
    room: &Room,
    limits: &Limits,
    call_bytes: u64,
    (thread, deadline): (Thread, Deadline),
) -> Result<Watch, Error> {
    let code = room.recipe.metering;
    check(code, limits, thread)?;
    store.limiter(|state| state.limiter());
    store.set_hostcall_fuel(usize::try_from(call_bytes).unwrap_or(usize::MAX));
    if code.fuel {
        let fuel = limits.fuel_max.unwrap_or(u64::MAX);
        store.set_fuel(fuel).map_err(|error| Error::caused(Kind::Internal, "cannot set fuel", error))?;
    }
    let resources = usize::try_from(limits.resources_max).unwrap_or(usize::MAX);
    if room.recipe.concurrent
        && let Some(table) = store.concurrent_resource_table()
    {
        table.set_max_capacity(resources);
    }
    if !code.epoch {
        return Ok(Watch::default());
    }
    store.set_epoch_deadline(1);
    // The epoch is that of all stores of the engine: it may be another one whose time is over.
    store.epoch_deadline_callback(move |_| {
        Ok(match (deadline.left(), thread) {
            (Some(Duration::ZERO), _) => UpdateDeadline::Interrupt,
            (_, Thread::Own) => UpdateDeadline::Continue(1),
            (_, Thread::Shared) => UpdateDeadline::Yield(1),
        })
    });
    let alarm = deadline.at().map(|at| Alarm::set(&room.engine, at)).transpose()?;
    let turn = if thread == Thread::Shared { Some(room.turns()?) } else { None };
    Ok(Watch { _alarm: alarm, _turn: turn })
}

fn check(code: Metering, limits: &Limits, thread: Thread) -> Result<(), Error> {
    let wanted = Metering::of(limits);
    let missing = match (wanted.fuel && !code.fuel, wanted.epoch && !code.epoch) {
        (true, _) => "the run has a limit on fuel, which the program was loaded without: load it with that limit, too",
        (_, true) => "the run has a limit on time, which the program was loaded without: load it with that limit, too",
        _ if thread == Thread::Shared && !code.epoch => {
            "the program would share a thread and could not be interrupted: load it as interruptible"
        }
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Limit, missing))
}
