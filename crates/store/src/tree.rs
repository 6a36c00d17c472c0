//! Trees of files on the host's disk: looked at for packing, and written out again.
//!
//! Looking reads names and kinds; the bytes of a file are read when they are asked for, and only if it is
//! still the file that was seen. What no pack can hold is refused by name: devices, sockets, pipes, names
//! that are not UTF-8, links that lead out of what is packed. A tree is written aside and moved into place
//! when it is whole; its files go into directories that were made a moment before, and links come last, so
//! no name in it can lead a write anywhere else.

use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use weir_types::Shown;
use weir_types::limits::Quota;
use weir_types::tree::{Entry, Mount, Node, Tree, resolve};

/// What is wrong with a tree; names the path and says what to do.
#[derive(Debug)]
pub struct TreeError(String);

impl fmt::Display for TreeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Shown(&self.0))
    }
}

impl std::error::Error for TreeError {}

/// How a tree is looked at.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions {
    /// Times of last changes: those of the disk, or this one, in nanoseconds since 1970, for everything.
    pub time: Option<u64>,
    /// Links that lead out of what is packed are kept as they are, not refused.
    pub keep_links: bool,
}

impl HostTree {
    /// Adds an empty directory, in which the program can write.
    ///
    /// # Errors
    /// Something is there already.
    pub fn add_scratch(&mut self, guest: &str, options: ScanOptions) -> Result<(), TreeError> {
        let path = tree_path(guest)?;
        let at = match self.tree.entries.binary_search_by(|entry| entry.path.as_str().cmp(&path)) {
            Ok(_) => return wrong(format!("--scratch {guest}: a mount puts something there already")),
            Err(at) => at,
        };
        let modified = options.time.unwrap_or(0);
        self.tree.entries.insert(at, Entry { path: path.clone(), modified, node: Node::Directory });
        self.files.insert(at, None);
        self.tree.mounts.push(Mount { guest: guest.into(), path, directory: true });
        Ok(())
    }
}

/// A tree on disk: what is in it, and where its bytes are.
#[derive(Debug)]
pub struct HostTree {
    /// What is in it.
    pub tree: Tree,
    /// For each entry that is a file: where it is and what it was when it was looked at.
    files: Vec<Option<Seen>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    size: u64,
    inode: (u64, u64),
    modified: (i64, i64),
}

impl Seen {
    fn of(path: &Path, meta: &Metadata) -> Self {
        let (inode, modified) = ((meta.dev(), meta.ino()), (meta.mtime(), meta.mtime_nsec()));
        Self { path: path.into(), size: meta.len(), inode, modified }
    }
}

fn wrong<T>(what: String) -> Result<T, TreeError> {
    Err(TreeError(what))
}

impl HostTree {
    /// Looks at everything at and below the host paths in `mounts` (pairs of the path inside and the path
    /// outside, in order).
    ///
    /// # Errors
    /// A path is missing, or something lies there that cannot be packed.
    pub fn scan(mounts: &[(String, String)], options: ScanOptions) -> Result<Self, TreeError> {
        let mut scan = Scan { options, nodes: BTreeMap::new(), limits: Quota::default() };
        let mut places = Vec::new();
        for (guest, host) in mounts {
            let path = tree_path(guest)?;
            if places.iter().any(|place: &Mount| place.path == path) {
                return wrong(format!("--mount {guest} is given twice: give it once"));
            }
            // The place itself may be named through links; what lies below is taken as it is.
            let real =
                fs::canonicalize(host).map_err(|error| TreeError(format!("--mount {guest}: {host}: {error}")))?;
            let meta = fs::metadata(&real).map_err(|error| TreeError(format!("--mount {guest}: {host}: {error}")))?;
            if path.is_empty() && !meta.is_dir() {
                return wrong(format!("--mount {guest}={host}: a file cannot be the root: name a path below /"));
            }
            scan.node(&real, &path, &meta, 0)?;
            places.push(Mount { guest: guest.clone(), path, directory: meta.is_dir() });
        }
        scan.refuse_below_files(&places)?;
        if !options.keep_links {
            scan.refuse_links_out(&places)?;
        }
        let (mut entries, mut files) = (Vec::new(), Vec::new());
        for (path, (modified, node, seen)) in scan.nodes {
            entries.push(Entry { path, modified, node });
            files.push(seen);
        }
        Ok(Self { tree: Tree { mounts: places, entries }, files })
    }

    /// The path on disk of an entry that is a file.
    pub fn host_path(&self, entry: usize) -> Option<&Path> {
        self.files.get(entry)?.as_ref().map(|seen| seen.path.as_path())
    }

