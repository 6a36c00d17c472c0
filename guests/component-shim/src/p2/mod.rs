//! WASI 0.2 over the tree. Streams and pollables are resources of one wasi:io, so everything that mentions
//! them comes along: what is the host's is wrapped.
