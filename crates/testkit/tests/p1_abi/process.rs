//! What only the engine serves: arguments, environment, clocks, randomness, exit, signals, sockets,
//! and the standard streams, for which the test runs itself again as a child with pipes.

use crate::common::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use weir_testkit::Linked;
use weir_testkit::calls::*;
use weir_types::grants::{Clock, Grants, Random, Source};
use weir_types::limits::Limits;
use weir_vfs::Errno;

fn with(grants: Grants) -> Linked {
    Linked::new(&grants, &Limits::default())
}

/// Calls `sizes` and `get`; checks that both agree, that the strings lie behind one another, and
/// that nothing else is written.
fn strings(wasi: &mut Linked, sizes: &str, get: &str) -> Vec<String> {
    wasi.answer(sizes, &[OUT, OUT + 4]).unwrap();
    let (count, bytes) = (wasi.word(OUT) as usize, wasi.word(OUT + 4) as usize);
    let array = DATA + bytes as u64 + 64;
    wasi.put(DATA, &vec![0xa5; bytes + 64 + count * 4 + 64]);
    wasi.answer(get, &[array, DATA]).unwrap();
    let mut at = DATA;
    let mut found = Vec::new();
    for index in 0..count as u64 {
        assert_eq!(u64::from(wasi.word(array + index * 4)), at, "string {index} begins where the last one ended");
        let rest = wasi.get(at, (DATA as usize + bytes) - at as usize);
        let len = rest.iter().position(|byte| *byte == 0).expect("a NUL behind each string");
        found.push(String::from_utf8(rest[..len].to_vec()).unwrap());
        at += len as u64 + 1;
    }
    assert_eq!(at, DATA + bytes as u64, "the size counts every NUL");
    assert_eq!(wasi.get(at, 64), [0xa5; 64]);
    assert_eq!(wasi.get(array + count as u64 * 4, 64), [0xa5; 64]);
    found
}

#[test]
fn arguments_and_environment() {
    let args = ["program", "", "ärger ünd\nlines", "--x=y"].map(String::from).to_vec();
    let env = vec![("HOME".into(), "/".into()), ("EMPTY".into(), String::new()), ("Ü".into(), "a=b".into())];
    let mut wasi = with(Grants { args: args.clone(), env, ..Grants::default() });
    assert_eq!(strings(&mut wasi, "args_sizes_get", "args_get"), args);
    assert_eq!(strings(&mut wasi, "environ_sizes_get", "environ_get"), ["HOME=/", "EMPTY=", "Ü=a=b"]);
    let mut wasi = with(Grants::default());
    assert_eq!(strings(&mut wasi, "args_sizes_get", "args_get"), [""; 0]);
    assert_eq!(strings(&mut wasi, "environ_sizes_get", "environ_get"), [""; 0], "nothing is inherited");
}

#[test]
fn clocks() {
    let mut wasi = scratch();
    for clock in 0..4 {
        wasi.put(OUT, &[0xa5; 16]);
        assert_eq!(wasi.answer("clock_res_get", &[clock, OUT]), Ok(()), "{clock}");
        assert!((1..=1_000_000_000).contains(&wasi.long(OUT)), "{clock}");
        assert_eq!(wasi.answer("clock_time_get", &[clock, 1, OUT]), Ok(()), "{clock}");
        let first = wasi.long(OUT);
        assert_eq!(wasi.answer("clock_time_get", &[clock, u64::MAX, OUT]), Ok(()), "{clock}");
        assert_eq!(wasi.long(OUT), first, "a clock that stands still");
        assert_eq!(wasi.get(OUT + 8, 8), [0xa5; 8]);
    }
    assert_eq!(wasi.answer("clock_time_get", &[0, 1, OUT]), Ok(()));
    assert_eq!(wasi.long(OUT), NOW);
    for clock in [4, 77, u64::from(u32::MAX)] {
        assert_eq!(wasi.answer("clock_res_get", &[clock, OUT]), Err(Errno::Inval), "{clock}");
        assert_eq!(wasi.answer("clock_time_get", &[clock, 1, OUT]), Err(Errno::Inval), "{clock}");
    }
    let mut wasi = with(Grants { clock: Clock::Real, ..Grants::default() });
    for clock in 0..4 {
        let mut last = 0;
        for _ in 0..100 {
            wasi.answer("clock_time_get", &[clock, 1, OUT]).unwrap();
            let now = wasi.long(OUT);
            assert!(now >= last && (now > 0 || clock > 1), "{clock}: {now} after {last}");
            last = now;
        }
    }
    wasi.answer("clock_time_get", &[0, 1, OUT]).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(now.abs_diff(wasi.long(OUT)) < 60_000_000_000);
}

