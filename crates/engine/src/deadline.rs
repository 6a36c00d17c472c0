//! The wall-clock limit of a run. Code in WebAssembly is interrupted by the engine's epoch, which
//! one thread advances when the time is over; a host call that would block waits no longer than
//! that either.

use crate::error::Stop;
use crate::p1::memory::{Failure, Outcome};
use rustix::fd::BorrowedFd;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

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
        while let Some(left) = self.left() {
            let mut ready = [false];
            crate::p1::stdio::wait(&[(fd, false)], &mut ready, Some(left))?;
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

    /// Starts the thread that interrupts WebAssembly code at the deadline. Dropping the guard ends it.
    pub fn watch(&self, engine: &wasmtime::Engine) -> Option<Watchdog> {
        let (at, _) = self.0?;
        let engine = engine.weak();
        let (stop, stopped) = channel::<()>();
        std::thread::spawn(move || {
            let left = at.saturating_duration_since(Instant::now());
            if stopped.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
                && let Some(engine) = engine.upgrade()
            {
                engine.increment_epoch();
            }
        });
        Some(Watchdog { _stop: stop })
    }
}

/// Keeps the interrupting thread waiting; the thread ends when this is dropped.
pub(crate) struct Watchdog {
    _stop: Sender<()>,
}
