//! Pushing to and pulling from a real registry: Debian's `docker-registry`, started by the tests on this machine. Where
//! it is not installed the tests say so and pass.

#[allow(dead_code, reason = "the tests of the command line use more of it")]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{AtEnd, Proxy, Registry};
use weir_store::{BlobRef, Collect, Component, Kind, Options, Program, Reference, Store, pull, push, resolve};
use weir_types::Digest;

/// `htpasswd -nbB me secret`.
const PASSWORDS: &str = "me:$2y$05$chCCjPuUbR.2ABAwq5Xkn.MRsGbFbXspCe3hUDWPQNUpLVWeesMQW\n";
/// The same, as Docker's configuration has it.
const LOGIN: &str = "bWU6c2VjcmV0";

/// A store and a place for files.
struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn program(&self, text: &str) -> Program {
        let path = self.folder.path().join("p.wasm");
        fs::write(&path, format!("\0asm\x01\0\0\0{text}")).unwrap();
        Program { path, component: None }
    }

    fn put(&self, bytes: &[u8]) -> BlobRef {
        BlobRef { digest: self.store.put(&mut &*bytes).unwrap(), size: bytes.len() as u64 }
    }

    /// Nothing half lies about.
    fn is_clean(&self) -> bool {
        fs::read_dir(self.store.folder().join("aside")).unwrap().next().is_none()
    }
}

/// Bytes that do not shrink.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Many small files and a few large ones; `version` changes three of them.
fn tree(place: &Place, version: u64) -> Vec<BlobRef> {
    let small = (0..1500u64).map(|seed| {
        let mark = if seed == 700 || seed == 701 { version } else { 0 };
        let bytes = noise(seed + mark * 10_000, 300 + (seed as usize * 37) % 6000);
        bytes.iter().map(|byte| b'a' + byte % 26).collect()
    });
    let large = (0..4u64).map(|seed| noise(90_000 + seed + if seed == 2 { version * 10 } else { 0 }, 300_000));
    small.chain(large).collect::<Vec<Vec<u8>>>().iter().map(|bytes| place.put(bytes)).collect()
}

#[test]
fn a_program_goes_round_in_the_form_that_other_tools_read() {
    let Some(registry) = Registry::plain() else { return };
    let (from, to) = (Place::new(), Place::new());
    let (program, options) = (from.program("hello"), registry.options());
    let reference = registry.reference("tools/hello:1.0");
    let pushed = push(&from.store, &program, &[], &reference, &options).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&registry.get("tools/hello/manifests/1.0")).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    let config = manifest["config"]["digest"].as_str().unwrap();
    let config: serde_json::Value =
        serde_json::from_str(&registry.get(&format!("tools/hello/blobs/{config}"))).unwrap();
    assert_eq!(config["os"], "wasip1");
    assert_eq!(config["architecture"], "wasm");
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);

    let pulled = pull(&to.store, &reference, &options).unwrap();
    assert_eq!(fs::read(&pulled.program).unwrap(), fs::read(&program.path).unwrap());
    assert_eq!((pulled.manifest, pulled.reused_bytes, pulled.refreshed), (pushed.manifest, 0, true));
    // Again: nothing comes but the manifest; nothing goes but the manifest.
    let again = pull(&to.store, &reference, &options).unwrap();
    assert_eq!(again.reused_bytes, 13);
    let again = push(&from.store, &program, &[], &reference, &options).unwrap();
    assert_eq!((again.manifest, again.uploaded_layers), (pushed.manifest, 0));
    // By digest, and without a network.
    let by_digest: Reference = format!("{reference}@sha256:{}", pushed.manifest).parse().unwrap();
    assert_eq!(pull(&to.store, &by_digest, &options).unwrap().manifest, pushed.manifest);
    let missing = registry.reference("tools/hello:2.0");
    let error = pull(&to.store, &missing, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    drop(registry);
    let kept = resolve(&to.store, &reference, &options).unwrap();
    assert_eq!((kept.program, kept.refreshed, kept.fetched_bytes), (pulled.program, false, 0));
    let error = resolve(&to.store, &missing, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
}

#[test]
fn a_component_says_what_it_is() {
    let Some(registry) = Registry::plain() else { return };
    let place = Place::new();
    let component = Component { exports: vec!["wasi:cli/run@0.2.6".into()], ..Component::default() };
    let program = Program { component: Some(component), ..place.program("component") };
    push(&place.store, &program, &[], &registry.reference("c:1"), &registry.options()).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&registry.get("c/manifests/1")).unwrap();
    let config = registry.get(&format!("c/blobs/{}", manifest["config"]["digest"].as_str().unwrap()));
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["os"], "wasip2");
    assert_eq!(config["component"]["exports"][0], "wasi:cli/run@0.2.6");
    let digest = registry.reference(&format!("c@sha256:{}", "00".repeat(32)));
    let error = push(&place.store, &program, &[], &digest, &registry.options()).unwrap_err();
    assert_eq!(error.kind(), Kind::Reference);
    fs::write(&program.path, "#!/bin/sh").unwrap();
    let error = push(&place.store, &program, &[], &registry.reference("c:2"), &registry.options()).unwrap_err();
    assert_eq!(error.kind(), Kind::Program, "{error}");
}

