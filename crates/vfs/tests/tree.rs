//! The tree below the functions of WASI: listings read late, boot images, quotas, read-only parts, times,
//! walks, and depth.

mod support;

use support::*;
use weir_vfs::image::ImageError;
use weir_vfs::p1::Process;
use weir_vfs::{FileType, NodeId, OpenHow, SetTime, StreamId, Usage};

const CREATE: OpenHow =
    OpenHow { follow: false, create: true, exclusive: false, truncate: false, directory: false, write: true };

fn boot(quota: Quota, platform: TestPlatform, nodes: Vec<BootNode>) -> Result<TestVfs, Errno> {
    Vfs::boot(platform, &Image { quota, preopens: vec![], nodes })
}

fn file(blob: u32, offset: u64, size: u64) -> NodeKind {
    NodeKind::File { blob: BlobId(blob), offset, size }
}

fn dir(blob: u32) -> NodeKind {
    NodeKind::Directory(Some(BlobId(blob)))
}

/// `mount/{hello, sub/{deep}, link, empty}` from listings.
fn mounted() -> TestVfs {
    let top = [
        ("hello", file(1, 0, 5)),
        ("sub", dir(11)),
        ("link", NodeKind::Symlink("sub/deep".into())),
        ("empty", dir(12)),
    ];
    let platform = TestPlatform::with([
        (1, b"hello, world".to_vec()),
        (10, listing(&top)),
        (11, listing(&[("deep", file(1, 7, 5))])),
        (12, listing(&[])),
    ]);
    boot(Quota::default(), platform, vec![node("mount", dir(10))]).unwrap()
}