    /// All bytes of an entry that is a file.
    ///
    /// # Errors
    /// It cannot be read, or has changed since the tree was looked at.
    pub fn read(&self, entry: usize) -> Result<Vec<u8>, TreeError> {
        let Some(seen) = self.files.get(entry).and_then(Option::as_ref) else {
            return wrong(format!("entry {entry} is no file"));
        };
        let io = |error: &dyn fmt::Display| TreeError(format!("{}: {error}", seen.path.display()));
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(&seen.path, flags, Mode::empty()).map_err(|error| io(&error))?;
        let mut file = File::from(file);
        let same = |file: &File| file.metadata().is_ok_and(|meta| Seen::of(&seen.path, &meta) == *seen);
        let changed = || TreeError(format!("{} changed while it was being packed: pack again", seen.path.display()));
        if !same(&file) {
            return Err(changed());
        }
        let mut bytes = Vec::with_capacity(seen.size as usize);
        (&mut file).take(seen.size + 1).read_to_end(&mut bytes).map_err(|error| io(&error))?;
        if bytes.len() as u64 != seen.size || !same(&file) {
            return Err(changed());
        }
        Ok(bytes)
    }
}

type Nodes = BTreeMap<String, (u64, Node, Option<Seen>)>;

struct Scan {
    options: ScanOptions,
    nodes: Nodes,
    limits: Quota,
}

impl Scan {
    fn node(&mut self, host: &Path, path: &str, meta: &Metadata, depth: u32) -> Result<(), TreeError> {
        let shown = host.display();
        if self.nodes.len() as u64 >= self.limits.inodes_max {
            return wrong(format!(
                "there are more than {} files: no file system may have more",
                self.limits.inodes_max
            ));
        }
        if depth > self.limits.depth_max || path.len() > self.limits.path_bytes_max as usize {
            return wrong(format!(
                "{shown} lies too deep: at most {} directories below one another and {} bytes of path",
                self.limits.depth_max, self.limits.path_bytes_max
            ));
        }
        let (node, seen) = if meta.is_dir() {
            (Node::Directory, None)
        } else if meta.is_file() {
            if meta.len() > weir_types::limits::GIB * 4 {
                return wrong(format!("{shown} is larger than 4 GiB: no pack can hold it"));
            }
            let executable = meta.permissions().mode() & 0o100 != 0;
            (Node::File { size: meta.len(), executable }, Some(Seen::of(host, meta)))
        } else if meta.is_symlink() {
            let target = fs::read_link(host).map_err(|error| TreeError(format!("{shown}: {error}")))?;
            match target.into_os_string().into_string() {
                Ok(target) => (Node::Symlink(target), None),
                Err(_) => {
                    return wrong(format!(
                        "{shown} is a link to a name that is not UTF-8: WebAssembly programs cannot see it; rename it"
                    ));
                }
            }
        } else {
            return wrong(format!(
                "{shown} is a device, socket or pipe: packs hold files, directories and links; move it out of what is mounted"
            ));
        };
        let modified = self.options.time.unwrap_or_else(|| nanoseconds(meta));
        if let Some((_, known, _)) = self.nodes.get(path) {
            // Two places may share directories on the way, never what is in them.
            let what = if *known == Node::Directory && node == Node::Directory {
                "lies in two mounts"
            } else {
                "is there twice"
            };
            return wrong(format!(
                "/{path} {what}: {shown} would hide what another --mount puts there; mount them apart"
            ));
        }
        self.nodes.insert(path.into(), (modified, node, seen));
        if meta.is_dir() { self.below(host, path, depth) } else { Ok(()) }
    }