#[test]
fn two_versions_share_what_they_share() {
    let Some(registry) = Registry::plain() else { return };
    let (from, to, options) = (Place::new(), Place::new(), registry.options());
    let (one, two) = (registry.reference("app:1"), registry.reference("app:2"));
    let blobs = tree(&from, 0);
    let first = push(&from.store, &from.program("version 1"), &blobs, &one, &options).unwrap();
    let pulled = pull(&to.store, &one, &options).unwrap();
    assert!(blobs.iter().all(|blob| to.store.contains(&blob.digest)));

    let changed = tree(&from, 1);
    let second = push(&from.store, &from.program("version 2"), &changed, &two, &options).unwrap();
    let pulled_second = pull(&to.store, &two, &options).unwrap();
    assert!(changed.iter().all(|blob| to.store.contains(&blob.digest)));
    eprintln!(
        "first: {} bytes in {} layers up, {} down; second, three of 1504 files changed: {} up in {} of {} layers, {} down",
        first.uploaded_bytes,
        first.layers,
        pulled.fetched_bytes,
        second.uploaded_bytes,
        second.uploaded_layers,
        second.layers,
        pulled_second.fetched_bytes
    );
    // The program, the index, a large blob, and the layers around two small ones.
    assert!(second.uploaded_layers <= 5, "{second:?}");
    assert!(pulled_second.fetched_bytes < first.uploaded_bytes / 4, "{pulled_second:?}");
    // Another machine makes the same artifact of the same pack.
    let other = Place::new();
    let blobs = tree(&other, 1);
    let same = push(&other.store, &other.program("version 2"), &blobs, &two, &options).unwrap();
    assert_eq!((same.manifest, same.uploaded_layers), (second.manifest, 0));
    // The collector leaves what a reference needs.
    let before = to.store.list().unwrap();
    assert_eq!(before.references.len(), 2);
    to.store.collect(Collect::Loose).unwrap();
    assert!(to.store.kept(&two).unwrap().is_some());
    to.store.collect(Collect::All).unwrap();
    assert_eq!(to.store.list().unwrap().blobs, 0);
    // A blob that is not there cannot be pushed.
    let gone = BlobRef { digest: Digest([1; 32]), size: 70_000 };
    let error = push(&from.store, &from.program("version 3"), &[gone], &two, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert_eq!(pull(&to.store, &two, &options).unwrap().manifest, second.manifest);
    assert!(from.is_clean() && to.is_clean());
}

#[test]
fn two_versions_of_a_large_program_share_most_of_it() {
    let Some(registry) = Registry::plain() else { return };
    let (from, to, options) = (Place::new(), Place::new(), registry.options());
    let (one, two) = (registry.reference("app:1"), registry.reference("app:2"));
    let program = from.program("");
    let mut bytes = [b"\0asm\x01\0\0\0".to_vec(), noise(5, 12 << 20)].concat();
    fs::write(&program.path, &bytes).unwrap();
    let blobs = tree(&from, 0);
    let before = from.store.list().unwrap();
    let first = push(&from.store, &program, &blobs, &one, &options).unwrap();
    assert_eq!(from.store.list().unwrap().blobs, before.blobs);
    let pulled = pull(&to.store, &one, &options).unwrap();
    assert_eq!(fs::read(&pulled.program).unwrap(), bytes);
    // The program is there once, and not in pieces as well.
    assert_eq!(to.store.list().unwrap().loose, []);

    bytes.splice(5_000_000..5_000_001, *b"some more");
    fs::write(&program.path, &bytes).unwrap();
    let second = push(&from.store, &program, &blobs, &two, &options).unwrap();
    let pulled_second = pull(&to.store, &two, &options).unwrap();
    assert_eq!(fs::read(&pulled_second.program).unwrap(), bytes);
    eprintln!(
        "program of 12 MiB: {} up, {} down; changed in one place: {} up, {} down",
        first.uploaded_bytes, pulled.fetched_bytes, second.uploaded_bytes, pulled_second.fetched_bytes
    );
    assert!(second.uploaded_bytes < 2_000_000 && pulled_second.fetched_bytes < 2_000_000);
    let again = pull(&to.store, &two, &options).unwrap();
    assert!(again.fetched_bytes < 100_000, "{again:?}");
    assert!(from.is_clean() && to.is_clean());
}

#[test]
fn bytes_that_rotted_in_the_registry_are_refused() {
    let Some(registry) = Registry::plain() else { return };
    let (from, to, options) = (Place::new(), Place::new(), registry.options());
    let reference = registry.reference("app:1");
    push(&from.store, &from.program("x"), &[from.put(&noise(1, 100_000))], &reference, &options).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&registry.get("app/manifests/1")).unwrap();
    let layers: Vec<&str> =
        manifest["layers"].as_array().unwrap().iter().map(|it| it["digest"].as_str().unwrap()).collect();
    for layer in layers {
        let file = registry.data(layer);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        fs::write(&file, &bad).unwrap();
        let to = Place::new();
        let error = pull(&to.store, &reference, &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Digest, "{error}");
        assert!(to.store.kept(&reference).unwrap().is_none() && to.is_clean());
        fs::write(&file, &good).unwrap();
    }
    pull(&to.store, &reference, &options).unwrap();
    // Damage in the store is noticed, and mended by the next pull.
    let blob = to.store.list().unwrap().references[0].blobs[0];
    let path = to.store.find(&blob.digest).unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, noise(2, 100_000)).unwrap();
    assert!(!to.store.contains(&blob.digest));
    assert!(to.store.kept(&reference).unwrap().is_none());
    assert!(resolve(&to.store, &reference, &options).unwrap().refreshed);
    assert!(to.store.contains(&blob.digest));
}