#[test]
fn listings_are_read_when_needed_and_once() {
    let mut vfs = mounted();
    let root = vfs.root();
    assert_eq!((vfs.platform().loads, vfs.usage().nodes), (0, 2));
    assert_eq!(vfs.stat_at(root, "mount", false).unwrap().times, Times::all(500));
    assert_eq!(vfs.platform().loads, 0, "looking at the directory itself lists nothing");
    let stat = vfs.stat_at(root, "mount/link", true).unwrap();
    assert_eq!((stat.kind, stat.size, stat.times), (FileType::File, 5, Times::all(77)));
    assert_eq!((vfs.platform().loads, vfs.usage()), (2, Usage { bytes: 0, nodes: 7 }));
    assert_eq!(vfs.stat_at(root, "mount/link", true).unwrap(), stat);
    assert_eq!(vfs.platform().loads, 2);
    let mut tree = tree(&mut vfs);
    tree.remove("");
    let expected = [
        ("mount", "Directory"),
        ("mount/empty", "Directory"),
        ("mount/hello", "file hello"),
        ("mount/link", "link sub/deep"),
        ("mount/sub", "Directory"),
        ("mount/sub/deep", "file world"),
    ];
    assert_eq!(tree.into_iter().collect::<Vec<_>>(), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn listings_longer_than_a_piece() {
    let entries: Vec<_> = (0..3000).map(|n| entry(&format!("name-{n}"), file(1, n, 1))).collect();
    for piece_max in [None, Some(1), Some(1000)] {
        let platform = TestPlatform { piece_max, ..TestPlatform::with([(10, encode_listing(&entries))]) };
        let mut vfs = boot(Quota::default(), platform, vec![node("mount", dir(10))]).unwrap();
        assert!(vfs.stat_at(vfs.root(), "mount/name-2999", false).is_ok());
        assert_eq!(vfs.usage().nodes, 3002);
    }
}

#[test]
fn a_failed_listing_is_an_error_and_never_empty() {
    let mut vfs = mounted();
    let root = vfs.root();
    let mount = vfs.resolve(root, "mount", false).unwrap();
    vfs.platform_mut().broken = Some(10);
    assert_eq!(vfs.read_dir(mount, 0), Err(Errno::Io));
    assert_eq!(vfs.visit_dir(mount, 0, |_| true), Err(Errno::Io));
    assert_eq!(vfs.stat_at(root, "mount/nothing", false), Err(Errno::Io));
    assert_eq!(vfs.open_at(root, "mount/new", CREATE), Err(Errno::Io));
    assert_eq!(vfs.remove_dir_at(root, "mount"), Err(Errno::Io));
    vfs.create_dir_at(root, "other").unwrap();
    assert_eq!(vfs.rename_at(root, "other", root, "mount"), Err(Errno::Io));
    vfs.platform_mut().broken = None;
    assert_eq!(vfs.remove_dir_at(root, "mount"), Err(Errno::Notempty));
    assert_eq!(vfs.remove_dir_at(root, "mount/empty"), Ok(()));
}

#[test]
fn listings_that_lie_are_errors() {
    let good = listing(&[("a", file(1, 0, 5)), ("b", dir(11))]);
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("short", good[..good.len() - 1].to_vec()),
        ("header only", good[..20].to_vec()),
        ("an image", Image::default().encode()),
        ("too long", good.iter().copied().chain([0]).collect()),
        ("a length beyond memory", [&good[..8], &u64::MAX.to_le_bytes(), &good[16..]].concat()),
        ("a length of half of memory", [&good[..8], &(1u64 << 46).to_le_bytes(), &good[16..]].concat()),
        ("more entries", [&good[..16], &u32::MAX.to_le_bytes(), &good[20..]].concat()),
        ("fewer entries", [&good[..16], &1u32.to_le_bytes(), &good[20..]].concat()),
        ("a path as name", listing(&[("a/b", dir(1))])),
        ("dots", listing(&[("..", dir(1))])),
    ];
    for (what, bytes) in table {
        let platform = TestPlatform::with([(10, bytes)]);
        let mut vfs = boot(Quota::default(), platform, vec![node("mount", dir(10))]).unwrap();
        let answer = vfs.stat_at(vfs.root(), "mount/a", false).map(|stat| stat.kind);
        // What is behind the listing in its blob is not looked at.
        let expected = if what == "too long" { Ok(FileType::File) } else { Err(Errno::Io) };
        assert_eq!(answer, expected, "{what}");
        let nodes = vfs.usage().nodes;
        assert!(nodes == 2 || answer.is_ok(), "{what}: {nodes}");
    }
}

#[test]
fn a_listing_that_contains_itself_ends() {
    let platform = TestPlatform::with([(10, listing(&[("self", dir(10)), ("file", file(1, 0, 0))]))]);
    let quota = Quota { depth_max: 20, ..Quota::default() };
    let mut vfs = boot(quota, platform, vec![node("mount", dir(10))]).unwrap();
    let (mut walk, mut steps, mut errors) = (vfs.walk(vfs.root()), 0, vec![]);
    loop {
        match vfs.walk_next(&mut walk) {
            Ok(Some(_)) => steps += 1,
            Ok(None) => break,
            Err(errno) => errors.push(errno),
        }
    }
    assert_eq!((steps, errors), (2 + 2 * 20, vec![Errno::Nametoolong]));
}

#[test]
fn listed_nodes_count_and_the_quota_refuses_whole_listings() {
    let names: Vec<_> = (0..50).map(|n| format!("{n}")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), file(1, 0, 0))).collect();
    let platform = TestPlatform::with([(10, listing(&entries))]);
    let quota = Quota { inodes_max: 51, ..Quota::default() };
    let mut vfs = boot(quota, platform, vec![node("mount", dir(10))]).unwrap();
    assert_eq!(vfs.stat_at(vfs.root(), "mount/3", false), Err(Errno::Nospc));
    assert_eq!(vfs.usage().nodes, 2);
}

