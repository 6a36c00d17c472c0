//! Pointers outside the program's memory: a trap, as the WASI 0.1 documents ask, never a read or write
//! elsewhere, and nothing that the host does not survive.

use crate::common::*;
use weir_link::p1::P1_FUNCTIONS;
use weir_testkit::calls::*;
use weir_testkit::{Linked, Wasi};
use weir_types::grants::{Clock, Grants, Source};
use weir_types::limits::Limits;
use weir_vfs::Errno;

/// Bytes of the driver's memory.
const END: u64 = 16 << 16;

/// The arguments of a call with `bad` in the place of one of its pointers. Descriptors: 3 is a
/// directory, 4 a file that holds something.
fn calls(bad: u64) -> Vec<(&'static str, Vec<u64>)> {
    vec![
        ("args_get", vec![bad, DATA]),
        ("args_get", vec![DATA, bad]),
        ("args_sizes_get", vec![bad, OUT]),
        ("args_sizes_get", vec![OUT, bad]),
        ("environ_get", vec![bad, DATA]),
        ("environ_get", vec![DATA, bad]),
        ("environ_sizes_get", vec![bad, OUT]),
        ("environ_sizes_get", vec![OUT, bad]),
        ("clock_res_get", vec![0, bad]),
        ("clock_time_get", vec![0, 1, bad]),
        ("fd_fdstat_get", vec![3, bad]),
        ("fd_fdstat_get", vec![4, bad]),
        ("fd_fdstat_get", vec![1, bad]),
        ("fd_filestat_get", vec![4, bad]),
        ("fd_filestat_get", vec![1, bad]),
        ("fd_pread", vec![4, bad, 1, 0, OUT]),
        ("fd_pread", vec![4, IOVS, 1, 0, bad]),
        ("fd_prestat_get", vec![3, bad]),
        ("fd_prestat_dir_name", vec![3, bad, 64]),
        ("fd_pwrite", vec![4, bad, 1, 0, OUT]),
        ("fd_pwrite", vec![4, IOVS, 1, 0, bad]),
        ("fd_read", vec![4, bad, 1, OUT]),
        ("fd_read", vec![4, IOVS, 1, bad]),
        ("fd_readdir", vec![3, bad, 64, 0, OUT]),
        ("fd_readdir", vec![3, DATA, 64, 0, bad]),
        ("fd_seek", vec![4, 0, 0, bad]),
        ("fd_tell", vec![4, bad]),
        ("fd_write", vec![4, bad, 1, OUT]),
        ("fd_write", vec![4, IOVS, 1, bad]),
        ("fd_write", vec![1, bad, 1, OUT]),
        ("path_create_directory", vec![3, bad, 4]),
        ("path_filestat_get", vec![3, 0, bad, 4, DATA]),
        ("path_filestat_get", vec![3, 0, PATH, 4, bad]),
        ("path_filestat_set_times", vec![3, 0, bad, 4, 0, 0, 0]),
        ("path_link", vec![3, 0, bad, 4, 3, PATH_2, 4]),
        ("path_link", vec![3, 0, PATH, 4, 3, bad, 4]),
        ("path_open", vec![3, 0, bad, 4, 0, FD_READ, 0, 0, OUT]),
        ("path_open", vec![3, 0, PATH, 4, 0, FD_READ, 0, 0, bad]),
        ("path_readlink", vec![3, bad, 4, DATA, 64, OUT]),
        ("path_readlink", vec![3, PATH_2, 4, bad, 64, OUT]),
        ("path_readlink", vec![3, PATH_2, 4, DATA, 64, bad]),
        ("path_remove_directory", vec![3, bad, 4]),
        ("path_rename", vec![3, bad, 4, 3, PATH_2, 4]),
        ("path_rename", vec![3, PATH, 4, 3, bad, 4]),
        ("path_symlink", vec![bad, 4, 3, PATH_2, 4]),
        ("path_symlink", vec![PATH, 4, 3, bad, 4]),
        ("path_unlink_file", vec![3, bad, 4]),
        ("poll_oneoff", vec![bad, DATA, 1, OUT]),
        ("poll_oneoff", vec![DATA + 0x100, bad, 1, OUT]),
        ("poll_oneoff", vec![DATA + 0x100, DATA + 0x200, 1, bad]),
        ("poll_oneoff", vec![DATA + 0x140, bad, 1, OUT]),
        ("poll_oneoff", vec![DATA + 0x140, DATA + 0x200, 1, bad]),
        ("random_get", vec![bad, 4]),
    ]
}

