//! The functions of WASI 0.1 (`wasi_snapshot_preview1`) as one flat table: name, signature, reach.
//!
//! The position in the table is the public function id of trace mode, so entries are only ever
//! appended. The older `wasi_unstable` has the same names and signatures except `sock_accept`;
//! where its memory layouts or constants differ, the table says so, because such a call cannot be
//! passed on to a function written for the newer ABI.

use core::fmt;
use wasm_encoder::ValType;

/// The module name of WASI 0.1.
pub const SNAPSHOT: &str = "wasi_snapshot_preview1";

/// The module name of the older WASI 0.0, which some programs still import.
pub const UNSTABLE: &str = "wasi_unstable";

/// What an import reaches outside of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// Names in a file tree, directories and what is behind them.
    Files,
    /// Descriptors that the program already has: standard input, output and error, or opened files.
    Streams,
    /// Sockets, name lookup, HTTP.
    Network,
    /// Time, and waiting.
    Clock,
    /// Random bytes.
    Random,
    /// Arguments and environment variables.
    Environment,
    /// The program's own life: exit, signals, yielding.
    Process,
    /// Anything that is not WASI.
    Other,
}

impl Reach {
    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Reach::Files => "files",
            Reach::Streams => "streams",
            Reach::Network => "network",
            Reach::Clock => "clock",
            Reach::Random => "random",
            Reach::Environment => "environment",
            Reach::Process => "process",
            Reach::Other => "other",
        }
    }
}

/// One function of WASI 0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P1Function {
    /// The import name.
    pub name: &'static str,
    /// One letter per parameter: `i` for i32 (also pointers, lengths and descriptors), `I` for i64.
    pub params: &'static str,
    /// Whether it returns an errno (i32). Only `proc_exit` does not: it never returns.
    pub returns_errno: bool,
    /// What it reaches.
    pub reach: Reach,
    /// Whether `wasi_unstable` has a function of this name with another memory layout or constants.
    pub differs_in_unstable: bool,
}

const fn errno(name: &'static str, params: &'static str, reach: Reach) -> P1Function {
    P1Function { name, params, returns_errno: true, reach, differs_in_unstable: false }
}

const fn differs(function: P1Function) -> P1Function {
    P1Function { differs_in_unstable: true, ..function }
}

/// All functions. The index is the number that trace mode passes to `weir.trace`: that of [`weir_types::p1`].
pub const P1_FUNCTIONS: &[P1Function] = &[
    errno("args_get", "ii", Reach::Environment),
    errno("args_sizes_get", "ii", Reach::Environment),
    errno("environ_get", "ii", Reach::Environment),
    errno("environ_sizes_get", "ii", Reach::Environment),
    errno("clock_res_get", "ii", Reach::Clock),
    errno("clock_time_get", "iIi", Reach::Clock),
    errno("fd_advise", "iIIi", Reach::Streams),
    errno("fd_allocate", "iII", Reach::Streams),
    errno("fd_close", "i", Reach::Streams),
    errno("fd_datasync", "i", Reach::Streams),
    errno("fd_fdstat_get", "ii", Reach::Streams),
    errno("fd_fdstat_set_flags", "ii", Reach::Streams),
    errno("fd_fdstat_set_rights", "iII", Reach::Streams),
    differs(errno("fd_filestat_get", "ii", Reach::Streams)),
    errno("fd_filestat_set_size", "iI", Reach::Streams),
    errno("fd_filestat_set_times", "iIIi", Reach::Streams),
    errno("fd_pread", "iiiIi", Reach::Streams),
    errno("fd_prestat_get", "ii", Reach::Files),
    errno("fd_prestat_dir_name", "iii", Reach::Files),
    errno("fd_pwrite", "iiiIi", Reach::Streams),
    errno("fd_read", "iiii", Reach::Streams),
    errno("fd_readdir", "iiiIi", Reach::Files),
    errno("fd_renumber", "ii", Reach::Streams),
    // `whence` has its three values in another order.
    differs(errno("fd_seek", "iIii", Reach::Streams)),
    errno("fd_sync", "i", Reach::Streams),
    errno("fd_tell", "ii", Reach::Streams),
    errno("fd_write", "iiii", Reach::Streams),
    errno("path_create_directory", "iii", Reach::Files),
    // The link count is 32 bits wide, which moves what follows it.
    differs(errno("path_filestat_get", "iiiii", Reach::Files)),
    errno("path_filestat_set_times", "iiiiIIi", Reach::Files),
    errno("path_link", "iiiiiii", Reach::Files),
    errno("path_open", "iiiiiIIii", Reach::Files),
    errno("path_readlink", "iiiiii", Reach::Files),
    errno("path_remove_directory", "iii", Reach::Files),
    errno("path_rename", "iiiiii", Reach::Files),
    errno("path_symlink", "iiiii", Reach::Files),
    errno("path_unlink_file", "iii", Reach::Files),
    // The clock subscription has one more field.
    differs(errno("poll_oneoff", "iiii", Reach::Clock)),
    P1Function {
        name: "proc_exit",
        params: "i",
        returns_errno: false,
        reach: Reach::Process,
        differs_in_unstable: false,
    },
    errno("proc_raise", "i", Reach::Process),
    errno("sched_yield", "", Reach::Process),
    errno("random_get", "ii", Reach::Random),
    errno("sock_accept", "iii", Reach::Network),
    errno("sock_recv", "iiiiii", Reach::Network),
    errno("sock_send", "iiiii", Reach::Network),
    errno("sock_shutdown", "ii", Reach::Network),
];

