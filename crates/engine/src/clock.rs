//! Time and randomness of a run: the host's, or reproducible ones.

use crate::deadline::Deadline;
use crate::sys::{Errno, Outcome};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_types::grants;

/// The clocks of one run.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The host's clocks; the monotonic one starts with the run.
    Real { start: Instant },
    /// A clock that only sleeping moves: nanoseconds since 1970.
    Fixed { now: u64, start: u64 },
}

impl Clock {
    pub fn new(clock: grants::Clock) -> Self {
        match clock {
            grants::Clock::Real => Clock::Real { start: Instant::now() },
            grants::Clock::Fixed(now) => Clock::Fixed { now, start: now },
        }
    }

    pub fn is_fixed(&self) -> bool {
        matches!(self, Clock::Fixed { .. })
    }

    /// Nanoseconds on a clock of WASI 0.1: 0 real time, 1 monotonic, 2 process and 3 thread CPU time.
    pub fn now(&self, id: u32) -> Result<u64, Errno> {
        match (self, id) {
            (Clock::Real { .. }, 0) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Ok(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
            }
            // Not zero at the start: programs subtract from it.
            (Clock::Real { start }, 1) => Ok(1_000_000_000 + start.elapsed().as_nanos() as u64),
            (Clock::Real { .. }, 2) => Ok(cpu_time(rustix::time::ClockId::ProcessCPUTime)),
            (Clock::Real { .. }, 3) => Ok(cpu_time(rustix::time::ClockId::ThreadCPUTime)),
            (Clock::Fixed { now, .. }, 0) => Ok(*now),
            (Clock::Fixed { now, start }, 1..=3) => Ok(1_000_000_000 + (now - start)),
            _ => Err(Errno::Inval),
        }
    }

    /// Nanoseconds between two readings that can differ.
    pub fn resolution(&self, id: u32) -> Result<u64, Errno> {
        self.now(id).map(|_| 1)
    }

    /// Sleeps; a fixed clock moves on instead.
    pub fn sleep(&mut self, duration: Duration, deadline: &Deadline) -> Outcome {
        match self {
            Clock::Real { .. } => deadline.sleep(duration),
            Clock::Fixed { now, .. } => {
                *now = now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
                Ok(())
            }
        }
    }
}

fn cpu_time(id: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The randomness of one run.
#[derive(Debug)]
pub(crate) enum Random {
    /// The kernel's generator.
    Real,
    /// SplitMix64 from a seed (Steele, Lea, Flood 2014): reproducible, not secure.
    Seeded(u64),
}

impl Random {
    pub fn new(random: grants::Random) -> Self {
        match random {
            grants::Random::Real => Random::Real,
            grants::Random::Seed(seed) => Random::Seeded(seed),
        }
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        match self {
            Random::Real => {
                let mut filled = 0;
                while filled < bytes.len() {
                    match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
                        Ok(count) => filled += count,
                        Err(rustix::io::Errno::INTR) => {}
                        Err(_) => return Err(Errno::Io),
                    }
                }
            }
            Random::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    let word = split_mix(state).to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
            }
        }
        Ok(())
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
