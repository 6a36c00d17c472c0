//! `poll_oneoff`: files are ready at once, clocks are due in their time, and the program's array of
//! subscriptions is as it was afterwards, although the call on its way to the host goes through it.

use crate::common::*;
use std::time::{Duration, Instant};
use weir_testkit::Linked;
use weir_testkit::calls::*;
use weir_types::grants::{Clock, Grants, Source};
use weir_types::limits::Limits;
use weir_vfs::Errno;

const SECOND: u64 = 1_000_000_000;
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const EVENTS: u64 = DATA + 0x8000;

fn clock(userdata: u64, id: u32, timeout: u64, absolute: bool) -> [u8; 48] {
    let mut record = [0; 48];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    record[16..20].copy_from_slice(&id.to_le_bytes());
    record[24..32].copy_from_slice(&timeout.to_le_bytes());
    record[32..40].copy_from_slice(&77u64.to_le_bytes());
    record[40] = u8::from(absolute);
    record
}

fn on_fd(userdata: u64, kind: u8, fd: u32) -> [u8; 48] {
    let mut record = [0x5a; 48];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    record[8] = kind;
    record[16..20].copy_from_slice(&fd.to_le_bytes());
    record
}

/// An event as stored: userdata, errno, kind, bytes, flags.
type Event = (u64, u16, u8, u64, u16);

/// Polls; checks that the subscriptions stay and that nothing is written behind the events.
fn poll(wasi: &mut Linked, subscriptions: &[[u8; 48]]) -> Answer<Vec<Event>> {
    let array = subscriptions.concat();
    wasi.put(DATA, &array);
    let room = 32 * subscriptions.len();
    wasi.put(EVENTS, &vec![0xa5; room + 64]);
    wasi.put(OUT, &[0xa5; 8]);
    let answer = wasi.answer("poll_oneoff", &[DATA, EVENTS, subscriptions.len() as u64, OUT]);
    assert_eq!(wasi.get(DATA, array.len()), array, "the subscriptions are the program's");
    assert_eq!(wasi.get(EVENTS + room as u64, 64), [0xa5; 64]);
    assert_eq!(wasi.get(OUT + 4, 4), [0xa5; 4]);
    answer?;
    let count = wasi.word(OUT) as usize;
    assert!((1..=subscriptions.len()).contains(&count), "{count} events");
    let bytes = wasi.get(EVENTS, count * 32);
    Ok(bytes.chunks_exact(32).map(event).collect())
}

fn event(bytes: &[u8]) -> Event {
    let number =
        |at: usize, len: usize| bytes[at..at + len].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    (number(0, 8), number(8, 2) as u16, bytes[10], number(16, 8), number(24, 2) as u16)
}

fn now(wasi: &mut Linked, id: u32) -> u64 {
    wasi.answer("clock_time_get", &[id.into(), 1, OUT]).unwrap();
    wasi.long(OUT)
}

#[test]
fn a_clock_that_stands_still_is_moved_by_waiting() {
    let mut wasi = scratch();
    let wasi = &mut wasi;
    let start = now(wasi, MONOTONIC);
    assert_eq!(poll(wasi, &[clock(7, MONOTONIC, 3 * SECOND, false)]), Ok(vec![(7, 0, 0, 0, 0)]));
    assert_eq!((now(wasi, REALTIME), now(wasi, MONOTONIC)), (NOW + 3 * SECOND, start + 3 * SECOND));
    let both = [clock(1, MONOTONIC, 5 * SECOND, false), clock(u64::MAX, REALTIME, 2 * SECOND, false)];
    assert_eq!(poll(wasi, &both), Ok(vec![(u64::MAX, 0, 0, 0, 0)]), "the earlier one alone");
    assert_eq!(now(wasi, REALTIME), NOW + 5 * SECOND);
    let same = [clock(1, MONOTONIC, SECOND, false), clock(2, REALTIME, SECOND, false)];
    assert_eq!(poll(wasi, &same).map(|events| events.len()), Ok(2), "both are due at once");
    let until = [clock(3, REALTIME, NOW + 20 * SECOND, true), clock(4, MONOTONIC, 3600 * SECOND, false)];
    assert_eq!(poll(wasi, &until), Ok(vec![(3, 0, 0, 0, 0)]));
    assert_eq!(now(wasi, REALTIME), NOW + 20 * SECOND);
    for past in [0, 1, NOW, NOW + 20 * SECOND] {
        assert_eq!(poll(wasi, &[clock(5, REALTIME, past, true)]), Ok(vec![(5, 0, 0, 0, 0)]));
        assert_eq!(now(wasi, REALTIME), NOW + 20 * SECOND, "what is past needs no waiting");
    }
    assert_eq!(poll(wasi, &[clock(6, MONOTONIC, 0, false)]), Ok(vec![(6, 0, 0, 0, 0)]));
}

#[test]
fn real_clocks_wait_as_long_as_they_should() {
    let mut wasi = Linked::new(&Grants { clock: Clock::Real, ..Grants::default() }, &Limits::default());
    for id in [REALTIME, MONOTONIC] {
        let started = Instant::now();
        assert_eq!(poll(&mut wasi, &[clock(1, id, 30_000_000, false)]), Ok(vec![(1, 0, 0, 0, 0)]));
        assert!(started.elapsed() >= Duration::from_millis(29), "{:?}", started.elapsed());
        let due = now(&mut wasi, id) + 20_000_000;
        assert_eq!(poll(&mut wasi, &[clock(2, id, due, true)]), Ok(vec![(2, 0, 0, 0, 0)]));
        assert!(now(&mut wasi, id) >= due);
    }
}