/// Functions without a pointer, and those that answer before they look at one.
const WITHOUT_POINTERS: [&str; 18] = [
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_renumber",
    "fd_sync",
    "proc_exit",
    "proc_raise",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
    "",
];

/// `file` (descriptor 4), `soft` -> `file`; paths, an iovec, and subscriptions of the file and of a clock.
fn prepared() -> Linked {
    let args = vec!["program".into()];
    let env = vec![("NAME".into(), "value".into())];
    let places = vec![place("/", Source::Scratch)];
    let mut wasi =
        Linked::new(&Grants { args, env, places, clock: Clock::Fixed(NOW), ..Grants::default() }, &Limits::default());
    wasi.write_file(ROOT, "file", b"contents").unwrap();
    wasi.symlink("file", ROOT, "soft").unwrap();
    assert_eq!(wasi.open(ROOT, "file", 0, READ_WRITE), Ok(4));
    wasi.put(PATH, b"file");
    wasi.put(PATH_2, b"soft");
    wasi.put(IOVS, &[DATA as u32, 8].map(u32::to_le_bytes).concat());
    wasi.put(DATA + 0x100, &[0; 96]);
    wasi.put(DATA + 0x108, &[1]);
    wasi.put(DATA + 0x110, &[4]);
    wasi
}

#[test]
fn every_pointer_of_every_function() {
    let mut all: Vec<&str> = calls(0).into_iter().map(|(name, _)| name).chain(WITHOUT_POINTERS).collect();
    all.sort_unstable();
    all.dedup();
    let mut known: Vec<&str> = P1_FUNCTIONS.iter().map(|function| function.name).chain([""]).collect();
    known.sort_unstable();
    assert_eq!(all, known, "the tables here name every function");
    for (index, (name, arguments)) in calls(0).into_iter().enumerate() {
        let mut wasi = prepared();
        for bad in [END - 1, END, END + 4096, 1 << 31, u64::from(u32::MAX) - 3, u64::from(u32::MAX)] {
            if name == "fd_prestat_dir_name" && bad == END - 1 {
                // The name is one byte long.
                continue;
            }
            let arguments = calls(bad)[index].1.clone();
            let before = wasi.memory().to_vec();
            match wasi.try_call(name, &arguments) {
                Err(error) => {
                    assert!(error.contains("out of bounds") || error.contains("outside its memory"), "{name}: {error}");
                }
                // A buffer that goes on behind the end of the address space.
                Ok(errno) => assert_eq!((name, errno), ("fd_readdir", Errno::Fault.number()), "{arguments:x?}"),
            }
            // The last byte of the memory may have been written, or other results before the trap.
            let changed = before.iter().zip(wasi.memory()).filter(|(old, new)| old != new).count();
            assert!(changed < 200, "{name}: {changed} bytes changed");
            wasi.memory().copy_from_slice(&before);
        }
        // The host is well, and so is the next instance.
        assert_eq!(prepared().read_file(ROOT, "file"), Ok(b"contents".to_vec()), "{name}{arguments:?}");
    }
}

#[test]
fn a_trap_leaves_the_file_system_usable() {
    let mut wasi = prepared();
    for (name, arguments) in calls(END) {
        assert!(wasi.try_call(name, &arguments).is_err(), "{name}");
        assert!(wasi.fdstat(ROOT).is_ok(), "{name}");
    }
    assert!(wasi.stat(ROOT, "soft").is_ok());
    assert_eq!(wasi.write_file(ROOT, "after", b"all that"), Ok(()));
    assert_eq!(wasi.read_file(ROOT, "after"), Ok(b"all that".to_vec()));
}