/// The most parameters that any function has; trace mode passes this many slots.
pub const PARAMS_MAX: usize = 9;

/// The function of this name and its id.
pub fn find(name: &str) -> Option<(u32, &'static P1Function)> {
    let at = P1_FUNCTIONS.iter().position(|function| function.name == name)?;
    Some((at as u32, &P1_FUNCTIONS[at]))
}

/// Whether a module name is one of the two names of WASI 0.1.
pub fn is_p1(module: &str) -> bool {
    module == SNAPSHOT || module == UNSTABLE
}

impl P1Function {
    /// Whether a program needs this function to get at anything beyond its three standard streams.
    /// Without one of these no descriptor can come to exist, so no file system is needed.
    pub fn opens_files(&self) -> bool {
        self.reach == Reach::Files
    }

    /// Whether a call cannot be answered without files.
    pub(crate) fn needs_files(&self) -> bool {
        // The names of granted directories alone open nothing.
        self.opens_files() && !self.name.starts_with("fd_prestat")
    }

    /// The parameters as encoder types.
    pub(crate) fn param_types(&self) -> impl Iterator<Item = ValType> {
        self.params.bytes().map(|letter| if letter == b'I' { ValType::I64 } else { ValType::I32 })
    }

    /// The signature.
    pub(crate) fn signature(&self) -> Signature {
        let results = if self.returns_errno { vec![ValType::I32] } else { Vec::new() };
        Signature { params: self.param_types().collect(), results }
    }
}

/// A function type without type indices, as far as linking has to know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Signature {
    pub params: Vec<ValType>,
    pub results: Vec<ValType>,
}

impl Signature {
    pub fn new(params: &[ValType], results: &[ValType]) -> Signature {
        Signature { params: params.to_vec(), results: results.to_vec() }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[ValType]| {
            let words: Vec<String> = types.iter().map(|ty| value_name(*ty)).collect();
            words.join(", ")
        };
        write!(f, "({}) -> ({})", list(&self.params), list(&self.results))
    }
}

fn value_name(ty: ValType) -> String {
    match ty {
        ValType::I32 => "i32".into(),
        ValType::I64 => "i64".into(),
        ValType::F32 => "f32".into(),
        ValType::F64 => "f64".into(),
        ValType::V128 => "v128".into(),
        ValType::Ref(_) => "ref".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_without_doubles() {
        let names: Vec<&str> = P1_FUNCTIONS.iter().map(|function| function.name).collect();
        assert_eq!(names, weir_types::p1::NAMES);
        for (at, function) in P1_FUNCTIONS.iter().enumerate() {
            assert_eq!(find(function.name).unwrap().0 as usize, at, "{}", function.name);
            assert!(function.params.len() <= PARAMS_MAX);
        }
    }
}
