//! What tests of registries need: Debian's `docker-registry`, started on this machine, and a connection to it that
//! breaks. The store's tests use it, and those of the command line.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weir_store::{Options, Reference};

/// A registry that ends with the test.
pub struct Registry {
    child: Child,
    pub folder: tempfile::TempDir,
    pub port: u16,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts a registry; `more` makes the lines for its configuration from its folder.
    pub fn start(http: &str, more: &str, prepare: impl Fn(&Path)) -> Option<Self> {
        let found = std::env::var_os("PATH")
            .and_then(|path| std::env::split_paths(&path).map(|it| it.join("docker-registry")).find(|it| it.exists()));
        let Some(binary) = found else {
            eprintln!("skipped: docker-registry is not installed (apt-get install docker-registry)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let here = folder.path().to_str().unwrap();
        // Somebody else may take the port before the registry does: then another one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {here}/data\nhttp:\n  addr: 127.0.0.1:{port}\n{http}{more}"
            )
            .replace("FOLDER", here);
            fs::write(folder.path().join("config.yml"), config).unwrap();
            let mut command = Command::new(&binary);
            command.arg("serve").arg(folder.path().join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(20) {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Self { child, folder, port });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry does not start");
    }

    pub fn plain() -> Option<Self> {
        Self::start("", "", |_| {})
    }

    pub fn reference(&self, rest: &str) -> Reference {
        format!("127.0.0.1:{}/{rest}", self.port).parse().unwrap()
    }

    pub fn options(&self) -> Options {
        Options {
            insecure: vec![format!("127.0.0.1:{}", self.port)],
            docker_config: Some(self.folder.path().to_path_buf()),
            ..Options::default()
        }
    }

    /// What a tool that knows nothing of weir gets.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let accept = "application/vnd.oci.image.manifest.v1+json";
        write!(stream, "GET /v2/{path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).split_once("\r\n\r\n").unwrap().1.to_string()
    }

    /// The file in which the registry keeps a blob.
    pub fn data(&self, sha256: &str) -> PathBuf {
        let hex = sha256.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

/// What a proxy does when it has passed on as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// It hangs up on everybody.
    HangUp,
    /// It keeps the connections and says nothing any more.
    Stall,
}

/// Passes bytes on between clients and a registry, as many as its budget has.
pub struct Proxy {
    pub port: u16,
    left: Arc<AtomicU64>,
}

impl Proxy {
    pub fn start(to: u16, budget: u64, at_end: AtEnd) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicU64::new(budget));
        let shared = Arc::clone(&left);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for client in listener.incoming().flatten().take(500) {
                if shared.load(Ordering::Relaxed) == 0 {
                    if at_end == AtEnd::Stall {
                        held.push(client);
                    }
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
                let both = [(&client, &server), (&server, &client)];
                for (from, to) in both.map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap())) {
                    let left = Arc::clone(&shared);
                    std::thread::spawn(move || pass_on(from, to, &left, at_end));
                }
            }
        });
        Self { port, left }
    }

    /// Whether the budget is used up.
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, left: &AtomicU64, at_end: AtEnd) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let take = |left: u64| Some(left.saturating_sub(count as u64));
        let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
        if before <= count as u64 && at_end == AtEnd::Stall {
            // Until the other side gives up: what it says meanwhile is lost.
            while let Ok(1..) = from.read(&mut buffer) {}
            break;
        }
        if before <= count as u64 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
