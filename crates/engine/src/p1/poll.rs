//! `poll_oneoff`: sleeping, and waiting for the stream ends.

use super::memory::Guest;
use crate::state::RunState;
use crate::sys::{Errno, Failure, Outcome, errno, wait};
use rustix::fd::BorrowedFd;
use std::time::Duration;

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

/// Waits for the first of the subscribed events; returns how many were stored.
pub(crate) fn poll_oneoff(guest: &mut Guest, state: &mut RunState, subs: u32, events: u32, count: u32) -> Outcome<u32> {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Inval.into());
    }
    let subscriptions = read_subscriptions(guest, state, subs, count)?;
    let found = wait_for_any(state, &subscriptions)?;
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
    Ok(found.len() as u32)
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

fn wait_for_any(state: &mut RunState, subscriptions: &[Subscription]) -> Outcome<Vec<Event>> {
    let mut timeout: Option<Duration> = None;
    let mut errors = Vec::new();
    for subscription in subscriptions {
        match &subscription.what {
            What::Clock { timeout: Ok(due) } => timeout = Some(timeout.map_or(*due, |timeout| timeout.min(*due))),
            What::Clock { timeout: Err(errno) } => errors.push(failed(subscription, *errno)),
            What::Stream { index, .. } => {
                if state.streams.end(*index).is_err() {
                    errors.push(failed(subscription, Errno::Badf));
                }
            }
        }
    }
    if !errors.is_empty() {
        return Ok(errors);
    }
    let streams: Vec<(usize, u32, bool)> = subscriptions
        .iter()
        .enumerate()
        .filter_map(|(at, subscription)| match subscription.what {
            What::Stream { index, write } => Some((at, index, write)),
            What::Clock { .. } => None,
        })
        .collect();
    let ready = if streams.is_empty() {
        state.clock.sleep(timeout.unwrap_or(Duration::MAX), &state.deadline)?;
        Vec::new()
    } else {
        wait_for_streams(state, &streams, timeout)?
    };
    Ok(collect(subscriptions, &ready, timeout))
}

/// The subscriptions (by number) whose stream is ready when the wait ends.
fn wait_for_streams(
    state: &mut RunState,
    streams: &[(usize, u32, bool)],
    timeout: Option<Duration>,
) -> Outcome<Vec<usize>> {
    // Virtual time does not pass while waiting: a due clock wins at once over a silent stream.
    let timeout = if state.clock.is_fixed() { timeout.map(|_| Duration::ZERO) } else { timeout };
    let mut ready_now = Vec::new();
    let mut polled: Vec<(usize, rustix::fd::OwnedFd, bool)> = Vec::new();
    for (at, index, write) in streams {
        match state.streams.poll_fd(*index, *write) {
            Ok(fd) => match rustix::io::fcntl_dupfd_cloexec(fd, 0) {
                Ok(fd) => polled.push((*at, fd, *write)),
                Err(error) => return Err(errno(error).into()),
            },
            // What cannot be opened in this direction is reported by the read or write itself.
            Err(_) => ready_now.push(*at),
        }
    }
    if !ready_now.is_empty() || polled.is_empty() {
        return Ok(ready_now);
    }
    let fds: Vec<(BorrowedFd<'_>, bool)> =
        polled.iter().map(|(_, fd, write)| (rustix::fd::AsFd::as_fd(fd), *write)).collect();
    let mut ready = vec![false; fds.len()];
    let started = std::time::Instant::now();
    loop {
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
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
