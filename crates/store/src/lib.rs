//! Blobs by digest: the local content-addressed store, and registries that hold programs and packs.
//!
//! A registry is hostile until its bytes have been checked: every limit is in [`limits`], every layer is checked by its
//! SHA-256 and every blob by its BLAKE3 before anything uses it. This crate knows nothing of what is inside a program
//! but its first four bytes; which blobs a pack names is for its caller to say.
#![forbid(unsafe_code)]

mod artifact;
mod auth;
mod chunks;
mod client;
mod error;
mod keep;
mod layers;
pub mod limits;
mod meter;
mod pull;
mod push;
mod reference;
mod seen;
mod store;
pub mod tree;

pub use artifact::Component;
pub use client::Options;
pub use error::{Error, Kind, Result};
pub use keep::{Collect, Collected, Kept, KeptPack, Listing};
pub use meter::Meter;
pub use pull::{Pulled, pull, resolve};
pub use push::{Program, Pushed, push};
pub use reference::{Reference, is_reference};
pub use store::{BlobRef, Busy, Store};
