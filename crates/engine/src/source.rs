//! A program as it lies on disk: which kind it is, its digest and, only when needed, its bytes.
//!
//! A large program that was run before is not read again: what the file system says of it (inode,
//! size, times) stands for its digest, as in the cache of compiled code. Text (`.wat`) is assembled.

use crate::cache::Seen;
use crate::error::{Error, Kind};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use weir_types::Digest;

/// Bytes of a program at most: wasmparser's limit for one module.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;
/// Programs smaller than this are always read: hashing them costs less than looking up a note.
const NOTE_BYTES_MIN: u64 = 1 << 20;

/// What a program's first bytes say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A WebAssembly core module.
    Module,
    /// A WebAssembly component.
    Component,
}

/// A program on disk.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    format: Format,
    digest: Digest,
    bytes: OnceLock<Vec<u8>>,
    open_time: Duration,
}

impl Program {
    /// Looks at the program at `path`; `notes` is a folder for what was learned of large files.
    ///
    /// # Errors
    /// The file is missing, unreadable, too large, or neither WebAssembly nor its text.
    pub fn open(path: &Path, notes: Option<&Path>) -> Result<Self, Error> {
        let started = Instant::now();
        let meta = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if meta.is_dir() {
            return Err(Error::new(Kind::Program, format!("{} is a directory, not a program", path.display())));
        }
        let noted = notes.filter(|_| meta.is_file() && meta.len() >= NOTE_BYTES_MIN);
        if let Some((digest, format)) = noted.and_then(|folder| recall(folder, path)) {
            let open_time = started.elapsed();
            return Ok(Self { path: path.into(), format, digest, bytes: OnceLock::new(), open_time });
        }
        let bytes = read(path)?;
        let format = format_of(path, &bytes)?;
        let digest = Digest(*blake3::hash(&bytes).as_bytes());
        if let Some(folder) = noted {
            note(folder, path, &digest, format);
        }
        let open_time = started.elapsed();
        Ok(Self { path: path.into(), format, digest, bytes: OnceLock::from(bytes), open_time })
    }

    /// A program from memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// The bytes are neither WebAssembly nor its text.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let path = PathBuf::from(name);
        let bytes = assemble(&path, bytes)?;
        let format = format_of(&path, &bytes)?;
        let digest = Digest(*blake3::hash(&bytes).as_bytes());
        Ok(Self { path, format, digest, bytes: OnceLock::from(bytes), open_time: Duration::ZERO })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Module or component.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What it took to read it and find its digest.
    pub(crate) fn open_time(&self) -> Duration {
        self.open_time
    }

    /// The BLAKE3 digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The contents of its last custom section of this name, found without reading the rest.
    ///
    /// # Errors
    /// The file cannot be read, or has no sections that follow one another.
    pub fn custom_section(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(bytes) = self.bytes.get() {
            return find_section(name, &mut std::io::Cursor::new(bytes))
                .map_err(|error| unreadable(&self.path, &error));
        }
        let mut file = fs::File::open(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        find_section(name, &mut file).map_err(|error| unreadable(&self.path, &error))
    }

    /// Its bytes, read at the first call.
    ///
    /// # Errors
    /// The file is gone or has changed since it was opened.
    pub fn bytes(&self) -> Result<&[u8], Error> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(bytes);
        }
        let bytes = read(&self.path)?;
        if *blake3::hash(&bytes).as_bytes() != self.digest.0 {
            return Err(Error::new(
                Kind::Program,
                format!("{} changed while it was being loaded: run it again", self.path.display()),
            ));
        }
        Ok(self.bytes.get_or_init(|| bytes))
    }
}

/// Walks over the sections by their sizes.
fn find_section(name: &str, file: &mut (impl Read + Seek)) -> std::io::Result<Option<Vec<u8>>> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut at, mut found) = (8, None);
    while at < end {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 80];
        let held = (end - at).min(head.len() as u64) as usize;
        file.read_exact(&mut head[..held])?;
        let mut head = &head[..held];
        let id = head.first().copied();
        head = head.get(1..).unwrap_or(&[]);
        let Some(size) = leb(&mut head) else { break };
        let start = at + (held - head.len()) as u64;
        at = start + u64::from(size);
        if id == Some(0)
            && let Some(len) = leb(&mut head)
            && head.get(..len as usize) == Some(name.as_bytes())
            && at <= end
        {
            let data = start + 1 + name.len() as u64;
            file.seek(SeekFrom::Start(data))?;
            let mut bytes = Vec::new();
            file.by_ref().take(at - data).read_to_end(&mut bytes)?;
            found = Some(bytes);
        }
    }
    Ok(found)
}