    fn below(&mut self, host: &Path, path: &str, depth: u32) -> Result<(), TreeError> {
        let io = |error: std::io::Error| TreeError(format!("{}: {error}", host.display()));
        let mut entries = fs::read_dir(host).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let host = entry.path();
            let meta = entry.metadata().map_err(|error| {
                TreeError(format!("{}: {error}: it changed while it was being packed: pack again", host.display()))
            })?;
            let Ok(name) = entry.file_name().into_string() else {
                return wrong(format!(
                    "{} has a name that is not UTF-8: WebAssembly programs cannot see it; rename it",
                    host.display()
                ));
            };
            if name.len() > self.limits.name_bytes_max as usize {
                return wrong(format!(
                    "{} has a name of more than {} bytes",
                    host.display(),
                    self.limits.name_bytes_max
                ));
            }
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            self.node(&host, &path, &meta, depth + 1)?;
        }
        Ok(())
    }

    /// Refuses places below something that is no directory, of which no tree can be made.
    fn refuse_below_files(&self, places: &[Mount]) -> Result<(), TreeError> {
        for place in places {
            for (end, _) in place.path.match_indices('/') {
                let above = &place.path[..end];
                if self.nodes.get(above).is_some_and(|(_, node, _)| *node != Node::Directory) {
                    return wrong(format!(
                        "--mount {}: it lies below /{above}, which is no directory: name another place",
                        place.guest
                    ));
                }
            }
        }
        Ok(())
    }

    fn refuse_links_out(&self, places: &[Mount]) -> Result<(), TreeError> {
        for (path, (_, node, _)) in &self.nodes {
            let Node::Symlink(target) = node else { continue };
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let inside = !target.starts_with('/')
                && places.iter().any(|place| place.directory && stays_below(&place.path, parent, target));
            let led = if target.starts_with('/') { target.clone() } else { format!("{parent}/{target}") };
            let find = |path: &str| match self.nodes.get(path) {
                Some((_, Node::Symlink(target), _)) => Some(target.as_str()),
                _ => None,
            };
            let there = resolve(&led, self.limits.symlinks_max, find).is_some_and(|led| self.nodes.contains_key(&led));
            if !inside && !there {
                return wrong(format!(
                    "/{path} is a link to {target}, which leads out of what is packed: put a copy in its place (cp -L), mount a \
                     directory that holds both if the link is relative, or pack the link as it is with --keep-links"
                ));
            }
        }
        Ok(())
    }
}

/// Whether a relative link in `parent` stays below `root` all the way, by its text.
fn stays_below(root: &str, parent: &str, target: &str) -> bool {
    let Some(rest) = parent.strip_prefix(root) else { return false };
    if !root.is_empty() && !rest.is_empty() && !rest.starts_with('/') {
        return false;
    }
    let mut depth = rest.split('/').filter(|name| !name.is_empty()).count();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

fn nanoseconds(meta: &Metadata) -> u64 {
    let seconds = u64::try_from(meta.mtime()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec() as u64)
}

/// A path inside as a path from the root of the tree: no leading slash, no `.`, never `..`.
pub fn tree_path(guest: &str) -> Result<String, TreeError> {
    let names: Vec<&str> = guest.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if guest.is_empty() || names.contains(&"..") || guest.contains('\0') {
        return wrong(format!("the path {guest:?} inside the program is none: write where it is, for example /data"));
    }
    Ok(names.join("/"))
}

/// Writes a tree to the new directory `out`. `read` gives the bytes of a file by the number of its entry.
///
/// # Errors
/// `out` is there already, a name in the tree is none, or the disk fails; nothing is left behind then.
pub fn write_tree(
    out: &Path,
    entries: &[Entry],
    read: &mut dyn FnMut(usize) -> Result<Vec<u8>, String>,
) -> Result<(), TreeError> {
    let io = |path: &Path, error: std::io::Error| TreeError(format!("{}: {error}", path.display()));
    if out.symlink_metadata().is_ok() && fs::read_dir(out).map_or(true, |mut entries| entries.next().is_some()) {
        return wrong(format!("{} is there already: name a new directory", out.display()));
    }
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside =
        tempfile::Builder::new().prefix(".weir-unpack-").tempdir_in(parent).map_err(|error| io(parent, error))?;
    let root = aside.path().join("tree");
    fs::create_dir(&root).map_err(|error| io(&root, error))?;
    let mut directories = BTreeSet::from([String::new()]);
    for (number, entry) in entries.iter().enumerate() {
        let at = root.join(checked(entry, &directories)?);
        match &entry.node {
            Node::Directory if entry.path.is_empty() => {}
            Node::Directory => {
                fs::create_dir(&at).map_err(|error| io(&at, error))?;
                directories.insert(entry.path.clone());
            }
            Node::File { executable, .. } => {
                let bytes = read(number).map_err(|error| TreeError(format!("/{}: {error}", entry.path)))?;
                write_file(&at, &bytes, *executable, entry.modified).map_err(|error| io(&at, error))?;
            }
            Node::Symlink(_) => {}
        }
    }
    for entry in entries {
        if let Node::Symlink(target) = &entry.node {
            let at = root.join(&entry.path);
            std::os::unix::fs::symlink(target, &at).map_err(|error| io(&at, error))?;
        }
    }
    // The deepest first: making what is in a directory changes its time.
    for entry in entries.iter().rev().filter(|entry| entry.node == Node::Directory) {
        let at = root.join(&entry.path);
        let times = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_nanos(entry.modified));
        File::open(&at).and_then(|directory| directory.set_times(times)).map_err(|error| io(&at, error))?;
    }
    fs::rename(&root, out).map_err(|error| io(out, error))
}

