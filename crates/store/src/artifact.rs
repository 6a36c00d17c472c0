//! The documents of an artifact: manifest, configuration, and the index of blobs.
//!
//! A plain program or a self-contained pack is exactly what the CNCF's Wasm OCI artifact format says: an image
//! manifest, a configuration of its own type, one layer `application/wasm`. A pack by reference has an index (which
//! blobs are in which layer) and the layers with the blobs; a large one has its program in such layers, too, in pieces.
//! Nothing here says when it was made: the same program is the same artifact.

use crate::chunks::Chunked;
use crate::error::{Error, Kind, Result};
use crate::limits::{BLOB_BYTES_MAX, BLOBS_MAX, CHUNK_BYTES_MAX, INDEX_BYTES_MAX, LAYERS_MAX, PROGRAM_BYTES_MAX};
use crate::reference::sha256_of;
use crate::store::BlobRef;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weir_types::Digest;

/// A manifest, by the OCI's format.
pub(crate) const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What a registry may answer with: a manifest or a list of some, and Docker's forms of both, which have the same fields.
pub(crate) const MANIFEST_MEDIA_TYPES: [&str; 4] = [
    MANIFEST_MEDIA_TYPE,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// A program, by the CNCF's format.
pub(crate) const PROGRAM_MEDIA_TYPE: &str = "application/wasm";
/// What other tools have called the same before there was a specification: taken, never made.
const OTHER_PROGRAM_MEDIA_TYPES: [&str; 3] = [
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];
/// The configuration, by the CNCF's format.
pub(crate) const CONFIG_MEDIA_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// Which blobs are in which layer.
pub(crate) const INDEX_MEDIA_TYPE: &str = "application/vnd.weir.blobs.v1+json";
/// Blobs, one after another.
pub(crate) const BLOB_MEDIA_TYPE: &str = "application/vnd.weir.blob.v1";
/// The same, compressed.
pub(crate) const BLOB_ZSTD_MEDIA_TYPE: &str = "application/vnd.weir.blob.v1+zstd";
/// The format wants a time; a time that says nothing keeps artifacts reproducible.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What a component says of itself, for the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The world that it is made for, if it says so.
    pub target: Option<String>,
}

/// A layer, or another document, of a manifest that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
}

/// A layer of blobs, as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobLayer {
    pub(crate) sha256: Digest,
    pub(crate) blobs: Vec<BlobRef>,
}

/// What the index of a pack by reference says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// The layers of the pack's files.
    pub(crate) layers: Vec<BlobLayer>,
    /// The program in pieces, with the layers of these.
    pub(crate) program: Option<(Chunked, Vec<BlobLayer>)>,
}

/// A manifest that was checked. It has a program or an index, or both.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) program: Option<Descriptor>,
    pub(crate) index: Option<Descriptor>,
    pub(crate) blob_layers: BTreeMap<Digest, Descriptor>,
}

/// The configuration's bytes.
pub(crate) fn config(component: Option<&Component>, layers: &[Descriptor]) -> Vec<u8> {
    let config = wire::Config {
        created: CREATED,
        architecture: "wasm",
        os: if component.is_some() { "wasip2" } else { "wasip1" },
        layer_digests: layers.iter().map(|layer| format!("sha256:{}", layer.sha256)).collect(),
        component: component.map(|component| wire::Component {
            exports: &component.exports,
            imports: &component.imports,
            target: component.target.as_deref(),
        }),
    };
    serde_json::to_vec(&config).expect("plain data has a JSON form")
}

/// The manifest's bytes. `title` is the file name that generic tools give the program.
pub(crate) fn manifest(config: &Descriptor, layers: &[Descriptor], title: &str) -> Vec<u8> {
    let describe = |descriptor: &Descriptor| wire::Descriptor {
        media_type: descriptor.media_type.clone(),
        digest: format!("sha256:{}", descriptor.sha256),
        size: descriptor.size as i64,
        annotations: None,
    };
    let mut layers: Vec<wire::Descriptor> = layers.iter().map(describe).collect();
    if let Some(program) = layers.first_mut().filter(|first| first.media_type == PROGRAM_MEDIA_TYPE) {
        program.annotations = Some(BTreeMap::from([("org.opencontainers.image.title".into(), title.into())]));
    }
    let media_type = Some(MANIFEST_MEDIA_TYPE.into());
    let manifest = wire::Manifest { schema_version: 2, media_type, config: describe(config), layers };
    serde_json::to_vec(&manifest).expect("plain data has a JSON form")
}

