//! Where programs come from: files, bytes, and registries by way of the store.

use crate::error::Error;
use crate::program::Program;
use crate::weir::Weir;
use std::path::{Path, PathBuf};
use weir_store::{Reference, Store, is_reference, resolve};

impl Weir {
    /// Opens the program in a file: a module or component, as bytes or text.
    ///
    /// # Errors
    /// It is missing or no WebAssembly.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Program, Error> {
        let notes = self.cache_folder();
        Ok(Program::new(self.clone(), weir_engine::Program::open(path.as_ref(), notes)?))
    }

    /// Opens a program in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// It is no WebAssembly.
    pub fn open_bytes(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Result<Program, Error> {
        Ok(Program::new(self.clone(), weir_engine::Program::from_bytes(name, bytes.into())?))
    }

    /// Opens what `name` is: a file, or a program in a registry (`REGISTRY/NAME:TAG`), from the store if it was pulled
    /// before.
    ///
    /// # Errors
    /// There is no such file, or the registry does not give it.
    pub fn open_named(&self, name: &str) -> Result<Program, Error> {
        let located = locate(Path::new(name), &weir_store::Options::of_user())?;
        self.open(located.path)
    }
}

/// Where a program is that was named.
pub struct Located {
    /// Its file.
    pub path: PathBuf,
    /// The digest of what was pulled before, where a tag may have moved on since: nobody asked the registry again.
    pub may_be_old: Option<String>,
}

/// The file of a program that somebody named: a file, or else an artifact of a registry, from the store if it was pulled
/// before.
///
/// # Errors
/// As for a pull.
pub fn locate(named: &Path, registry: &weir_store::Options) -> Result<Located, Error> {
    let reference = reference(named);
    let Some(reference) = reference else { return Ok(Located { path: named.to_path_buf(), may_be_old: None }) };
    let store = Store::of_user()?;
    let resolved = resolve(&store, &reference, registry)?;
    let may_be_old = (!resolved.refreshed && reference.digest().is_none()).then(|| resolved.manifest.to_string());
    Ok(Located { path: resolved.program, may_be_old })
}

/// The reference that a name is, if it is no file's.
pub fn reference(named: &Path) -> Option<Reference> {
    let text = named.to_str().filter(|text| !named.exists() && !is_path(text) && is_reference(text))?;
    text.parse().ok()
}

/// Whether a name that no file has can only have been meant as one: a mistyped path asks no network. Where a tag or a
/// digest is written, no path was meant.
fn is_path(text: &str) -> bool {
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
    let tagged = name.contains([':', '@']);
    let first = folder.split('/').next().unwrap_or_default();
    !tagged && (name.ends_with(".wasm") || name.ends_with(".wat") || Path::new(first).is_dir())
}

#[cfg(test)]
mod tests {
    use super::is_path;

    #[test]
    fn mistyped_paths_are_no_names_of_a_registry() {
        for path in ["my.folder/prog.wasm", "./prog.wasm", "a.b/c/prog.wat", "src/prog"] {
            assert!(is_path(path), "{path}");
        }
        for name in ["ghcr.io/me/app", "ghcr.io/me/app.wasm:1", "localhost:5000/app:1.2", "ghcr.io/me/app@sha256:00"] {
            assert!(!is_path(name), "{name}");
        }
    }
}
