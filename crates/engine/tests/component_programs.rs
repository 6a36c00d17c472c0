//! Real components of WASI 0.2 and 0.3, compiled from `component/guest`, doing what programs do and
//! what they should not. Each runs in a process of its own, whose streams the test holds: this test
//! binary, started again. Needs the Rust guest compiler that `scripts/tools.sh --guests` installs;
//! without it the tests say so and pass.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output as Ended, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use weir_engine::{Cache, ComponentProgram, Ends, Input, Kind, Output, Program, Run, Save};
use weir_types::grants::{Clock, Grants, Net, Place, Random, Source, UnknownImports};
use weir_types::limits::Limits;

/// What the child prints before the program runs; the test runner's own words come before it.
const MARK: &str = "<program>\n";

/// The folder with `p2.wasm` and `p3.wasm`; `None` without the compiler.
fn guests() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(build_guests).as_deref()
}

fn build_guests() -> Option<PathBuf> {
    let cache = std::env::var_os("WEIR_TOOLS_DIR")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/weir")))?;
    let environment = cache.join("rust-guest/env.sh");
    if !environment.exists() {
        eprintln!("SKIP component programs: {} is missing, run scripts/tools.sh --guests", environment.display());
        return None;
    }
    let target = cache.join("guests-target");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/component/guest");
    let script = format!(
        ". {} && cd {} && env -u RUSTFLAGS CARGO_TARGET_DIR={} cargo build --quiet --locked --release --target wasm32-wasip2",
        environment.display(),
        source.display(),
        target.display()
    );
    let status = Command::new("sh").arg("-c").arg(script).status().unwrap();
    assert!(status.success(), "the guest programs do not compile");
    Some(target.join("wasm32-wasip2/release"))
}

/// A run of a guest, told to the child through its environment.
struct Guest {
    command: Command,
}

