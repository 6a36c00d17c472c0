//! The wall-clock limit of a run. Code in WebAssembly is interrupted by the engine's epoch, which
//! one thread advances when the time is over; a host call that would block waits no longer than
//! that either.

use crate::error::{Error, Kind, Stop};
use crate::sys::{self, Failure, Outcome};
use rustix::fd::BorrowedFd;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use wasmtime::{Store, UpdateDeadline};

/// When a run must end, if ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// `after` from now.
    pub fn new(after: Option<Duration>) -> Self {
        Self(after.and_then(|after| Some((Instant::now().checked_add(after)?, after))))
    }

    /// Time that is left; `None` without a limit.
    pub fn left(&self) -> Option<Duration> {
        self.0.map(|(at, _)| at.saturating_duration_since(Instant::now()))
    }

    /// The error of a run that is over its time.
    pub fn error(&self) -> Stop {
        let limit = self.0.map_or(Duration::ZERO, |(_, limit)| limit);
        Stop::Limit(format!("the program ran longer than {limit:?}: raise --time-max to allow it"))
    }

    /// Waits until `fd` is readable; an error when the time is over first.
    pub fn wait_readable(&self, fd: BorrowedFd<'_>) -> Outcome {
        self.wait_for(fd, false)
    }

    /// Waits until `fd` takes bytes; an error when the time is over first.
    pub fn wait_writable(&self, fd: BorrowedFd<'_>) -> Outcome {
        self.wait_for(fd, true)
    }

    fn wait_for(&self, fd: BorrowedFd<'_>, write: bool) -> Outcome {
        while let Some(left) = self.left() {
            let mut ready = [false];
            sys::wait(&[(fd, write)], &mut ready, Some(left))?;
            if ready[0] {
                return Ok(());
            }
            self.check()?;
        }
        Ok(())
    }

    /// An error when the time is over.
    pub fn check(&self) -> Outcome {
        match self.left() {
            Some(Duration::ZERO) => Err(Failure::Stop(self.error().into())),
            _ => Ok(()),
        }
    }

    /// Sleeps, but not past the deadline.
    pub fn sleep(&self, duration: Duration) -> Outcome {
        std::thread::sleep(self.left().map_or(duration, |left| left.min(duration)));
        self.check()
    }

    /// Interrupts the code of `store` at the deadline, if there is one. Dropping the guard ends the thread that does so.
    ///
    /// # Errors
    /// The machine has no thread to spare.
    pub fn watch<T: 'static>(&self, store: &mut Store<T>) -> Result<Option<Watchdog>, Error> {
        let deadline = *self;
        let Some((at, _)) = self.0 else { return Ok(None) };
        store.set_epoch_deadline(1);
        // The epoch is that of all stores of the engine: it may be another one whose time is over.
        store.epoch_deadline_callback(move |_| match deadline.left() {
            Some(Duration::ZERO) => Ok(UpdateDeadline::Interrupt),
            _ => Ok(UpdateDeadline::Continue(1)),
        });
        let engine = store.engine().weak();
        let (stop, stopped) = channel::<()>();
        let wait = move || {
            let left = at.saturating_duration_since(Instant::now());
            if stopped.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
                && let Some(engine) = engine.upgrade()
            {
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("deadline".into()).spawn(wait);
        thread.map_err(|error| {
            Error::new(Kind::Internal, format!("cannot start the thread that watches the time: {error}"))
        })?;
        Ok(Some(Watchdog { _stop: stop }))
    }
}

/// Keeps the interrupting thread waiting; the thread ends when this is dropped.
pub(crate) struct Watchdog {
    _stop: Sender<()>,
}
