//! `weir pack`.

use crate::exit::{self, Failure};
use crate::launch::open;
use crate::options::{pair, variable};
use crate::target;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir::{Format, Program};
use weir_link::pack::{Codec, Contents, EntryPoint, PackErrorKind, PackOptions, PackReport, Packed};
use weir_store::tree::{HostTree, ScanOptions};
use weir_store::{BlobRef, Store};
use weir_types::Digest;
use weir_types::tree::{Entry, Node};

/// Puts a program and its files into one WebAssembly module that needs no file system on any host.
///
/// The result runs under weir and under every other host of WASI 0.1 (a component: 0.2, 0.3) that has
/// WebAssembly 3.0. It can read its files and write in memory, and it imports no path function. The same
/// inputs give the same bytes.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir pack python.wasm --mount /app=. --entry /app/main.py -o app.wasm\n",
    "  weir pack yosys.wasm --mount /share=share --compress zstd -o yosys-pack.wasm\n",
    "  weir pack yosys.wasm --mount /share=share --prune run.trace -o small.wasm -- -q\n\n",
    "Exit codes: see `weir pack --help`"
), after_long_help = exit::HELP)]
pub struct Options {
    /// A host file or directory that goes into the pack
    #[arg(long, value_name = "GUEST=HOST", value_parser = pair)]
    mount: Vec<(String, String)>,
    /// An empty directory, in which the program can write
    #[arg(long, value_name = "GUEST")]
    scratch: Vec<String>,
    /// Where the pack is written
    #[arg(long, short, value_name = "OUT.wasm")]
    output: PathBuf,
    /// How file contents are compressed; what does not shrink is stored plain
    #[arg(long, value_enum, default_value_t = Compress::None)]
    compress: Compress,
    /// Leave out the files that no traced run opened (see `weir trace`). They stay listed; opening one fails
    #[arg(long, value_name = "TRACE")]
    prune: Vec<PathBuf>,
    /// Arguments that the program gets on every host, before those of the host; or give them after `--`
    #[arg(long, value_name = "ARGS", num_args = 1..)]
    entry: Vec<String>,
    /// A variable that the program gets on every host, unless the host sets it
    #[arg(long, value_name = "K[=V]", value_parser = variable)]
    env: Vec<(String, String)>,
    /// The program is a component; fails if it is not
    #[arg(long)]
    component: bool,
    /// Keep files (with --prune: those that no run opened) in the local store, named by digest, not in the pack
    #[arg(long)]
    by_reference: bool,
    /// The same bytes from the same inputs on any machine: times are 1980-01-01 or $SOURCE_DATE_EPOCH (default)
    #[arg(long, conflicts_with = "keep_times")]
    reproducible: bool,
    /// Keep the times of files, as the host has them
    #[arg(long)]
    keep_times: bool,
    /// Keep symbolic links that lead to what is not packed
    #[arg(long)]
    keep_links: bool,
    /// A .wasm or .wat file, or a component
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// Arguments that the program gets on every host
    #[arg(value_name = "ARGS", last = true)]
    args: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compress {
    /// Reads are copies out of the module
    None,
    /// Fast to decompress
    Lz4,
    /// Small
    Zstd,
}

/// 1980-01-01T00:00:00Z, the first time that every archive format can say, in seconds since 1970.
const EPOCH_SECONDS: u64 = 315_532_800;

/// Runs the subcommand.
///
/// # Errors
/// The program or a file cannot be packed, or the pack cannot be written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    target::judge(&options.output)?;
    let program = open(&options.program)?;
    if options.component && program.format() != Format::Component {
        return Err(Failure::program(format!("{} is a module, not a component", program.path().display())));
    }
    let scan = ScanOptions { time: time(options)?, keep_links: options.keep_links };
    let mut tree = HostTree::scan(&options.mount, scan).map_err(Failure::grant)?;
    for guest in &options.scratch {
        tree.add_scratch(guest, scan).map_err(Failure::grant)?;
    }
    let pack_options = PackOptions {
        codec: match options.compress {
            Compress::None => Codec::None,
            Compress::Lz4 => Codec::Lz4,
            Compress::Zstd => Codec::Zstd,
        },
        prune: prune(&options.prune, &tree.tree.entries)?,
        by_reference: options.by_reference,
        entry: EntryPoint { args: [options.entry.clone(), options.args.clone()].concat(), env: options.env.clone() },
    };
    let store = if options.by_reference { Some(Store::of_user().map_err(Failure::registry)?) } else { None };
    // Until the pack stands in the store's list, nothing may collect its blobs.
    let _busy = store.as_ref().map(Store::busy).transpose().map_err(Failure::registry)?;
    let mut files = Files { tree: &tree, store: store.as_ref() };
    let packed = pack(&program, &mut files, &pack_options)?;
    target::write(&options.output, &packed.bytes)?;
    if let Some(store) = &store {
        let blobs = packed.references.iter().map(|blob| BlobRef { digest: blob.digest, size: blob.size });
        store.keep_pack(&options.output, &blobs.collect::<Vec<_>>()).map_err(Failure::registry)?;
    }
    print_report(&options.output, &packed.report);
    Ok(ExitCode::SUCCESS)
}

