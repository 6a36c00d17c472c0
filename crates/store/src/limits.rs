//! Every limit of the store and of its talk with registries, in one place.
//!
//! A registry is not trusted: whatever it can make weir do (bytes, time, files, redirects) ends here. Sizes are
//! bytes.

use std::time::Duration;

/// The longest reference (`HOST/NAME:TAG@DIGEST`) that is looked at.
pub const REFERENCE_BYTES_MAX: usize = 1024;
/// The longest repository name; the distribution specification's usual limit.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest tag, by the distribution specification.
pub const TAG_BYTES_MAX: usize = 128;

/// The largest manifest. Registries refuse larger ones.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// The largest answer that is only read for its error message or token.
pub const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// How much of a registry's error message is shown.
pub const MESSAGE_CHARS_MAX: usize = 300;
/// Layers of one artifact. Small blobs share layers, so this is some hundred thousand files.
pub const LAYERS_MAX: usize = 10_000;
/// The list of a pack's blobs, as pushed: some 800,000 files.
pub const INDEX_BYTES_MAX: u64 = 64 << 20;
/// Blobs of one pack.
pub const BLOBS_MAX: usize = 1_000_000;
/// The largest program: the largest module that engines take is 4 GiB.
pub const PROGRAM_BYTES_MAX: u64 = 4 << 30;
/// The largest blob, and the largest layer.
pub const BLOB_BYTES_MAX: u64 = 64 << 30;
/// What one pull may bring in all, packed or unpacked: the default of [`NetworkLimits::pull_bytes_max`].
pub const PULL_BYTES_MAX: u64 = 16 << 30;
/// Redirects that one request follows.
pub const REDIRECTS_MAX: u32 = 5;
/// Requests in flight at once; registries throttle clients that open many more.
pub const PARALLEL_MAX: usize = 6;
/// The largest file of additional certificates.
pub const CA_BYTES_MAX: u64 = 4 << 20;
/// The largest configuration of Docker that is read.
pub const DOCKER_CONFIG_BYTES_MAX: u64 = 4 << 20;
/// How long a credential helper may take. It may ask the user for a passphrase.
pub const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Blobs from this size on are a layer each; smaller ones share layers.
pub const BLOB_ALONE_BYTES_MIN: u64 = 64 << 10;
/// A shared layer ends before it grows past this.
pub const BUNDLE_BYTES_MAX: u64 = 4 << 20;
/// A shared layer ends when it holds so many blobs.
pub const BUNDLE_BLOBS_MAX: usize = 1024;
/// A shared layer ends after a blob whose digest has these low bits clear: one in 64.
pub const BUNDLE_CUT_MASK: u8 = 0x3f;
/// Programs of packs by reference are cut into pieces from this size on; a smaller one is a layer as it is.
pub const CHUNKED_PROGRAM_BYTES_MIN: u64 = 1 << 20;
/// The smallest piece of a program, but for the last: large enough to be a layer of its own.
pub const CHUNK_BYTES_MIN: usize = 64 << 10;
/// The largest piece of a program.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;
/// One in so many places (as a power of two) is a cut: pieces have some 320 KiB.
pub const CHUNK_CUT_BITS: u32 = 18;
/// How hard layers are compressed: on text, level 9 is within some per cent of the best that is bearable.
pub const LAYER_ZSTD_LEVEL: i32 = 9;
/// The window of a compressed layer, as a power of two: what a decoder may be made to keep in memory.
pub const LAYER_ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Blobs from this size on have a note beside them, so that they are hashed only once; hashing a smaller one
/// costs less than reading a note.
pub const NOTE_BLOB_BYTES_MIN: u64 = 256 << 10;
/// The longest note of the store (what a reference or a pack needs): some 800,000 blobs.
pub const NOTE_BYTES_MAX: u64 = 96 << 20;
/// How long the collector waits for a writer to finish.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// A blob that nothing names is kept so long: an interrupted pull goes on from it.
pub const LOOSE_AGE_MIN: Duration = Duration::from_secs(3600);

/// Times and sizes for one registry. The defaults suit slow lines; tests shorten them.
#[derive(Clone, Debug)]
pub struct NetworkLimits {
    /// To open a connection, TLS included.
    pub connect_timeout: Duration,
    /// From a request to the head of its answer.
    pub answer_timeout: Duration,
    /// Between two pieces of a body.
    pub idle_timeout: Duration,
    /// What a body must bring per second on average, beyond `idle_timeout`: one byte now and then is no transfer.
    pub rate_bytes_min: u64,
    /// What one pull may bring in all, packed or unpacked.
    pub pull_bytes_max: u64,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30),
            rate_bytes_min: 8 << 10,
            pull_bytes_max: PULL_BYTES_MAX,
        }
    }
}

impl NetworkLimits {
    /// The longest that a body of this size may take.
    pub fn transfer_timeout(&self, size: u64) -> Duration {
        self.answer_timeout + Duration::from_secs(size / self.rate_bytes_min.max(1))
    }
}
