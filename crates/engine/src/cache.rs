//! The cache of compiled code: a folder of files named by what they were made from.
//!
//! A compiled module is mapped, not read, so that start-up does not depend on its size. wasmtime
//! trusts such bytes, so this file must: the folder belongs to the user alone; every file is named by
//! the digest of its own bytes; and a note beside it records what the file system said of it when the
//! digest was last checked. As long as that is unchanged the file is; otherwise its bytes are hashed
//! again, and a file that is not what its name says is thrown away and made anew. Writers write aside
//! and rename, so a killed or a second writer leaves no half file. Refuses to be used when the folder
//! is writable by others.

use rustix::fs::{Stat, stat};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use weir_types::Digest;

/// Bytes of compiled code kept at most; the longest unused go first. Default 8 GiB: some forty of the
/// largest programs known.
const CACHE_BYTES_MAX: u64 = 8 << 30;

/// Bytes of a note that are read; one that weir wrote has fewer.
const NOTE_BYTES_MAX: u64 = 4096;

/// A folder with compiled code.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The user's cache: `$WEIR_CACHE_DIR`, or `weir` in `$XDG_CACHE_HOME` or `~/.cache`. `None` (and
    /// everything is compiled each time) when `$WEIR_CACHE_DIR` is `off`, no such folder can be made, or
    /// others may write to it.
    pub fn of_user() -> Option<Self> {
        if std::env::var_os("WEIR_CACHE_DIR").is_some_and(|value| value == "off") {
            return None;
        }
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = variable("WEIR_CACHE_DIR")
            // A relative one is to be ignored, as the XDG base directory specification says.
            .or_else(|| {
                variable("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()).map(|folder| folder.join("weir"))
            })
            .or_else(|| variable("HOME").map(|folder| folder.join(".cache/weir")))?;
        Self::at(&folder.join("compiled"))
    }

    /// The cache in this folder, made if it is missing.
    pub fn at(folder: &Path) -> Option<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        let state = stat(folder).ok()?;
        let mine = state.st_uid == rustix::process::geteuid().as_raw();
        (mine && state.st_mode & 0o022 == 0).then(|| Self { folder: folder.to_path_buf() })
    }

    /// The folder, for notes of other parts of the engine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The checked file of compiled code made from `key`, if there is one.
    pub fn find(&self, key: &Digest) -> Option<PathBuf> {
        let note_path = self.folder.join(key.to_hex());
        let note = Note::parse(&read_note(&note_path).ok()?)?;
        let path = self.code_path(&note.content);
        let state = Seen::of(&stat(&path).ok()?);
        if state != note.seen {
            if blake3_of_file(&path).ok()? != note.content {
                let _ = fs::remove_file(&path);
                let _ = fs::remove_file(&note_path);
                return None;
            }
            let _ = self.write_aside(&note_path, Note { content: note.content, seen: state }.text().as_bytes());
        }
        self.mark_used(&note_path);
        Some(path)
    }

    /// Keeps `code` as made from `key`; returns the file. Failing to keep it (a full disk) is no
    /// error: the run goes on from memory.
    pub fn keep(&self, key: &Digest, code: &[u8]) -> Option<PathBuf> {
        self.make_room(code.len() as u64);
        let content = Digest(*blake3::hash(code).as_bytes());
        let path = self.code_path(&content);
        self.write_aside(&path, code).ok()?;
        let seen = Seen::of(&stat(&path).ok()?);
        self.write_aside(&self.folder.join(key.to_hex()), Note { content, seen }.text().as_bytes()).ok()?;
        Some(path)
    }

    /// Forgets what was made from `key`: its code did not load.
    pub fn forget(&self, key: &Digest) {
        let note_path = self.folder.join(key.to_hex());
        if let Some(note) = read_note(&note_path).ok().and_then(|text| Note::parse(&text)) {
            let _ = fs::remove_file(self.code_path(&note.content));
        }
        let _ = fs::remove_file(note_path);
    }

    fn code_path(&self, content: &Digest) -> PathBuf {
        self.folder.join(format!("{content}.cwasm"))
    }

    fn write_aside(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let aside = self.folder.join(format!("aside-{}-{number}", std::process::id()));
        let written = fs::File::create_new(&aside)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&aside, path));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }

    /// Notes the day of the last use, for `make_room`; once a day is enough.
    fn mark_used(&self, note_path: &Path) {
        let old = fs::metadata(note_path)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|time| time.elapsed().ok())
            .is_some_and(|age| age.as_secs() > 86_400);
        if old && let Ok(file) = fs::File::options().append(true).open(note_path) {
            let _ = file.set_modified(std::time::SystemTime::now());
        }
    }

    /// Removes the longest unused code until `bytes` more fit, and files that a killed writer left.
    fn make_room(&self, bytes: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let (mut notes, mut held) = (Vec::new(), 0u64);
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let age = meta.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
            if name.starts_with("aside-") && age.as_secs() > 3600 {
                let _ = fs::remove_file(entry.path());
            } else if let Some(key) = Digest::from_hex(&name) {
                notes.push((age, key));
            } else {
                held = held.saturating_add(meta.len());
            }
        }
        notes.sort();
        while held.saturating_add(bytes) > CACHE_BYTES_MAX
            && let Some((_, key)) = notes.pop()
        {
            let size = read_note(&self.folder.join(key.to_hex()))
                .ok()
                .and_then(|text| Note::parse(&text))
                .map_or(0, |note| note.seen.size);
            self.forget(&key);
            held = held.saturating_sub(size);
        }
    }
}