#[test]
fn randomness() {
    let random = |random, len: usize| {
        let mut wasi = with(Grants { random, ..Grants::default() });
        wasi.put(DATA - 8, &vec![0; len + 16]);
        assert_eq!(wasi.answer("random_get", &[DATA, len as u64]), Ok(()));
        assert_eq!((wasi.get(DATA - 8, 8), wasi.get(DATA + len as u64, 8)), (vec![0; 8], vec![0; 8]));
        wasi.get(DATA, len)
    };
    let all = random(Random::Seed(7), 1000);
    assert_eq!(random(Random::Seed(7), 1000), all);
    assert_ne!(random(Random::Seed(8), 1000), all);
    for bytes in [all, random(Random::Real, 1000)] {
        let zeros = bytes.iter().filter(|byte| **byte == 0).count();
        assert!(zeros < 40, "{zeros} zeros in a thousand bytes");
    }
    assert_ne!(random(Random::Real, 64), random(Random::Real, 64));
    assert!(random(Random::Real, 0).is_empty());
    assert_eq!(random(Random::Real, 300_000).len(), 300_000, "more than the kernel gives at once");
}

#[test]
fn ending() {
    let mut wasi = scratch();
    assert_eq!(wasi.answer("sched_yield", &[]), Ok(()));
    for signal in [0, 2, 9, 15, 30, 255] {
        assert_eq!(wasi.answer("proc_raise", &[signal]), Err(Errno::Notsup), "{signal}");
    }
    let error = wasi.try_call("proc_raise", &[6]).unwrap_err();
    assert!(error.contains("SIGABRT"), "{error}");
    for code in [0, 1, 42, 255, 1 << 31] {
        let error = scratch().try_call("proc_exit", &[code]).unwrap_err();
        assert!(error.contains(&format!("code {code} ")), "{error}");
    }
}

#[test]
fn nothing_is_a_socket() {
    let calls: [(&str, &[u64]); 4] = [
        ("sock_accept", &[0, OUT]),
        ("sock_recv", &[IOVS, 1, 0, OUT, OUT + 4]),
        ("sock_send", &[IOVS, 1, 0, OUT]),
        ("sock_shutdown", &[3]),
    ];
    let mut wasi = scratch();
    let file = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
    for (name, rest) in calls {
        for (fd, errno) in [
            (0, Errno::Notsock),
            (1, Errno::Notsock),
            (ROOT, Errno::Notsock),
            (file, Errno::Notsock),
            (99, Errno::Badf),
            (u32::MAX, Errno::Badf),
        ] {
            let arguments = [&[u64::from(fd)], rest].concat();
            assert_eq!(wasi.answer(name, &arguments), Err(errno), "{name} {fd}");
        }
    }
}

/// Set for the child that has pipes for its standard streams.
const CHILD: &str = "WEIR_TESTKIT_STDIO_CHILD";