#[test]
fn boot_lays_nodes_over_mounts_without_listing_them() {
    let platform = TestPlatform::with([
        (1, b"from the blob".to_vec()),
        (10, listing(&[("sub", dir(11)), ("same", file(1, 0, 4)), ("other", file(1, 5, 3)), ("hidden", dir(11))])),
        (11, listing(&[("below", file(1, 9, 4))])),
    ]);
    let nodes = vec![
        node("mount", dir(10)),
        node("mount/sub/added", NodeKind::Bytes(b"added".to_vec())),
        node("mount/same", NodeKind::Bytes(b"instead".to_vec())),
        node("/mount/hidden/", NodeKind::Directory(None)),
        node("a/b/c", NodeKind::Symlink("x".into())),
        node("twice", NodeKind::Bytes(b"first".to_vec())),
        node("twice", NodeKind::Bytes(b"second".to_vec())),
        node("late/file", NodeKind::Bytes(b"1".to_vec())),
        node("late", dir(11)),
        node("pipe", NodeKind::Stream(StreamId(5))),
    ];
    let mut vfs = boot(Quota::default(), platform, nodes).unwrap();
    assert_eq!(vfs.platform().loads, 0);
    let pipe = vfs.resolve(vfs.root(), "pipe", false).unwrap();
    assert_eq!(vfs.stream(pipe), Some(StreamId(5)));
    let tree = tree(&mut vfs);
    let expected = [
        ("a/b", "Directory"),
        ("a/b/c", "link x"),
        ("late/below", "file blob"),
        ("late/file", "file 1"),
        ("mount/hidden", "Directory"),
        ("mount/other", "file the"),
        ("mount/same", "file instead"),
        ("mount/sub/added", "file added"),
        ("mount/sub/below", "file blob"),
        ("pipe", "Stream"),
        ("twice", "file second"),
    ];
    for (path, what) in expected {
        assert_eq!(tree.get(path).map(String::as_str), Some(what), "{path}");
    }
    assert_eq!(tree.get("mount/hidden/below"), None);
    assert_eq!(tree.len(), 1 + expected.len() + 4);
}

#[test]
fn boot_refuses_nonsense() {
    let bytes = || NodeKind::Bytes(vec![1]);
    let table = [
        (vec![node("a/../b", bytes())], Errno::Inval),
        (vec![node("..", bytes())], Errno::Inval),
        (vec![node("", bytes())], Errno::Inval),
        (vec![node("a\0", bytes())], Errno::Inval),
        (vec![node("a", bytes()), node("a/b", bytes())], Errno::Notdir),
        (vec![node("a/b", bytes()), node("a", bytes())], Errno::Isdir),
        (vec![node("a", bytes()), node("a", dir(1))], Errno::Notdir),
    ];
    for (nodes, errno) in table {
        let answer = boot(Quota::default(), TestPlatform::default(), nodes.clone()).map(|_| ());
        assert_eq!(answer, Err(errno), "{nodes:?}");
    }
    let quota = Quota { inodes_max: 2, ..Quota::default() };
    assert_eq!(boot(quota, TestPlatform::default(), vec![node("a/b", bytes())]).map(|_| ()), Err(Errno::Nospc));
    assert_eq!(
        Image::decode(b"weirimg\x02").unwrap_err(),
        ImageError { offset: 0, expected: "the magic number of this version" }
    );
}

#[test]
fn a_process_boots_from_a_blob() {
    let preopens = vec![
        Preopen { name: "/data".into(), target: PreopenTarget::Tree("data".into()) },
        Preopen { name: "/host".into(), target: PreopenTarget::Host(7) },
        Preopen { name: "/".into(), target: PreopenTarget::Tree("/".into()) },
    ];
    let nodes = vec![node("data/file", NodeKind::Bytes(b"bytes".to_vec()))];
    let image = Image { quota: Quota::default(), preopens, nodes };
    for piece_max in [None, Some(3)] {
        let platform = TestPlatform { piece_max, ..TestPlatform::with([(0, image.encode())]) };
        let mut process = Process::boot_from(platform, BlobId(0)).unwrap();
        assert_eq!(process.target(4), Ok(weir_vfs::p1::Target::Host(7)));
        assert!(process.path_filestat_get(3, 0, "file").is_ok());
        assert!(process.path_filestat_get(5, 0, "data/file").is_ok());
        assert_eq!(process.path_filestat_get(3, 0, ".."), Err(Errno::Perm));
        // A preopened directory is a root.
        process.path_unlink_file(3, "file").unwrap();
        assert_eq!(process.path_remove_directory(5, "data"), Err(Errno::Busy));
        assert_eq!(process.path_rename(5, "data", 5, "other"), Err(Errno::Busy));
        process.path_create_directory(5, "other").unwrap();
        assert_eq!(process.path_rename(5, "other", 5, "data"), Err(Errno::Busy));
    }
    assert_eq!(Process::boot_from(TestPlatform::default(), BlobId(0)).map(|_| ()), Err(Errno::Noent));
    assert_eq!(Process::boot_from(TestPlatform::with([(0, vec![1; 100])]), BlobId(0)).map(|_| ()), Err(Errno::Io));
}

