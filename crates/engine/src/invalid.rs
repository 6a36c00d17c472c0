//! Why a program does not compile, in words for whoever has to build it anew. What the engine says names its own switches,
//! which nobody can set here.

use crate::error::{Error, Kind};
use crate::source::Program;

/// What programs use that is not there: a word of the engine's sentence, what it is, and what to do.
const MISSING: [(&str, &str, &str); 8] = [
    (
        "legacy_exceptions",
        "exceptions in their old form",
        "compile it for the final one (clang: -mllvm -wasm-use-legacy-eh=false), or translate it (wasm-opt --translate-to-exnref)",
    ),
    ("custom page sizes", "a memory with pages of another size", "build it with pages of 64 KiB"),
    ("stack switching", "stack switching", "build it without"),
    ("wide arithmetic", "arithmetic of 128 bits", "build it without (-wide-arithmetic)"),
    ("shared memor", "shared memory (threads)", "build it without threads"),
    ("threads", "shared memory (threads)", "build it without threads"),
    ("shared-everything", "shared functions (threads)", "build it without threads"),
    ("memory control", "control of its memory's pages", "build it without"),
];

/// The error for `program`, a module or component as `kind` says, that the engine refused.
pub(crate) fn invalid(program: &Program, kind: &str, error: wasmtime::Error) -> Error {
    let path = program.path().display();
    let said: Vec<String> = error.chain().map(|cause| cause.to_string().to_lowercase()).collect();
    let found = MISSING.iter().find(|(word, ..)| said.iter().any(|sentence| sentence.contains(word)));
    match found {
        Some((_, what, advice)) => {
            Error::new(Kind::Program, format!("{path} uses {what}, which is not supported: {advice}"))
        }
        None => {
            // The last sentence says what and where; those before it, which part of the engine noticed.
            let last = said.len().saturating_sub(1);
            let why = error.chain().nth(last).map(ToString::to_string).unwrap_or_default();
            Error::new(Kind::Program, format!("{path} is not a valid {kind}: {why}"))
        }
    }
}
