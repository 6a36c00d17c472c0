//! WASI 0.2 over the tree. Streams and pollables are resources of one wasi:io, so everything that mentions
//! them comes along: what is the host's is wrapped, one enum for what may be either.

mod files;
mod io;
mod process;
mod sockets;

mod bindings {
    #![allow(clippy::all, missing_docs, reason = "generated")]
    wit_bindgen::generate!({
        world: "p2",
        path: "wit/p2",
        generate_all,
        disable_run_ctors_once_workaround: true,
        disable_custom_section_link_helpers: true,
    });
    use super::Shim;
    export!(Shim);
}

/// Implements the interfaces.
struct Shim;
