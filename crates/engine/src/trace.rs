//! What a program did, call by call: the observed half of `weir inspect` and the call counts of
//! `--stats`. A core program linked for tracing reports each WASI call after it returned, with its raw
//! arguments; paths are read from the program's memory here. Of a component, what it does with paths
//! is recorded where its file tree is served. What is kept is bounded.

use crate::p1::memory::Guest;
use crate::uses::Uses;
use std::collections::BTreeMap;
use weir_types::p1::NAMES;

/// Different (function, path) pairs kept. Default 100,000; further ones are counted as dropped.
const TOUCHES_MAX: usize = 100_000;

/// A function that a program called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// A function of WASI 0.1, by its number.
    P1(u32),
    /// A method of a `wasi:filesystem` descriptor, such as `open-at`.
    Component(&'static str),
}

impl Function {
    /// Its name; `?` for a number that no function has.
    pub fn name(self) -> &'static str {
        match self {
            Function::P1(id) => NAMES.get(id as usize).copied().unwrap_or("?"),
            Function::Component(name) => name,
        }
    }
}

/// The calls of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// By function: calls, and calls that failed.
    pub calls: BTreeMap<Function, Calls>,
    /// By function, descriptor and path: how often, and the last errno.
    pub touches: BTreeMap<Touch, Touched>,
    /// Touches beyond the bound.
    pub dropped: u64,
    /// What became of the files.
    pub uses: Uses,
}

/// How often a function was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All calls.
    pub count: u64,
    /// Those that gave an errno other than success.
    pub failed: u64,
}

/// A function with the path it was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touch {
    /// The function.
    pub function: Function,
    /// The path, as the program gave it, relative to the descriptor.
    pub path: String,
    /// The descriptor that the path starts from; `u32::MAX` in a component, where they have no numbers.
    pub descriptor: u32,
}

/// How often a path was touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// All calls.
    pub count: u64,
    /// The errno of the last call, 0 for success.
    pub errno: u16,
}

/// Parameters that a traced call has at most.
pub(crate) const SLOTS: usize = 9;

impl Trace {
    /// Records a call of WASI 0.1 by its number and raw arguments.
    pub(crate) fn record(&mut self, guest: Option<&Guest>, id: u32, arguments: &[i64; SLOTS], errno: i32) {
        self.count(Function::P1(id), errno as u16);
        let Some(guest) = guest else { return };
        self.uses.record(guest, id, arguments, errno);
        for (descriptor, at) in path_slots(id).iter().copied() {
            let argument = |slot: usize| arguments.get(slot).copied().unwrap_or_default() as u32;
            let Ok(bytes) = guest.slice(argument(at), argument(at + 1).min(65_536)) else { continue };
            let path = String::from_utf8_lossy(bytes);
            self.remember(Function::P1(id), &path, descriptor.map_or(u32::MAX, argument), errno as u16);
        }
    }

    /// Records a call with a path.
    pub(crate) fn touch(&mut self, function: Function, path: &str, descriptor: u32, errno: u16) {
        self.count(function, errno);
        self.remember(function, path, descriptor, errno);
    }

    fn count(&mut self, function: Function, errno: u16) {
        let calls = self.calls.entry(function).or_default();
        calls.count += 1;
        calls.failed += u64::from(errno != 0);
    }

    fn remember(&mut self, function: Function, path: &str, descriptor: u32, errno: u16) {
        let touch = Touch { function, path: path.to_owned(), descriptor };
        if self.touches.len() >= TOUCHES_MAX && !self.touches.contains_key(&touch) {
            self.dropped += 1;
            return;
        }
        let touched = self.touches.entry(touch).or_default();
        touched.count += 1;
        touched.errno = errno;
    }
}

/// Where a function's paths are among its arguments: (slot of the descriptor, slot of the pointer).
fn path_slots(function: u32) -> &'static [(Option<usize>, usize)] {
    match NAMES.get(function as usize).copied().unwrap_or_default() {
        "path_create_directory" | "path_remove_directory" | "path_unlink_file" => &[(Some(0), 1)],
        "path_filestat_get" | "path_filestat_set_times" | "path_open" => &[(Some(0), 2)],
        "path_link" => &[(Some(0), 2), (Some(4), 5)],
        "path_readlink" => &[(Some(0), 1)],
        "path_rename" => &[(Some(0), 1), (Some(3), 4)],
        // The new path.
        "path_symlink" => &[(Some(2), 3)],
        _ => &[],
    }
}