/// Checks a manifest that a registry gave.
///
/// # Errors
/// It is none, holds no program, or is beyond the limits.
pub(crate) fn parse_manifest(bytes: &[u8]) -> Result<Manifest> {
    let manifest: wire::Manifest =
        serde_json::from_slice(bytes).map_err(|error| answer(format!("the manifest is not well formed: {error}")))?;
    if manifest.schema_version != 2 {
        return Err(answer(format!("the manifest is of schema {}, not 2", manifest.schema_version)));
    }
    if manifest.layers.len() > LAYERS_MAX {
        let message = format!("the artifact has {} layers; at most {LAYERS_MAX} are taken", manifest.layers.len());
        return Err(Error::new(Kind::TooLarge, message));
    }
    let (mut program, mut index, mut blob_layers) = (None, None, BTreeMap::new());
    for layer in &manifest.layers {
        let kind = match layer.media_type.as_str() {
            kind if OTHER_PROGRAM_MEDIA_TYPES.contains(&kind) => PROGRAM_MEDIA_TYPE,
            kind => kind,
        };
        match kind {
            PROGRAM_MEDIA_TYPE if program.is_none() => {
                program = Some(check(layer, PROGRAM_BYTES_MAX)?);
            }
            INDEX_MEDIA_TYPE if index.is_none() => index = Some(check(layer, INDEX_BYTES_MAX)?),
            BLOB_MEDIA_TYPE | BLOB_ZSTD_MEDIA_TYPE => {
                let layer = check(layer, BLOB_BYTES_MAX)?;
                blob_layers.insert(layer.sha256, layer);
            }
            PROGRAM_MEDIA_TYPE | INDEX_MEDIA_TYPE => {
                return Err(answer("the artifact holds more than one program".into()));
            }
            // Signatures and the like: other tools' business.
            _ => {}
        }
    }
    let kinds: BTreeSet<&str> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).take(5).collect();
    let none = || Error::new(Kind::Program, format!("the artifact holds no WebAssembly program (layers: {kinds:?})"));
    if program.is_none() && index.is_none() {
        return Err(none());
    }
    Ok(Manifest { program, index, blob_layers })
}

fn check(descriptor: &wire::Descriptor, bytes_max: u64) -> Result<Descriptor> {
    let (digest, media_type) = (&descriptor.digest, descriptor.media_type.clone());
    let shown: String = digest.chars().take(100).collect();
    let sha256 = sha256_of(digest)
        .ok_or_else(|| answer(format!("the manifest names a layer {shown:?}, which is no SHA-256 digest")))?;
    let size = u64::try_from(descriptor.size).map_err(|_| answer("a layer has a negative size".into()))?;
    if size > bytes_max {
        let message = format!("a layer ({media_type:?}) has {size} bytes; at most {bytes_max} are taken");
        return Err(Error::new(Kind::TooLarge, message));
    }
    Ok(Descriptor { media_type, sha256, size })
}

/// The index's bytes.
pub(crate) fn index(index: &Index) -> Vec<u8> {
    let blobs = |blobs: &[BlobRef]| blobs.iter().map(|blob| (blob.digest.to_hex(), blob.size)).collect();
    let layers = |layers: &[BlobLayer]| {
        let layer = |layer: &BlobLayer| wire::IndexLayer {
            layer: format!("sha256:{}", layer.sha256),
            blobs: blobs(&layer.blobs),
        };
        layers.iter().map(layer).collect()
    };
    let program = index.program.as_ref().map(|(program, pieces)| wire::IndexProgram {
        blake3: program.whole.digest.to_hex(),
        size: program.whole.size,
        chunks: blobs(&program.chunks),
        layers: layers(pieces),
    });
    serde_json::to_vec(&wire::Index { layers: layers(&index.layers), program }).expect("plain data has a JSON form")
}

