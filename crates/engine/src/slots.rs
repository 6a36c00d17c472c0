//! How many instances of a function there are at the same time. The pool refuses one too many as if the program had
//! failed, so whoever wants an instance takes a slot first: a call waits for one, an instance that is kept says that
//! there is none.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The free slots of one pool.
pub(crate) struct Slots {
    free: Mutex<u32>,
    given_back: Condvar,
}

impl Slots {
    /// As many as `count`, all free.
    pub fn new(count: u32) -> Self {
        Self { free: Mutex::new(count), given_back: Condvar::new() }
    }

    /// A slot, as soon as there is one.
    pub fn wait(&self) -> Slot<'_> {
        let free = self.given_back.wait_while(self.lock(), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Slot(self)
    }

    /// A slot, if there is one now.
    pub fn take(&self) -> Option<Slot<'_>> {
        let mut free = self.lock();
        *free = free.checked_sub(1)?;
        Some(Slot(self))
    }

    // A number is right even if whoever held it panicked.
    fn lock(&self) -> MutexGuard<'_, u32> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place in the pool, given back when dropped.
pub(crate) struct Slot<'s>(&'s Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn one_too_many_waits_or_is_told() {
        let slots = Slots::new(1);
        let first = slots.take();
        assert!(first.is_some() && slots.take().is_none());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(slots.wait()));
            drop(first);
            assert!(second.join().is_ok());
        });
        assert!(slots.take().is_some());
    }
}
