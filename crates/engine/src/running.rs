//! A run that goes on while others do: waited for, asked what it uses, ended.

use crate::blocking;
use crate::control::{Control, Usage};
use crate::error::{Error, Kind, Stop};
use crate::run::Outcome;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// A program that runs. It ends when this is dropped; as a future, it is its outcome.
#[derive(Debug)]
pub struct Running {
    task: JoinHandle<Result<Outcome, Error>>,
    control: Arc<Control>,
}

impl Running {
    /// Lets `work` run on the threads that programs share.
    ///
    /// # Errors
    /// The machine gives no runtime.
    pub(crate) fn start(
        control: Arc<Control>,
        work: impl Future<Output = Result<Outcome, Error>> + Send + 'static,
    ) -> Result<Self, Error> {
        Ok(Self { task: blocking::shared()?.spawn(work), control })
    }

    /// Ends the program: its outcome is an error of [`Kind::Cancelled`], if it has not ended by itself.
    pub fn stop(&self) {
        self.control.stop(Stop::Cancelled);
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        self.control.usage()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Its outcome, for callers that are not asynchronous.
    ///
    /// # Errors
    /// As for a run.
    pub fn wait(self) -> Result<Outcome, Error> {
        blocking::wait(self)?
    }
}

impl Future for Running {
    type Output = Result<Outcome, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(context).map(|ended| {
            ended.unwrap_or_else(|lost| match lost.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::new(Kind::Cancelled, Stop::Cancelled.to_string())),
            })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
