//! Pushing: a program, and the blobs that it names, become an artifact of a registry.
//!
//! A plain program is one layer. A pack by reference whose program is large is cut into pieces, since a new version of
//! it changes little of a program that may have many megabytes. The manifest goes last, so nobody can pull half an
//! artifact. What the registry has already is not sent again, and
//! what was sent before an interruption counts as that.

use crate::artifact::{
    self, BlobLayer, CONFIG_MEDIA_TYPE, Component, Descriptor, INDEX_MEDIA_TYPE, Index, MANIFEST_MEDIA_TYPE,
    PROGRAM_MEDIA_TYPE,
};
use crate::chunks::{self, Chunked};
use crate::client::{Access, Body, Client, Options, Request, block_on};
use crate::error::{Error, Kind, Result};
use crate::layers::{self, Layer};
use crate::limits::{
    CHUNKED_PROGRAM_BYTES_MIN, INDEX_BYTES_MAX, LAYERS_MAX, MANIFEST_BYTES_MAX, PARALLEL_MAX, PROGRAM_BYTES_MAX,
};
use crate::reference::Reference;
use crate::store::{BlobRef, Store};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use weir_types::Digest;

/// A program that is to be pushed.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file: a WebAssembly module or component.
    pub path: PathBuf,
    /// What a component says of itself; `None` for a core module.
    pub component: Option<Component>,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The SHA-256 of the manifest: `NAME@sha256:DIGEST` is this artifact for ever.
    pub manifest: Digest,
    /// Bytes that were sent.
    pub uploaded_bytes: u64,
    /// Bytes that the registry had already.
    pub skipped_bytes: u64,
    /// Layers in all, and how many of them were sent.
    pub layers: u64,
    /// Layers that were sent.
    pub uploaded_layers: u64,
}

/// Pushes a program and the blobs that it names. The blobs are taken from the store.
///
/// # Errors
/// A blob is missing, the program is none, or the registry cannot be reached or refuses.
pub fn push(
    store: &Store,
    program: &Program,
    blobs: &[BlobRef],
    reference: &Reference,
    options: &Options,
) -> Result<Pushed> {
    let (Some(tag), None) = (reference.tag(), reference.digest()) else {
        let message = format!("{reference} has a digest; a push names a tag, and the digest follows from the program");
        return Err(Error::new(Kind::Reference, message));
    };
    let _busy = store.busy()?;
    let client = Client::new(reference, Access::Push, options)?;
    let (descriptor, file) = open_program(program)?;
    let files = layers::plan(blobs);
    let in_pieces = !blobs.is_empty() && descriptor.size >= CHUNKED_PROGRAM_BYTES_MIN;
    let pieces = if in_pieces { Some(chunks::put(store, &mut &file, None)?) } else { None };
    let (chunked, added) = pieces.map_or((None, Vec::new()), |(chunked, added)| (Some(chunked), added));
    let pusher = Pusher { store: store.clone(), client };
    let work = pusher.push(program, Parts { descriptor, file, files, chunked }, reference, tag);
    let pushed = block_on(work);
    // The program has a file of its own; its pieces were there for the layers only.
    store.remove_unnamed(&added);
    pushed
}

/// What is pushed.
struct Parts {
    descriptor: Descriptor,
    file: File,
    files: Vec<Vec<BlobRef>>,
    /// The program in pieces, which are in the store; `None` if it is one layer.
    chunked: Option<Chunked>,
}

struct Pusher {
    store: Store,
    client: Client,
}

/// One document that the registry has now.
struct Sent {
    descriptor: Descriptor,
    uploaded: bool,
}

