//! What is known of a run from outside while it goes on, and how it is told to end.

use crate::error::Stop;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Shared by a run and whoever started it.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stop: Mutex<Option<Stop>>,
    stopped: Notify,
    memory: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// What a run has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of linear memory that it holds, all memories together.
    pub memory_bytes: u64,
    /// Bytes read from its streams.
    pub bytes_in: u64,
    /// Bytes written to its streams.
    pub bytes_out: u64,
}

impl Control {
    /// Ends the run, for this reason if it is the first.
    pub fn stop(&self, stop: Stop) {
        self.reason().get_or_insert(stop);
        self.stopped.notify_one();
    }

    /// Waits until the run must end, and says why.
    pub async fn stopped(&self) -> Stop {
        loop {
            if let Some(stop) = self.reason().take() {
                return stop;
            }
            self.stopped.notified().await;
        }
    }

    fn reason(&self) -> std::sync::MutexGuard<'_, Option<Stop>> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn hold_memory(&self, bytes: u64) {
        self.memory.store(bytes, Relaxed);
    }

    pub fn add_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub fn add_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// What the run has used so far.
    pub fn usage(&self) -> Usage {
        let of = |count: &AtomicU64| count.load(Relaxed);
        Usage { memory_bytes: of(&self.memory), bytes_in: of(&self.bytes_in), bytes_out: of(&self.bytes_out) }
    }
}