#[test]
fn buffers_that_begin_inside_and_end_outside() {
    let iovec = |at: u64, len: u64| [at as u32, len as u32].map(u32::to_le_bytes).concat();
    let mut wasi = prepared();
    let big = vec![7; 100_000];
    wasi.write_file(ROOT, "big", &big).unwrap();
    let fd = wasi.open(ROOT, "big", 0, READ_WRITE).unwrap().into();
    for (at, len) in [(END - 8, 9), (END - 50_000, 60_000), (0x100, u64::from(u32::MAX)), (END, 1), (1 << 31, 1 << 31)]
    {
        wasi.put(IOVS, &iovec(at, len));
        for (name, arguments) in [("fd_write", vec![fd, IOVS, 1, OUT]), ("fd_pwrite", vec![fd, IOVS, 1, 0, OUT])] {
            assert!(wasi.try_call(name, &arguments).is_err(), "{name} {at:x} {len:x}");
        }
    }
    assert!(wasi.fd_stat(fd as u32).unwrap().size < 2 * END, "no more than there is was written");
    // A read touches no more of its buffers than there is to read.
    wasi.put(IOVS, &iovec(END - 50_000, 60_000));
    assert!(wasi.try_call("fd_pread", &[fd, IOVS, 1, 0, OUT]).is_err());
    for (name, arguments) in [
        ("random_get", vec![END - 8, 9]),
        ("random_get", vec![0, u64::from(u32::MAX)]),
        ("path_open", vec![3, 0, END - 4, 5, 0, FD_READ, 0, 0, OUT]),
        ("fd_fdstat_get", vec![4, END - 23]),
        ("fd_filestat_get", vec![4, END - 63]),
        ("fd_prestat_get", vec![3, END - 7]),
        ("fd_readdir", vec![3, END - 20, 4096, 0, OUT]),
        ("fd_tell", vec![4, END - 7]),
        ("poll_oneoff", vec![END - 47, DATA, 1, OUT]),
        ("poll_oneoff", vec![END / 2, DATA, 16_000, OUT]),
    ] {
        assert!(wasi.try_call(name, &arguments).is_err(), "{name} {arguments:x?}");
    }
    for (name, arguments) in [
        ("fd_fdstat_get", vec![4, END - 24]),
        ("fd_filestat_get", vec![4, END - 64]),
        ("fd_prestat_get", vec![3, END - 8]),
        ("fd_tell", vec![4, END - 8]),
        ("random_get", vec![END - 8, 8]),
        ("fd_prestat_dir_name", vec![3, END - 1, 1]),
        ("clock_time_get", vec![0, 1, END - 8]),
    ] {
        assert_eq!(wasi.try_call(name, &arguments), Ok(0), "{name} {arguments:x?} fits");
    }
}

#[test]
fn arrays_of_iovecs_that_lie_about_their_length() {
    let mut wasi = prepared();
    let huge = u64::from(u32::MAX);
    for name in ["fd_read", "fd_write"] {
        for (fd, at, count) in [(4, END - 8, 2), (4, END - 12, 2), (4, huge - 7, 2), (1, END - 8, 2), (1, huge - 7, 2)]
        {
            if name == "fd_read" && fd == 1 {
                continue;
            }
            wasi.memory()[END as usize - 16..].fill(0);
            assert!(wasi.try_call(name, &[fd, at, count, OUT]).is_err(), "{name} {fd} {at:x} {count}");
        }
        // More than are looked at, all of them empty: a short answer, and a prompt one.
        wasi.memory()[DATA as usize..].fill(0);
        assert_eq!(wasi.try_call(name, &[4, DATA, huge, OUT]), Ok(0), "{name}");
        assert_eq!(wasi.word(OUT), 0);
    }
    // Many times the whole memory.
    wasi.put(IOVS, &[0x100u32, 1 << 19].map(u32::to_le_bytes).concat().repeat(100));
    let fd = wasi.open(ROOT, "large", CREAT, READ_WRITE).unwrap();
    wasi.answer("fd_write", &[fd.into(), IOVS, 100, OUT]).unwrap();
    assert_eq!(u64::from(wasi.word(OUT)), wasi.fd_stat(fd).unwrap().size);
    assert_eq!(wasi.fd_stat(fd).map(|stat| stat.size), Ok(100 << 19));
}

