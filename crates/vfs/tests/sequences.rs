//! Random sequences of operations: against a simple model, against the machine's own file system, and,
//! with arguments of any value, against nothing but the demand that nothing panics and nothing leaks.

#[path = "support/host.rs"]
mod host;
#[path = "support/model.rs"]
mod model;
#[path = "support/ops.rs"]
mod ops;
#[path = "support/raw.rs"]
mod raw;
mod support;

use host::Host;
use model::Model;
use ops::{Choices, Op, Ours, System};
use proptest::prelude::*;
use support::*;

fn decode(bytes: &[u8]) -> Vec<Op> {
    let mut choices = Choices(bytes);
    let mut ops = vec![];
    while !choices.0.is_empty() {
        ops.push(choices.op());
    }
    ops
}

fn lines(ops: &[Op]) -> String {
    ops.iter().map(|op| format!("\n  {op:?}")).collect()
}

/// Runs the operations on both. What leads out of our sandbox is not tried on the other.
fn compare(ops: &[Op], other: &mut dyn System, sandboxed: bool) {
    let mut ours = Ours::new(vfs());
    for (step, op) in ops.iter().enumerate() {
        let answer = ours.run(op);
        if !sandboxed && answer == Err(weir_vfs::Errno::Perm) && !matches!(op, Op::Link { .. }) {
            continue;
        }
        if !sandboxed && matches!(op, Op::Link { .. }) && answer == Err(weir_vfs::Errno::Perm) && escapes(op) {
            continue;
        }
        let expected = other.run(op);
        assert_eq!(answer, expected, "step {step}: {op:?}\nafter{}", lines(&ops[..step]));
    }
    assert_eq!(ours.tree(), other.tree(), "after{}", lines(ops));
    ours.close_all();
    empty(&mut ours.vfs);
}

/// `EPERM` of a link may be the border or a directory; only without `..` and links it is the latter.
fn escapes(op: &Op) -> bool {
    let Op::Link { old, follow, new } = op else { return true };
    *follow || [old, new].iter().any(|path| path.contains("..") || path.contains('/') || path.contains("link"))
}

/// Removes everything; nothing may be left of what was held.
fn empty(vfs: &mut TestVfs) {
    let mut walk = vfs.walk(vfs.root());
    let mut found = vec![];
    while let Some(step) = vfs.walk_next(&mut walk).unwrap() {
        found.push((step.path.to_owned(), step.stat.kind));
    }
    let root = vfs.root();
    for (path, kind) in found.iter().skip(1).rev() {
        match kind {
            weir_vfs::FileType::Directory => vfs.remove_dir_at(root, path).unwrap(),
            _ => vfs.unlink_at(root, path).unwrap(),
        }
    }
    assert_eq!(vfs.usage(), weir_vfs::Usage { bytes: 0, nodes: 1 });
}

/// Cases per property: few in the everyday run, many on demand.
fn config() -> ProptestConfig {
    let cases = std::env::var("VFS_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn agrees_with_the_model(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        compare(&decode(&bytes), &mut Model::default(), true);
    }

    #[test]
    fn agrees_with_the_machine(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("x/y/z");
        std::fs::create_dir_all(&root).unwrap();
        compare(&decode(&bytes), &mut Host::new(&root), false);
    }

    #[test]
    fn any_call_with_any_arguments_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        raw::run(&bytes);
    }
}
