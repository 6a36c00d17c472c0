//! The local store: a folder of blobs, each in a file that its BLAKE3 digest names.
//!
//! The folder belongs to the user alone. A blob is written aside and renamed, so a killed or a second writer, or a
//! full disk, leaves no half file; blobs are read-only and never written again. Whoever takes a blob out gets bytes
//! that were checked against the name: a large blob has a note beside it of what the file system said when it was
//! hashed, and is hashed again only when that has changed. A blob that is not what its name says is removed and
//! reported as missing, so that it is fetched or written anew.

use crate::error::{Error, Kind, Result};
use crate::limits::{BLOB_BYTES_MAX, LOCK_TIMEOUT, NOTE_BLOB_BYTES_MIN};
use crate::seen::Seen;
use rustix::fs::{FileType, FlockOperation, Stat, flock, lstat};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir_types::Digest;

/// The name and the size of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRef {
    /// The BLAKE3 digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
}

/// A folder with blobs.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// While one of these lives, no blob is collected. Hold it from the first blob put until what names it is written.
#[derive(Debug)]
pub struct Busy {
    _lock: File,
}

impl Store {
    /// The user's store: `$WEIR_STORE_DIR`, or `weir` in `$XDG_DATA_HOME` or `~/.local/share`.
    ///
    /// # Errors
    /// No such folder can be made, or others may write to it.
    pub fn of_user() -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = variable("WEIR_STORE_DIR")
            // A relative one is to be ignored, as the XDG base directory specification says.
            .or_else(|| {
                variable("XDG_DATA_HOME").filter(|folder| folder.is_absolute()).map(|folder| folder.join("weir"))
            })
            .or_else(|| variable("HOME").map(|folder| folder.join(".local/share/weir")));
        let message = "there is no place for the store: set WEIR_STORE_DIR to a folder of yours (or HOME)";
        Self::at(&folder.ok_or_else(|| Error::new(Kind::Store, message))?)
    }

    /// The store in this folder, made if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made, or others may write to it.
    pub fn at(folder: &Path) -> Result<Self> {
        let store = Self { folder: folder.to_path_buf() };
        for part in ["", "blobs", "aside", "refs", "packs", "layers", "contents"] {
            let path = folder.join(part);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|error| Error::io("cannot make the folder", &path, &error))?;
        }
        let state = lstat(folder.join("blobs")).and_then(|_| rustix::fs::stat(folder));
        let state = state.map_err(|error| Error::io("cannot read the folder", folder, &error.into()))?;
        if state.st_uid != rustix::process::geteuid().as_raw() || state.st_mode & 0o022 != 0 {
            let message = format!(
                "the store {} could be written by others: make it yours alone (chmod go-w), or set WEIR_STORE_DIR",
                folder.display()
            );
            return Err(Error::new(Kind::Store, message));
        }
        Ok(store)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps the collector away until the result is dropped.
    ///
    /// # Errors
    /// The collector is at work and does not end in time.
    pub fn busy(&self) -> Result<Busy> {
        self.lock(FlockOperation::NonBlockingLockShared)
    }

    pub(crate) fn lock(&self, operation: FlockOperation) -> Result<Busy> {
        let path = self.folder.join("lock");
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = opened.map_err(|error| Error::io("cannot open", &path, &error))?;
        let start = Instant::now();
        while let Err(error) = flock(&lock, operation) {
            let wait = matches!(error, rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR);
            if !wait || start.elapsed() > LOCK_TIMEOUT {
                let message = format!(
                    "the store {} is in use by another weir ({error}): wait until it has ended, and run this again",
                    self.folder.display()
                );
                return Err(Error::new(Kind::Store, message));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Busy { _lock: lock })
    }

    /// Keeps all that `input` gives and returns its name.
    ///
    /// # Errors
    /// `input` fails, or the store cannot be written (a full disk); nothing is left then.
    pub fn put(&self, input: &mut dyn Read) -> Result<Digest> {
        self.put_checked(input, None)
    }

    /// Keeps the bytes of a file; a file whose bytes are there already is only read.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_file(&self, path: &Path) -> Result<Digest> {
        let failed = |error: std::io::Error| Error::io("cannot read", path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(failed)?;
        let digest = Digest(*hasher.finalize().as_bytes());
        if self.contains(&digest) {
            return Ok(digest);
        }
        file.rewind().map_err(failed)?;
        self.put(&mut file)
    }

    /// Keeps what `input` gives if it is `expected`, to the byte.
    pub(crate) fn put_checked(&self, input: &mut dyn Read, expected: Option<&BlobRef>) -> Result<Digest> {
        let mut aside = self.aside()?;
        let failed = |error: &std::io::Error| Error::io("cannot write to the store in", &self.folder, error);
        let cap = expected.map_or(BLOB_BYTES_MAX, |blob| blob.size);
        let mut hasher = blake3::Hasher::new();
        let (mut size, mut buffer) = (0u64, vec![0; 128 << 10]);
        loop {
            let count = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Bytes that should be something are part of a layer, which was read whole before.
                Err(error) if expected.is_some() => {
                    return Err(Error::new(Kind::Digest, format!("a layer cannot be unpacked: {error}")));
                }
                Err(error) => return Err(Error::new(Kind::Store, format!("cannot read what is to be kept: {error}"))),
            };
            size += count as u64;
            if size > cap {
                return Err(Error::new(Kind::TooLarge, format!("a blob is larger than {cap} bytes")));
            }
            hasher.update(&buffer[..count]);
            aside.write_all(&buffer[..count]).map_err(|error| failed(&error))?;
        }
        let digest = Digest(*hasher.finalize().as_bytes());
        if let Some(blob) = expected
            && (blob.digest, blob.size) != (digest, size)
        {
            let message = format!(
                "a blob is not what its name says: {size} bytes with BLAKE3 {digest}, not {} bytes with {}",
                blob.size, blob.digest
            );
            return Err(Error::new(Kind::Digest, message));
        }
        self.adopt(aside, &digest)?;
        Ok(digest)
    }

    /// Makes a file that was written aside the blob `digest`.
    fn adopt(&self, aside: tempfile::NamedTempFile, digest: &Digest) -> Result<()> {
        let path = self.blob_path(digest);
        let failed = |error: &std::io::Error| Error::io("cannot write to the store in", &self.folder, error);
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(&error))?;
        }
        aside.as_file().set_permissions(fs::Permissions::from_mode(0o400)).map_err(|error| failed(&error))?;
        aside.persist(&path).map_err(|error| failed(&error.error))?;
        if let Ok(state) = lstat(&path) {
            self.note_seen(&path, &state);
        }
        Ok(())
    }

    /// The checked file of a blob, or nothing where it is missing or was damaged.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn find(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        let path = self.blob_path(digest);
        let state = match lstat(&path) {
            Ok(state) => state,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(Error::io("cannot read", &path, &error.into())),
        };
        if !FileType::from_raw_mode(state.st_mode).is_file() {
            self.remove_blob(digest);
            return Ok(None);
        }
        if state.st_size as u64 >= NOTE_BLOB_BYTES_MIN {
            let note = fs::read_to_string(seen_path(&path)).unwrap_or_default();
            if note == Seen::of(&state).text() {
                return Ok(Some(path));
            }
        }
        let failed = |error: std::io::Error| Error::io("cannot read", &path, &error);
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(&path).map_err(failed)?).map_err(failed)?;
        if hasher.finalize().as_bytes() != &digest.0 {
            self.remove_blob(digest);
            return Ok(None);
        }
        // The state from before the hashing: a write since then shows.
        self.note_seen(&path, &state);
        Ok(Some(path))
    }

    /// The bytes of a blob, checked; nothing where it is missing or was damaged.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.blob_path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("cannot read", &path, &error)),
        };
        if blake3::hash(&bytes).as_bytes() != &digest.0 {
            self.remove_blob(digest);
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Whether a blob is there and is what its name says.
    pub fn contains(&self, digest: &Digest) -> bool {
        matches!(self.find(digest), Ok(Some(_)))
    }

    /// Whether there is a file of a blob's name and size. Nothing is hashed.
    pub(crate) fn has(&self, blob: &BlobRef) -> bool {
        lstat(self.blob_path(&blob.digest)).is_ok_and(|state| state.st_size as u64 == blob.size)
    }

    /// Refuses what would not fit on the disk before it is begun.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<()> {
        // A file system that does not say is found full when it is.
        let Ok(state) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = state.f_bavail.saturating_mul(state.f_frsize);
        if bytes <= free {
            return Ok(());
        }
        let message = format!(
            "{bytes} bytes are to come, but the disk of the store {} has {free} left: free some space (weir store gc), \
             or set WEIR_STORE_DIR to another disk",
            self.folder.display()
        );
        Err(Error::new(Kind::Store, message))
    }

    /// Every blob with its size and the time since it was written, in the order of the names. Nothing is hashed.
    pub(crate) fn blobs(&self) -> Result<Vec<(BlobRef, Duration)>> {
        let mut blobs = Vec::new();
        for folder in entries(&self.folder.join("blobs"))? {
            if !folder.path().is_dir() {
                continue;
            }
            for entry in entries(&folder.path())? {
                let (Some(digest), Ok(meta)) =
                    (Digest::from_hex(&entry.file_name().to_string_lossy()), entry.metadata())
                else {
                    continue;
                };
                let age = meta.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
                blobs.push((BlobRef { digest, size: meta.len() }, age));
            }
        }
        blobs.sort_by_key(|(blob, _)| blob.digest);
        Ok(blobs)
    }

    pub(crate) fn remove_blob(&self, digest: &Digest) {
        let path = self.blob_path(digest);
        let _ = fs::remove_file(seen_path(&path));
        let _ = fs::remove_file(path);
    }

    /// A file in the store that vanishes unless it is renamed.
    pub(crate) fn aside(&self) -> Result<tempfile::NamedTempFile> {
        let folder = self.folder.join("aside");
        let made = tempfile::Builder::new().prefix("aside-").tempfile_in(&folder);
        made.map_err(|error| Error::io("cannot write to", &folder, &error))
    }

    /// Writes a small file of the store whole or not at all.
    pub(crate) fn write_note(&self, path: &Path, text: &str) -> Result<()> {
        let failed = |error: &std::io::Error| Error::io("cannot write to the store in", &self.folder, error);
        let mut aside = self.aside()?;
        aside.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
        aside.persist(path).map_err(|error| failed(&error.error))?;
        Ok(())
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_hex();
        self.folder.join("blobs").join(&name[..2]).join(name)
    }

    /// Notes what was checked. Without the note the blob is only hashed again.
    fn note_seen(&self, path: &Path, state: &Stat) {
        if state.st_size as u64 >= NOTE_BLOB_BYTES_MIN {
            let _ = self.write_note(&seen_path(path), &Seen::of(state).text());
        }
    }
}