impl Guest {
    /// `program` is `p2` or `p3`.
    fn new(folder: &Path, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
        command.env("WEIR_TEST_PROGRAM", folder.join(program).with_extension("wasm"));
        command.env("WEIR_TEST_ARGS", args.join("\n"));
        Self { command }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn start(mut self, stdin: Stdio) -> Child {
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn output(self) -> Ended {
        self.start(Stdio::null()).wait_with_output().unwrap()
    }

    /// What it printed; it must end well.
    fn text(self) -> String {
        let output = self.output();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        printed(&output)
    }
}

fn printed(output: &Ended) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_once(MARK).expect("the child began").1.to_owned()
}

/// Not a test of its own: what [`Guest`] starts. Ends the process with the program's code, or with 200
/// and the error's kind on stderr.
#[test]
#[allow(clippy::disallowed_methods, reason = "the exit code is what the parent looks at")]
fn child() {
    let Ok(path) = std::env::var("WEIR_TEST_PROGRAM") else { return };
    let variable = |name: &str| std::env::var(name).ok();
    let mut args = vec!["guest".to_owned()];
    args.extend(variable("WEIR_TEST_ARGS").unwrap_or_default().split('\n').map(str::to_owned));
    let mut places = vec![Place { guest: "/w".into(), source: Source::Scratch }];
    if let Some(host) = variable("WEIR_TEST_STREAM") {
        places.push(Place { guest: "/w/stream".into(), source: Source::Stream(Some(host).filter(|host| host != "-")) });
    }
    let host_dir = |name: &str, guest: &str, read_only: bool| {
        variable(name).map(|host| Place { guest: guest.into(), source: Source::HostDir { host, read_only } })
    };
    places.extend(host_dir("WEIR_TEST_HOST_DIR", "/host", false));
    places.extend(host_dir("WEIR_TEST_HOST_DIR_RO", "/fixed", true));
    let net = match variable("WEIR_TEST_NET").as_deref() {
        None => Net::None,
        Some("host") => Net::Host,
        Some(peers) => Net::Peers(peers.split(',').map(|peer| (peer.to_owned(), 0)).collect()),
    };
    let clock = variable("WEIR_TEST_CLOCK").map_or(Clock::Real, |time| Clock::Fixed(time.parse().unwrap()));
    let random = variable("WEIR_TEST_SEED").map_or(Random::Real, |seed| Random::Seed(seed.parse().unwrap()));
    let grants = Grants { args, env: vec![("A".into(), "b".into())], places, net, clock, random, ..Grants::default() };
    let limits = Limits {
        output_max: variable("WEIR_TEST_OUTPUT_MAX").map(|max| max.parse().unwrap()),
        time_max: variable("WEIR_TEST_TIME_MAX_MS").map(|time| Duration::from_millis(time.parse().unwrap())),
        fuel_max: variable("WEIR_TEST_FUEL_MAX").map(|fuel| fuel.parse().unwrap()),
        ..Limits::default()
    };
    let saves: Vec<Save> =
        variable("WEIR_TEST_SAVE").map(|host| Save { guest: "/w".into(), host: host.into() }).into_iter().collect();
    print!("{MARK}");
    std::io::stdout().flush().unwrap();
    let program = Program::open(Path::new(&path), None).unwrap();
    let run = Run { saves: &saves, ..Run::new(&grants, &limits) };
    // Compiled once for all tests: the cache is part of what is tested.
    let cache = Path::new(&path).parent().and_then(|folder| Cache::at(&folder.join("compiled")));
    match ComponentProgram::load(&program, UnknownImports::Refuse, &limits, cache.as_ref(), weir_engine::as_it_is)
        .and_then(|component| component.run(run))
    {
        Ok(outcome) => std::process::exit(outcome.exit_code as i32),
        Err(error) => {
            eprintln!("kind {:?}: {error}", error.kind());
            std::process::exit(200);
        }
    }
}

/// The kind of error a run ends with and its words.
fn error_of(guest: Guest) -> String {
    let output = guest.output();
    assert_eq!(output.status.code(), Some(200), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const BOTH: [&str; 2] = ["p2", "p3"];

#[test]
fn stdin_reaches_stdout_whole_and_in_pieces() {
    let Some(folder) = guests() else { return };
    for program in BOTH {
        let mut child = Guest::new(folder, program, &["echo"]).start(Stdio::piped());
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // The first piece comes back while stdin is still open.
        stdin.write_all(b"first\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"first\n") {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        let large: Vec<u8> = (0..1_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let copy = large.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        writer.join().unwrap();
        assert!(rest == large, "{program}: {} bytes", rest.len());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn arguments_variables_and_exit_codes() {
    let Some(folder) = guests() else { return };
    assert_eq!(Guest::new(folder, "p2", &["env"]).text(), "[\"guest\", \"env\"] [(\"A\", \"b\")]\n");
    for (program, args, code) in
        [("p2", &["exit", "0"][..], 0), ("p2", &["exit", "3"], 1), ("p3", &["exit", "3"], 3), ("p3", &["fail"], 1)]
    {
        assert_eq!(Guest::new(folder, program, args).output().status.code(), Some(code), "{program} {args:?}");
    }
}

#[test]
fn a_trap_shows_where_it_happened() {
    let Some(folder) = guests() else { return };
    let error = error_of(Guest::new(folder, "p2", &["panic"]));
    assert!(error.contains("kind Trap") && error.contains("wasi:cli/run"), "{error}");
}

#[test]
fn limits_end_a_program_wherever_it_is() {
    let Some(folder) = guests() else { return };
    let limited = |guest: Guest, words: &str| {
        let started = Instant::now();
        let error = error_of(guest);
        assert!(error.contains("kind Limit") && error.contains(words), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20));
    };
    limited(Guest::new(folder, "p2", &["spin"]).set("WEIR_TEST_TIME_MAX_MS", "300"), "ran longer");
    limited(Guest::new(folder, "p2", &["spin"]).set("WEIR_TEST_FUEL_MAX", "10000000"), "fuel");
    for program in BOTH {
        limited(Guest::new(folder, program, &["sleep", "3600"]).set("WEIR_TEST_TIME_MAX_MS", "300"), "ran longer");
        let flood = || Guest::new(folder, program, &["flood"]).set("WEIR_TEST_OUTPUT_MAX", "100000");
        limited(flood(), "more output");
        assert!(printed(&flood().output()).len() <= 100_000);
    }
}

#[test]
fn a_silent_stdin_and_an_unread_stdout_do_not_outlast_the_deadline() {
    let Some(folder) = guests() else { return };
    for (program, args) in [("p2", "echo"), ("p3", "echo"), ("p2", "flood"), ("p3", "flood")] {
        let guest = Guest::new(folder, program, &[args]).set("WEIR_TEST_TIME_MAX_MS", "400");
        // Both pipes stay open, nobody writes to or reads from them.
        let mut child = guest.start(Stdio::piped());
        let _stdin = child.stdin.take();
        let started = Instant::now();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(200), "{program} {args}");
        assert!(started.elapsed() < Duration::from_secs(20), "{program} {args}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let Some(folder) = guests() else { return };
    for program in BOTH {
        let mut child = Guest::new(folder, program, &["flood"]).start(Stdio::null());
        let mut some = vec![0; 10_000];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut some).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("kind BrokenPipe"), "{program}: {error}");
    }
}

#[test]
fn clocks_and_randomness_can_be_fixed() {
    let Some(folder) = guests() else { return };
    for program in BOTH {
        let sleep = Guest::new(folder, program, &["sleep", "3600"]).set("WEIR_TEST_CLOCK", "1577836800000000000");
        assert_eq!(sleep.text(), "1577836800 3600 3600\n", "{program}");
        let random = |seed: Option<&str>| {
            let guest = Guest::new(folder, program, &["random"]);
            seed.into_iter().fold(guest, |guest, seed| guest.set("WEIR_TEST_SEED", seed)).text()
        };
        assert_eq!(random(Some("7")), random(Some("7")));
        assert_ne!(random(Some("7")), random(Some("8")));
        assert_ne!(random(None), random(None));
    }
}

#[test]
fn what_a_p3_program_left_running_still_ends() {
    let Some(folder) = guests() else { return };
    assert_eq!(Guest::new(folder, "p3", &["late"]).text(), "late\n");
}

#[test]
fn file_streams_of_0_2() {
    let Some(folder) = guests() else { return };
    assert_eq!(Guest::new(folder, "p2", &["streams"]).text(), "streams agree\n");
}

/// A buffer of 2^28 bytes must cost the program's memory alone.
#[test]
fn ghsa_x84v_gj2h_g759_streams_do_not_allocate_what_a_program_asks_for() {
    let Some(folder) = guests() else { return };
    assert_eq!(Guest::new(folder, "p3", &["greedy"]).text(), "served\n");
}

/// No network: not by TCP, not by a connected UDP socket, not by name, not by HTTP.
#[test]
fn ghsa_hmmr_87qq_258j_udp_connect_and_everything_else_needs_a_grant() {
    let Some(folder) = guests() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let authority = format!("127.0.0.1:{port}");
    for program in BOTH {
        for net in [None, Some("10.9.8.7")] {
            let grant = |guest: Guest| net.into_iter().fold(guest, |guest, net| guest.set("WEIR_TEST_NET", net));
            let text = grant(Guest::new(folder, program, &["net", "127.0.0.1", &port])).text().to_lowercase();
            let lines: Vec<&str> =
                text.lines().filter(|line| line.contains(" err(") || line.contains(" ok(")).collect();
            assert_eq!(lines.len(), 3, "{program}: {text}");
            assert!(lines.iter().all(|line| line.contains("denied") || line.contains("resolver")), "{program}: {text}");
            let text = grant(Guest::new(folder, program, &["http", &authority])).text();
            assert!(text.contains("HttpRequestDenied"), "{program}: {text}");
        }
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn the_network_that_is_granted_is_reached() {
    let Some(folder) = guests() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let authority = format!("localhost:{port}");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4];
            // The test of sockets connects and goes; HTTP says what it wants.
            if stream.read(&mut request).unwrap_or(0) > 0 {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            }
        }
    });
    for program in BOTH {
        for net in ["host", "localhost"] {
            let text = Guest::new(folder, program, &["net", "127.0.0.1", &port]).set("WEIR_TEST_NET", net).text();
            assert!(
                text.contains("tcp Ok(()") && text.contains("udp Ok(()") && text.contains("lookup Ok(true)"),
                "{text}"
            );
            let text = Guest::new(folder, program, &["http", &authority]).set("WEIR_TEST_NET", net).text();
            assert_eq!(text, "status 204\n", "{program} {net}");
        }
    }
}

#[test]
fn a_request_without_a_path_asks_for_the_root_and_its_sender_is_told_whether_it_was_sent() {
    let Some(folder) = guests() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let send = |net| Guest::new(folder, "p3", &["send", &authority]).set("WEIR_TEST_NET", net).text();
    assert_eq!(send("10.9.8.7"), "Err(ErrorCode::HttpRequestDenied) Err(ErrorCode::HttpRequestDenied)\n");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n0\r\n\r\n") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            request.extend(&part[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    });
    assert_eq!(send("host"), "Ok(204) Ok(())\n");
    let request = server.join().unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    assert_eq!(request.matches("host: ").count(), 1, "{request}");
    assert!(request.contains("a body"), "{request}");
    // Nobody listens any more.
    assert_eq!(send("host"), "Err(ErrorCode::ConnectionRefused) Err(ErrorCode::ConnectionRefused)\n");
}

#[test]
fn mapped_streams_are_read_and_written_where_they_stand() {
    let Some(folder) = guests() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let host = scratch.path().join("host.txt");
    for (program, path) in [("p2", "/w/stream"), ("p3", "stream")] {
        std::fs::write(&host, "from outside").unwrap();
        let guest = |args: &[&str]| Guest::new(folder, program, args).set("WEIR_TEST_STREAM", host.to_str().unwrap());
        assert!(guest(&["cat", path]).text().ends_with(" from outside\n"), "{program}");
        assert_eq!(guest(&["put", path, "to outside"]).text(), "Ok(())\n", "{program}");
        assert_eq!(std::fs::read_to_string(&host).unwrap(), "to outside", "{program}");
        let dash = Guest::new(folder, program, &["put", path, "to stdout "]).set("WEIR_TEST_STREAM", "-");
        assert_eq!(dash.text(), "to stdout Ok(())\n", "{program}");
    }
}

#[test]
fn results_are_saved() {
    let Some(folder) = guests() else { return };
    let scratch = tempfile::tempdir().unwrap();
    for (program, path) in [("p2", "/w/result"), ("p3", "result")] {
        let target = scratch.path().join(program);
        let guest = Guest::new(folder, program, &["put", path, "text"]).set("WEIR_TEST_SAVE", target.to_str().unwrap());
        assert_eq!(guest.text(), "Ok(())\n");
        assert_eq!(std::fs::read_to_string(target.join("result")).unwrap(), "text");
    }
}

#[test]
fn host_directories_stand_beside_the_tree_and_nothing_crosses() {
    let Some(folder) = guests() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (open, fixed) = (scratch.path().join("open"), scratch.path().join("fixed"));
    std::fs::create_dir(&open).unwrap();
    std::fs::create_dir(&fixed).unwrap();
    std::fs::write(open.join("here"), "real").unwrap();
    std::fs::write(fixed.join("kept"), "kept").unwrap();
    let guest = |args: &[&str]| {
        Guest::new(folder, "p2", args)
            .set("WEIR_TEST_HOST_DIR", open.to_str().unwrap())
            .set("WEIR_TEST_HOST_DIR_RO", fixed.to_str().unwrap())
            .text()
    };
    assert_eq!(guest(&["cat", "/host/here"]), "Ok(4) real\n");
    assert_eq!(guest(&["put", "/host/new", "made"]), "Ok(())\n");
    assert_eq!(std::fs::read_to_string(open.join("new")).unwrap(), "made");
    assert_eq!(guest(&["mv", "/host/new", "/w/new"]), "Err(CrossesDevices)\n");
    assert_eq!(guest(&["ls", "/w"]), "[]\n");
    assert_eq!(guest(&["ls", "/host"]), "[\"here\", \"new\"]\n");
    assert_eq!(guest(&["put", "/fixed/kept", "lost"]), "Err(PermissionDenied)\n");
    assert_eq!(guest(&["mv", "/fixed/kept", "/fixed/moved"]), "Err(PermissionDenied)\n");
    assert_eq!(std::fs::read_to_string(fixed.join("kept")).unwrap(), "kept");
    // 0.3 takes the last preopened directory, which is the fixed one.
    let p3 = |args: &[&str]| {
        let guest = Guest::new(folder, "p3", args).set("WEIR_TEST_HOST_DIR", open.to_str().unwrap());
        guest.set("WEIR_TEST_HOST_DIR_RO", fixed.to_str().unwrap()).text()
    };
    assert_eq!(p3(&["cat", "kept"]), "Ok(()) kept\n");
    assert_eq!(p3(&["cat", "../open/here"]), "ErrorCode::NotPermitted\n");
    assert_eq!(p3(&["put", "kept", "lost"]), "ErrorCode::NotPermitted\n");
    let p3 = Guest::new(folder, "p3", &["put", "here", "+3"]).set("WEIR_TEST_HOST_DIR", open.to_str().unwrap());
    assert_eq!(p3.text(), "Ok(())\n");
    assert_eq!(std::fs::read_to_string(open.join("here")).unwrap(), "real+3");
}

#[test]
fn an_unknown_import_is_named() {
    let text = r#"(component
        (import "acme:keys/store@1.0.0" (instance (export "get" (func))))
        (component $c (export "x" (func)) ) )"#;
    let text = text.replace("(component $c (export \"x\" (func)) )", RUN);
    let program = Program::from_bytes("x.wat", text.into_bytes()).unwrap();
    let (grants, limits) = (Grants::default(), Limits::default());
    let run = Run::new(&grants, &limits);
    let loaded =
        ComponentProgram::load(&program, UnknownImports::Refuse, &Limits::default(), None, weir_engine::as_it_is);
    let error = loaded.and_then(|component| component.run(run)).unwrap_err();
    assert_eq!(error.kind(), Kind::Import);
    assert!(error.to_string().contains("`acme:keys/store@1.0.0`"), "{error}");
}

/// A `wasi:cli/run` that does nothing.
const RUN: &str = r#"
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $m (instantiate $m))
    (func $run (result (result)) (canon lift (core func $m "run")))
    (component $shim (import "run" (func $run (result (result)))) (export "run" (func $run)))
    (instance $cli (instantiate $shim (with "run" (func $run))))
    (export "wasi:cli/run@0.2.0" (instance $cli))"#;

