//! Pulling: an artifact of a registry becomes a program and blobs in the store.
//!
//! Every layer is checked by its SHA-256 before anything looks into it, and every blob by its BLAKE3. What has passed
//! stays in the store even if the pull breaks off later, so the next one goes on from there; what has not passed was
//! never in the store. The reference is remembered last, when all of it is there.

use crate::artifact::{
    BlobLayer, Descriptor, Index, MANIFEST_MEDIA_TYPES, Manifest, choose, parse_index, parse_manifest,
};
use crate::chunks::{self, Chunked};
use crate::client::{Access, Client, Options, Request, block_on};
use crate::error::{Error, Kind, Result};
use crate::layers;
use crate::limits::{MANIFEST_BYTES_MAX, PARALLEL_MAX};
use crate::reference::{Reference, sha256_of};
use crate::store::{BlobRef, Store};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use weir_types::Digest;

/// What a pull did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The program's file in the store, or wherever it is after [`resolve`].
    pub program: PathBuf,
    /// The SHA-256 of the manifest.
    pub manifest: Digest,
    /// Bytes that came over the network.
    pub fetched_bytes: u64,
    /// Bytes of layers that the store had already.
    pub reused_bytes: u64,
    /// Whether the registry was asked. If not, a tag may stand for something newer by now.
    pub refreshed: bool,
}

/// Pulls an artifact into the store and remembers the reference.
///
/// # Errors
/// The registry cannot be reached, does not have it, or gives something that is not what it says; or the store cannot
/// be written.
pub fn pull(store: &Store, reference: &Reference, options: &Options) -> Result<Pulled> {
    let _busy = store.busy()?;
    let puller = Puller { store: store.clone(), client: Client::new(reference, Access::Pull, options)? };
    block_on(puller.pull(reference))
}

/// The program of a reference, from the store if it was pulled before (then no network is asked), else pulled.
///
/// # Errors
/// As [`pull`].
pub fn resolve(store: &Store, reference: &Reference, options: &Options) -> Result<Pulled> {
    if let Some(kept) = store.kept(reference)?
        && let Some(program) = store.find(&kept.program.digest)?
    {
        let reused_bytes = kept.program.size + kept.blobs.iter().map(|blob| blob.size).sum::<u64>();
        return Ok(Pulled { program, manifest: kept.manifest, fetched_bytes: 0, reused_bytes, refreshed: false });
    }
    pull(store, reference, options)
}

/// Somebody removes files of the store by hand, or the disk loses them.
fn vanished() -> Error {
    Error::new(Kind::Store, "what was just fetched vanished from the store again: run this again")
}

struct Puller {
    store: Store,
    client: Client,
}

/// Bytes that came, and bytes that need not come.
#[derive(Clone, Copy, Default)]
struct Moved {
    fetched: u64,
    reused: u64,
}

impl Puller {
    async fn pull(&self, reference: &Reference) -> Result<Pulled> {
        let (digest, bytes) = self.manifest(reference).await?;
        let manifest = parse_manifest(&bytes)?;
        let mut moved = Moved { fetched: bytes.len() as u64, reused: 0 };
        let packed = manifest.blob_layers.values().chain(&manifest.program).chain(&manifest.index);
        self.check_sum("packed", packed.clone().map(|layer| layer.size))?;
        self.client.meter().expect(packed.map(|layer| layer.size).sum());
        let mut index_blob = None;
        let index = match &manifest.index {
            Some(descriptor) => {
                let blob = self.document(descriptor, &mut moved).await?;
                index_blob = Some(blob);
                parse_index(&self.store.bytes(&blob.digest)?.ok_or_else(vanished)?, &manifest)?
            }
            None if manifest.blob_layers.is_empty() => Index::default(),
            None => return Err(self.client.error(Kind::Answer, "has blobs in this artifact, but no index of them")),
        };
        self.layers(&index.layers, &manifest, &mut moved).await?;
        let program = match (&manifest.program, &index.program) {
            (Some(descriptor), _) => self.document(descriptor, &mut moved).await?,
            (None, Some((program, pieces))) => {
                self.joined(reference, program, pieces, &manifest, &mut moved).await?;
                program.whole
            }
            (None, None) => return Err(self.client.error(Kind::Answer, "has no program in this artifact")),
        };
        self.check_program(&program, reference)?;
        let blobs: Vec<BlobRef> = index.layers.into_iter().flat_map(|layer| layer.blobs).collect();
        self.store.keep_reference(reference, &digest, &program, index_blob.as_ref(), &blobs)?;
        let path = self.store.find(&program.digest)?.ok_or_else(vanished)?;
        let (fetched_bytes, reused_bytes) = (moved.fetched, moved.reused);
        Ok(Pulled { program: path, manifest: digest, fetched_bytes, reused_bytes, refreshed: true })
    }