#[test]
fn a_file_is_ready_at_once_whatever_else_is_asked() {
    let places = vec![place("/", Source::Scratch)];
    let mut wasi = Linked::new(&Grants { places, clock: Clock::Real, ..Grants::default() }, &Limits::default());
    let wasi = &mut wasi;
    wasi.write_file(ROOT, "file", b"0123456789").unwrap();
    let file = wasi.open(ROOT, "file", 0, READ_WRITE).unwrap();
    wasi.seek(file, 4, 0).unwrap();
    assert_eq!(poll(wasi, &[on_fd(11, 1, file)]), Ok(vec![(11, 0, 1, 6, 0)]), "six bytes are left");
    let events = poll(wasi, &[on_fd(12, 2, file)]).unwrap();
    assert_eq!((events.len(), events[0].0, events[0].1, events[0].2), (1, 12, 0, 2));
    let started = Instant::now();
    let hour = clock(1, MONOTONIC, 3600 * SECOND, false);
    assert_eq!(poll(wasi, &[hour, on_fd(2, 1, file)]), Ok(vec![(2, 0, 1, 6, 0)]));
    assert_eq!(poll(wasi, &[on_fd(2, 1, file), hour]), Ok(vec![(2, 0, 1, 6, 0)]));
    // Streams may be ready, too, but the file is in any case, and none waits for the other.
    let events = poll(wasi, &[hour, on_fd(3, 1, 0), on_fd(2, 1, file), on_fd(4, 2, 1), hour]).unwrap();
    assert!(events.contains(&(2, 0, 1, 6, 0)), "{events:?}");
    assert!(events.iter().all(|event| [2, 3, 4].contains(&event.0) && event.1 == 0), "{events:?}");
    let many: Vec<[u8; 48]> = (0..200).map(|number| on_fd(number, 1 + (number % 2) as u8, file)).collect();
    let events = poll(wasi, &many).unwrap();
    assert_eq!(events.iter().map(|event| event.0).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_is_wrong_is_an_event() {
    let mut wasi = scratch();
    let wasi = &mut wasi;
    let badf = Errno::Badf.number();
    let inval = Errno::Inval.number();
    assert_eq!(poll(wasi, &[on_fd(5, 1, 99)]), Ok(vec![(5, badf, 1, 0, 0)]));
    let hour = clock(1, MONOTONIC, 3600 * SECOND, false);
    assert_eq!(poll(wasi, &[hour, on_fd(5, 2, u32::MAX)]), Ok(vec![(5, badf, 2, 0, 0)]));
    assert_eq!(now(wasi, REALTIME), NOW, "there was nothing to wait for");
    assert_eq!(poll(wasi, &[clock(6, 44, SECOND, false)]), Ok(vec![(6, inval, 0, 0, 0)]));
    let events = poll(wasi, &[hour, clock(6, 44, SECOND, false), on_fd(5, 1, 99)]).unwrap();
    assert!(events.contains(&(6, inval, 0, 0, 0)) && events.contains(&(5, badf, 1, 0, 0)), "{events:?}");
    wasi.close(0).unwrap();
    assert_eq!(poll(wasi, &[on_fd(7, 1, 0)]), Ok(vec![(7, badf, 1, 0, 0)]));
}

#[test]
fn what_is_no_subscription_is_refused() {
    let mut wasi = scratch();
    let wasi = &mut wasi;
    assert_eq!(wasi.answer("poll_oneoff", &[DATA, EVENTS, 0, OUT]), Err(Errno::Inval));
    for count in [1 << 20, 1 << 31, u64::from(u32::MAX)] {
        assert_eq!(wasi.answer("poll_oneoff", &[DATA, EVENTS, count, OUT]), Err(Errno::Inval), "{count}");
    }
    for kind in [3, 4, 255] {
        assert_eq!(poll(wasi, &[on_fd(1, kind, ROOT)]), Err(Errno::Inval), "{kind}");
        assert_eq!(poll(wasi, &[clock(1, MONOTONIC, 0, false), on_fd(1, kind, ROOT)]), Err(Errno::Inval), "{kind}");
    }
}

#[test]
fn events_may_lie_over_the_subscriptions() {
    let mut wasi = scratch();
    let wasi = &mut wasi;
    let file = wasi.open(ROOT, "file", CREAT, READ_WRITE).unwrap();
    let array = [clock(1, MONOTONIC, SECOND, false), on_fd(2, 2, file), on_fd(3, 1, 99)];
    wasi.put(DATA, &array.concat());
    wasi.answer("poll_oneoff", &[DATA, DATA, 3, OUT]).unwrap();
    let count = wasi.word(OUT) as usize;
    let mut seen: Vec<u64> = wasi.get(DATA, count * 32).chunks_exact(32).map(|bytes| event(bytes).0).collect();
    seen.sort_unstable();
    assert_eq!(seen, [2, 3]);
}
