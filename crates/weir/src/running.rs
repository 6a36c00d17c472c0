//! A program that runs beside others.

use crate::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use weir_engine::{Outcome, Usage};

/// A program that runs. It ends when this is dropped; as a future, it is its outcome.
#[derive(Debug)]
pub struct Running(weir_engine::Running);

impl Running {
    pub(crate) fn new(running: weir_engine::Running) -> Self {
        Self(running)
    }

    /// Ends the program: its outcome is an error of [`Kind::Cancelled`](crate::Kind::Cancelled), if it has not ended by
    /// itself.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        self.0.usage()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Its outcome, for callers that are not asynchronous.
    ///
    /// # Errors
    /// As for a run.
    pub fn wait(self) -> Result<Outcome, Error> {
        Ok(self.0.wait()?)
    }
}

impl Future for Running {
    type Output = Result<Outcome, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(Error::from)
    }
}
