//! Registries that mean harm: a few lines of HTTP that answer what no honest server would. Whatever they do, weir ends
//! soon, says what was wrong, and keeps nothing that was not checked.

use sha2::{Digest as _, Sha256};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_store::limits::NetworkLimits;
use weir_store::{BlobRef, Kind, Options, Program, Reference, Store, pull, push};

/// What the server does with one request.
enum Answer {
    /// Status, header lines, body; the body's length is said.
    Plain(u16, String, Vec<u8>),
    /// Bytes as they are, then the connection is closed.
    Raw(Vec<u8>),
    /// The first bytes, then the last ones again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// The first bytes, then one `x` now and then.
    Slow(Vec<u8>),
}

type Handler = dyn Fn(&str) -> Answer + Send + Sync;

/// A server for one test. It remembers the heads of requests and stops when the test is over.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Server {
    /// `handler` gets the first line of a request without its version: `GET /v2/app/manifests/1`.
    fn start(handler: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let handler: Arc<Handler> = Arc::new(handler);
        let server = Self { port, requests: Arc::clone(&requests), over: Arc::clone(&over) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (handler, requests, over) = (Arc::clone(&handler), Arc::clone(&requests), Arc::clone(&over));
                std::thread::spawn(move || serve(stream, &*handler, &requests, &over));
            }
        });
        server
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn reference(&self) -> Reference {
        format!("{}/app:1", self.host()).parse().unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, requests: &Mutex<Vec<String>>, over: &AtomicBool) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(10)));
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && head.len() < 65_536 {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_string();
    requests.lock().unwrap().push(head);
    let start = Instant::now();
    let runs = || !over.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(30);
    match handler(&line) {
        Answer::Plain(status, headers, body) => {
            let head =
                format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
        Answer::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        Answer::Endless(first, again) => {
            let mut written = stream.write_all(&first);
            while written.is_ok() && runs() {
                written = stream.write_all(&again);
            }
        }
        Answer::Slow(first) => {
            let mut written = stream.write_all(&first);
            while written.is_ok() && runs() {
                std::thread::sleep(Duration::from_millis(200));
                written = stream.write_all(b"x");
            }
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    format!("sha256:{}", weir_types::Digest(digest))
}

fn blake3_hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

const PROGRAM: &[u8] = b"\0asm\x01\0\0\0 a program";

fn descriptor(media_type: &str, digest: &str, size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn manifest(layers: &[String]) -> Vec<u8> {
    let config = descriptor("application/vnd.wasm.config.v0+json", &sha256(b"{}"), 2);
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(",")).into_bytes()
}

fn plain_manifest() -> Vec<u8> {
    manifest(&[descriptor("application/wasm", &sha256(PROGRAM), PROGRAM.len())])
}

/// A manifest of the program, an index, and one layer with these bytes.
fn with_blobs(index: &str, layer: &[u8], media_type: &str) -> Vec<u8> {
    manifest(&[
        descriptor("application/wasm", &sha256(PROGRAM), PROGRAM.len()),
        descriptor("application/vnd.weir.blobs.v1+json", &sha256(index.as_bytes()), index.len()),
        descriptor(media_type, &sha256(layer), layer.len()),
    ])
}

fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer::Plain(200, String::new(), body.into())
}

fn gone() -> Answer {
    Answer::Plain(404, String::new(), b"{\"errors\":[{\"code\":\"X\",\"message\":\"\\u001b[31m gone\"}]}".to_vec())
}

/// Serves these bodies as blobs, and `manifest` as every manifest.
fn honest(manifest: Vec<u8>, blobs: Vec<Vec<u8>>) -> impl Fn(&str) -> Answer + Send + Sync {
    move |line| match line.rsplit_once("/blobs/") {
        None => ok(manifest.clone()),
        Some((_, digest)) => {
            blobs.iter().find(|blob| sha256(blob) == digest).map_or_else(gone, |blob| ok(blob.clone()))
        }
    }
}

fn options(servers: &[&Server]) -> Options {
    Options {
        insecure: servers.iter().map(|server| server.host()).collect(),
        docker_config: Some("/nonexistent".into()),
        limits: NetworkLimits {
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            ..NetworkLimits::default()
        },
        ..Options::default()
    }
}

/// Pulls and expects a failure: soon, of this kind, with these words, and nothing left behind.
fn check(server: &Server, options: &Options, kind: Kind, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path()).unwrap();
    let start = Instant::now();
    let error = pull(&store, &server.reference(), options).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(15), "{error} after {:?}", start.elapsed());
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(text.contains(words), "{text}");
    assert!(text.len() < 1000 && !text.contains(|c: char| c.is_control()), "{text:?}");
    let listing = store.list().unwrap();
    assert!(listing.references.is_empty());
    assert!(listing.loose.iter().all(|blob| store.contains(&blob.digest)));
    assert_eq!(std::fs::read_dir(folder.path().join("aside")).unwrap().count(), 0);
}