    /// Layers of blobs; those whose blobs are all there are not fetched.
    async fn layers(&self, layers: &[BlobLayer], manifest: &Manifest, moved: &mut Moved) -> Result<()> {
        let missing = layers.iter().flat_map(|layer| &layer.blobs).filter(|blob| !self.store.has(blob));
        self.check_sum("unpacked", missing.map(|blob| blob.size))?;
        let fetched = stream::iter(layers).map(|layer| self.layer(layer, manifest)).buffer_unordered(PARALLEL_MAX);
        let fetched: Vec<Moved> = fetched.try_collect().await?;
        for one in fetched {
            moved.fetched += one.fetched;
            moved.reused += one.reused;
        }
        Ok(())
    }

    /// A program in pieces. Pieces of other versions that were pulled are used again; when the program is whole, its
    /// pieces go.
    async fn joined(
        &self,
        reference: &Reference,
        program: &Chunked,
        pieces: &[BlobLayer],
        manifest: &Manifest,
        moved: &mut Moved,
    ) -> Result<()> {
        if self.store.contains(&program.whole.digest) {
            let reused = pieces.iter().map(|layer| manifest.blob_layers[&layer.sha256].size).sum::<u64>();
            self.client.meter().spare(reused);
            moved.reused += reused;
            return Ok(());
        }
        let loose = |chunk: &&BlobRef| !self.store.has(chunk);
        // For a moment there are both the pieces and the whole.
        let missing = program.chunks.iter().filter(loose).map(|chunk| chunk.size).sum::<u64>();
        self.store.check_room(missing.saturating_add(program.whole.size))?;
        let added: Vec<Digest> = program.chunks.iter().filter(loose).map(|chunk| chunk.digest).collect();
        // Another pull into the same store may tidy a piece away that both need.
        for _ in 0..3 {
            let mut once = Moved::default();
            self.seed(reference, program)?;
            self.layers(pieces, manifest, &mut once).await?;
            moved.fetched += once.fetched;
            moved.reused += once.reused;
            // Whoever tidied a piece away has put the program together before.
            if self.store.contains(&program.whole.digest) || chunks::join(&self.store, program)? {
                self.store.remove_unnamed(&added);
                return Ok(());
            }
        }
        Err(vanished())
    }

    /// Cuts the programs that were pulled from the same repository, and keeps the pieces that are wanted.
    fn seed(&self, reference: &Reference, program: &Chunked) -> Result<()> {
        let missing = program.chunks.iter().filter(|chunk| !self.store.has(chunk));
        let mut missing: BTreeSet<Digest> = missing.map(|chunk| chunk.digest).collect();
        for kept in self.store.list()?.references {
            let same = (kept.reference.host(), kept.reference.name()) == (reference.host(), reference.name());
            if !same || missing.is_empty() {
                continue;
            }
            if let Some(path) = self.store.find(&kept.program.digest)? {
                let file = File::open(&path).map_err(|error| Error::io("cannot read", &path, &error))?;
                let (_, added) = chunks::put(&self.store, &mut &file, Some(&missing))?;
                missing.retain(|digest| !added.contains(digest));
            }
        }
        Ok(())
    }

    /// The manifest with its digest; a list of manifests leads on to the one for WebAssembly.
    async fn manifest(&self, reference: &Reference) -> Result<(Digest, Vec<u8>)> {
        let named = reference.digest().map(|digest| format!("sha256:{digest}"));
        let name = named.as_deref().or(reference.tag()).unwrap_or("latest");
        let (digest, bytes) = self.one_manifest(reference, name, reference.digest()).await?;
        match choose(&bytes)? {
            None => Ok((digest, bytes)),
            Some(chosen) => {
                self.one_manifest(reference, &format!("sha256:{}", chosen.sha256), Some(chosen.sha256)).await
            }
        }
    }