#[test]
fn bytes_are_limited_and_given_back() {
    let quota = Quota { bytes_max: 100_000, ..Quota::default() };
    let mut vfs = boot(quota, TestPlatform::default(), vec![]).unwrap();
    let root = vfs.root();
    let a = vfs.open_at(root, "a", CREATE).unwrap();
    let data = vec![7; 200_000];
    assert_eq!(vfs.write_at(a, 0, &data, 0, 200_000), Ok(98_304), "as many chunks as fit");
    assert_eq!(vfs.write_at(a, 98_304, &data, 0, 2000), Err(Errno::Nospc));
    assert_eq!(vfs.write_at(a, 98_304, &data, 0, 1000), Ok(1000));
    assert_eq!(vfs.symlink_at(&"t".repeat(1000), root, "link"), Err(Errno::Nospc));
    assert_eq!(vfs.stat_at(root, "link", false), Err(Errno::Noent));
    assert_eq!(vfs.write_at(a, 5, &data, 0, 90_000), Ok(90_000), "what is held can be overwritten");
    vfs.set_size(a, 50_000).unwrap();
    assert_eq!(vfs.usage().bytes, 50_000);
    vfs.symlink_at(&"t".repeat(1000), root, "link").unwrap();
    assert_eq!(vfs.usage().bytes, 51_000);
    vfs.unlink_at(root, "link").unwrap();
    vfs.unlink_at(root, "a").unwrap();
    assert_eq!(vfs.usage().bytes, 50_000, "still open");
    vfs.release(a);
    assert_eq!(vfs.usage(), Usage { bytes: 0, nodes: 1 });
    let b = vfs.open_at(root, "b", CREATE).unwrap();
    for n in 0..1000u64 {
        match vfs.write_at(b, n << 20, &data, 0, 1) {
            Ok(_) => assert!(n < 100_000 / 64),
            Err(errno) => assert_eq!((errno, n > 1000), (Errno::Nospc, true)),
        }
    }
    assert_eq!(vfs.usage().bytes, 64_000, "a chunk has a least price");
    vfs.set_size(b, 10 << 20).unwrap();
    assert_eq!(vfs.usage().bytes, 640);
}

#[test]
fn a_copied_chunk_that_does_not_fit_leaves_the_file_as_it_was() {
    let bytes: Vec<u8> = (0..40_000).map(|n| (n % 253) as u8).collect();
    let platform = TestPlatform::with([(1, bytes.clone())]);
    let quota = Quota { bytes_max: 10_000, ..Quota::default() };
    let mut vfs = boot(quota, platform, vec![node("f", file(1, 0, 40_000))]).unwrap();
    let node = vfs.resolve(vfs.root(), "f", false).unwrap();
    assert_eq!(vfs.write_at(node, 100, b"x".as_slice(), 0, 1), Err(Errno::Nospc));
    assert_eq!(vfs.write_at(node, 35_000, b"x".as_slice(), 0, 1), Ok(1), "the last chunk is shorter");
    let mut out = vec![0; 40_000];
    assert_eq!(vfs.load_at(node, 0, &mut out), Ok(40_000));
    let mut expected = bytes;
    expected[35_000] = b'x';
    assert_eq!(out, expected);
    assert_eq!(vfs.usage().bytes, 40_000 - 32_768);
}

#[test]
fn a_blob_that_is_shorter_than_said() {
    let platform = TestPlatform::with([(1, vec![9; 100])]);
    let mut vfs = boot(Quota::default(), platform, vec![node("f", file(1, 0, 50_000))]).unwrap();
    let node = vfs.resolve(vfs.root(), "f", false).unwrap();
    let mut out = vec![0; 200];
    assert_eq!(vfs.load_at(node, 0, &mut out), Ok(100));
    assert_eq!(vfs.load_at(node, 100, &mut out), Err(Errno::Io));
    assert_eq!(vfs.write_at(node, 10, b"x".as_slice(), 0, 1), Err(Errno::Io));
    assert_eq!(vfs.usage().bytes, 0);
    assert_eq!(vfs.write_at(node, 0, vec![1; 16_384].as_slice(), 0, 16_384), Ok(16_384));
    assert_eq!(vfs.load_at(node, 16_300, &mut out), Ok(84));
}

