//! WASI 0.3 over the tree: wasi:filesystem alone, since streams and futures are no resources of an interface.