    async fn one_manifest(
        &self,
        reference: &Reference,
        name: &str,
        expected: Option<Digest>,
    ) -> Result<(Digest, Vec<u8>)> {
        let types = MANIFEST_MEDIA_TYPES.join(", ");
        let request = Request::new(Method::GET, self.client.url(&format!("manifests/{name}"))).accept(&types);
        let (response, _) = self.client.send(&request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(self.client.error(Kind::NotFound, &format!("does not have {reference}")));
            }
            _ => return Err(self.client.refused("the question for the manifest", response).await),
        }
        let said = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        let said = said.and_then(sha256_of);
        let bytes = self.client.read(response, MANIFEST_BYTES_MAX).await?;
        let digest = Digest(Sha256::digest(&bytes).into());
        if let Some(expected) = [expected, said].into_iter().flatten().find(|expected| *expected != digest) {
            let message = format!("gives a manifest with SHA-256 {digest}, not {expected}");
            return Err(self.client.error(Kind::Digest, &message));
        }
        Ok((digest, bytes))
    }

    /// Refuses an artifact that is too large before anything of it is fetched. Both are checked, what comes and what it
    /// becomes: a few bytes can unpack to very many.
    fn check_sum(&self, what: &str, sizes: impl Iterator<Item = u64>) -> Result<()> {
        let bytes = sizes.fold(0, u64::saturating_add);
        let bytes_max = self.client.limits().pull_bytes_max;
        if bytes > bytes_max {
            let message = format!("the artifact has {bytes} bytes ({what}); one pull takes at most {bytes_max}");
            return Err(Error::new(Kind::TooLarge, message));
        }
        if what == "unpacked" { self.store.check_room(bytes) } else { Ok(()) }
    }

    fn check_program(&self, program: &BlobRef, reference: &Reference) -> Result<()> {
        let mut magic = [0; 4];
        let read = self.store.find(&program.digest)?.and_then(|path| File::open(path).ok());
        if read.and_then(|mut file| file.read_exact(&mut magic).ok()).is_none() || magic != *b"\0asm" {
            return Err(Error::new(Kind::Program, format!("{reference} says it is a program, but is no WebAssembly")));
        }
        Ok(())
    }

    /// A layer that is one blob. A note in the store says which blob a layer became when it was checked.
    async fn document(&self, descriptor: &Descriptor, moved: &mut Moved) -> Result<BlobRef> {
        let note = self.store.folder().join("contents").join(descriptor.sha256.to_hex());
        let known = std::fs::read_to_string(&note).ok().and_then(|text| Digest::from_hex(text.trim_end()));
        if let Some(digest) = known
            && self.store.contains(&digest)
        {
            self.client.meter().spare(descriptor.size);
            moved.reused += descriptor.size;
            return Ok(BlobRef { digest, size: descriptor.size });
        }
        let mut file = self.fetch(descriptor).await?;
        moved.fetched += descriptor.size;
        file.rewind().map_err(|error| Error::io("cannot read back a layer in", self.store.folder(), &error))?;
        let digest = self.store.put(&mut file)?;
        self.store.write_note(&note, &format!("{digest}\n"))?;
        Ok(BlobRef { digest, size: descriptor.size })
    }

    /// A layer of blobs, unless the store has them all.
    async fn layer(&self, layer: &BlobLayer, manifest: &Manifest) -> Result<Moved> {
        let descriptor = &manifest.blob_layers[&layer.sha256];
        if layer.blobs.iter().all(|blob| self.store.contains(&blob.digest)) {
            self.client.meter().spare(descriptor.size);
            return Ok(Moved { fetched: 0, reused: descriptor.size });
        }
        let file = self.fetch(descriptor).await?;
        let (store, media_type, blobs) = (self.store.clone(), descriptor.media_type.clone(), layer.blobs.clone());
        let decoded = tokio::task::spawn_blocking(move || layers::decode(&store, &media_type, file, &blobs)).await;
        decoded.map_err(|_| Error::new(Kind::Store, "unpacking a layer failed"))??;
        Ok(Moved { fetched: descriptor.size, reused: 0 })
    }

    /// Fetches a layer into a file without a name, and checks it.
    async fn fetch(&self, descriptor: &Descriptor) -> Result<File> {
        let (sha256, size) = (descriptor.sha256, descriptor.size);
        let url = self.client.url(&format!("blobs/sha256:{sha256}"));
        let (response, _) = self.client.send(&Request::new(Method::GET, url)).await?;
        if response.status() != StatusCode::OK {
            return Err(self.client.refused(&format!("the question for layer sha256:{sha256}"), response).await);
        }
        let mut file = self.store.aside()?.into_file();
        let mut summed = Sha256::new();
        let folder = self.store.folder();
        let mut take = |piece: &[u8]| {
            self.client.meter().add(piece.len() as u64);
            summed.update(piece);
            file.write_all(piece).map_err(|error| Error::io("cannot write to the store in", folder, &error))
        };
        let received = self.client.receive(response, size, &mut take).await?;
        let actual = Digest(summed.finalize().into());
        if (received, actual) != (size, sha256) {
            let message = format!(
                "gives {received} bytes with SHA-256 {actual} for a layer of {size} bytes with {sha256}; nothing of it is used"
            );
            return Err(self.client.error(Kind::Digest, &message));
        }
        Ok(file)
    }
}