/// Checks an index that a registry gave against its manifest.
///
/// # Errors
/// It is none, names a layer that the manifest lacks, or is beyond the limits.
pub(crate) fn parse_index(bytes: &[u8], manifest: &Manifest) -> Result<Index> {
    let index: wire::Index = serde_json::from_slice(bytes)
        .map_err(|error| answer(format!("the index of blobs is not well formed: {error}")))?;
    let layers = parse_layers(&index.layers, manifest)?;
    let Some(program) = &index.program else { return Ok(Index { layers, program: None }) };
    let pieces = parse_layers(&program.layers, manifest)?;
    let whole = parse_blob(&program.blake3, program.size, PROGRAM_BYTES_MAX)?;
    let chunks = program.chunks.iter().map(|(hex, size)| parse_blob(hex, *size, CHUNK_BYTES_MAX as u64));
    let chunks = chunks.collect::<Result<Vec<BlobRef>>>()?;
    let there: BTreeSet<Digest> = pieces.iter().flat_map(|layer| &layer.blobs).map(|blob| blob.digest).collect();
    let size = chunks.iter().fold(0u64, |sum, chunk| sum.saturating_add(chunk.size));
    if size != whole.size || !chunks.iter().all(|chunk| there.contains(&chunk.digest)) {
        return Err(answer("the pieces of the program are not the program".into()));
    }
    Ok(Index { layers, program: Some((Chunked { whole, chunks }, pieces)) })
}

fn parse_layers(layers: &[wire::IndexLayer], manifest: &Manifest) -> Result<Vec<BlobLayer>> {
    if layers.iter().map(|layer| layer.blobs.len()).sum::<usize>() > BLOBS_MAX {
        return Err(Error::new(Kind::TooLarge, format!("the artifact has more than {BLOBS_MAX} blobs")));
    }
    let (mut parsed, mut seen) = (Vec::new(), BTreeSet::new());
    for layer in layers {
        let known = sha256_of(&layer.layer).filter(|sha256| manifest.blob_layers.contains_key(sha256));
        let Some(sha256) = known.filter(|sha256| seen.insert(*sha256)) else {
            let message = "the index of blobs names a layer twice, or one that is not in the manifest";
            return Err(answer(message.into()));
        };
        let blobs = layer.blobs.iter().map(|(hex, size)| parse_blob(hex, *size, BLOB_BYTES_MAX));
        parsed.push(BlobLayer { sha256, blobs: blobs.collect::<Result<_>>()? });
    }
    Ok(parsed)
}

fn parse_blob(hex: &str, size: u64, bytes_max: u64) -> Result<BlobRef> {
    let digest = Digest::from_hex(hex).ok_or_else(|| answer("the index of blobs names a bad digest".into()))?;
    if size > bytes_max {
        let message = format!("blob {digest} has {size} bytes; at most {bytes_max} are taken");
        return Err(Error::new(Kind::TooLarge, message));
    }
    Ok(BlobRef { digest, size })
}

/// The manifest that a list of manifests has for WebAssembly.
///
/// # Errors
/// `bytes` is such a list, and has none or several.
pub(crate) fn choose(bytes: &[u8]) -> Result<Option<Descriptor>> {
    let Ok(list) = serde_json::from_slice::<wire::List>(bytes) else { return Ok(None) };
    let wasm = |entry: &&wire::ListEntry| entry.platform.as_ref().is_none_or(|it| it.architecture == "wasm");
    let mut fitting = list.manifests.iter().filter(wasm);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => {
            let (media_type, digest) = (MANIFEST_MEDIA_TYPE.into(), only.digest.clone());
            let descriptor = wire::Descriptor { media_type, digest, size: only.size, annotations: None };
            Ok(Some(check(&descriptor, crate::limits::MANIFEST_BYTES_MAX)?))
        }
        (None, _) => Err(Error::new(Kind::Program, "the artifact has no manifest for WebAssembly")),
        _ => Err(Error::new(Kind::Program, "the artifact has several manifests: name one by @sha256:DIGEST")),
    }
}

fn answer(message: String) -> Error {
    Error::new(Kind::Answer, message)
}

/// The documents as they are written: field names are those of the formats.
mod wire {
    use super::{BTreeMap, Deserialize, Serialize};

    /// Fields that weir neither writes nor reads are passed over, as the format asks for.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Manifest {
        pub schema_version: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub media_type: Option<String>,
        pub config: Descriptor,
        pub layers: Vec<Descriptor>,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Descriptor {
        pub media_type: String,
        pub digest: String,
        /// Signed as in the format, so that a negative one is named as what is wrong.
        pub size: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub annotations: Option<BTreeMap<String, String>>,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Config<'a> {
        pub created: &'a str,
        pub architecture: &'a str,
        pub os: &'a str,
        pub layer_digests: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub component: Option<Component<'a>>,
    }