#[test]
fn nodes_names_and_depth_are_limited() {
    let quota = Quota {
        inodes_max: 5,
        name_bytes_max: 10,
        path_bytes_max: 30,
        depth_max: 3,
        symlinks_max: 2,
        ..Quota::default()
    };
    let mut vfs = boot(quota, TestPlatform::default(), vec![]).unwrap();
    let root = vfs.root();
    assert_eq!(vfs.create_dir_at(root, "12345678901"), Err(Errno::Nametoolong));
    assert_eq!(vfs.create_dir_at(root, &"./".repeat(16)), Err(Errno::Nametoolong));
    vfs.create_dir_at(root, "a").unwrap();
    vfs.create_dir_at(root, "a/a").unwrap();
    vfs.create_dir_at(root, "a/a/a").unwrap();
    assert_eq!(vfs.create_dir_at(root, "a/a/a/a"), Err(Errno::Nametoolong));
    let file = vfs.open_at(root, "a/a/a/a", CREATE).unwrap();
    assert_eq!(vfs.open_at(root, "b", CREATE), Err(Errno::Nospc));
    assert_eq!(vfs.create_dir_at(root, "b"), Err(Errno::Nospc));
    assert_eq!(vfs.symlink_at("x", root, "b"), Err(Errno::Nospc));
    assert_eq!(vfs.usage().bytes, 0);
    vfs.link_at(root, "a/a/a/a", false, root, "b").unwrap();
    assert_eq!(vfs.link_at(root, "b", false, root, "c"), Err(Errno::Nospc), "names are limited, too");
    vfs.rename_at(root, "b", root, "c").unwrap();
    vfs.release(file);
    vfs.unlink_at(root, "a/a/a/a").unwrap();
    vfs.unlink_at(root, "c").unwrap();
    vfs.rename_at(root, "a/a/a", root, "b").unwrap();
    vfs.rename_at(root, "a", root, "b/a").unwrap();
    assert_eq!(vfs.resolve(root, "b/a/a", false).map(|_| ()), Ok(()));
    vfs.rename_at(root, "b/a/a", root, "c").unwrap();
    vfs.rename_at(root, "b", root, "c/b").unwrap();
    vfs.create_dir_at(root, "d").unwrap();
    assert_eq!(vfs.rename_at(root, "c", root, "d/c"), Err(Errno::Nametoolong), "what is below counts");
    vfs.remove_dir_at(root, "d").unwrap();
    vfs.symlink_at("c", root, "1").unwrap();
    assert_eq!(vfs.resolve(root, "1/b", false).map(|_| ()), Ok(()));
    vfs.remove_dir_at(root, "c/b/a").unwrap();
    vfs.symlink_at("1", root, "2").unwrap();
    assert_eq!(vfs.resolve(root, "2/b", false).map(|_| ()), Ok(()));
    vfs.remove_dir_at(root, "c/b").unwrap();
    vfs.symlink_at("2", root, "3").unwrap();
    assert_eq!(vfs.resolve(root, "3/b", false), Err(Errno::Loop));
    assert_eq!(vfs.resolve(root, "3", true), Err(Errno::Loop));
}

#[test]
fn forty_links_in_a_row_and_no_more() {
    let mut vfs = vfs();
    let root = vfs.root();
    vfs.create_dir_at(root, "0").unwrap();
    for n in 1..=41 {
        vfs.symlink_at(&format!("{}", n - 1), root, &format!("{n}")).unwrap();
    }
    assert!(vfs.resolve(root, "40", true).is_ok());
    assert_eq!(vfs.resolve(root, "41", true), Err(Errno::Loop));
    assert!(vfs.resolve(root, "41", false).is_ok());
    vfs.symlink_at("bomb/bomb/bomb/bomb", root, "bomb").unwrap();
    assert_eq!(vfs.resolve(root, "bomb", true), Err(Errno::Loop));
}

