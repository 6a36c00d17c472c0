//! What packing is asked to do, where it gets the files from, and what it reports.

use std::collections::BTreeSet;
use weir_types::Digest;
use weir_vfs::pack::{Codec, Entry};

/// Where the bytes of files come from. `entry` is the number of an entry of the tree.
pub trait Contents {
    /// All bytes of a file.
    ///
    /// # Errors
    /// A sentence that names the file and says what is wrong.
    fn read(&mut self, entry: usize) -> Result<Vec<u8>, String>;

    /// The BLAKE3 digest of a file that is kept somewhere else.
    ///
    /// # Errors
    /// As [`Contents::read`].
    fn reference(&mut self, entry: usize) -> Result<Digest, String>;
}

/// How a pack is made.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// How file contents are compressed.
    pub codec: Codec,
    /// Files that stay: these paths from the root, and what they lead to. All of them without it.
    pub prune: Option<BTreeSet<String>>,
    /// Files (with `prune`: those that it would leave out) stay outside, named by their digests.
    pub by_reference: bool,
    /// Arguments and variables that the program gets on every host.
    pub entry: Entry,
}

/// What packing did; everything counts bytes or files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackReport {
    /// Files in the tree.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Bytes that went into compressed chunks, before compression.
    pub chunked_bytes: u64,
    /// Files whose contents were there already.
    pub duplicates: u64,
    /// Files that were left out.
    pub pruned: u64,
    /// Their bytes.
    pub pruned_bytes: u64,
    /// Files that are there by reference.
    pub referenced: u64,
    /// Bytes of directory listings.
    pub listing_bytes: u64,
    /// Bytes of the segment: everything that the pack carries.
    pub segment_bytes: u64,
    /// Bytes of the program.
    pub program_bytes: u64,
    /// Bytes of the pack.
    pub pack_bytes: u64,
}

/// A blob that a pack names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its BLAKE3 digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}
