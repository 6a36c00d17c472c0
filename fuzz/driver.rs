//! What the fuzz programs here share: a loop, options, and a source of inputs.
//!
//!     cargo run --release                 for ever, from a seed that it prints
//!     cargo run --release -- --seconds 60 --seed 7
//!     cargo run --release -- FILE...      the inputs in these files, one after another
//!
//! An input that panics is written to `artifacts/` and named. It needs no instrumented build; a coverage-guided
//! fuzzer that runs a program on files (AFL++, honggfuzz) can drive it, too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Inputs that were kept, because a change of a good input is a better one than a new one.
const KEPT_MAX: usize = 200;

/// Larger inputs are cut.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// Runs `one` on inputs that `random` makes of nothing, of `fresh` ones and of those before.
pub fn main(one: impl Fn(&[u8]), fresh: impl Fn(&mut Random) -> Vec<u8>) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    if !arguments.is_empty() && !arguments[0].starts_with("--") {
        for file in &arguments {
            one(&std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}")));
        }
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let seed = option("--seed").unwrap_or(now);
    let end = option("--seconds").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    println!("seed {seed}");
    let mut random = Random(seed | 1);
    let mut kept: Vec<Vec<u8>> = vec![];
    let mut runs = 0u64;
    while end.is_none_or(|end| Instant::now() < end) {
        let input = random.input(&kept, &fresh);
        if catch_unwind(AssertUnwindSafe(|| one(&input))).is_err() {
            std::fs::create_dir_all("artifacts")
                .and_then(|()| {
                    let path = format!("artifacts/{seed}-{runs}");
                    println!("panicked: {path}");
                    std::fs::write(path, &input)
                })
                .unwrap_or_else(|error| panic!("artifacts: {error}"));
            std::process::exit(1);
        }
        if kept.len() < KEPT_MAX {
            kept.push(input);
        } else {
            let place = random.below(KEPT_MAX);
            kept[place] = input;
        }
        runs += 1;
        if runs.is_multiple_of(100_000) {
            println!("{runs} runs");
        }
    }
    println!("{runs} runs, nothing found");
}

/// A generator that is good enough for this.
pub struct Random(u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Any bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// A fresh input, a changed one, or two halves.
    fn input(&mut self, kept: &[Vec<u8>], fresh: &impl Fn(&mut Random) -> Vec<u8>) -> Vec<u8> {
        if kept.is_empty() || self.below(4) == 0 {
            return fresh(self);
        }
        let mut input = kept[self.below(kept.len())].clone();
        if self.below(3) == 0 {
            let other = &kept[self.below(kept.len())];
            input.truncate(self.below(input.len() + 1));
            let start = self.below(other.len() + 1);
            input.extend_from_slice(&other[start..]);
        }
        for _ in 0..self.below(20) {
            if input.is_empty() {
                break;
            }
            let place = self.below(input.len());
            match self.below(4) {
                0 => input[place] = self.next() as u8,
                1 => drop(input.remove(place)),
                2 => input.insert(place, self.next() as u8),
                _ => input[place] ^= 1 << self.below(8),
            }
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }
}
