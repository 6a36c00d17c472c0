//! Fuzzes `weir-vfs`: bytes become calls with any arguments, which nothing may survive badly.
//!
//!     cargo run --release                 for ever, from a seed that it prints
//!     cargo run --release -- --seconds 60 --seed 7
//!     cargo run --release -- FILE...      the inputs in these files, one after another
//!
//! The interpreter of the bytes is the one that the crate's own tests run for a bounded count. Besides
//! that an input that keeps to plain operations is played against the simple model, and two decoders get
//! the bytes as they are. An input that panics is written to `artifacts/` and named. It needs no
//! instrumented build; a coverage-guided fuzzer that runs a program on files (AFL++, honggfuzz) can drive it, too.

#[path = "../../../crates/vfs/tests/support/model.rs"]
mod model;
#[path = "../../../crates/vfs/tests/support/ops.rs"]
mod ops;
#[path = "../../../crates/vfs/tests/support/raw.rs"]
mod raw;
#[path = "../../../crates/vfs/tests/support/mod.rs"]
mod support;

use ops::{Choices, Ours, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Inputs that were kept, because a change of a good input is a better one than a new one.
const KEPT_MAX: usize = 200;

fn main() {
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
        let input = random.input(&kept);
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

/// One input.
fn one(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 4 {
        0 | 1 => raw::run(bytes),
        2 => {
            let (mut ours, mut model) = (Ours::new(support::vfs()), model::Model::default());
            let mut choices = Choices(bytes);
            while !choices.0.is_empty() {
                let op = choices.op();
                assert_eq!(ours.run(&op), model.run(&op), "{op:?}");
            }
            assert_eq!(ours.tree(), model.tree());
            ours.close_all();
        }
        _ => {
            if let Ok(image) = weir_vfs::image::Image::decode(bytes) {
                assert_eq!(image.encode(), bytes);
                let _ = weir_vfs::p1::Process::boot(support::TestPlatform::default(), &image);
            }
            if let Ok(entries) = weir_vfs::image::decode_listing(bytes) {
                assert_eq!(weir_vfs::image::encode_listing(&entries), bytes);
            }
        }
    }
}

/// A generator that is good enough for this.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// A new input, a changed one, two halves, or a damaged image.
    fn input(&mut self, kept: &[Vec<u8>]) -> Vec<u8> {
        let len = self.below(3000);
        if kept.is_empty() || self.below(4) == 0 {
            return if self.below(8) == 0 { self.image() } else { self.bytes(len) };
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
        input.truncate(4000);
        input
    }

    /// An image or a listing with a few changes.
    fn image(&mut self) -> Vec<u8> {
        use support::{NodeKind, node};
        let nodes = vec![
            node("a/b", NodeKind::Bytes(vec![1, 2, 3])),
            node("a", NodeKind::Directory(Some(support::BlobId(1)))),
            node("l", NodeKind::Symlink("a".into())),
        ];
        let image = support::Image { nodes, ..support::Image::default() };
        let listing = support::listing(&[("x", NodeKind::Directory(None)), ("y", NodeKind::Symlink("x".into()))]);
        let mut bytes = if self.below(2) == 0 { image.encode() } else { listing };
        for _ in 0..self.below(4) {
            let place = self.below(bytes.len());
            bytes[place] = self.next() as u8;
        }
        bytes.insert(0, 3);
        bytes
    }
}