fn pack(program: &Program, files: &mut Files<'_>, options: &PackOptions) -> Result<Packed, Failure> {
    let packed = weir_link::pack::pack(program.bytes()?, &files.tree.tree, files, options);
    packed.map_err(|error| match error.kind() {
        PackErrorKind::File => Failure::grant(error),
        _ => Failure::program(format!("{}: {error}", program.path().display())),
    })
}

fn time(options: &Options) -> Result<Option<u64>, Failure> {
    if options.keep_times {
        return Ok(None);
    }
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => EPOCH_SECONDS,
        Ok(text) => text.parse().map_err(|_| {
            Failure::grant(format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds since 1970"))
        })?,
    };
    Ok(Some(seconds.saturating_mul(1_000_000_000)))
}

/// The files that traced runs opened.
fn prune(traces: &[PathBuf], tree: &[Entry]) -> Result<Option<BTreeSet<String>>, Failure> {
    if traces.is_empty() {
        return Ok(None);
    }
    let mut kept = BTreeSet::new();
    for path in traces {
        kept.extend(crate::trace::read(path)?.opened());
    }
    let all = || traces.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let refused = |what: &str| {
        let advice = "pruning would leave out all of them; trace a run with the same mounts that reads what it needs";
        Err(Failure::grant(format!("{}: {what}: {advice}", all())))
    };
    // A link may stand for a file elsewhere in the tree.
    let mut files = tree.iter().filter(|entry| entry.node != Node::Directory).peekable();
    if kept.is_empty() {
        return refused("no traced run opened a file");
    }
    if files.peek().is_some() && !files.any(|entry| kept.contains(&entry.path)) {
        return refused("no traced run opened a file of the mounts");
    }
    Ok(Some(kept))
}

/// The files of the host as the linker asks for them.
struct Files<'a> {
    tree: &'a HostTree,
    store: Option<&'a Store>,
}

impl Contents for Files<'_> {
    fn read(&mut self, entry: usize) -> Result<Vec<u8>, String> {
        self.tree.read(entry).map_err(|error| error.to_string())
    }

    fn reference(&mut self, entry: usize) -> Result<Digest, String> {
        let store = self.store.ok_or("there is no store")?;
        let bytes = self.read(entry)?;
        store.put(&mut bytes.as_slice()).map_err(|error| error.to_string())
    }
}

fn print_report(output: &Path, report: &PackReport) {
    let PackReport { files, file_bytes, program_bytes, pack_bytes, segment_bytes, .. } = report;
    say!("{}", output.display());
    say!("  program   {program_bytes:>12} bytes");
    say!("  files     {file_bytes:>12} bytes in {files} files");
    say!("  carried   {segment_bytes:>12} bytes");
    say!("  pack      {pack_bytes:>12} bytes");
    if report.duplicates > 0 {
        say!("  {} files have the bytes of another one and are stored once", report.duplicates);
    }
    if report.pruned > 0 {
        say!("  {} files were pruned, {} bytes", report.pruned, report.pruned_bytes);
    }
    if report.referenced > 0 {
        say!("  {} files are there by reference: the pack needs the store or a registry", report.referenced);
    }
}