#[test]
fn credentials_come_from_dockers_configuration() {
    let more = "auth:\n  htpasswd:\n    realm: test\n    path: FOLDER/passwords\n";
    let Some(registry) = Registry::start("", more, |folder| fs::write(folder.join("passwords"), PASSWORDS).unwrap())
    else {
        return;
    };
    let (place, options) = (Place::new(), registry.options());
    let (program, reference) = (place.program("secret"), registry.reference("app:1"));
    let config = registry.folder.path().join("config.json");
    let error = push(&place.store, &program, &[], &reference, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Auth);
    assert!(error.to_string().contains("docker login 127.0.0.1"), "{error}");
    let login = |auth: &str| format!(r#"{{"auths":{{"127.0.0.1:{}":{{"auth":"{auth}"}}}}}}"#, registry.port);
    fs::write(&config, login("bWU6d3Jvbmc=")).unwrap();
    let error = push(&place.store, &program, &[], &reference, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Auth, "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    fs::write(&config, login(LOGIN)).unwrap();
    push(&place.store, &program, &[place.put(&noise(1, 70_000))], &reference, &options).unwrap();
    pull(&Place::new().store, &reference, &options).unwrap();
    // And from a credential helper, which is a program on the path; here there is none.
    let helper = format!(r#"{{"credHelpers":{{"127.0.0.1:{}":"weir-test-none"}}}}"#, registry.port);
    fs::write(&config, helper).unwrap();
    let error = pull(&Place::new().store, &reference, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Auth, "{error}");
}

/// A certificate authority and a certificate for 127.0.0.1, made by the `openssl` command.
fn certificates(folder: &Path) -> bool {
    let openssl = |args: &[&str]| {
        let status = Command::new("openssl").args(args).current_dir(folder).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"];
    openssl(&[&new[..], &["/CN=weir test", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"]].concat())
        && openssl(&[&new[..], &["/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"]].concat())
        && openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ])
}

#[test]
fn tls_with_an_authority_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        eprintln!("skipped: the openssl command is not installed");
        return;
    }
    let http = "  tls:\n    certificate: FOLDER/server.pem\n    key: FOLDER/server.key\n";
    let copy = |to: &Path| {
        for name in ["server.pem", "server.key"] {
            fs::copy(folder.path().join(name), to.join(name)).unwrap();
        }
    };
    let Some(registry) = Registry::start(http, "", copy) else { return };
    let place = Place::new();
    let (program, reference) = (place.program("tls"), registry.reference("app:1"));
    let mut options = Options { insecure: vec![], ..registry.options() };
    let error = push(&place.store, &program, &[], &reference, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Tls, "{error}");
    assert!(error.to_string().contains("--ca"), "{error}");
    options.ca_files = vec![folder.path().join("ca.pem")];
    push(&place.store, &program, &[], &reference, &options).unwrap();
    pull(&Place::new().store, &reference, &options).unwrap();
    // A certificate of another name is no better than none.
    let elsewhere: Reference = format!("localhost:{}/app:1", registry.port).parse().unwrap();
    let error = pull(&place.store, &elsewhere, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Tls, "{error}");
    // Files that hold no certificate.
    for name in ["names", "none"] {
        let options = Options { ca_files: vec![folder.path().join(name)], ..options.clone() };
        assert_eq!(pull(&place.store, &reference, &options).unwrap_err().kind(), Kind::Tls);
    }
}

#[test]
fn plain_http_is_spoken_only_when_it_is_named() {
    let Some(registry) = Registry::plain() else { return };
    let place = Place::new();
    let options = Options { insecure: vec!["127.0.0.1".into(), "127.0.0.1:1".into()], ..registry.options() };
    let error = pull(&place.store, &registry.reference("app:1"), &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Tls, "{error}");
    assert!(error.to_string().contains("--insecure 127.0.0.1:"), "{error}");
}

#[test]
fn what_was_interrupted_goes_on() {
    let Some(registry) = Registry::plain() else { return };
    let (from, to) = (Place::new(), Place::new());
    let program = from.program("large");
    let blobs: Vec<BlobRef> = (0..30).map(|seed| from.put(&noise(seed, 200_000))).collect();
    let through = |port: u16| {
        let options = Options { insecure: vec![format!("127.0.0.1:{port}")], ..registry.options() };
        let reference: Reference = format!("127.0.0.1:{port}/app:1").parse().unwrap();
        (reference, options)
    };
    // A push that breaks off leaves no artifact; the next one sends the rest.
    let (reference, options) = through(Proxy::start(registry.port, 3_000_000, AtEnd::HangUp).port);
    let error = push(&from.store, &program, &blobs, &reference, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    assert!(registry.get("app/manifests/1").contains("UNKNOWN"));
    let (whole, options) = through(registry.port);
    let pushed = push(&from.store, &program, &blobs, &whole, &options).unwrap();
    assert!(pushed.skipped_bytes > 1_000_000 && pushed.uploaded_bytes > 1_000_000, "{pushed:?}");
    // A pull, too.
    let (reference, options) = through(Proxy::start(registry.port, 3_000_000, AtEnd::HangUp).port);
    let error = pull(&to.store, &reference, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    assert!(to.store.list().unwrap().references.is_empty() && to.is_clean());
    let (_, options) = through(registry.port);
    let pulled = pull(&to.store, &whole, &options).unwrap();
    eprintln!("after the cut: {} bytes fetched, {} there already", pulled.fetched_bytes, pulled.reused_bytes);
    assert!(pulled.reused_bytes > 1_000_000 && pulled.fetched_bytes < 5_000_000, "{pulled:?}");
    assert!(blobs.iter().all(|blob| to.store.contains(&blob.digest)) && from.is_clean() && to.is_clean());
}

#[test]
fn many_pull_at_once() {
    let Some(registry) = Registry::plain() else { return };
    let (from, to, options) = (Place::new(), Place::new(), registry.options());
    let reference = registry.reference("app:1");
    let blobs: Vec<BlobRef> = (0..200).map(|seed| from.put(&noise(seed, 5_000))).collect();
    // Large enough to go in pieces, which each pull tidies away when it is done.
    let program = from.program("x");
    fs::write(&program.path, [b"\0asm\x01\0\0\0".to_vec(), noise(3, 5 << 20)].concat()).unwrap();
    push(&from.store, &program, &blobs, &reference, &options).unwrap();
    let digests: Vec<Digest> = std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..4).map(|_| scope.spawn(|| pull(&to.store, &reference, &options).unwrap())).collect();
        pulls.into_iter().map(|pull| pull.join().unwrap().manifest).collect()
    });
    let counts: BTreeMap<Digest, usize> = digests.iter().map(|digest| (*digest, 1)).collect();
    assert_eq!((counts.len(), to.is_clean()), (1, true));
    assert!(to.store.kept(&reference).unwrap().is_some());
}