impl Pusher {
    async fn push(&self, program: &Program, parts: Parts, reference: &Reference, tag: &str) -> Result<Pushed> {
        let pieces = parts.chunked.as_ref().map(|chunked| layers::plan(&chunked.chunks)).unwrap_or_default();
        let count = parts.files.len() + pieces.len() + 2;
        if count > LAYERS_MAX {
            let message =
                format!("the pack needs {count} layers; at most {LAYERS_MAX} are made: pack it without --by-reference");
            return Err(Error::new(Kind::TooLarge, message));
        }
        let mut sent = Vec::new();
        // What a layer comes to is known when it is put together; until then it counts as its blobs.
        self.client.meter().expect(parts.files.iter().chain(&pieces).flatten().map(|blob| blob.size).sum());
        if parts.chunked.is_none() {
            self.client.meter().expect(parts.descriptor.size);
            let body = Body::File(Arc::new(parts.file), parts.descriptor.size);
            sent.push(self.send_blob(parts.descriptor, body).await?);
        }
        if !parts.files.is_empty() {
            let (files, mut layers) = self.send_layers(&parts.files).await?;
            let (pieces, more) = self.send_layers(&pieces).await?;
            let index = Index { layers: files, program: parts.chunked.map(|chunked| (chunked, pieces)) };
            sent.push(self.send_bytes(INDEX_MEDIA_TYPE, artifact::index(&index), INDEX_BYTES_MAX).await?);
            sent.append(&mut layers);
            // A piece can be a file, too: then its layer is there already.
            sent.extend(
                more.into_iter().filter(|layer| !index.layers.iter().any(|it| it.sha256 == layer.descriptor.sha256)),
            );
        }
        let layers: Vec<Descriptor> = sent.iter().map(|sent| sent.descriptor.clone()).collect();
        let config = artifact::config(program.component.as_ref(), &layers);
        let config = self.send_bytes(CONFIG_MEDIA_TYPE, config, MANIFEST_BYTES_MAX).await?;
        let title = format!("{}.wasm", reference.name().rsplit('/').next().unwrap_or("program"));
        let manifest = artifact::manifest(&config.descriptor, &layers, &title);
        let layers = sent.len() as u64;
        let uploaded_layers = sent.iter().filter(|sent| sent.uploaded).count() as u64;
        sent.push(config);
        let sum = |uploaded: bool| {
            sent.iter().filter(|sent| sent.uploaded == uploaded).map(|sent| sent.descriptor.size).sum::<u64>()
        };
        Ok(Pushed {
            manifest: self.send_manifest(&manifest, tag).await?,
            uploaded_bytes: sum(true) + manifest.len() as u64,
            skipped_bytes: sum(false),
            layers,
            uploaded_layers,
        })
    }

    async fn send_layers(&self, plan: &[Vec<BlobRef>]) -> Result<(Vec<BlobLayer>, Vec<Sent>)> {
        let sent = stream::iter(plan).map(|blobs| self.send_layer(blobs)).buffered(PARALLEL_MAX);
        let sent: Vec<Sent> = sent.try_collect().await?;
        let named = sent.iter().zip(plan);
        let named = named.map(|(sent, blobs)| BlobLayer { sha256: sent.descriptor.sha256, blobs: blobs.clone() });
        Ok((named.collect(), sent))
    }

    /// Sends a layer of blobs; it is put together only if nobody knows yet what it is, or the registry lacks it.
    async fn send_layer(&self, blobs: &[BlobRef]) -> Result<Sent> {
        let expected = blobs.iter().map(|blob| blob.size).sum();
        let note = self.store.folder().join("layers").join(layers::recipe(blobs).to_hex());
        if let Some(layer) = std::fs::read_to_string(&note).ok().and_then(|text| Layer::parse(&text)) {
            let descriptor = descriptor_of(&layer);
            if self.has(&descriptor).await? {
                self.client.meter().spare(expected);
                return Ok(Sent { descriptor, uploaded: false });
            }
        }
        let (store, blobs) = (self.store.clone(), blobs.to_vec());
        let encoded = tokio::task::spawn_blocking(move || layers::encode(&store, &blobs)).await;
        let (layer, file) = encoded.map_err(|_| Error::new(Kind::Store, "putting a layer together failed"))??;
        self.client.meter().expect(layer.size);
        self.client.meter().spare(expected);
        let sent = self.send_blob(descriptor_of(&layer), Body::File(Arc::new(file), layer.size)).await?;
        // Without the note the layer is only put together again.
        let _ = self.store.write_note(&note, &layer.note());
        Ok(sent)
    }

