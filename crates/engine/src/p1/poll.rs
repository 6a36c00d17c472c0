//! `poll_oneoff`: sleeping, and waiting for the stream ends.

use super::memory::Guest;
use crate::arm::Thread;
use crate::state::RunState;
use crate::sys::{Errno, Failure, Outcome, errno, wait};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;
/// Subscriptions in one call. Each costs the host some forty bytes; no program has as many streams.
const SUBSCRIPTIONS_MAX: u32 = 65_536;

struct Subscription {
    userdata: u64,
    what: What,
}

enum What {
    Clock { timeout: Result<Duration, Errno> },
    Stream { index: u32, write: bool },
}

struct Event {
    userdata: u64,
    error: u16,
    kind: u8,
    bytes: u64,
}

/// A call that waits.
pub(crate) struct Wait {
    subscriptions: Vec<Subscription>,
    /// When the first subscribed clock is due.
    due: Option<Duration>,
    /// How long to wait for streams.
    timeout: Option<Duration>,
    started: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Waits for the first of the subscribed events; gives how many were stored. `wait` is what the call remembers.
pub(crate) fn poll_oneoff(
    context: &mut Context<'_>,
    wait: &mut Option<Wait>,
    guest: &mut Guest,
    state: &mut RunState,
    (subs, events, count): (u32, u32, u32),
) -> Poll<Outcome<u32>> {
    let found = match wait {
        Some(wait) => ready!(wait.poll(context, state))?,
        None => {
            if count == 0 || count > SUBSCRIPTIONS_MAX {
                return Poll::Ready(Err(Errno::Inval.into()));
            }
            let subscriptions = read_subscriptions(guest, state, subs, count)?;
            let errors = failures(state, &subscriptions);
            if errors.is_empty() {
                ready!(wait.insert(Wait::new(state, subscriptions)).poll(context, state))?
            } else {
                errors
            }
        }
    };
    store(guest, events, &found)?;
    Poll::Ready(Ok(found.len() as u32))
}

fn store(guest: &mut Guest, events: u32, found: &[Event]) -> Outcome {
    for (index, event) in found.iter().enumerate() {
        let at = (index as u32)
            .checked_mul(EVENT_BYTES)
            .and_then(|offset| events.checked_add(offset))
            .ok_or(Failure::Errno(Errno::Inval))?;
        let mut bytes = [0u8; EVENT_BYTES as usize];
        bytes[0..8].copy_from_slice(&event.userdata.to_le_bytes());
        bytes[8..10].copy_from_slice(&event.error.to_le_bytes());
        bytes[10] = event.kind;
        bytes[16..24].copy_from_slice(&event.bytes.to_le_bytes());
        guest.put(at, &bytes)?;
    }
    Ok(())
}

fn read_subscriptions(guest: &Guest, state: &RunState, subs: u32, count: u32) -> Outcome<Vec<Subscription>> {
    let mut subscriptions = Vec::new();
    for index in 0..count {
        let at = index
            .checked_mul(SUBSCRIPTION_BYTES)
            .and_then(|offset| subs.checked_add(offset))
            .ok_or(Failure::Errno(Errno::Inval))?;
        let record = guest.slice(at, SUBSCRIPTION_BYTES)?;
        let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap_or_default());
        let long = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap_or_default());
        let what = match record[8] {
            0 => What::Clock { timeout: timeout(state, word(16), long(24), record[40] & 1 == 1) },
            tag @ (1 | 2) => What::Stream { index: word(16), write: tag == 2 },
            _ => return Err(Errno::Inval.into()),
        };
        subscriptions.push(Subscription { userdata: long(0), what });
    }
    Ok(subscriptions)
}

/// How long until a clock subscription is due.
fn timeout(state: &RunState, clock: u32, timeout: u64, absolute: bool) -> Result<Duration, Errno> {
    let now = state.clock.now(clock)?;
    Ok(Duration::from_nanos(if absolute { timeout.saturating_sub(now) } else { timeout }))
}

/// The subscriptions that nothing can come of.
fn failures(state: &RunState, subscriptions: &[Subscription]) -> Vec<Event> {
    let errors = subscriptions.iter().filter_map(|subscription| match &subscription.what {
        What::Clock { timeout: Err(errno) } => Some(failed(subscription, *errno)),
        What::Stream { index, .. } if state.streams.check(*index).is_err() => Some(failed(subscription, Errno::Badf)),
        _ => None,
    });
    errors.collect()
}

impl Wait {
    fn new(state: &RunState, subscriptions: Vec<Subscription>) -> Self {
        let due = subscriptions.iter().filter_map(|subscription| match subscription.what {
            What::Clock { timeout: Ok(due) } => Some(due),
            _ => None,
        });
        let waits_for_streams =
            subscriptions.iter().any(|subscription| matches!(subscription.what, What::Stream { .. }));
        // Virtual time does not pass while waiting: a due clock wins at once over a silent stream.
        let stands_still = waits_for_streams && state.clock.is_fixed();
        let due = due.min();
        let timeout = due.map(|due| if stands_still { Duration::ZERO } else { due });
        Self { subscriptions, due, timeout, started: Instant::now(), timer: None }
    }

