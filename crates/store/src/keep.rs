//! What keeps blobs: references that were pulled, and packs on disk that name blobs. And the collector, which removes
//! the rest.
//!
//! Each is a small text file in the store, written whole. A file that cannot be read stops the collector: it may
//! name blobs, and a blob is never removed on a guess.

use crate::error::{Error, Kind, Result};
use crate::limits::{LOOSE_AGE_MIN, NOTE_BYTES_MAX};
use crate::reference::Reference;
use crate::store::{BlobRef, Store, entries};
use rustix::fs::FlockOperation;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use weir_types::Digest;

/// A reference whose artifact is in the store.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The name it was pulled by.
    pub reference: Reference,
    /// The SHA-256 of the manifest that the name stood for.
    pub manifest: Digest,
    /// The program.
    pub program: BlobRef,
    /// The blobs that the program names.
    pub blobs: Vec<BlobRef>,
    /// The artifact's list of those, for the next pull.
    pub(crate) index: Option<BlobRef>,
    /// When it was pulled or run last.
    pub used: SystemTime,
}

/// A pack on disk whose blobs are in the store.
#[derive(Clone, Debug)]
pub struct KeptPack {
    /// The pack's file.
    pub path: PathBuf,
    /// The blobs that it names.
    pub blobs: Vec<BlobRef>,
}

/// All that the store holds.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Pulled references, by name.
    pub references: Vec<Kept>,
    /// Packs on disk, by path.
    pub packs: Vec<KeptPack>,
    /// Blobs that nothing names.
    pub loose: Vec<BlobRef>,
    /// How many blobs there are in all.
    pub blobs: u64,
    /// Their size together.
    pub bytes: u64,
}

/// What the collector may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collect {
    /// Blobs that no reference and no pack names, once they are an hour old.
    Loose,
    /// As well, references that were not used for so long.
    UnusedFor(Duration),
    /// Every reference, and every blob that no pack on disk names.
    All,
}

/// What the collector took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// References that were forgotten.
    pub references: u64,
    /// Packs that were forgotten, because their files are gone.
    pub packs: u64,
    /// Blobs that were removed.
    pub blobs: u64,
    /// The size of those together.
    pub bytes: u64,
}

impl Store {
    /// Remembers that the pack at `path` needs `blobs`; they are kept until that file is gone. A pack that is
    /// written again at the same path replaces the old entry; one without blobs takes it away.
    ///
    /// # Errors
    /// There is no such file, or the store cannot be written.
    pub fn keep_pack(&self, path: &Path, blobs: &[BlobRef]) -> Result<()> {
        let whole = path.canonicalize().map_err(|error| Error::io("cannot find the pack", path, &error))?;
        if blobs.is_empty() {
            let note = self.pack_path(&whole);
            return if note.exists() { remove(note) } else { Ok(()) };
        }
        let hex: String = whole.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut text = format!("weir-pack-1 {hex}\n");
        blobs.iter().for_each(|blob| text.push_str(&blob_line("blob", blob)));
        self.write_note(&self.pack_path(&whole), &text)
    }

    /// What is known of a pulled reference, whole or not at all: nothing if one of its blobs is missing. The program is
    /// checked; of blobs only the sizes are, since whoever takes one by [`Store::find`] checks it. The network is not
    /// asked, so a tag may stand for something newer by now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn kept(&self, reference: &Reference) -> Result<Option<Kept>> {
        let path = self.reference_path(reference);
        if !path.exists() {
            return Ok(None);
        }
        let kept = read_reference(&path)?;
        let whole = self.contains(&kept.program.digest) && kept.blobs.iter().all(|blob| self.has(blob));
        if !whole {
            return Ok(None);
        }
        // The time of the last use, for the collector; once an hour is enough.
        if kept.used.elapsed().is_ok_and(|age| age.as_secs() > 3600)
            && let Ok(file) = File::options().append(true).open(&path)
        {
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(Some(kept))
    }

