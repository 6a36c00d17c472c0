//! Files that the user names to be written.
//!
//! A file appears whole or not at all: it is written beside its place and renamed. What is no file keeps its nature: a
//! device or pipe is written to, through a link its target is replaced, a directory is refused. [`judge`] says what
//! cannot be written before anything has run, so that no work is lost.

use crate::exit::{Failure, readable_by_all};
use std::fs::{self, File, OpenOptions};
use std::io::{Error, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A place that is being written.
pub struct Output {
    path: PathBuf,
    to: To,
}

enum To {
    /// A file under another name, and the one that it gets.
    Aside(NamedTempFile, PathBuf),
    /// A device or pipe.
    Node(File),
}

/// What a path leads to.
enum Place {
    /// A file, or nothing yet: the path behind all links.
    File(PathBuf),
    /// A device or pipe.
    Node,
}

impl Output {
    /// Begins to write `path`; nothing is left of a file until [`keep`](Self::keep).
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let to = match place(path)? {
            Place::File(real) => {
                let made = tempfile::Builder::new().prefix(".weir-").tempfile_in(folder(&real));
                To::Aside(made.map_err(|error| unwritable(path, &error))?, real)
            }
            Place::Node => {
                To::Node(OpenOptions::new().write(true).open(path).map_err(|error| unwritable(path, &error))?)
            }
        };
        Ok(Self { path: path.into(), to })
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        match &self.to {
            To::Aside(file, _) => file.as_file(),
            To::Node(file) => file,
        }
    }

    /// Puts what was written in its place.
    ///
    /// # Errors
    /// It cannot be put there; nothing is left behind.
    pub fn keep(self) -> Result<(), Failure> {
        let To::Aside(file, real) = self.to else { return Ok(()) };
        let failed = |error: &Error| unwritable(&self.path, error);
        // Who may read and run a file that is replaced is not for its contents to say.
        match fs::metadata(&real) {
            Ok(old) => file.as_file().set_permissions(old.permissions()),
            Err(_) => readable_by_all(file.as_file()),
        }
        .map_err(|error| failed(&error))?;
        file.persist(&real).map(drop).map_err(|error| failed(&error.error))
    }
}

/// Writes `bytes` to `path`.
///
/// # Errors
/// They cannot be written; nothing is left behind.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let output = Output::open(path)?;
    output.file().write_all(bytes).map_err(|error| unwritable(path, &error))?;
    output.keep()
}

/// Says whether `path` can be written, before there is anything to write.
///
/// # Errors
/// It cannot: it is a directory, or there is none to hold it.
pub fn judge(path: &Path) -> Result<(), Failure> {
    let Place::File(real) = place(path)? else { return Ok(()) };
    // Only trying says whether the machine allows it.
    let tried = tempfile::Builder::new().prefix(".weir-").tempfile_in(folder(&real));
    tried.map(drop).map_err(|error| unwritable(path, &error))
}

fn place(path: &Path) -> Result<Place, Failure> {
    use std::os::unix::fs::FileTypeExt;
    let refused = |why: &str| Err(Failure::save(format!("cannot write {}: {why}", path.display())));
    let real = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => match fs::canonicalize(path) {
            Ok(real) => real,
            Err(_) => return refused("it is a link that leads nowhere; remove it, or name a file"),
        },
        _ => path.to_owned(),
    };
    match fs::metadata(path).map(|meta| meta.file_type()) {
        Ok(kind) if kind.is_dir() => return refused("it is a directory; name a file"),
        Ok(kind) if kind.is_char_device() || kind.is_block_device() || kind.is_fifo() => return Ok(Place::Node),
        Ok(kind) if kind.is_socket() => return refused("it is a socket; name a file"),
        _ => {}
    }
    let folder = folder(&real);
    if !folder.is_dir() {
        return refused(&format!("{} is no directory", folder.display()));
    }
    Ok(Place::File(real))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn unwritable(path: &Path, error: &Error) -> Failure {
    Failure::save(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_is_no_file_keeps_its_nature() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("new"), b"1").unwrap();
        fs::set_permissions(at("new"), fs::Permissions::from_mode(0o750)).unwrap();
        symlink("new", at("link")).unwrap();
        write(&at("link"), b"2").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(fs::read(at("new")).unwrap(), b"2");
        assert_eq!(fs::metadata(at("new")).unwrap().permissions().mode() & 0o777, 0o750);
        write(Path::new("/dev/null"), b"3").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(write(Path::new("/dev/full"), b"4").unwrap_err().message().contains("/dev/full"));
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let folder = tempfile::tempdir().unwrap();
        symlink("nothing", folder.path().join("dangling")).unwrap();
        for (path, why) in [("", "is a directory"), ("dangling", "leads nowhere"), ("a/b", "is no directory")] {
            let message = judge(&folder.path().join(path)).unwrap_err().message().to_owned();
            assert!(message.contains(why), "{message}");
        }
        judge(&folder.path().join("new")).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "judging leaves nothing");
    }
}