    #[derive(Serialize)]
    pub struct Component<'a> {
        pub exports: &'a [String],
        pub imports: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        pub target: Option<&'a str>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Index {
        pub layers: Vec<IndexLayer>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub program: Option<IndexProgram>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct IndexProgram {
        pub blake3: String,
        pub size: u64,
        pub chunks: Vec<(String, u64)>,
        pub layers: Vec<IndexLayer>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct IndexLayer {
        pub layer: String,
        pub blobs: Vec<(String, u64)>,
    }

    #[derive(Deserialize)]
    pub struct List {
        pub manifests: Vec<ListEntry>,
    }

    #[derive(Deserialize)]
    pub struct ListEntry {
        pub digest: String,
        pub size: i64,
        pub platform: Option<Platform>,
    }

    #[derive(Deserialize)]
    pub struct Platform {
        pub architecture: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn descriptor(byte: u8, media_type: &str) -> Descriptor {
        Descriptor { media_type: media_type.into(), sha256: Digest([byte; 32]), size: 7 }
    }

    #[test]
    fn documents_of_a_plain_program_are_the_formats() {
        let program = descriptor(1, PROGRAM_MEDIA_TYPE);
        let config = String::from_utf8(config(None, std::slice::from_ref(&program))).unwrap();
        let ones = "01".repeat(32);
        assert_eq!(
            config,
            format!(
                r#"{{"created":"1970-01-01T00:00:00Z","architecture":"wasm","os":"wasip1","layerDigests":["sha256:{ones}"]}}"#
            )
        );
        let bytes = manifest(&descriptor(2, CONFIG_MEDIA_TYPE), std::slice::from_ref(&program), "tool.wasm");
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json""#));
        assert_eq!(parse_manifest(&bytes).unwrap().program, Some(program.clone()));
        let component = Component { exports: vec!["wasi:cli/run@0.2.0".into()], imports: vec![], target: None };
        let config = String::from_utf8(super::config(Some(&component), &[program])).unwrap();
        assert!(config.contains(r#""os":"wasip2""#));
        assert!(config.ends_with(r#""component":{"exports":["wasi:cli/run@0.2.0"],"imports":[]}}"#), "{config}");
    }

    /// These bytes have a digest that people write down: another order or another field would be another artifact.
    #[test]
    fn a_manifest_keeps_its_bytes() {
        let layers = [descriptor(1, PROGRAM_MEDIA_TYPE), descriptor(4, BLOB_ZSTD_MEDIA_TYPE)];
        let bytes = manifest(&descriptor(2, CONFIG_MEDIA_TYPE), &layers, "tool.wasm");
        let (ones, twos, fours) = ("01".repeat(32), "02".repeat(32), "04".repeat(32));
        let expected = [
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":"#,
            r#"{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:TWOS","size":7},"layers":["#,
            r#"{"mediaType":"application/wasm","digest":"sha256:ONES","size":7,"#,
            r#""annotations":{"org.opencontainers.image.title":"tool.wasm"}},"#,
            r#"{"mediaType":"application/vnd.weir.blob.v1+zstd","digest":"sha256:FOURS","size":7}]}"#,
        ];
        let expected = expected.concat().replace("ONES", &ones).replace("TWOS", &twos).replace("FOURS", &fours);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    /// Fields that weir has no use for, as other tools write them, `null` included.
    #[test]
    fn manifests_of_other_tools_are_read() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let text = r#"{"schemaVersion":2,"artifactType":"application/wasm","annotations":{"a":"b"},"subject":null,"new":[1],
            "config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"DIGEST","size":2,"data":"e30="},
            "layers":[{"mediaType":"application/wasm","digest":"DIGEST","size":8,"urls":["https://x"],"annotations":null}]}"#;
        let read = parse_manifest(text.replace("DIGEST", &digest).as_bytes()).unwrap();
        let program = Descriptor { media_type: PROGRAM_MEDIA_TYPE.into(), sha256: Digest([10; 32]), size: 8 };
        assert_eq!(read.program, Some(program));
        for missing in ["schemaVersion", "config", "layers", "mediaType", "digest", "size"] {
            let text = text.replace("DIGEST", &digest).replace(&format!("\"{missing}\""), "\"other\"");
            let error = parse_manifest(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(&format!("missing field `{missing}`")), "{error}");
        }
    }

    #[test]
    fn an_index_goes_round_and_is_held_against_the_manifest() {
        let layers =
            [descriptor(1, PROGRAM_MEDIA_TYPE), descriptor(3, INDEX_MEDIA_TYPE), descriptor(4, BLOB_MEDIA_TYPE)];
        let manifest = parse_manifest(&manifest(&descriptor(2, CONFIG_MEDIA_TYPE), &layers, "t.wasm")).unwrap();
        let blob = |byte| BlobRef { digest: Digest([byte; 32]), size: 5 };
        let layer = |byte| BlobLayer { sha256: Digest([byte; 32]), blobs: vec![blob(8)] };
        let files = |layers: &[BlobLayer]| Index { layers: layers.to_vec(), program: None };
        assert_eq!(parse_index(&index(&files(&[layer(4)])), &manifest).unwrap(), files(&[layer(4)]));
        assert!(parse_index(&index(&files(&[layer(5)])), &manifest).is_err());
        assert!(parse_index(&index(&files(&[layer(4), layer(4)])), &manifest).is_err());
        // A program in pieces: all of them are there, and as long as it.
        let pieces = |size, chunks: &[BlobRef]| {
            let program = Chunked { whole: BlobRef { size, ..blob(7) }, chunks: chunks.to_vec() };
            Index { layers: vec![], program: Some((program, vec![layer(4)])) }
        };
        let good = pieces(10, &[blob(8), blob(8)]);
        assert_eq!(parse_index(&index(&good), &manifest).unwrap(), good);
        for bad in [pieces(11, &[blob(8), blob(8)]), pieces(5, &[blob(9)])] {
            assert_eq!(parse_index(&index(&bad), &manifest).unwrap_err().kind(), Kind::Answer);
        }
        assert!(parse_index(b"{\"layers\":[{\"layer\":\"x\",\"blobs\":[]}]}", &manifest).is_err());
        assert!(parse_index(b"[", &manifest).is_err());
    }

    proptest! {
        #[test]
        fn any_document_is_answered(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"layers\"", "\"manifests\"", "\"config\"", "\"digest\"", "\"size\"",
                    "\"schemaVersion\"", "\"mediaType\"", "\"program\"", "\"chunks\"", "1", "-1", "1e400", "null", "\"x\"",
                ]),
                0..40,
            ),
        ) {
            let text = pieces.concat();
            let manifest = Manifest { program: None, index: None, blob_layers: BTreeMap::new() };
            let _ = (parse_manifest(text.as_bytes()), choose(text.as_bytes()), parse_index(text.as_bytes(), &manifest));
        }
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let layer = |digest: &str, size: i64, kind: &str| {
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"y","size":1}},"layers":[{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}]}}"#
            )
        };
        let good = format!("sha256:{}", "0a".repeat(32));
        for kind in [&[PROGRAM_MEDIA_TYPE][..], &OTHER_PROGRAM_MEDIA_TYPES].concat() {
            assert!(parse_manifest(layer(&good, 8, kind).as_bytes()).is_ok(), "{kind}");
        }
        for (text, kind) in [
            (layer("sha256:../../etc/passwd", 8, PROGRAM_MEDIA_TYPE), Kind::Answer),
            (layer(&good.to_uppercase(), 8, PROGRAM_MEDIA_TYPE), Kind::Answer),
            (layer("sha512:00", 8, PROGRAM_MEDIA_TYPE), Kind::Answer),
            (layer(&good, -1, PROGRAM_MEDIA_TYPE), Kind::Answer),
            (layer(&good, i64::MAX, PROGRAM_MEDIA_TYPE), Kind::TooLarge),
            (layer(&good, 8, "application/vnd.oci.image.layer.v1.tar"), Kind::Program),
            ("{}".into(), Kind::Answer),
            ("[".repeat(100_000), Kind::Answer),
        ] {
            assert_eq!(parse_manifest(text.as_bytes()).unwrap_err().kind(), kind, "{}", &text[..text.len().min(200)]);
        }
    }
}