#[test]
fn read_only_parts_do_not_change_by_any_way() {
    let platform = TestPlatform::with([
        (1, b"bytes".to_vec()),
        (10, listing(&[("f", file(1, 0, 5)), ("d", dir(11))])),
        (11, listing(&[])),
    ]);
    let mut mount = node("ro", dir(10));
    mount.read_only = true;
    let mut single = node("single", file(1, 0, 5));
    single.read_only = true;
    let mut vfs = boot(Quota::default(), platform, vec![mount, single, node("rw", NodeKind::Directory(None))]).unwrap();
    let root = vfs.root();
    let before = tree(&mut vfs);
    for path in ["ro/f", "single"] {
        let read = vfs.open_at(root, path, OpenHow::default()).unwrap();
        assert_eq!(vfs.write_at(read, 0, b"x".as_slice(), 0, 1), Err(Errno::Rofs));
        assert_eq!(vfs.append(read, b"x".as_slice(), 0, 1), Err(Errno::Rofs));
        assert_eq!(vfs.set_size(read, 0), Err(Errno::Rofs));
        assert_eq!(vfs.allocate(read, 0, 9), Err(Errno::Rofs));
        assert_eq!(vfs.set_times(read, SetTime::Now, SetTime::Keep), Err(Errno::Rofs));
        for how in [CREATE, OpenHow { truncate: true, ..OpenHow::default() }] {
            assert_eq!(vfs.open_at(root, path, how), Err(Errno::Rofs));
        }
        assert_eq!(vfs.unlink_at(root, path), Err(Errno::Rofs));
        assert_eq!(vfs.link_at(root, path, false, root, "rw/f"), Err(Errno::Rofs));
        assert_eq!(vfs.rename_at(root, path, root, "rw/f"), Err(Errno::Rofs));
        vfs.release(read);
    }
    vfs.open_at(root, "rw/new", CREATE).unwrap();
    assert_eq!(vfs.open_at(root, "ro/new", CREATE), Err(Errno::Rofs));
    assert_eq!(vfs.create_dir_at(root, "ro/d/new"), Err(Errno::Rofs));
    assert_eq!(vfs.symlink_at("x", root, "ro/new"), Err(Errno::Rofs));
    assert_eq!(vfs.link_at(root, "rw/new", false, root, "ro/new"), Err(Errno::Rofs));
    assert_eq!(vfs.rename_at(root, "rw/new", root, "ro/new"), Err(Errno::Rofs));
    assert_eq!(vfs.rename_at(root, "rw/new", root, "single"), Err(Errno::Rofs));
    assert_eq!(vfs.rename_at(root, "ro/d", root, "rw/d"), Err(Errno::Rofs));
    assert_eq!(vfs.remove_dir_at(root, "ro/d"), Err(Errno::Rofs));
    vfs.unlink_at(root, "rw/new").unwrap();
    assert_eq!(tree(&mut vfs), before);
}

#[test]
fn the_time_of_a_write_is_taken_late_but_never_seen_late() {
    let mut vfs = vfs();
    let root = vfs.root();
    let (a, b) = (vfs.open_at(root, "a", CREATE).unwrap(), vfs.open_at(root, "b", CREATE).unwrap());
    let ticks = vfs.platform().ticks;
    for _ in 0..10 {
        vfs.write_at(a, 0, b"x".as_slice(), 0, 1).unwrap();
    }
    assert_eq!(vfs.platform().ticks, ticks, "no look at the clock");
    vfs.write_at(b, 0, b"x".as_slice(), 0, 1).unwrap();
    vfs.write_at(b, 0, b"x".as_slice(), 0, 1).unwrap();
    assert_eq!(vfs.platform().ticks, ticks + 1, "another file's write settles the first");
    vfs.settle();
    vfs.settle();
    assert_eq!(vfs.platform().ticks, ticks + 2);
    let (a_stat, b_stat) = (vfs.stat(a).unwrap(), vfs.stat(b).unwrap());
    assert!(a_stat.times.modified < b_stat.times.modified);
    assert!(a_stat.times.accessed < a_stat.times.modified && a_stat.times.modified == a_stat.times.changed);
    vfs.write_at(a, 0, b"x".as_slice(), 0, 1).unwrap();
    vfs.set_times(a, SetTime::Keep, SetTime::At(3)).unwrap();
    assert_eq!(vfs.stat(a).unwrap().times.modified, 3, "what is set last holds");
    vfs.write_at(a, 0, b"x".as_slice(), 0, 1).unwrap();
    vfs.release(a);
    let closed = vfs.platform().ticks;
    assert_eq!(vfs.stat_at(root, "a", false).unwrap().times.modified, EPOCH + closed);
    vfs.write_at(b, 0, b"x".as_slice(), 0, 1).unwrap();
    vfs.unlink_at(root, "b").unwrap();
    vfs.release(b);
    vfs.settle();
    assert_eq!(vfs.stat(b), Err(Errno::Badf));
}

