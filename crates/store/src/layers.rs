//! How the blobs of a pack become layers of an artifact, and back.
//!
//! A large blob is one layer. Small ones share layers, cut where a blob's own digest says so: a new version of a pack
//! changes the layers around what changed, and every other layer has the same bytes and is not uploaded again. The
//! bytes of a layer are its blobs one after another, compressed if that helps; the list of blobs is beside the layers
//! (in the index), so that whoever has the blobs already need not fetch a layer to know.

use crate::artifact::{BLOB_MEDIA_TYPE, BLOB_ZSTD_MEDIA_TYPE};
use crate::error::{Error, Kind, Result};
use crate::limits::{
    BLOB_ALONE_BYTES_MIN, BUNDLE_BLOBS_MAX, BUNDLE_BYTES_MAX, BUNDLE_CUT_MASK, LAYER_ZSTD_LEVEL,
    LAYER_ZSTD_WINDOW_LOG_MAX,
};
use crate::store::{BlobRef, Store};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, Write};
use weir_types::Digest;

/// The layers of these blobs, each a list of blobs. A blob that is named twice is in one layer.
pub(crate) fn plan(blobs: &[BlobRef]) -> Vec<Vec<BlobRef>> {
    let (mut layers, mut bundle, mut bundle_bytes) = (Vec::new(), Vec::new(), 0u64);
    let mut known = BTreeSet::new();
    for blob in blobs.iter().filter(|blob| known.insert(blob.digest)) {
        if blob.size >= BLOB_ALONE_BYTES_MIN {
            layers.push(vec![*blob]);
            continue;
        }
        if bundle_bytes + blob.size > BUNDLE_BYTES_MAX || bundle.len() >= BUNDLE_BLOBS_MAX {
            layers.push(std::mem::take(&mut bundle));
            bundle_bytes = 0;
        }
        bundle.push(*blob);
        bundle_bytes += blob.size;
        if blob.digest.0[31] & BUNDLE_CUT_MASK == 0 {
            layers.push(std::mem::take(&mut bundle));
            bundle_bytes = 0;
        }
    }
    if !bundle.is_empty() {
        layers.push(bundle);
    }
    layers
}

/// What a layer is called in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) media_type: &'static str,
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
}

/// The name under which the store notes what a layer of these blobs became.
pub(crate) fn recipe(blobs: &[BlobRef]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("layer 1, zstd level {LAYER_ZSTD_LEVEL}").as_bytes());
    blobs.iter().for_each(|blob| {
        hasher.update(&blob.digest.0).update(&blob.size.to_le_bytes());
    });
    Digest(*hasher.finalize().as_bytes())
}

impl Layer {
    /// The text of the store's note.
    pub(crate) fn note(&self) -> String {
        format!("weir-layer-1 {} {} {}\n", self.media_type, self.sha256, self.size)
    }

    /// Reads the store's note; anything else is no note.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.strip_prefix("weir-layer-1 ")?.split(' ');
        let media_type = words.next()?;
        let media_type = [BLOB_MEDIA_TYPE, BLOB_ZSTD_MEDIA_TYPE].into_iter().find(|known| *known == media_type)?;
        let sha256 = Digest::from_hex(words.next()?)?;
        Some(Self { media_type, sha256, size: words.next()?.parse().ok()? })
    }
}

/// Writes the layer of these blobs of the store into a file that has no name.
///
/// # Errors
/// A blob is missing, or the disk is full.
pub(crate) fn encode(store: &Store, blobs: &[BlobRef]) -> Result<(Layer, File)> {
    let size = blobs.iter().map(|blob| blob.size).sum();
    let failed = |error: std::io::Error| Error::io("cannot write to the store in", store.folder(), &error);
    let mut output = Summed::new(store.aside()?.into_file());
    let mut encoder = zstd::stream::write::Encoder::new(&mut output, LAYER_ZSTD_LEVEL).map_err(failed)?;
    encoder.set_pledged_src_size(Some(size)).map_err(failed)?;
    copy_blobs(store, blobs, &mut encoder)?;
    encoder.finish().map_err(failed)?;
    if output.size < size - size / 32 {
        return Ok(output.layer(BLOB_ZSTD_MEDIA_TYPE));
    }
    let mut output = Summed::new(store.aside()?.into_file());
    copy_blobs(store, blobs, &mut output)?;
    Ok(output.layer(BLOB_MEDIA_TYPE))
}

fn copy_blobs(store: &Store, blobs: &[BlobRef], output: &mut dyn Write) -> Result<()> {
    for blob in blobs {
        let missing = || {
            let message = format!(
                "the store {} lacks blob {} of this pack (removed, or damaged): pack the program again",
                store.folder().display(),
                blob.digest
            );
            Error::new(Kind::NotFound, message)
        };
        let path = store.find(&blob.digest)?.ok_or_else(missing)?;
        let copied = File::open(&path).and_then(|mut file| std::io::copy(&mut file, output));
        let copied = copied.map_err(|error| Error::io("cannot copy from the store in", store.folder(), &error))?;
        if copied != blob.size {
            let message = format!("blob {} has {copied} bytes, but the pack says {}", blob.digest, blob.size);
            return Err(Error::new(Kind::Digest, message));
        }
    }
    Ok(())
}

