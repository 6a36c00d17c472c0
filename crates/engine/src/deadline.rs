//! The wall-clock limit of a run. Code in WebAssembly is interrupted by the engine's epoch (`arm.rs`); a host call that
//! would block waits no longer than that either.

use crate::error::{Limit, Stop};
use crate::sys::{self, Failure, Outcome};
use rustix::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// When a run must end, if ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// `after` from now.
    pub fn new(after: Option<Duration>) -> Self {
        Self(after.and_then(|after| Some((Instant::now().checked_add(after)?, after))))
    }

    /// When the time is over; `None` without a limit.
    pub fn at(&self) -> Option<Instant> {
        self.0.map(|(at, _)| at)
    }

    /// Time that is left; `None` without a limit.
    pub fn left(&self) -> Option<Duration> {
        self.0.map(|(at, _)| at.saturating_duration_since(Instant::now()))
    }

    /// The error of a run that is over its time.
    pub fn error(&self) -> Stop {
        let limit = self.0.map_or(Duration::ZERO, |(_, limit)| limit);
        Stop::Limit(Limit::Time(limit))
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
}