    pub(crate) fn keep_reference(
        &self,
        reference: &Reference,
        manifest: &Digest,
        program: &BlobRef,
        index: Option<&BlobRef>,
        blobs: &[BlobRef],
    ) -> Result<()> {
        let mut text = format!("weir-ref-1 {reference} {manifest}\n");
        text.push_str(&blob_line("program", program));
        index.iter().for_each(|index| text.push_str(&blob_line("index", index)));
        blobs.iter().for_each(|blob| text.push_str(&blob_line("blob", blob)));
        self.write_note(&self.reference_path(reference), &text)
    }

    /// All that the store holds.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Listing> {
        let mut references = Vec::new();
        for entry in self.notes("refs")? {
            references.push(read_reference(&entry)?);
        }
        references.sort_by_key(|kept| kept.reference.to_string());
        let mut packs = Vec::new();
        for entry in self.notes("packs")? {
            packs.push(read_pack(&entry)?);
        }
        packs.sort_by(|a, b| a.path.cmp(&b.path));
        let named = named(&references, &packs);
        let all = self.blobs()?;
        Ok(Listing {
            blobs: all.len() as u64,
            bytes: all.iter().map(|(blob, _)| blob.size).sum(),
            loose: all.iter().map(|(blob, _)| *blob).filter(|blob| !named.contains(&blob.digest)).collect(),
            references,
            packs,
        })
    }

    /// Removes what nothing needs.
    ///
    /// # Errors
    /// Another weir fills the store, or the store cannot be read or written.
    pub fn collect(&self, what: Collect) -> Result<Collected> {
        let _alone = self.lock(FlockOperation::NonBlockingLockExclusive)?;
        let mut taken = Collected::default();
        let mut listing = self.list()?;
        for kept in listing.references.extract_if(.., |kept| goes(kept, what)) {
            remove(self.reference_path(&kept.reference))?;
            taken.references += 1;
        }
        for pack in listing.packs.extract_if(.., |pack| is_gone(&pack.path)) {
            remove(self.pack_path(&pack.path))?;
            taken.packs += 1;
        }
        let named = named(&listing.references, &listing.packs);
        for (blob, age) in self.blobs()? {
            if !named.contains(&blob.digest) && (what == Collect::All || age >= LOOSE_AGE_MIN) {
                self.remove_blob(&blob.digest);
                taken.blobs += 1;
                taken.bytes += blob.size;
            }
        }
        self.sweep(what)?;
        Ok(taken)
    }

    /// Removes blobs that were needed for a while, but for those that something names.
    pub(crate) fn remove_unnamed(&self, digests: &[Digest]) {
        // If that cannot be found out they stay, for the collector.
        let Ok(listing) = self.list() else { return };
        let named = named(&listing.references, &listing.packs);
        digests.iter().filter(|digest| !named.contains(digest)).for_each(|digest| self.remove_blob(digest));
    }

    /// Removes what killed writers left, and notes about layers and contents that are not needed any more.
    fn sweep(&self, what: Collect) -> Result<()> {
        for folder in ["aside", "layers", "contents"] {
            for entry in entries(&self.folder().join(folder))? {
                let age = entry.metadata().and_then(|meta| meta.modified()).ok();
                let age = age.and_then(|time| time.elapsed().ok()).unwrap_or_default();
                // Nobody else writes now; an old layer's note saves only a compression.
                let old = age >= LOOSE_AGE_MIN * if folder == "aside" { 1 } else { 24 * 30 };
                if old || what == Collect::All {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }

    fn notes(&self, folder: &str) -> Result<Vec<PathBuf>> {
        let entries = entries(&self.folder().join(folder))?;
        Ok(entries.into_iter().map(|entry| entry.path()).collect())
    }

    fn reference_path(&self, reference: &Reference) -> PathBuf {
        self.folder().join("refs").join(blake3::hash(reference.to_string().as_bytes()).to_hex().as_str())
    }

    fn pack_path(&self, path: &Path) -> PathBuf {
        self.folder().join("packs").join(blake3::hash(path.as_os_str().as_bytes()).to_hex().as_str())
    }
}

fn remove(path: PathBuf) -> Result<()> {
    fs::remove_file(&path).map_err(|error| Error::io("cannot remove", &path, &error))
}

/// Whether the collector forgets this reference.
fn goes(kept: &Kept, what: Collect) -> bool {
    match what {
        Collect::Loose => false,
        Collect::UnusedFor(age) => kept.used.elapsed().is_ok_and(|unused| unused >= age),
        Collect::All => true,
    }
}

/// Only a file that is surely not there is gone: one that cannot be looked at may be on a disk that is away.
fn is_gone(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

fn named(references: &[Kept], packs: &[KeptPack]) -> BTreeSet<Digest> {
    let programs =
        references.iter().flat_map(|kept| [Some(kept.program), kept.index]).flatten().map(|blob| blob.digest);
    let blobs = references.iter().flat_map(|kept| &kept.blobs).chain(packs.iter().flat_map(|pack| &pack.blobs));
    programs.chain(blobs.map(|blob| blob.digest)).collect()
}

fn blob_line(word: &str, blob: &BlobRef) -> String {
    format!("{word} {} {}\n", blob.digest, blob.size)
}

fn read_reference(path: &Path) -> Result<Kept> {
    let (text, used) = read_note(path)?;
    let parse = || {
        let mut lines = text.lines();
        let mut words = lines.next()?.strip_prefix("weir-ref-1 ")?.split(' ');
        let reference = words.next()?.parse().ok()?;
        let manifest = Digest::from_hex(words.next()?)?;
        let program = parse_blob("program", lines.next()?)?;
        let mut lines = lines.peekable();
        let index = lines.next_if(|line| line.starts_with("index ")).map(|line| parse_blob("index", line));
        let index = if let Some(index) = index { Some(index?) } else { None };
        let blobs = lines.map(|line| parse_blob("blob", line)).collect::<Option<Vec<_>>>()?;
        Some(Kept { reference, manifest, program, blobs, index, used })
    };
    parse().ok_or_else(|| unreadable(path))
}

fn read_pack(path: &Path) -> Result<KeptPack> {
    let (text, _) = read_note(path)?;
    let parse = || {
        let mut lines = text.lines();
        let hex = lines.next()?.strip_prefix("weir-pack-1 ")?;
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok());
        let bytes = bytes.collect::<Option<Vec<u8>>>()?;
        let blobs = lines.map(|line| parse_blob("blob", line)).collect::<Option<Vec<_>>>()?;
        Some(KeptPack { path: PathBuf::from(std::ffi::OsString::from_vec(bytes)), blobs })
    };
    parse().ok_or_else(|| unreadable(path))
}

fn parse_blob(word: &str, line: &str) -> Option<BlobRef> {
    let (digest, size) = line.strip_prefix(word)?.strip_prefix(' ')?.split_once(' ')?;
    Some(BlobRef { digest: Digest::from_hex(digest)?, size: size.parse().ok()? })
}

fn read_note(path: &Path) -> Result<(String, SystemTime)> {
    let read = || {
        let file = File::open(path)?;
        let used = file.metadata()?.modified()?;
        let mut text = String::new();
        file.take(NOTE_BYTES_MAX).read_to_string(&mut text)?;
        Ok((text, used))
    };
    read().map_err(|error: std::io::Error| Error::io("cannot read", path, &error))
}

fn unreadable(path: &Path) -> Error {
    let message =
        format!("{} is damaged, or of a newer weir: remove it and pull (or pack) what it named again", path.display());
    Error::new(Kind::Store, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, text: &str) -> BlobRef {
        let digest = store.put(&mut text.as_bytes()).unwrap();
        BlobRef { digest, size: text.len() as u64 }
    }

    #[test]
    fn the_collector_takes_only_what_nothing_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("s")).unwrap();
        let (program, shared, of_pack, loose) =
            (put(&store, "program"), put(&store, "shared"), put(&store, "of pack"), put(&store, "loose"));
        let reference: Reference = "r.example/a:1".parse().unwrap();
        store.keep_reference(&reference, &Digest([9; 32]), &program, None, &[shared]).unwrap();
        let pack = folder.path().join("p ä\n.wasm");
        fs::write(&pack, "pack").unwrap();
        store.keep_pack(&pack, &[of_pack, shared]).unwrap();

        let listing = store.list().unwrap();
        assert_eq!((listing.blobs, listing.bytes), (4, 25));
        assert_eq!(listing.loose, [loose]);
        assert_eq!(listing.packs[0].path, pack.canonicalize().unwrap());
        store.keep_pack(&pack, &[]).unwrap();
        assert!(store.list().unwrap().packs.is_empty());
        store.keep_pack(&pack, &[of_pack, shared]).unwrap();
        assert_eq!(store.kept(&reference).unwrap().unwrap().manifest, Digest([9; 32]));

        // Young loose blobs stay: a pull may go on from them.
        assert_eq!(store.collect(Collect::Loose).unwrap(), Collected::default());
        assert_eq!(store.collect(Collect::UnusedFor(Duration::from_secs(60))).unwrap(), Collected::default());
        let taken = store.collect(Collect::All).unwrap();
        assert_eq!(taken, Collected { references: 1, packs: 0, blobs: 2, bytes: 12 });
        assert!(store.contains(&shared.digest) && store.contains(&of_pack.digest));
        assert!(store.kept(&reference).unwrap().is_none());
        fs::remove_file(&pack).unwrap();
        let taken = store.collect(Collect::All).unwrap();
        assert_eq!(taken, Collected { references: 0, packs: 1, blobs: 2, bytes: 13 });
        assert_eq!(store.list().unwrap().blobs, 0);
    }

    #[test]
    fn a_reference_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path()).unwrap();
        let (program, blob) = (put(&store, "program"), put(&store, "blob"));
        let reference: Reference = "r.example/a:1".parse().unwrap();
        store.keep_reference(&reference, &Digest([9; 32]), &program, None, &[blob]).unwrap();
        store.remove_blob(&blob.digest);
        assert!(store.kept(&reference).unwrap().is_none());
    }

    #[test]
    fn what_was_not_used_for_long_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path()).unwrap();
        let day = Duration::from_secs(86_400);
        for (name, days) in [("old", 40), ("new", 2)] {
            let reference: Reference = format!("r.example/{name}:1").parse().unwrap();
            let program = put(&store, name);
            store.keep_reference(&reference, &Digest([9; 32]), &program, None, &[]).unwrap();
            let file = File::options().append(true).open(store.reference_path(&reference)).unwrap();
            file.set_modified(SystemTime::now() - day * days).unwrap();
        }
        assert_eq!(store.collect(Collect::UnusedFor(day * 60)).unwrap().references, 0);
        assert_eq!(store.collect(Collect::UnusedFor(day * 30)).unwrap().references, 1);
        // Used again, it is young again.
        let new: Reference = "r.example/new:1".parse().unwrap();
        assert!(store.kept(&new).unwrap().is_some());
        assert_eq!(store.collect(Collect::UnusedFor(day)).unwrap().references, 0);
    }

    #[test]
    fn a_damaged_note_stops_the_collector() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path()).unwrap();
        put(&store, "loose");
        fs::write(folder.path().join("refs/x"), "weir-ref-2 ?").unwrap();
        let error = store.collect(Collect::All).unwrap_err();
        assert!(error.to_string().contains("refs/x is damaged"), "{error}");
        assert_eq!(store.blobs().unwrap().len(), 1);
    }

    #[test]
    fn the_collector_waits_for_writers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path()).unwrap();
        let busy = store.busy().unwrap();
        let also = store.busy().unwrap();
        std::thread::scope(|scope| {
            let collected = scope.spawn(|| store.collect(Collect::All));
            std::thread::sleep(Duration::from_millis(200));
            assert!(!collected.is_finished());
            drop((busy, also));
            assert!(collected.join().unwrap().is_ok());
        });
    }
}