/// A number in LEB128 from the front of `bytes`.
fn leb(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    bytes.reserve_exact(file.metadata().map_or(0, |meta| meta.len().min(PROGRAM_BYTES_MAX)) as usize);
    file.take(PROGRAM_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > PROGRAM_BYTES_MAX {
        return Err(Error::new(
            Kind::Program,
            format!("{} is larger than 1 GiB, the most that a module may have", path.display()),
        ));
    }
    assemble(path, bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Kind::Program, format!("cannot read the program {}: {error}", path.display()))
}

/// The bytes of a module, from its text if that is what is given.
fn assemble(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let text = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(text, Some(b'(' | b';')) {
        return Ok(bytes);
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        Error::new(Kind::Program, format!("{} looks like WebAssembly text but is not UTF-8: {error}", path.display()))
    })?;
    wat::parse_str(text).map_err(|mut error| {
        error.set_path(path);
        Error::new(Kind::Program, format!("{} is not valid WebAssembly text: {error}", path.display()))
    })
}

fn format_of(path: &Path, bytes: &[u8]) -> Result<Format, Error> {
    let wrong =
        |what: String| Err(Error::new(Kind::Program, format!("{} is no WebAssembly program: {what}", path.display())));
    match bytes {
        [] => wrong("the file is empty".into()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(Format::Module),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(Format::Component),
        [0, b'a', b's', b'm', version @ ..] => wrong(format!(
            "its version field is {:02x?}, known are modules (01 00 00 00) and components (0d 00 01 00)",
            &version[..version.len().min(4)]
        )),
        [0x7f, b'E', b'L', b'F', ..] => {
            wrong("it is a native executable (ELF); compile it for wasm32-wasip1 or wasm32-wasip2".into())
        }
        [b'#', b'!', ..] => {
            wrong("it is a script; give the interpreter, compiled to WebAssembly, and mount the script".into())
        }
        _ => wrong(format!("it starts with {:02x?}, not with \\0asm", &bytes[..bytes.len().min(4)])),
    }
}

fn note_path(folder: &Path, path: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(path).ok()?;
    let name = blake3::hash(real.as_os_str().as_encoded_bytes());
    Some(folder.join(format!("program-{}", name.to_hex())))
}

fn recall(folder: &Path, path: &Path) -> Option<(Digest, Format)> {
    let text = fs::read_to_string(note_path(folder, path)?).ok()?;
    let mut words = text.trim_end().splitn(3, ' ');
    let format = match words.next()? {
        "module" => Format::Module,
        "component" => Format::Component,
        _ => return None,
    };
    let digest = Digest::from_hex(words.next()?)?;
    let seen = Seen::of_path(path)?;
    (words.next()? == seen.text()).then_some((digest, format))
}

/// Remembers a digest, unless the file was written so recently that another write could leave the
/// same times.
fn note(folder: &Path, path: &Path, digest: &Digest, format: Format) {
    let settled = fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|time| time.elapsed().ok())
        .is_some_and(|age| age.as_millis() > 100);
    let (Some(seen), Some(note_path), true) = (Seen::of_path(path), note_path(folder, path), settled) else { return };
    let word = match format {
        Format::Module => "module",
        Format::Component => "component",
    };
    let aside = note_path.with_extension(std::process::id().to_string());
    if fs::write(&aside, format!("{word} {digest} {}\n", seen.text()))
        .and_then(|()| fs::rename(&aside, &note_path))
        .is_err()
    {
        let _ = fs::remove_file(&aside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_refusals() {
        let open = |bytes: &[u8]| Program::from_bytes("x", bytes.to_vec());
        assert_eq!(open(b"\0asm\x01\0\0\0").unwrap().format(), Format::Module);
        assert_eq!(open(b"\0asm\x0d\0\x01\0").unwrap().format(), Format::Component);
        assert_eq!(open(b"  (module)").unwrap().format(), Format::Module);
        for (bytes, words) in [
            (&b""[..], "empty"),
            (b"\0asm\x02\0\0\0", "version"),
            (b"\0asm", "version"),
            (b"\x7fELF....", "native executable"),
            (b"#!/bin/sh", "script"),
            (b"(module (func $x", "not valid WebAssembly text"),
            (b"hello", "does not"),
        ] {
            if words == "does not" {
                assert!(open(bytes).unwrap_err().to_string().contains("not with"));
            } else {
                assert!(open(bytes).unwrap_err().to_string().contains(words), "{words}");
            }
        }
    }

    #[test]
    fn a_large_program_is_recalled_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.wasm");
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        bytes.resize(2 << 20, 7);
        fs::write(&path, &bytes).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(150));
        let first = Program::open(&path, Some(folder.path())).unwrap();
        let again = Program::open(&path, Some(folder.path())).unwrap();
        assert!(again.bytes.get().is_none(), "read again though nothing changed");
        assert_eq!((first.digest(), first.bytes().unwrap()), (again.digest(), again.bytes().unwrap()));
        bytes[100] = 8;
        fs::write(&path, &bytes).unwrap();
        assert_ne!(Program::open(&path, Some(folder.path())).unwrap().digest(), first.digest());
    }
}
