//! `weir store`.

use crate::exit::{self, Failure};
use crate::registry::failure;
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::time::Duration;
use weir_store::{Collect, Store};

/// Shows and tidies the local store: the blobs of pulled programs and of packs by reference.
///
/// The store is $WEIR_STORE_DIR, or `weir` in $XDG_DATA_HOME or ~/.local/share.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir store ls\n",
    "  weir store gc --keep-days 30"
), after_long_help = exit::HELP)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List pulled programs, packs, and blobs that nothing needs
    Ls(List),
    /// Remove blobs that neither a pulled program nor a pack on disk needs
    Gc(Gc),
}

#[derive(Args)]
struct List {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Gc {
    /// Forget every pulled program, too
    #[arg(long, conflicts_with = "keep_days")]
    all: bool,
    /// Forget pulled programs that were not used for so many days, too
    #[arg(long, value_name = "N")]
    keep_days: Option<u32>,
    /// Print what was removed as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// The store cannot be read or written, or another weir is filling it.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let store = Store::of_user().map_err(|error| failure(&error))?;
    match &options.command {
        Command::Ls(list) => {
            let listing = wire::Listing::new(&store, &store.list().map_err(|error| failure(&error))?);
            print(list.json, &listing, || listing.text())
        }
        Command::Gc(gc) => {
            let what = match (gc.all, gc.keep_days) {
                (true, _) => Collect::All,
                (_, Some(days)) => Collect::UnusedFor(Duration::from_secs(u64::from(days) * 86_400)),
                _ => Collect::Loose,
            };
            let taken = wire::Collected::new(store.collect(what).map_err(|error| failure(&error))?);
            print(gc.json, &taken, || taken.text())
        }
    }
}

fn print(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<ExitCode, Failure> {
    match json {
        true => crate::out::json(value).map_err(Failure::registry)?,
        false => crate::out::report(format_args!("{}", text())),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is printed: field names are stable.
mod wire {
    use serde::Serialize;
    use std::fmt::Write;
    use weir_store::{BlobRef, Store};
    use weir_types::Shown;

    #[derive(Serialize)]
    pub struct Listing {
        pub folder: String,
        pub references: Vec<Reference>,
        pub packs: Vec<Pack>,
        pub loose: Vec<Blob>,
        pub blobs: u64,
        pub bytes: u64,
    }

    #[derive(Serialize)]
    pub struct Reference {
        pub reference: String,
        pub manifest: String,
        pub program: Blob,
        pub blobs: usize,
        pub blob_bytes: u64,
    }

    #[derive(Serialize)]
    pub struct Pack {
        pub path: String,
        pub blobs: usize,
        pub blob_bytes: u64,
    }

    #[derive(Serialize)]
    pub struct Blob {
        pub blake3: String,
        pub size: u64,
    }

    #[derive(Serialize)]
    pub struct Collected {
        pub references: u64,
        pub packs: u64,
        pub blobs: u64,
        pub bytes: u64,
    }

    fn bytes(blobs: &[BlobRef]) -> u64 {
        blobs.iter().map(|blob| blob.size).sum()
    }

    impl From<&BlobRef> for Blob {
        fn from(blob: &BlobRef) -> Self {
            Self { blake3: blob.digest.to_hex(), size: blob.size }
        }
    }

    impl Listing {
        pub fn new(store: &Store, listing: &weir_store::Listing) -> Self {
            let references = listing.references.iter().map(|kept| Reference {
                reference: kept.reference.to_string(),
                manifest: format!("sha256:{}", kept.manifest),
                program: Blob::from(&kept.program),
                blobs: kept.blobs.len(),
                blob_bytes: bytes(&kept.blobs),
            });
            let packs = listing.packs.iter().map(|pack| Pack {
                path: pack.path.display().to_string(),
                blobs: pack.blobs.len(),
                blob_bytes: bytes(&pack.blobs),
            });
            Self {
                folder: store.folder().display().to_string(),
                references: references.collect(),
                packs: packs.collect(),
                loose: listing.loose.iter().map(Blob::from).collect(),
                blobs: listing.blobs,
                bytes: listing.bytes,
            }
        }

        pub fn text(&self) -> String {
            let mut out = String::new();
            // Writing to a string does not fail.
            for kept in &self.references {
                let Reference { reference, manifest, program, blobs, blob_bytes } = kept;
                let _ = writeln!(out, "{reference}");
                let _ = writeln!(out, "  {manifest}");
                let _ = writeln!(out, "  program {} bytes, blake3 {}", program.size, program.blake3);
                if *blobs > 0 {
                    let _ = writeln!(out, "  files   {blob_bytes} bytes in {blobs} blobs");
                }
            }
            for Pack { path, blobs, blob_bytes } in &self.packs {
                let path = Shown(path);
                let _ = writeln!(out, "{path}\n  files   {blob_bytes} bytes in {blobs} blobs");
            }
            let loose: u64 = self.loose.iter().map(|blob| blob.size).sum();
            let _ = writeln!(out, "{}: {} bytes in {} blobs", self.folder, self.bytes, self.blobs);
            if !self.loose.is_empty() {
                let _ = writeln!(out, "nothing needs {loose} bytes in {} of them: weir store gc", self.loose.len());
            }
            out
        }
    }

    impl Collected {
        pub fn new(taken: weir_store::Collected) -> Self {
            let weir_store::Collected { references, packs, blobs, bytes } = taken;
            Self { references, packs, blobs, bytes }
        }

        pub fn text(&self) -> String {
            let Self { references, packs, blobs, bytes } = self;
            format!("removed {bytes} bytes in {blobs} blobs; forgot {references} references and {packs} packs\n")
        }
    }
}