/// The entries of a folder of the store.
pub(crate) fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    let listed = fs::read_dir(folder).and_then(|entries| entries.collect());
    listed.map_err(|error| Error::io("cannot list", folder, &error))
}

fn seen_path(path: &Path) -> PathBuf {
    path.with_extension("seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("s")).unwrap();
        (folder, store)
    }

    fn damage(path: &Path, bytes: &[u8]) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn asides(store: &Store) -> usize {
        entries(&store.folder.join("aside")).unwrap().len()
    }

    #[test]
    fn keeps_finds_and_notices_damage() {
        let (_folder, store) = store();
        for size in [0usize, 5, 1 << 20] {
            let bytes = vec![7u8; size];
            let digest = store.put(&mut bytes.as_slice()).unwrap();
            assert_eq!(digest.0, *blake3::hash(&bytes).as_bytes());
            let path = store.find(&digest).unwrap().unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(store.bytes(&digest).unwrap().unwrap(), bytes);
            // Touched, but the same bytes: still there.
            damage(&path, &bytes);
            assert!(store.contains(&digest));
            // Other bytes of the same size, and fewer bytes: gone, and can come again.
            for wrong in [vec![8u8; size.max(1)], vec![7u8; size / 2 + usize::from(size == 0)]] {
                damage(&path, &wrong);
                assert_eq!(store.find(&digest).unwrap(), None, "{size}");
                assert!(!path.exists());
                assert_eq!(store.put(&mut bytes.as_slice()).unwrap(), digest);
            }
        }
        assert_eq!(store.find(&Digest([1; 32])).unwrap(), None);
        assert_eq!(asides(&store), 0);
    }

    #[test]
    fn a_file_that_is_there_is_not_written_again() {
        let (folder, store) = store();
        let file = folder.path().join("f");
        fs::write(&file, "text").unwrap();
        let digest = store.put_file(&file).unwrap();
        let before = fs::metadata(store.blob_path(&digest)).unwrap().modified().unwrap();
        assert_eq!(store.put_file(&file).unwrap(), digest);
        assert_eq!(fs::metadata(store.blob_path(&digest)).unwrap().modified().unwrap(), before);
        assert_eq!(store.put_file(&folder.path().join("none")).unwrap_err().kind(), Kind::Store);
    }

    #[test]
    fn a_failing_input_leaves_nothing() {
        struct Failing(u32);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0 += 1;
                if self.0 < 4 { Ok(buffer.len()) } else { Err(std::io::Error::other("cut off")) }
            }
        }
        let (_folder, store) = store();
        let error = store.put(&mut Failing(0)).unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
        let expected = BlobRef { digest: Digest([0; 32]), size: 3 };
        assert_eq!(store.put_checked(&mut &b"abc"[..], Some(&expected)).unwrap_err().kind(), Kind::Digest);
        assert_eq!(store.put_checked(&mut &b"abcd"[..], Some(&expected)).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(asides(&store), 0);
        assert!(store.blobs().unwrap().is_empty());
    }

    #[test]
    fn refuses_what_others_may_write_and_what_is_no_file() {
        let (folder, store) = store();
        let digest = store.put(&mut &b"abc"[..]).unwrap();
        let path = store.blob_path(&digest);
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("abc"), "abc").unwrap();
        std::os::unix::fs::symlink(folder.path().join("abc"), &path).unwrap();
        assert_eq!(store.find(&digest).unwrap(), None);
        fs::set_permissions(store.folder(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(Store::at(store.folder()).unwrap_err().kind(), Kind::Store);
    }

    #[test]
    fn many_writers_of_one_blob() {
        let (_folder, store) = store();
        let bytes = vec![3u8; 300_000];
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let digest = store.put(&mut bytes.as_slice()).unwrap();
                        assert!(store.contains(&digest));
                    }
                });
            }
        });
        assert_eq!(store.blobs().unwrap().len(), 1);
        assert_eq!(asides(&store), 0);
    }
}