/// What the file system says of a file; any write changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl Seen {
    /// What the file system says of the file at `path` now.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        stat(path).ok().map(|state| Self::of(&state))
    }

    /// Numbers divided by spaces, for notes.
    pub(crate) fn text(&self) -> String {
        let Self { inode, size, modified, changed } = self;
        format!("{inode} {size} {modified} {changed}")
    }

    fn of(state: &Stat) -> Self {
        let nanoseconds = |seconds: i64, part: u64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Self {
            inode: state.st_ino,
            size: state.st_size as u64,
            modified: nanoseconds(state.st_mtime, state.st_mtime_nsec),
            changed: nanoseconds(state.st_ctime, state.st_ctime_nsec),
        }
    }
}

/// The text beside a file of compiled code: `weir-note-1 DIGEST INODE SIZE MODIFIED CHANGED`.
struct Note {
    content: Digest,
    seen: Seen,
}

impl Note {
    fn text(&self) -> String {
        format!("weir-note-1 {} {}\n", self.content, self.seen.text())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.split(' ');
        if words.next()? != "weir-note-1" {
            return None;
        }
        let content = Digest::from_hex(words.next()?)?;
        let seen = Seen {
            inode: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
            modified: words.next()?.parse().ok()?,
            changed: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(Self { content, seen })
    }
}

/// Opens a file, and nothing else: a fifo in its place would make the run wait for ever.
fn open_regular(path: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = fs::File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// The text of a note, which is short.
fn read_note(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(NOTE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn blake3_of_file(path: &Path) -> std::io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(open_regular(path)?)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    #[test]
    fn keeps_finds_and_notices_corruption() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("c")).unwrap();
        assert_eq!(cache.find(&key(1)), None);
        let path = cache.keep(&key(1), b"compiled").unwrap();
        assert_eq!(cache.find(&key(1)), Some(path.clone()));
        // Same bytes, other times: hashed again and found good.
        fs::write(&path, b"compiled").unwrap();
        assert_eq!(cache.find(&key(1)), Some(path.clone()));
        // Other bytes of the same length: thrown away.
        fs::write(&path, b"COMPILED").unwrap();
        assert_eq!(cache.find(&key(1)), None);
        assert!(!path.exists());
        // Cut short.
        let path = cache.keep(&key(1), b"compiled").unwrap();
        fs::write(&path, b"comp").unwrap();
        assert_eq!(cache.find(&key(1)), None);
        // A broken note.
        cache.keep(&key(2), b"other").unwrap();
        fs::write(folder.path().join("c").join(key(2).to_hex()), "weir-note-1 x").unwrap();
        assert_eq!(cache.find(&key(2)), None);
    }

    #[test]
    fn a_fifo_in_the_place_of_an_entry_is_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("c")).unwrap();
        let fifo = |path: &Path| {
            let _ = fs::remove_file(path);
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RWXU, 0).unwrap();
        };
        let path = cache.keep(&key(1), b"compiled").unwrap();
        fifo(&path);
        assert_eq!(cache.find(&key(1)), None);
        fifo(&folder.path().join("c").join(key(2).to_hex()));
        assert_eq!(cache.find(&key(2)), None);
        assert!(cache.keep(&key(2), b"compiled").is_some() && cache.find(&key(2)).is_some());
    }

    #[test]
    fn refuses_a_folder_that_others_may_write() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::at(folder.path()).is_none());
    }

    #[test]
    fn many_writers_of_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("c")).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let cache = &cache;
                scope.spawn(move || {
                    for _ in 0..20 {
                        cache.keep(&key(9), &[writer; 4096]).unwrap();
                        if let Some(found) = cache.find(&key(9)) {
                            let bytes = fs::read(found).unwrap();
                            assert!(bytes.len() == 4096 && bytes.iter().all(|byte| *byte == bytes[0]));
                        }
                    }
                });
            }
        });
    }
}
