//! Fuzzes `weir-vfs`: bytes become calls with any arguments, which nothing may survive badly.
//!
//! The interpreter of the bytes is the one that the crate's own tests run for a bounded count. Besides
//! that an input that keeps to plain operations is played against the simple model, and two decoders get
//! the bytes as they are. `fuzz/driver.rs` says how it is run.

#[path = "../../driver.rs"]
mod driver;
#[path = "../../../crates/vfs/tests/support/model.rs"]
mod model;
#[path = "../../../crates/vfs/tests/support/ops.rs"]
mod ops;
#[path = "../../../crates/vfs/tests/support/raw.rs"]
mod raw;
#[path = "../../../crates/vfs/tests/support/mod.rs"]
mod support;

use driver::Random;
use ops::{Choices, Ours, System};

fn main() {
    driver::main(one, |random| {
        let len = random.below(3000);
        if random.below(8) == 0 { image(random) } else { random.bytes(len) }
    });
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

/// An image or a listing with a few changes.
fn image(random: &mut Random) -> Vec<u8> {
    use support::{NodeKind, node};
    let nodes = vec![
        node("a/b", NodeKind::Bytes(vec![1, 2, 3])),
        node("a", NodeKind::Directory(Some(support::BlobId(1)))),
        node("l", NodeKind::Symlink("a".into())),
    ];
    let image = support::Image { nodes, ..support::Image::default() };
    let listing = support::listing(&[("x", NodeKind::Directory(None)), ("y", NodeKind::Symlink("x".into()))]);
    let mut bytes = if random.below(2) == 0 { image.encode() } else { listing };
    for _ in 0..random.below(4) {
        let place = random.below(bytes.len());
        bytes[place] = random.next() as u8;
    }
    bytes.insert(0, 3);
    bytes
}