/// The path of an entry, whose every part is a name and whose parent is a directory of this tree.
fn checked<'a>(entry: &'a Entry, directories: &BTreeSet<String>) -> Result<&'a str, TreeError> {
    let path = entry.path.as_str();
    if path.is_empty() && entry.node == Node::Directory {
        return Ok(path);
    }
    let names = path.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'));
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    if !names || !directories.contains(parent) {
        return wrong(format!("the tree has the path {path:?}, which is none: the pack is damaged"));
    }
    Ok(path)
}

fn write_file(at: &Path, bytes: &[u8], executable: bool, modified: u64) -> std::io::Result<()> {
    let mut file = File::create_new(at)?;
    file.write_all(bytes)?;
    if executable {
        let mode = file.metadata()?.permissions().mode();
        // Whoever may read it may run it.
        file.set_permissions(fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))?;
    }
    file.set_modified(UNIX_EPOCH + Duration::from_nanos(modified))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ScanOptions = ScanOptions { time: Some(7), keep_links: false };

    fn scan(mounts: &[(&str, &Path)]) -> Result<HostTree, TreeError> {
        let mounts: Vec<_> =
            mounts.iter().map(|(guest, host)| ((*guest).to_owned(), host.display().to_string())).collect();
        HostTree::scan(&mounts, OPTIONS)
    }

    fn sample() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        fs::write(root.join("a/file"), b"12345").unwrap();
        fs::write(root.join("a/nothing"), b"").unwrap();
        fs::write(root.join("a/b/tool"), b"#!").unwrap();
        fs::set_permissions(root.join("a/b/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("../file", root.join("a/b/link")).unwrap();
        std::os::unix::fs::symlink("gone", root.join("dangling")).unwrap();
        folder
    }

    #[test]
    fn every_kind_of_node_makes_the_round_trip() {
        let (folder, out) = (sample(), tempfile::tempdir().unwrap());
        let first = scan(&[("/w", folder.path())]).unwrap();
        let out = out.path().join("out");
        let mut read = |entry| first.read(entry).map_err(|error| error.to_string());
        write_tree(&out, &[vec![], first.tree.entries.clone()].concat(), &mut read).unwrap();
        let second = scan(&[("/w", &out.join("w"))]).unwrap();
        assert_eq!(first.tree, second.tree);
        for (number, entry) in first.tree.entries.iter().enumerate() {
            if let Node::File { .. } = entry.node {
                assert_eq!(first.read(number).unwrap(), second.read(number).unwrap());
            }
        }
        assert!(write_tree(&out, &[], &mut |_| Ok(Vec::new())).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn what_no_pack_can_hold_is_named() {
        let folder = sample();
        let root = folder.path();
        let refused = |mounts: &[(&str, &Path)], words: &str| {
            let error = scan(mounts).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(&[("/w", &root.join("none"))], "No such file");
        refused(&[("/w/../x", root)], "is none");
        refused(&[("/w", root), ("/w/", root)], "given twice");
        refused(&[("/", &root.join("a/file"))], "cannot be the root");
        refused(&[("/w", root), ("/w/a", &root.join("a"))], "lies in two mounts");
        refused(&[("/w", root), ("/w/a/file", &root.join("a/file"))], "is there twice");
        std::os::unix::fs::symlink("/etc/passwd", root.join("out")).unwrap();
        refused(&[("/w", root)], "--keep-links");
        fs::remove_file(root.join("out")).unwrap();
        std::os::unix::fs::symlink("../../..", root.join("a/up")).unwrap();
        refused(&[("/w", root)], "a/up");
        fs::remove_file(root.join("a/up")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        refused(&[("/w", root)], "socket");
    }

    #[test]
    fn a_file_that_changes_is_an_error() {
        let folder = sample();
        let tree = scan(&[("/w", folder.path())]).unwrap();
        let number = tree.tree.entries.iter().position(|entry| entry.path == "w/a/file").unwrap();
        fs::write(folder.path().join("a/file"), b"123456").unwrap();
        assert!(tree.read(number).unwrap_err().to_string().contains("changed"));
    }

    #[test]
    fn hostile_trees_are_not_written() {
        let out = tempfile::tempdir().unwrap();
        let file = Node::File { size: 0, executable: false };
        let link = Node::Symlink("/tmp".into());
        for entries in [
            vec![("../x", file.clone())],
            vec![("/x", file.clone())],
            vec![("a/x", file.clone())],
            vec![("l", link), ("l/x", file)],
        ] {
            let entries: Vec<Entry> =
                entries.into_iter().map(|(path, node)| Entry { path: path.into(), modified: 0, node }).collect();
            let target = out.path().join("t");
            assert!(write_tree(&target, &entries, &mut |_| Ok(Vec::new())).is_err());
            assert!(!target.exists());
        }
    }
}