#[test]
fn standard_streams() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["process::child_with_pipes", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in &mut lines {
        let line = line.unwrap();
        if line.ends_with("silence is over") {
            stdin.write_all(b"0123456789").unwrap();
        }
        if line.ends_with("close it") {
            break;
        }
        said.push(line);
    }
    drop(stdin);
    said.extend(lines.map(Result::unwrap));
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{said:#?}\n{errors}");
    assert!(said.iter().any(|line| line == "two pieces"), "{said:#?}");
    assert!(errors.contains("to stderr\n"), "{errors}");
}

/// A subscription to a descriptor (`kind` 1 reads, 2 writes).
fn subscribe(userdata: u64, kind: u8, fd: u32) -> [u8; 48] {
    let mut record = [0; 48];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    record[8] = kind;
    record[16..20].copy_from_slice(&fd.to_le_bytes());
    record
}

/// Userdata, errno and kind of each event.
fn poll(wasi: &mut Linked, subscriptions: &[[u8; 48]]) -> Vec<(u64, u16, u8)> {
    wasi.put(DATA, &subscriptions.concat());
    let events = DATA + 0x1000;
    wasi.answer("poll_oneoff", &[DATA, events, subscriptions.len() as u64, OUT]).unwrap();
    let count = u64::from(wasi.word(OUT));
    (0..count)
        .map(|index| events + index * 32)
        .map(|at| (wasi.long(at), wasi.word(at + 8) as u16, (wasi.word(at + 8) >> 16) as u8))
        .collect()
}

/// Does nothing unless it is the child.
#[test]
fn child_with_pipes() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let places = vec![place("/", Source::Scratch)];
    let mut wasi = with(Grants { places, ..Grants::default() });
    let wasi = &mut wasi;
    for (fd, right) in [(0, FD_READ), (1, FD_WRITE), (2, FD_WRITE)] {
        let stat = wasi.fdstat(fd).unwrap();
        assert_eq!((stat.kind, stat.base & READ_WRITE), (0, right), "a pipe is neither file nor terminal");
        assert_eq!(wasi.fd_stat(fd).map(|stat| stat.kind), Ok(0));
        assert_eq!(wasi.seek(fd, 0, 1), Err(Errno::Spipe));
        assert_eq!(wasi.readdir(fd, 64, 0), Err(Errno::Badf), "and no directory");
    }
    assert_eq!((wasi.write(0, b"x"), wasi.read(1, 1)), (Err(Errno::Badf), Err(Errno::Badf)));
    let mut clock = [0; 48];
    clock[0] = 5;
    clock[16] = 1;
    clock[24..32].copy_from_slice(&20_000_000u64.to_le_bytes());
    assert_eq!(poll(wasi, &[subscribe(9, 1, 0), clock]), [(5, 0, 0)], "stdin is silent, the clock is due");
    assert_eq!(poll(wasi, &[subscribe(9, 1, 0), subscribe(8, 2, 1)]), [(8, 0, 2)], "stdout takes more");
    assert_eq!(wasi.write(1, b"\nsilence is over\n"), Ok(17));
    assert_eq!(poll(wasi, &[subscribe(9, 1, 0)]), [(9, 0, 1)]);
    let iovecs = [DATA as u32, 3, DATA as u32 + 10, 4].map(u32::to_le_bytes).concat();
    wasi.put(IOVS, &iovecs);
    assert_eq!(wasi.answer("fd_read", &[0, IOVS, 2, OUT]), Ok(()));
    assert_eq!((wasi.word(OUT), wasi.get(DATA, 3), wasi.get(DATA + 10, 4)), (7, b"012".to_vec(), b"3456".to_vec()));
    // A number of its own for the same stream, and a file in its place.
    let file = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
    wasi.renumber(0, file).unwrap();
    assert_eq!(wasi.read(0, 1), Err(Errno::Badf));
    assert_eq!(wasi.read(file, 99), Ok(b"789".to_vec()));
    assert_eq!(poll(wasi, &[subscribe(1, 1, 0)]), [(1, 8, 1)], "stdin's number is closed");
    assert_eq!(wasi.write(1, b"\nclose it\n"), Ok(10));
    assert_eq!(wasi.read(file, 99), Ok(vec![]), "the end");
    wasi.put(DATA, b"\ntwo pieces\n");
    wasi.put(IOVS, &[DATA as u32, 5, DATA as u32 + 5, 7].map(u32::to_le_bytes).concat());
    assert_eq!(wasi.answer("fd_write", &[1, IOVS, 2, OUT]), Ok(()));
    assert_eq!((wasi.word(OUT), wasi.write(2, b"to stderr\n")), (12, Ok(10)));
    wasi.close(1).unwrap();
    assert_eq!(wasi.write(1, b"lost"), Err(Errno::Badf));
    assert_eq!(wasi.open(ROOT, "file", 0, READ_WRITE), Ok(0), "freed numbers are used again, lowest first");
    assert_eq!(wasi.open(ROOT, "file", 0, READ_WRITE), Ok(1));
    assert_eq!((wasi.write(1, b"kept"), wasi.read(0, 9)), (Ok(4), Ok(b"kept".to_vec())));
}
