//! Other tools that put files into programs, and why none of them makes a pack here.

use super::super::report::Report;

/// What was found, by name.
const PEERS: [(&str, &str); 3] = [
    (
        "wasi-vfs",
        "its command is neither on crates.io (`wasi-vfs-cli`), npm nor PyPI; the crate `wasi-vfs` is the library that \
         a program is linked with. What it made is measured as ruby+stdlib.wasm",
    ),
    ("wasi-virt", "crates.io has an empty 0.0.1, npm and PyPI nothing; it is for components"),
    (
        "wizer",
        "it stores the memory of a program that began to run, so files are carried only by a program that reads them \
         into its memory; wasi-vfs is that",
    ),
];

/// Says so in the report.
pub fn note(report: &mut Report) {
    report.skipped.extend(PEERS.iter().map(|(name, why)| format!("{name} as a peer: {why}")));
}