#[test]
fn results_over_one_another() {
    both(|wasi| {
        sample(wasi);
        let fd = wasi.open(ROOT, "dir/file", 0, READ_WRITE).unwrap();
        // The count over the data that was just read.
        wasi.put(IOVS, &[DATA as u32, 8].map(u32::to_le_bytes).concat());
        wasi.answer("fd_read", &[fd.into(), IOVS, 1, DATA]).unwrap();
        assert_eq!(wasi.get(DATA, 8), b"\x08\0\0\0ents");
        // Data over the array that says where it goes: the array was for the first bytes.
        wasi.put(IOVS, &[IOVS as u32, 4, DATA as u32, 4].map(u32::to_le_bytes).concat());
        wasi.answer("fd_pread", &[fd.into(), IOVS, 2, 0, OUT]).unwrap();
        assert_eq!(wasi.word(OUT), 8);
        assert_eq!(wasi.get(IOVS, 4), b"cont");
        // The same span twice: the later bytes win.
        wasi.put(IOVS, &[DATA as u32, 4, DATA as u32, 4].map(u32::to_le_bytes).concat());
        wasi.answer("fd_pread", &[fd.into(), IOVS, 2, 0, OUT]).unwrap();
        assert_eq!((wasi.word(OUT), wasi.get(DATA, 4)), (8, b"ents".to_vec()));
        // A record over the path that named the file, and the opened number over its name.
        wasi.put(PATH, b"dir/file");
        wasi.answer("path_filestat_get", &[ROOT.into(), 0, PATH, 8, PATH]).unwrap();
        assert_eq!(wasi.long(PATH + 32), 8);
        wasi.put(PATH, b"dir/file");
        wasi.answer("path_open", &[ROOT.into(), 0, PATH, 8, 0, FD_READ, 0, 0, PATH]).unwrap();
        assert_eq!(wasi.word(PATH), fd + 1);
        wasi.put(PATH, b"link");
        wasi.answer("path_readlink", &[ROOT.into(), PATH, 4, PATH, 64, PATH + 2]).unwrap();
        assert_eq!(wasi.get(PATH, 8), b"di\x08\0\0\0le");
        // The used length over the records.
        wasi.answer("fd_readdir", &[ROOT.into(), DATA, 64, 0, DATA]).unwrap();
        assert_eq!(wasi.word(DATA), 64);
    });
}

#[test]
fn the_first_bytes_of_the_memory_are_the_programs() {
    let mut wasi = prepared();
    wasi.put(0, b"precious");
    wasi.write_file(ROOT, "file", b"changes times").unwrap();
    wasi.stat(ROOT, "file").unwrap();
    assert_eq!(wasi.get(0, 8), b"precious", "the clock's answer is not left there");
    // Address 0 is as good as any other.
    wasi.put(0, b"file");
    assert_eq!(wasi.answer("path_open", &[3, 0, 0, 4, 0, FD_READ, 0, 0, 0]), Ok(()));
    assert_eq!(wasi.word(0), 5);
    wasi.put(0, &[0u32, 8].map(u32::to_le_bytes).concat());
    assert_eq!(wasi.answer("fd_pwrite", &[4, 0, 1, 0, 0]), Ok(()));
    assert_eq!(wasi.pread(4, 0, 8), Ok([0u32, 8].map(u32::to_le_bytes).concat()));
}