fn check_one(handler: impl Fn(&str) -> Answer + Send + Sync + 'static, kind: Kind, words: &str) {
    let server = Server::start(handler);
    let options = options(&[&server]);
    check(&server, &options, kind, words);
}

/// The honest manifest, and this instead of every layer.
fn check_layer(layer: impl Fn() -> Answer + Send + Sync + 'static, kind: Kind, words: &str) {
    check_one(move |line| if line.contains("/blobs/") { layer() } else { ok(plain_manifest()) }, kind, words);
}

#[test]
fn an_honest_one_is_fine() {
    let server = Server::start(honest(plain_manifest(), vec![PROGRAM.to_vec()]));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path()).unwrap();
    let pulled = pull(&store, &server.reference(), &options(&[&server])).unwrap();
    assert_eq!(std::fs::read(pulled.program).unwrap(), PROGRAM);
}

#[test]
fn layers_that_are_not_what_they_say() {
    let mut wrong = PROGRAM.to_vec();
    wrong[10] ^= 1;
    check_layer(move || ok(wrong.clone()), Kind::Digest, "nothing of it is used");
    check_layer(|| ok(&PROGRAM[..9]), Kind::Digest, "gives 9 bytes");
    check_layer(|| ok(b"".as_slice()), Kind::Digest, "gives 0 bytes");
    check_layer(|| ok(vec![b'x'; 1 << 20]), Kind::TooLarge, "sends more than the 18 bytes");
    check_layer(gone, Kind::NotFound, "404");
    check_layer(|| Answer::Plain(500, String::new(), vec![b'y'; 3 << 20]), Kind::Answer, "500");
    check_layer(|| Answer::Plain(206, String::new(), PROGRAM.to_vec()), Kind::Answer, "206");
    let text = b"#!/bin/sh".to_vec();
    let only = manifest(&[descriptor("application/wasm", &sha256(&text), text.len())]);
    check_one(honest(only, vec![text]), Kind::Program, "is no WebAssembly");
}

#[test]
fn bodies_without_end_and_bodies_cut_short() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"10000\r\n".to_vec(), vec![b'z'; 65_536], b"\r\n".to_vec()].concat();
    let (first, again) = (chunked.clone(), chunk.clone());
    check_layer(move || Answer::Endless(first.clone(), again.clone()), Kind::TooLarge, "sends more than the 18 bytes");
    let (first, again) = (chunked.clone(), chunk.clone());
    check_one(move |_| Answer::Endless(first.clone(), again.clone()), Kind::TooLarge, "4194304 bytes");
    let until_close = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    check_one(move |_| Answer::Endless(until_close.clone(), vec![b' '; 65_536]), Kind::TooLarge, "4194304 bytes");
    check_layer(
        || Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n\0asm".to_vec()),
        Kind::Network,
        "broke off",
    );
    check_layer(|| Answer::Raw(Vec::new()), Kind::Network, "broke off");
    check_layer(
        || Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec()),
        Kind::Network,
        "broke off",
    );
    check_layer(|| Answer::Raw(b"SSH-2.0-nothing\r\n".to_vec()), Kind::Network, "broke off");
    check_layer(
        || Answer::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Header: and another one\r\n".to_vec()),
        Kind::Network,
        "broke off",
    );
}

