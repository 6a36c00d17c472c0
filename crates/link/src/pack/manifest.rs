//! What a pack says of itself: the custom section `weir.pack`, JSON. Programs do not see it; other tools
//! may read it, so its fields are stable.

use super::error::PackError;
use serde::{Deserialize, Serialize};

/// The name of the custom section with the manifest.
pub const MANIFEST_SECTION: &str = "weir.pack";
/// The name of the custom section with the record of the program's own bytes.
pub const ORIGINAL_SECTION: &str = "weir.original";
/// The version of the format.
pub const FORMAT: u32 = 1;
/// Bytes of a manifest at most.
const MANIFEST_BYTES_MAX: usize = 64 << 20;

/// What a pack says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format, [`FORMAT`].
    pub format: u32,
    /// The program as it was before it was packed.
    pub program: ProgramManifest,
    /// `none`, `lz4` or `zstd`.
    pub compress: String,
    /// Files in the pack's tree.
    pub files: u64,
    /// Bytes of these files.
    pub file_bytes: u64,
    /// Arguments between the program's name and those of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry: Vec<String>,
    /// Variables that the host has not set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// The names of the directories that the program finds open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preopens: Vec<String>,
    /// Files that may be executed, as paths from the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executable: Vec<String>,
    /// Files that were pruned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pruned: u64,
    /// The blobs that are there by reference, in the order of their numbers: BLAKE3 digest in hexadecimal
    /// digits, and bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<(String, u64)>,
}

/// A program before it was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramManifest {
    /// `module` or `component`.
    pub kind: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its BLAKE3 digest in hexadecimal digits.
    pub blake3: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Manifest {
    pub(super) fn encode(&self) -> Vec<u8> {
        // Nothing in it can fail to be written as JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the custom section.
    ///
    /// # Errors
    /// It is damaged, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, PackError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(PackError::damaged("its manifest is too large"));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| PackError::damaged(format!("its manifest: {error}")))?;
        if manifest.format != FORMAT {
            return Err(PackError::damaged(format!("its format is {}, known is {FORMAT}", manifest.format)));
        }
        Ok(manifest)
    }
}