    fn poll(&mut self, context: &mut Context<'_>, state: &mut RunState) -> Poll<Outcome<Vec<Event>>> {
        let streams = self.streams();
        if streams.is_empty() {
            let timeout = self.timeout.unwrap_or(Duration::MAX);
            if state.clock.is_fixed() || state.thread == Thread::Own {
                state.clock.sleep(timeout, &state.deadline)?;
            } else {
                ready!(self.poll_timer(context));
            }
            return Poll::Ready(Ok(collect(&self.subscriptions, &[], self.due)));
        }
        let mut ready = Vec::new();
        let mut blocking = true;
        for (at, index, write) in &streams {
            match state.streams.port(*index, *write) {
                Ok(port) => blocking &= port.blocking_fd().is_some(),
                // What cannot be opened in this direction is reported by the read or write itself.
                Err(_) => ready.push(*at),
            }
        }
        if !ready.is_empty() {
            return Poll::Ready(Ok(collect(&self.subscriptions, &ready, self.due)));
        }
        let ready =
            if blocking { self.block(state, &streams)? } else { ready!(self.poll_streams(context, state, &streams))? };
        Poll::Ready(Ok(collect(&self.subscriptions, &ready, self.due)))
    }

    /// The subscribed streams: number of the subscription, of the end, and whether it is written.
    fn streams(&self) -> Vec<(usize, u32, bool)> {
        let streams = self.subscriptions.iter().enumerate().filter_map(|(at, subscription)| match subscription.what {
            What::Stream { index, write } => Some((at, index, write)),
            What::Clock { .. } => None,
        });
        streams.collect()
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(timeout) = self.timeout else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(context)
    }

    /// The subscriptions whose stream is ready, beside other runs on the same thread.
    fn poll_streams(
        &mut self,
        context: &mut Context<'_>,
        state: &mut RunState,
        streams: &[(usize, u32, bool)],
    ) -> Poll<Outcome<Vec<usize>>> {
        let mut ready = Vec::new();
        for (at, index, write) in streams {
            let port = state.streams.port(*index, *write)?;
            port.wait_in_runtime();
            if port.poll_ready(context).is_ready() {
                ready.push(*at);
            }
        }
        let over = self.timeout == Some(Duration::ZERO) || self.poll_timer(context).is_ready();
        if ready.is_empty() && !over { Poll::Pending } else { Poll::Ready(Ok(ready)) }
    }

    /// The same where the run has a thread of its own.
    fn block(&self, state: &mut RunState, streams: &[(usize, u32, bool)]) -> Outcome<Vec<usize>> {
        let mut polled: Vec<(usize, OwnedFd, bool)> = Vec::new();
        for (at, index, write) in streams {
            if let Some(fd) = state.streams.port(*index, *write)?.blocking_fd() {
                polled.push((*at, rustix::io::fcntl_dupfd_cloexec(fd, 0).map_err(errno)?, *write));
            }
        }
        let fds: Vec<(BorrowedFd<'_>, bool)> = polled.iter().map(|(_, fd, write)| (fd.as_fd(), *write)).collect();
        let mut ready = vec![false; fds.len()];
        loop {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(self.started.elapsed()));
            let slice = match (left, state.deadline.left()) {
                (Some(left), Some(deadline)) => Some(left.min(deadline)),
                (left, deadline) => left.or(deadline),
            };
            wait(&fds, &mut ready, slice)?;
            if ready.contains(&true) || left == Some(Duration::ZERO) {
                break;
            }
            state.deadline.check()?;
        }
        Ok(polled.iter().zip(ready).filter_map(|((at, ..), ready)| ready.then_some(*at)).collect())
    }
}

fn collect(subscriptions: &[Subscription], ready: &[usize], timeout: Option<Duration>) -> Vec<Event> {
    let mut events = Vec::new();
    for (at, subscription) in subscriptions.iter().enumerate() {
        match &subscription.what {
            What::Clock { timeout: Ok(due) } if ready.is_empty() && Some(*due) <= timeout => {
                events.push(Event { userdata: subscription.userdata, error: 0, kind: 0, bytes: 0 });
            }
            What::Stream { write, .. } if ready.contains(&at) => {
                events.push(Event { userdata: subscription.userdata, error: 0, kind: 1 + u8::from(*write), bytes: 1 });
            }
            _ => {}
        }
    }
    events
}

fn failed(subscription: &Subscription, errno: Errno) -> Event {
    let kind = match subscription.what {
        What::Clock { .. } => 0,
        What::Stream { write, .. } => 1 + u8::from(write),
    };
    Event { userdata: subscription.userdata, error: errno as u16, kind, bytes: 0 }
}