#[test]
fn numbers_of_nodes_never_come_back() {
    let mut vfs = vfs();
    let root = vfs.root();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let node = vfs.open_at(root, "same", CREATE).unwrap();
        assert!(seen.insert(vfs.stat(node).unwrap().ino));
        assert!(node.0 <= 2, "but places in memory do");
        vfs.unlink_at(root, "same").unwrap();
        vfs.release(node);
        vfs.release(node);
        assert_eq!(vfs.retain(node), Err(Errno::Badf));
    }
    assert_eq!(vfs.stat(NodeId(u32::MAX)), Err(Errno::Badf));
    assert_eq!(vfs.read_at(NodeId(77), 0, &mut [0], 0, 1), Err(Errno::Badf));
    vfs.release(NodeId(77));
}

#[test]
fn deep_trees_are_walked_and_dropped_without_recursion() {
    let quota = Quota { depth_max: 100_000, ..Quota::default() };
    let mut vfs = boot(quota, TestPlatform::default(), vec![]).unwrap();
    let mut at = vfs.root();
    for _ in 0..10_000 {
        vfs.create_dir_at(at, "d").unwrap();
        at = vfs.resolve(at, "d", false).unwrap();
        if vfs.usage().nodes.is_multiple_of(1000) {
            // Each creation counts its depth; a few thousand are enough for that.
            vfs.open_at(at, "file", CREATE).unwrap();
        }
    }
    let (mut walk, mut longest) = (vfs.walk(vfs.root()), 0);
    while let Some(step) = vfs.walk_next(&mut walk).unwrap() {
        longest = longest.max(step.path.len());
    }
    assert!(longest >= 2 * 10_000 - 1);
    drop(vfs);
}

#[test]
fn a_blob_behind_a_file_is_copied_only_where_written() {
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let platform = TestPlatform::with([(1, bytes.clone())]);
    let file = NodeKind::File { blob: BlobId(1), offset: 1000, size: 90_000 };
    let mut process = process_with(Quota::default(), platform, vec![node("file", file)]);
    assert_eq!(read_file(&mut process, "file"), Ok(bytes[1000..91_000].to_vec()));
    assert_eq!(process.vfs.platform().loads, 0);
    assert_eq!(process.vfs.usage().bytes, 0);
    let fd = open(&mut process, "file", 0, READ_WRITE).unwrap();
    assert_eq!(pwrite(&mut process, fd, 40_000, b"WRITTEN"), Ok(7));
    assert_eq!(process.vfs.usage().bytes, 16 * 1024);
    let mut expected = bytes[1000..91_000].to_vec();
    expected[40_000..40_007].copy_from_slice(b"WRITTEN");
    assert_eq!(read_file(&mut process, "file"), Ok(expected.clone()));
    process.fd_filestat_set_size(fd, 50_000).unwrap();
    process.fd_filestat_set_size(fd, 80_000).unwrap();
    expected.truncate(50_000);
    expected.resize(80_000, 0);
    assert_eq!(read_file(&mut process, "file"), Ok(expected));
    let loads = process.vfs.platform().loads;
    assert_eq!(pwrite(&mut process, fd, 0, &[1; 16 * 1024]), Ok(16 * 1024));
    assert_eq!(process.vfs.platform().loads, loads, "a chunk that is overwritten whole is not read first");
    process.vfs.platform_mut().broken = Some(1);
    assert_eq!(pread(&mut process, fd, 20_000, 10), Err(Errno::Io));
    assert_eq!(pwrite(&mut process, fd, 20_000, b"x"), Err(Errno::Io));
    assert_eq!(pread(&mut process, fd, 16_380, 10), Ok(vec![1; 4]), "what could be read was read");
}