#[test]
fn a_library_is_no_command() {
    let program = Program::from_bytes("x.wat", b"(component)".to_vec()).unwrap();
    let (grants, limits) = (Grants::default(), Limits::default());
    let run = Run::new(&grants, &limits);
    let loaded =
        ComponentProgram::load(&program, UnknownImports::Refuse, &Limits::default(), None, weir_engine::as_it_is);
    let error = loaded.and_then(|component| component.run(run)).unwrap_err();
    assert_eq!(error.kind(), Kind::Program);
    assert!(error.to_string().contains("no entry point `wasi:cli/run`"), "{error}");
}

/// Runs a guest in this process, with bytes as stdin; gives what it wrote to stdout and stderr.
fn in_memory(folder: &Path, program: &str, args: &[&str], shared: bool) -> (u32, Vec<u8>, Vec<u8>) {
    let limits = Limits { interruptible: shared, ..Limits::default() };
    let program = Program::open(&folder.join(program).with_extension("wasm"), None).unwrap();
    let cache = Cache::at(&folder.join("compiled"));
    let component =
        ComponentProgram::load(&program, UnknownImports::Refuse, &limits, cache.as_ref(), weir_engine::as_it_is);
    let args = std::iter::once("guest").chain(args.iter().copied()).map(str::to_owned).collect();
    let places = vec![Place { guest: "/w".into(), source: Source::Scratch }];
    let grants = Grants { args, places, ..Grants::default() };
    let ((stdout, out), (stderr, err)) = (Output::memory(10 << 20), Output::memory(1 << 20));
    let large: Vec<u8> = (0..1_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let ends = Ends { stdin: Input::bytes(large), stdout, stderr };
    let run = Run { ends, ..Run::new(&grants, &limits) };
    let component = component.unwrap();
    let outcome = if shared { component.start(run).and_then(weir_engine::Running::wait) } else { component.run(run) };
    (outcome.unwrap().exit_code, out.take(), err.take())
}

#[test]
fn streams_may_be_objects() {
    let Some(folder) = guests() else { return };
    let large: Vec<u8> = (0..1_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    for program in BOTH {
        for shared in [false, true] {
            let (code, out, err) = in_memory(folder, program, &["echo"], shared);
            assert_eq!((code, String::from_utf8_lossy(&err).as_ref()), (0, ""), "{program}");
            assert!(out == large, "{program}: {} bytes", out.len());
        }
    }
    let (_, out, _) = in_memory(folder, "p2", &["streams"], true);
    assert_eq!(String::from_utf8_lossy(&out), "streams agree\n");
}