/// Puts the blobs of a fetched layer into the store, each checked by its digest. Blobs before a bad one stay.
///
/// # Errors
/// The layer does not hold exactly these blobs, or the store cannot be written.
pub(crate) fn decode(store: &Store, media_type: &str, mut layer: File, blobs: &[BlobRef]) -> Result<()> {
    let failed = |error: std::io::Error| Error::io("cannot read back a layer in", store.folder(), &error);
    layer.rewind().map_err(failed)?;
    if media_type == BLOB_MEDIA_TYPE {
        return split(store, &mut layer, blobs);
    }
    let mut decoder = zstd::stream::read::Decoder::new(layer).map_err(failed)?;
    decoder.window_log_max(LAYER_ZSTD_WINDOW_LOG_MAX).map_err(failed)?;
    split(store, &mut decoder, blobs)
}

fn split(store: &Store, input: &mut dyn Read, blobs: &[BlobRef]) -> Result<()> {
    for blob in blobs {
        store.put_checked(&mut Read::take(&mut *input, blob.size), Some(blob))?;
    }
    match input.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::new(Kind::Digest, "a layer holds more than the blobs that the artifact lists for it")),
        Err(error) => Err(Error::new(Kind::Digest, format!("a layer cannot be unpacked: {error}"))),
    }
}

/// A file that knows the digest and the number of the bytes written to it.
struct Summed {
    file: File,
    sha256: Sha256,
    size: u64,
}

impl Summed {
    fn new(file: File) -> Self {
        Self { file, sha256: Sha256::new(), size: 0 }
    }

    fn layer(self, media_type: &'static str) -> (Layer, File) {
        let sha256 = Digest(self.sha256.finalize().into());
        (Layer { media_type, sha256, size: self.size }, self.file)
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.sha256.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blob(seed: u64, size: u64) -> BlobRef {
        BlobRef { digest: Digest(*blake3::hash(&seed.to_le_bytes()).as_bytes()), size }
    }

    #[test]
    fn a_change_touches_few_layers() {
        let old: Vec<BlobRef> = (0..5000).map(|seed| blob(seed, 700 + seed % 3000)).collect();
        let mut new = old.clone();
        new[2000] = blob(1_000_000, 900);
        new.insert(3000, blob(1_000_001, 100));
        new.remove(100);
        let (old, new) = (plan(&old), plan(&new));
        let known: BTreeSet<Digest> = old.iter().map(|layer| recipe(layer)).collect();
        let changed = new.iter().filter(|layer| !known.contains(&recipe(layer))).count();
        assert!(old.len() > 50 && old.len() < 110, "{}", old.len());
        assert!(changed <= 4, "{changed} of {} layers changed", new.len());
    }

    #[test]
    fn large_blobs_are_alone_and_bundles_are_bounded() {
        let blobs: Vec<BlobRef> = (0..300).map(|seed| blob(seed, BLOB_ALONE_BYTES_MIN - seed % 2)).collect();
        for layer in plan(&blobs) {
            let bytes: u64 = layer.iter().map(|blob| blob.size).sum();
            assert!(layer.len() == 1 || layer.iter().all(|blob| blob.size < BLOB_ALONE_BYTES_MIN));
            assert!(bytes <= BUNDLE_BYTES_MAX);
        }
        let empty: Vec<BlobRef> = (0..5000).map(|seed| blob(seed, 0)).collect();
        assert!(plan(&empty).iter().all(|layer| layer.len() <= BUNDLE_BLOBS_MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn layers_round_trip(sizes in proptest::collection::vec(0usize..100_000, 0..12), text in any::<bool>()) {
            let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (from, to) = (Store::at(from.path()).unwrap(), Store::at(to.path()).unwrap());
            let blobs: Vec<BlobRef> = sizes.iter().enumerate().map(|(seed, size)| {
                let mut bytes = vec![b'a'; *size];
                if !text {
                    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
                }
                BlobRef { digest: from.put(&mut bytes.as_slice()).unwrap(), size: *size as u64 }
            }).collect();
            let mut count = 0;
            for blobs in plan(&blobs) {
                let (layer, file) = encode(&from, &blobs).unwrap();
                prop_assert_eq!(&encode(&from, &blobs).unwrap().0, &layer);
                prop_assert_eq!(Layer::parse(&layer.note()), Some(layer.clone()));
                decode(&to, layer.media_type, file, &blobs).unwrap();
                count += blobs.len();
            }
            prop_assert_eq!(count, blobs.iter().map(|blob| blob.digest).collect::<BTreeSet<_>>().len());
            prop_assert!(blobs.iter().all(|blob| to.contains(&blob.digest)));
        }

        #[test]
        fn hostile_layers_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..300), zstd in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::at(folder.path()).unwrap();
            let mut file = store.aside().unwrap().into_file();
            file.write_all(&bytes).unwrap();
            let media_type = if zstd { BLOB_ZSTD_MEDIA_TYPE } else { BLOB_MEDIA_TYPE };
            prop_assert!(decode(&store, media_type, file, &[blob(1, 100)]).is_err());
        }
    }

    #[test]
    fn a_layer_that_unpacks_without_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path()).unwrap();
        let zeros = vec![0; 8 << 20];
        let mut file = store.aside().unwrap().into_file();
        file.write_all(&zstd::bulk::compress(&zeros, 3).unwrap()).unwrap();
        let blob = BlobRef { digest: Digest(*blake3::hash(&zeros[..10]).as_bytes()), size: 10 };
        let error = decode(&store, BLOB_ZSTD_MEDIA_TYPE, file, &[blob]).unwrap_err();
        assert!(error.to_string().contains("holds more"), "{error}");
    }
}