    async fn send_bytes(&self, media_type: &str, bytes: Vec<u8>, bytes_max: u64) -> Result<Sent> {
        let size = bytes.len() as u64;
        if size > bytes_max {
            let message = format!("the artifact's {media_type} has {size} bytes; at most {bytes_max} are made");
            return Err(Error::new(Kind::TooLarge, message));
        }
        let sha256 = Digest(Sha256::digest(&bytes).into());
        let descriptor = Descriptor { media_type: media_type.into(), sha256, size };
        self.send_blob(descriptor, Body::Bytes(bytes)).await
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        let url = self.client.url(&format!("blobs/sha256:{}", descriptor.sha256));
        let (response, url) = self.client.send(&Request::new(Method::HEAD, url)).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            // Storage behind a registry may answer reading requests only; sending a layer again does no harm.
            _ if !self.client.is_own(&url) => Ok(false),
            _ => Err(self.client.refused("the question for a layer", response).await),
        }
    }

    async fn send_blob(&self, descriptor: Descriptor, body: Body) -> Result<Sent> {
        if self.has(&descriptor).await? {
            if matches!(body, Body::File(..)) {
                self.client.meter().spare(descriptor.size);
            }
            return Ok(Sent { descriptor, uploaded: false });
        }
        let start = Request::new(Method::POST, self.client.url("blobs/uploads/"))
            .with_body("application/octet-stream", Body::Bytes(Vec::new()));
        let (response, url) = self.client.send(&start).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.client.refused("the start of an upload", response).await);
        }
        let mut url = self.client.location(&url, &response)?;
        url.query_pairs_mut().append_pair("digest", &format!("sha256:{}", descriptor.sha256));
        let upload = Request::new(Method::PUT, url).with_body("application/octet-stream", body);
        let (response, _) = self.client.send(&upload).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.client.refused("an upload", response).await);
        }
        Ok(Sent { descriptor, uploaded: true })
    }

    async fn send_manifest(&self, manifest: &[u8], tag: &str) -> Result<Digest> {
        if manifest.len() as u64 > MANIFEST_BYTES_MAX {
            let message = format!(
                "the manifest would have {} bytes; registries take {MANIFEST_BYTES_MAX}: pack without --by-reference",
                manifest.len()
            );
            return Err(Error::new(Kind::TooLarge, message));
        }
        let sha256 = Digest(Sha256::digest(manifest).into());
        let put = Request::new(Method::PUT, self.client.url(&format!("manifests/{tag}")))
            .with_body(MANIFEST_MEDIA_TYPE, Body::Bytes(manifest.to_vec()));
        let (response, _) = self.client.send(&put).await?;
        if !response.status().is_success() {
            return Err(self.client.refused("the manifest", response).await);
        }
        let stored = response.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
        if stored.is_some_and(|stored| stored != format!("sha256:{sha256}")) {
            return Err(self.client.error(Kind::Digest, "keeps another manifest than the one that was sent"));
        }
        Ok(sha256)
    }
}

fn descriptor_of(layer: &Layer) -> Descriptor {
    Descriptor { media_type: layer.media_type.into(), sha256: layer.sha256, size: layer.size }
}

/// Opens a program and sums it up. A file that changes afterwards does not fit its digest, and the registry says so.
fn open_program(program: &Program) -> Result<(Descriptor, File)> {
    let path = &program.path;
    let failed = |error: std::io::Error| Error::new(Kind::Program, format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > PROGRAM_BYTES_MAX {
        let message = format!("{} has {size} bytes; at most {PROGRAM_BYTES_MAX} are pushed", path.display());
        return Err(Error::new(Kind::TooLarge, message));
    }
    let mut magic = [0; 4];
    if file.read_exact_at(&mut magic, 0).is_err() || magic != *b"\0asm" {
        let message = format!("{} is no WebAssembly binary: only programs and packs are pushed", path.display());
        return Err(Error::new(Kind::Program, message));
    }
    let (mut sha256, mut buffer, mut summed) = (Sha256::new(), vec![0; 256 << 10], 0);
    loop {
        match (&file).read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                summed += count as u64;
                sha256.update(&buffer[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if summed != size {
        return Err(Error::new(Kind::Program, format!("{} changes while it is read", path.display())));
    }
    let sha256 = Digest(sha256.finalize().into());
    (&file).rewind().map_err(failed)?;
    Ok((Descriptor { media_type: PROGRAM_MEDIA_TYPE.into(), sha256, size }, file))
}
