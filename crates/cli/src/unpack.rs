//! `weir unpack`.

use crate::exit::{self, Failure};
use crate::launch::open;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_link::pack::{Pack, PackedEntry, PackedNode, Stored};
use weir_store::Store;
use weir_store::tree::write_tree;
use weir_types::Shown;
use weir_types::tree::{Entry, Node};

/// Gets the files and the original program out of a pack again, byte for byte.
///
/// The directory gets `program.wasm`, `pack.json` (what the pack says of itself) and, below `files`, the
/// tree that the program sees.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir unpack app.wasm --list\n",
    "  weir unpack app.wasm -o app"
), after_long_help = exit::HELP)]
pub struct Options {
    /// The directory to make
    #[arg(long, short, value_name = "DIR", required_unless_present = "list")]
    output: Option<PathBuf>,
    /// Print what is in the pack instead: size, stored size, BLAKE3 digest, path
    #[arg(long, conflicts_with = "output")]
    list: bool,
    /// Print the list as JSON
    #[arg(long, requires = "list")]
    json: bool,
    /// A pack
    #[arg(value_name = "PACK")]
    pack: PathBuf,
}

/// Runs the subcommand.
///
/// # Errors
/// It is no pack, it is damaged, files of it are somewhere else, or the directory cannot be written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let program = open(&options.pack)?;
    let named = |error: &dyn std::fmt::Display| Failure::program(format!("{}: {error}", options.pack.display()));
    let pack = Pack::open(program.bytes()?).map_err(|error| named(&error))?;
    let pack = pack.ok_or_else(|| named(&"it is no pack; `weir pack` makes one"))?;
    let entries = pack.entries().map_err(|error| named(&error))?;
    if options.list {
        return list(&pack, &entries, options.json);
    }
    let Some(output) = &options.output else { return Err(named(&"say where to: -o DIR")) };
    write_out(&pack, &entries, output, named)
}

fn write_out(
    pack: &Pack<'_>,
    entries: &[PackedEntry],
    output: &std::path::Path,
    named: impl Fn(&dyn std::fmt::Display) -> Failure,
) -> Result<ExitCode, Failure> {
    let program = pack.program().map_err(|error| named(&error))?;
    let manifest = serde_json::to_vec_pretty(&pack.manifest).map_err(Failure::program)?;
    let own = |path: &str, size: usize| Entry {
        path: path.into(),
        modified: 0,
        node: Node::File { size: size as u64, executable: false },
    };
    let mut tree = vec![own("pack.json", manifest.len()), own("program.wasm", program.len())];
    if entries.first().is_none_or(|entry| !entry.path.is_empty()) {
        tree.push(Entry { path: "files".into(), modified: 0, node: Node::Directory });
    }
    let ahead = tree.len();
    let is_there = |entry: &&PackedEntry| !matches!(entry.node, PackedNode::File { stored: Stored::Pruned, .. });
    let (there, all) = (entries.iter().filter(is_there).collect::<Vec<_>>(), entries.len());
    let entries = there;
    tree.extend(entries.iter().map(|entry| below_files(pack, entry)));
    let store = Store::of_user().ok();
    let mut read = |number: usize| match number.checked_sub(ahead).and_then(|number| entries.get(number)) {
        Some(PackedEntry { node: PackedNode::File { size, stored }, .. }) => {
            contents(pack, store.as_ref(), *size, *stored)
        }
        _ if number == 0 => Ok(manifest.clone()),
        _ => Ok(program.clone()),
    };
    write_tree(output, &tree, &mut read).map_err(Failure::save)?;
    if entries.len() < all {
        note!("weir: warning: {} files were pruned from the pack and are not there", all - entries.len());
    }
    let files = entries.iter().filter(|entry| matches!(entry.node, PackedNode::File { .. })).count();
    say!("{}: program.wasm and {files} files", output.display());
    Ok(ExitCode::SUCCESS)
}

fn below_files(pack: &Pack<'_>, entry: &PackedEntry) -> Entry {
    let path = if entry.path.is_empty() { "files".into() } else { format!("files/{}", entry.path) };
    let node = match &entry.node {
        PackedNode::Directory => Node::Directory,
        PackedNode::Symlink(target) => Node::Symlink(target.clone()),
        PackedNode::File { size, .. } => {
            Node::File { size: *size, executable: pack.manifest.executable.contains(&entry.path) }
        }
    };
    Entry { path, modified: entry.modified, node }
}

/// The bytes of a file, from the pack or from the store.
fn contents(pack: &Pack<'_>, store: Option<&Store>, size: u64, stored: Stored) -> Result<Vec<u8>, String> {
    let Stored::Referenced(reference) = stored else {
        return pack.read(size, stored).map_err(|error| error.to_string());
    };
    let missing =
        || format!("its bytes ({}) are not in the store: `weir pull` the pack, or pack it again", reference.digest);
    let store = store.ok_or_else(missing)?;
    store.bytes(&reference.digest).map_err(|error| error.to_string())?.ok_or_else(missing)
}

#[derive(Serialize)]
struct Line<'a> {
    path: String,
    kind: &'static str,
    size: u64,
    stored: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'static str>,
}

fn list(pack: &Pack<'_>, entries: &[PackedEntry], json: bool) -> Result<ExitCode, Failure> {
    let mut lines = Vec::new();
    for entry in entries {
        let path = format!("/{}", entry.path);
        let line = Line { path, kind: "directory", size: 0, stored: 0, blake3: None, target: None, place: None };
        lines.push(match &entry.node {
            PackedNode::Directory => line,
            PackedNode::Symlink(target) => Line { kind: "link", target: Some(target), ..line },
            PackedNode::File { size, stored } => {
                let (blake3, place) = match stored {
                    Stored::Pruned => (None, "pruned"),
                    Stored::Referenced(reference) => (Some(reference.digest.to_hex()), "by reference"),
                    Stored::Plain(_) | Stored::Chunked(_) => {
                        let bytes = pack.read(*size, *stored).map_err(Failure::program)?;
                        let place = if matches!(stored, Stored::Plain(_)) { "plain" } else { "compressed" };
                        (Some(weir_engine::digest(&bytes).to_hex()), place)
                    }
                };
                Line {
                    kind: "file",
                    size: *size,
                    stored: pack.stored_bytes(*size, *stored),
                    blake3,
                    place: Some(place),
                    ..line
                }
            }
        });
    }
    match json {
        true => crate::out::json(&lines).map_err(Failure::program)?,
        false => lines.iter().for_each(|line| say!("{}", text_line(line))),
    }
    Ok(ExitCode::SUCCESS)
}

fn text_line(line: &Line<'_>) -> String {
    let path = Shown(&line.path);
    match (line.kind, line.target) {
        ("directory", _) => {
            format!("{:>12} {:>12}  {:64}  {}/", "-", "-", "-", Shown(line.path.trim_end_matches('/')))
        }
        (_, Some(target)) => format!("{:>12} {:>12}  {:64}  {path} -> {}", "-", "-", "-", Shown(target)),
        _ => {
            let digest = line.blake3.as_deref().unwrap_or("(pruned)");
            format!("{:>12} {:>12}  {digest:64}  {path}", line.size, line.stored)
        }
    }
}