#[test]
fn slow_ones_are_not_waited_for() {
    check_one(|_| Answer::Slow(b"HTTP/1.1 200 OK\r\nX-Wait: ".to_vec()), Kind::Network, "did not answer");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n";
    check_layer(move || Answer::Slow(head.into()), Kind::Network, "too slow");
    // One that says nothing at all, at the level of TCP: it takes the connection and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path()).unwrap();
    let options = Options { insecure: vec![host.clone()], ..options(&[]) };
    let error = pull(&store, &format!("{host}/app:1").parse().unwrap(), &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
}

#[test]
fn redirects_end_and_do_not_lead_astray() {
    let to = |location: String| move |_: &str| Answer::Plain(307, format!("Location: {location}\r\n"), Vec::new());
    let server = Server::start(to("/v2/app/manifests/1".into()));
    check(&server, &options(&[&server]), Kind::Answer, "redirects more than 5 times");
    assert_eq!(server.requests().len(), 6);
    check_one(|_| Answer::Plain(302, String::new(), Vec::new()), Kind::Answer, "without saying where");
    check_one(to("http://[".into()), Kind::Answer, "without saying where");
    check_one(to("file:///etc/passwd".into()), Kind::Tls, "file://");
    // Plain HTTP at a host that nobody named is not even asked.
    let other = Server::start(honest(plain_manifest(), vec![PROGRAM.to_vec()]));
    check_one(to(format!("http://{}/secret", other.host())), Kind::Tls, "not encrypted");
    assert!(other.requests().is_empty());
}

#[test]
fn credentials_stay_with_their_registry() {
    let storage = Server::start(|_| ok(PROGRAM));
    let elsewhere = storage.host();
    let server = Server::start(move |line| match line {
        line if line.contains("/blobs/") => {
            Answer::Plain(307, format!("Location: http://{elsewhere}/storage\r\n"), Vec::new())
        }
        _ => ok(plain_manifest()),
    });
    let inner = server.host();
    // In front of it one that wants a password for everything.
    let guard = Server::start(move |line| {
        let mut stream = TcpStream::connect(&inner).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer::Raw(answer)
    });
    let config = tempfile::tempdir().unwrap();
    let login = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, guard.host());
    std::fs::write(config.path().join("config.json"), login).unwrap();
    let wanting = {
        let guarded = guard.host();
        Server::start(move |_| {
            Answer::Plain(401, format!("WWW-Authenticate: Basic realm=\"{guarded}\"\r\n"), Vec::new())
        })
    };
    // Without credentials for it, a challenge ends there; with them it is answered once, not for ever.
    check(&wanting, &options(&[&wanting]), Kind::Auth, "docker login");
    let login = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, wanting.host());
    std::fs::write(config.path().join("config.json"), login).unwrap();
    let with_config = Options { docker_config: Some(config.path().into()), ..options(&[&wanting, &guard, &storage]) };
    check(&wanting, &with_config, Kind::Auth, "docker login");
    let seen = wanting.requests();
    assert_eq!(seen.iter().filter(|head| head.to_lowercase().contains("authorization: basic")).count(), 1);
    // The redirect to the storage carries none.
    let folder = tempfile::tempdir().unwrap();
    pull(&Store::at(folder.path()).unwrap(), &guard.reference(), &with_config).unwrap();
    assert_eq!(storage.requests().len(), 1);
    assert!(storage.requests().iter().all(|head| !head.to_lowercase().contains("authorization")));
}

#[test]
fn credentials_do_not_follow_a_redirect() {
    let storage = Server::start(|_| ok(PROGRAM));
    let elsewhere = storage.host();
    let asked = Arc::new(AtomicBool::new(false));
    let server = Server::start(move |line| {
        if !asked.swap(true, Ordering::Relaxed) {
            return Answer::Plain(401, "WWW-Authenticate: Basic realm=\"x\"\r\n".into(), Vec::new());
        }
        match line.contains("/blobs/") {
            true => Answer::Plain(307, format!("Location: http://{elsewhere}/storage\r\n"), Vec::new()),
            false => ok(plain_manifest()),
        }
    });
    let config = tempfile::tempdir().unwrap();
    let login = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, server.host());
    std::fs::write(config.path().join("config.json"), login).unwrap();
    let options = Options { docker_config: Some(config.path().into()), ..options(&[&server, &storage]) };
    let folder = tempfile::tempdir().unwrap();
    pull(&Store::at(folder.path()).unwrap(), &server.reference(), &options).unwrap();
    let secret = |server: &Server| server.requests().iter().filter(|head| head.contains("bWU6c2VjcmV0")).count();
    assert_eq!((secret(&server), secret(&storage), storage.requests().len()), (2, 0, 1));
}

