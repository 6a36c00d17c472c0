//! The clocks of a component: the host's, or one that stands still until the program sleeps. Sleeping
//! on a fixed clock costs no time: when nothing else is ready, the clock moves to where the earliest
//! sleeper waits.

use crate::clock::Clock;
use crate::deadline::Deadline;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::yield_now;
use wasmtime::component::{Accessor, HasData, Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::clocks as p2;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::p3::bindings::clocks as p3;
use weir_types::grants;

/// The numbers of WASI 0.1 for the two clocks that components see.
const WALL: u32 = 0;
const MONOTONIC: u32 = 1;

struct Inner {
    clock: Clock,
    /// Sleepers on a fixed clock: when, and a number that tells them apart.
    sleepers: BTreeSet<(u64, u64)>,
    next: u64,
}

/// The clocks of one run, shared by its file tree, host functions and sleepers.
#[derive(Clone)]
pub(crate) struct SharedClock(Arc<Mutex<Inner>>);

impl SharedClock {
    pub fn new(clock: grants::Clock) -> Self {
        Self(Arc::new(Mutex::new(Inner { clock: Clock::new(clock), sleepers: BTreeSet::new(), next: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since 1970.
    pub fn wall(&self) -> u64 {
        self.lock().clock.now(WALL).unwrap_or_default()
    }

    /// Nanoseconds on the monotonic clock.
    fn monotonic(&self) -> u64 {
        self.lock().clock.now(MONOTONIC).unwrap_or_default()
    }

    fn resolution(&self) -> u64 {
        self.lock().clock.resolution(WALL).unwrap_or(1)
    }

    /// Waits until the monotonic clock shows `when`.
    async fn wait_until(&self, when: u64) {
        if self.is_fixed() {
            // Others that begin to sleep now may have to wake first.
            let sleeper = Sleeper::new(self, when);
            yield_now().await;
            return sleeper.end().await;
        }
        loop {
            match when.saturating_sub(self.monotonic()) {
                0 => return,
                left => tokio::time::sleep(Duration::from_nanos(left)).await,
            }
        }
    }

    fn is_fixed(&self) -> bool {
        self.lock().clock.is_fixed()
    }
}

/// One that waits for a fixed clock; not counted any more when it is dropped.
struct Sleeper<'a> {
    clock: &'a SharedClock,
    key: (u64, u64),
}

impl<'a> Sleeper<'a> {
    fn new(clock: &'a SharedClock, when: u64) -> Self {
        let mut inner = clock.lock();
        let key = (when, inner.next);
        inner.next += 1;
        inner.sleepers.insert(key);
        Self { clock, key }
    }

    async fn end(&self) {
        while !self.try_end() {
            yield_now().await;
        }
    }

    /// True if the time has come; the earliest sleeper makes it come.
    fn try_end(&self) -> bool {
        let now = self.clock.monotonic();
        let mut inner = self.clock.lock();
        if self.key.0 > now && inner.sleepers.first() == Some(&self.key) {
            // On a fixed clock this moves the clock and cannot fail.
            let _ = inner.clock.sleep(Duration::from_nanos(self.key.0 - now), &Deadline::new(None));
            return true;
        }
        self.key.0 <= now
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.clock.lock().sleepers.remove(&self.key);
    }
}

/// What a pollable of the monotonic clock stands for.
struct Timer {
    clock: SharedClock,
    when: u64,
    /// Others were given a chance to be ready first. Without it, a program that polls in a loop with
    /// no timeout would keep the runtime from ever seeing its files and sockets become ready.
    yielded: bool,
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        let sleeper = self.clock.is_fixed().then(|| Sleeper::new(&self.clock, self.when));
        if !self.yielded && (sleeper.is_some() || self.when <= self.clock.monotonic()) {
            self.yielded = true;
            yield_now().await;
        }
        match sleeper {
            Some(sleeper) => sleeper.end().await,
            None => self.clock.wait_until(self.when).await,
        }
    }
}

/// What the host functions of wasi:clocks work on.
pub(crate) struct ClocksView<'a> {
    pub clock: &'a SharedClock,
    pub table: &'a mut ResourceTable,
}

/// Names [`ClocksView`] to the linker.
pub(crate) struct WeirClocks;

impl HasData for WeirClocks {
    type Data<'a> = ClocksView<'a>;
}

impl p2::wall_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<p2::wall_clock::Datetime> {
        Ok(datetime(self.clock.wall()))
    }

    fn resolution(&mut self) -> wasmtime::Result<p2::wall_clock::Datetime> {
        Ok(datetime(self.clock.resolution()))
    }
}

fn datetime(time: u64) -> p2::wall_clock::Datetime {
    p2::wall_clock::Datetime { seconds: time / 1_000_000_000, nanoseconds: (time % 1_000_000_000) as u32 }
}

impl p2::monotonic_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.resolution())
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(Timer { clock: self.clock.clone(), when, yielded: false })?;
        subscribe(self.table, timer)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.clock.monotonic().saturating_add(duration);
        self.subscribe_instant(when)
    }
}

impl p3::types::Host for ClocksView<'_> {}

impl p3::system_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<p3::system_clock::Instant> {
        let time = self.clock.wall();
        Ok(p3::system_clock::Instant {
            seconds: (time / 1_000_000_000) as i64,
            nanoseconds: (time % 1_000_000_000) as u32,
        })
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.resolution())
    }
}

impl p3::monotonic_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.monotonic())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.resolution())
    }
}

impl<T> p3::monotonic_clock::HostWithStore<T> for WeirClocks {
    async fn wait_until(store: &Accessor<T, Self>, when: u64) -> wasmtime::Result<()> {
        let clock = store.with(|mut access| access.get().clock.clone());
        clock.wait_until(when).await;
        Ok(())
    }

    async fn wait_for(store: &Accessor<T, Self>, duration: u64) -> wasmtime::Result<()> {
        let clock = store.with(|mut access| access.get().clock.clone());
        let when = clock.monotonic().saturating_add(duration);
        clock.wait_until(when).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn on_a_fixed_clock_the_earliest_sleeper_wakes_first_and_no_time_passes() {
        let clock = SharedClock::new(grants::Clock::Fixed(5_000_000_000));
        let start = clock.monotonic();
        let hour = 3_600_000_000_000;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let started = std::time::Instant::now();
        let order = Mutex::new(Vec::new());
        let order = runtime.block_on(async {
            let order = &order;
            let sleep = |hours: u64| {
                let clock = &clock;
                async move {
                    clock.wait_until(start + hours * hour).await;
                    order.lock().unwrap().push((hours, clock.monotonic() - start));
                }
            };
            let (mut late, mut early) = (pin!(sleep(3)), pin!(sleep(1)));
            let (mut late_done, mut early_done) = (false, false);
            std::future::poll_fn(|context| {
                late_done |= late_done || late.as_mut().poll(context).is_ready();
                early_done |= early_done || early.as_mut().poll(context).is_ready();
                if late_done && early_done { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            order.lock().unwrap().clone()
        });
        assert_eq!(order.last(), Some(&(3, 3 * hour)));
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!(clock.wall(), 5_000_000_000 + 3 * hour);
    }

    #[test]
    fn a_timer_lets_others_be_ready_first() {
        let clock = SharedClock::new(grants::Clock::Fixed(0));
        let mut timer = Timer { when: clock.monotonic() + 1, clock, yielded: false };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _guard = runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(timer.ready()).poll(&mut context).is_pending());
        assert!(pin!(timer.ready()).poll(&mut context).is_ready());
    }
}