#[test]
fn token_servers_are_held_to_the_same() {
    let challenge = |realm: String| {
        move |_: &str| {
            Answer::Plain(401, format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\n"), Vec::new())
        }
    };
    check_one(challenge("http://127.0.0.1:1/token".into()), Kind::Tls, "not encrypted");
    check_one(challenge("nonsense".into()), Kind::Answer, "token server");
    for (answer, kind, words) in [
        (Answer::Plain(403, String::new(), Vec::new()), Kind::Auth, "403"),
        (ok(b"{}".as_slice()), Kind::Answer, "no token"),
        (ok(b"{\"token\":\"a\\r\\nX: y\"}".as_slice()), Kind::Answer, "no token"),
        (ok(vec![b'['; 1 << 20]), Kind::Answer, "no token"),
        (ok(vec![b'['; 2 << 20]), Kind::TooLarge, "1048576"),
        (ok(b"{\"token\":\"good\"}".as_slice()), Kind::Auth, "docker login"),
    ] {
        let answer = Mutex::new(Some(answer));
        let tokens = Server::start(move |_| answer.lock().unwrap().take().unwrap_or_else(gone));
        let server = Server::start(challenge(format!("http://{}/token", tokens.host())));
        check(&server, &options(&[&server, &tokens]), kind, words);
        assert!(tokens.requests()[0].contains("scope=repository%3Aapp%3Apull"), "{:?}", tokens.requests());
    }
}

#[test]
fn tokens_are_asked_for_and_shown() {
    for (login, asked) in [
        (r#""auth":"bWU6c2VjcmV0""#, "authorization: Basic bWU6c2VjcmV0"),
        (r#""auth":"","identitytoken":"refresh""#, "POST /token HTTP/1.1"),
    ] {
        let tokens = Server::start(|_| ok(br#"{"access_token":"good"}"#.as_slice()));
        let realm = format!("http://{}/token", tokens.host());
        let first = AtomicBool::new(true);
        let server =
            Server::start(move |line| match (first.swap(false, Ordering::Relaxed), line.contains("/blobs/")) {
                (true, _) => Answer::Plain(401, format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n"), Vec::new()),
                (_, true) => ok(PROGRAM),
                (_, false) => ok(plain_manifest()),
            });
        let config = tempfile::tempdir().unwrap();
        let text = format!(r#"{{"auths":{{"{}":{{{login}}}}}}}"#, server.host());
        std::fs::write(config.path().join("config.json"), text).unwrap();
        let options = Options { docker_config: Some(config.path().into()), ..options(&[&server, &tokens]) };
        let folder = tempfile::tempdir().unwrap();
        pull(&Store::at(folder.path()).unwrap(), &server.reference(), &options).unwrap();
        let asking = tokens.requests();
        assert!(asking.len() == 1 && asking[0].contains(asked), "{asking:?}");
        let shown = server.requests();
        assert_eq!(shown.iter().filter(|head| head.contains("authorization: Bearer good")).count(), 2, "{shown:?}");
        assert!(!shown.iter().any(|head| head.contains("bWU6c2VjcmV0") || head.contains("refresh")), "{shown:?}");
    }
}

#[test]
fn manifests_that_lie() {
    check_one(|_| ok(vec![b' '; 5 << 20]), Kind::TooLarge, "4194304");
    check_one(|_| ok(b"<html>".as_slice()), Kind::Answer, "not well formed");
    check_one(|_| ok(manifest(&[])), Kind::Program, "no WebAssembly program");
    check_one(|_| gone(), Kind::NotFound, "does not have");
    let trick = |digest: &str| manifest(&[descriptor("application/wasm", digest, 18)]);
    for digest in ["sha256:../../../../etc/passwd", "../x", "sha256:", "", &sha256(PROGRAM).replace("sha256", "sha512")]
    {
        let bytes = trick(digest);
        check_one(move |_| ok(bytes.clone()), Kind::Answer, "no SHA-256 digest");
    }
    let large = manifest(&[descriptor("application/wasm", &sha256(PROGRAM), 5 << 30)]);
    check_one(move |_| ok(large.clone()), Kind::TooLarge, "at most 4294967296");
    let layer = descriptor("application/vnd.weir.blob.v1", &sha256(PROGRAM), 18);
    let many = manifest(&vec![layer; 10_001]);
    check_one(move |_| ok(many.clone()), Kind::TooLarge, "10001 layers");
    let huge = descriptor("application/vnd.weir.blob.v1", &sha256(b"x"), 60 << 30);
    let other = descriptor("application/vnd.weir.blob.v1", &sha256(b"y"), 60 << 30);
    let program = descriptor("application/wasm", &sha256(PROGRAM), PROGRAM.len());
    let sum = manifest(&[program, huge, other]);
    check_one(move |_| ok(sum.clone()), Kind::TooLarge, "one pull takes at most");
    // Another manifest than the one that was named, by the user or by the registry itself.
    let server = Server::start(|_| ok(plain_manifest()));
    let by_digest: Reference = format!("{}/app@sha256:{}", server.host(), "00".repeat(32)).parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = pull(&Store::at(folder.path()).unwrap(), &by_digest, &options(&[&server])).unwrap_err();
    assert_eq!(error.kind(), Kind::Digest, "{error}");
    let lie = format!("Docker-Content-Digest: {}\r\n", sha256(b"other"));
    check_one(move |_| Answer::Plain(200, lie.clone(), plain_manifest()), Kind::Digest, "not");
    // Lists of manifests that lead to lists, or to several.
    let entry = format!(r#"{{"digest":"{}","size":9,"platform":{{"architecture":"wasm"}}}}"#, sha256(b"list"));
    let two = format!(r#"{{"manifests":[{entry},{entry}]}}"#);
    check_one(move |_| ok(two.clone()), Kind::Program, "several manifests");
    let one = format!(r#"{{"manifests":[{entry}]}}"#);
    check_one(move |_| ok(one.clone()), Kind::Digest, "gives a manifest");
}

#[test]
fn indexes_and_blobs_that_lie() {
    const PLAIN: &str = "application/vnd.weir.blob.v1";
    let blob = vec![b'b'; 1000];
    let index = |layer: &[u8], digest: &str, size: usize| {
        format!(r#"{{"layers":[{{"layer":"{}","blobs":[["{digest}",{size}]]}}]}}"#, sha256(layer))
    };
    let serve = |index: String, layer: Vec<u8>, media_type: &str| {
        let manifest = with_blobs(&index, &layer, media_type);
        honest(manifest, vec![PROGRAM.to_vec(), index.into_bytes(), layer])
    };
    let server = Server::start(serve(index(&blob, &blake3_hex(&blob), 1000), blob.clone(), PLAIN));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path()).unwrap();
    pull(&store, &server.reference(), &options(&[&server])).unwrap();
    assert!(store.contains(&weir_types::Digest(*blake3::hash(&blob).as_bytes())));

    let wrong = blake3_hex(b"other");
    check_one(serve(index(&blob, &wrong, 1000), blob.clone(), PLAIN), Kind::Digest, "not what its name says");
    check_one(
        serve(index(&blob, &blake3_hex(&blob), 2000), blob.clone(), PLAIN),
        Kind::Digest,
        "not what its name says",
    );
    check_one(serve(index(&blob, &blake3_hex(&blob[..9]), 9), blob.clone(), PLAIN), Kind::Digest, "holds more");
    check_one(serve(index(&blob, "../../../x", 9), blob.clone(), PLAIN), Kind::Answer, "bad digest");
    check_one(serve(index(b"unknown", &wrong, 9), blob.clone(), PLAIN), Kind::Answer, "not in the manifest");
    check_one(serve("{\"layers\":7}".into(), blob.clone(), PLAIN), Kind::Answer, "not well formed");
    check_one(
        serve(index(&blob, &wrong, 1000), blob.clone(), "application/vnd.weir.blob.v1+zstd"),
        Kind::Digest,
        "cannot be unpacked",
    );
    let bomb = zstd::bulk::compress(&vec![0; 200 << 20], 3).unwrap();
    let nine = blake3_hex(&[0; 9]);
    let handler = serve(index(&bomb, &nine, 9), bomb.clone(), "application/vnd.weir.blob.v1+zstd");
    check_one(handler, Kind::Digest, "holds more");
    // Blobs that are what they say, and far too many bytes.
    let handler = serve(index(&bomb, &nine, 17 << 30), bomb.clone(), "application/vnd.weir.blob.v1+zstd");
    check_one(handler, Kind::TooLarge, "unpacked");
    let lone = manifest(&[
        descriptor("application/wasm", &sha256(PROGRAM), PROGRAM.len()),
        descriptor(PLAIN, &sha256(&blob), blob.len()),
    ]);
    check_one(honest(lone, vec![PROGRAM.to_vec(), blob]), Kind::Answer, "no index");
}

#[test]
fn programs_in_pieces_that_lie() {
    let piece = PROGRAM.to_vec();
    let serve = |blake3: &str, size: usize, chunks: &str| {
        let index = format!(
            r#"{{"layers":[],"program":{{"blake3":"{blake3}","size":{size},"chunks":[{chunks}],"layers":[{{"layer":"{}","blobs":[["{}",18]]}}]}}}}"#,
            sha256(PROGRAM),
            blake3_hex(PROGRAM)
        );
        let manifest = manifest(&[
            descriptor("application/vnd.weir.blobs.v1+json", &sha256(index.as_bytes()), index.len()),
            descriptor("application/vnd.weir.blob.v1", &sha256(PROGRAM), PROGRAM.len()),
        ]);
        honest(manifest, vec![index.into_bytes(), piece.clone()])
    };
    let chunk = format!(r#"["{}",18]"#, blake3_hex(PROGRAM));
    let twice = format!("{chunk},{chunk}");
    let whole = [PROGRAM, PROGRAM].concat();
    let server = Server::start(serve(&blake3_hex(&whole), 36, &twice));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path()).unwrap();
    let pulled = pull(&store, &server.reference(), &options(&[&server])).unwrap();
    assert_eq!(std::fs::read(pulled.program).unwrap(), whole);

    check_one(serve(&blake3_hex(b"other"), 36, &twice), Kind::Digest, "not what its name says");
    check_one(serve(&blake3_hex(&whole), 35, &twice), Kind::Answer, "not the program");
    check_one(serve(&blake3_hex(&whole), 5 << 30, &twice), Kind::TooLarge, "at most 4294967296");
    let unknown = format!(r#"["{}",18]"#, blake3_hex(b"other"));
    check_one(serve(&blake3_hex(&whole), 18, &unknown), Kind::Answer, "not the program");
    let large = format!(r#"["{}",5000000]"#, blake3_hex(PROGRAM));
    check_one(serve(&blake3_hex(&whole), 5_000_000, &large), Kind::TooLarge, "at most 4194304");
    // An index alone makes no program.
    let index = r#"{"layers":[]}"#;
    let lone = manifest(&[descriptor("application/vnd.weir.blobs.v1+json", &sha256(index.as_bytes()), index.len())]);
    check_one(honest(lone, vec![index.into()]), Kind::Answer, "no program");
}

#[test]
fn pushes_are_not_led_astray_either() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(&folder.path().join("s")).unwrap();
    let program = Program { path: folder.path().join("p.wasm"), component: None };
    std::fs::write(&program.path, PROGRAM).unwrap();
    let blob = BlobRef { digest: store.put(&mut [7u8; 70_000].as_slice()).unwrap(), size: 70_000 };
    let check = |handler: Box<Handler>, kind: Kind, words: &str| {
        let server = Server::start(handler);
        let start = Instant::now();
        let error = push(&store, &program, &[blob], &server.reference(), &options(&[&server])).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(15));
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let upload = |location: &'static str| {
        Box::new(move |line: &str| match line.split(' ').next() {
            Some("HEAD") => gone(),
            Some("POST") => Answer::Plain(202, format!("Location: {location}\r\n"), Vec::new()),
            _ => Answer::Plain(400, String::new(), Vec::new()),
        })
    };
    check(upload("http://127.0.0.1:1/take"), Kind::Tls, "not encrypted");
    check(upload(""), Kind::Digest, "400");
    check(upload("/v2/app/blobs/uploads/1"), Kind::Digest, "400");
    check(Box::new(|_| gone()), Kind::NotFound, "start of an upload");
    check(Box::new(|_| Answer::Slow(b"HTTP/1.1 200 OK\r\nX: ".to_vec())), Kind::Network, "did not answer");
    check(Box::new(|_| Answer::Plain(301, "Location: /v2/app\r\n".into(), Vec::new())), Kind::Answer, "redirects");
    // It claims to have every layer, and then keeps another manifest.
    let lie = format!("Docker-Content-Digest: {}\r\n", sha256(b"other"));
    let liar = move |line: &str| match line.split(' ').next() {
        Some("PUT") => Answer::Plain(201, lie.clone(), Vec::new()),
        _ => Answer::Plain(200, String::new(), Vec::new()),
    };
    check(Box::new(liar), Kind::Digest, "another manifest");
}
