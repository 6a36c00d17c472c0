//! From grants to a file tree: what stands where, which directories the program finds open, and where
//! the bytes are. Host paths are looked at once here, so that a wrong one is an error before the
//! program starts; their contents are read later, as the program touches them.
//!
//! Rules: each directory grant is one preopened directory of exactly the given name, in the given
//! order. File grants (and `--save` targets) that lie in none of them add a preopened `/` at the end.

use crate::blobs::{MADE_BY_THE_KERNEL, Source as BlobSource, directory_times, is_made_by_the_kernel};
use crate::ends::{Input, Object, Output};
use crate::error::{Error, Hint, Kind, Limit};
use crate::host_dirs::{self, HostDir};
use crate::run::{Carried, Run};
use crate::save::Save;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use weir_types::grants::{Grants, Place, Source};
use weir_types::limits::Limits;
use weir_vfs::image::{BootNode, Image, NodeKind, Preopen, PreopenTarget};
use weir_vfs::{BlobId, StreamId, Times};

/// The first number of a mapped stream; 0, 1 and 2 are stdin, stdout and stderr.
pub(crate) const FIRST_STREAM: u32 = 3;

/// Bytes of a mounted file of /proc or /sys, which is read whole into memory before the program starts.
const KERNEL_FILE_BYTES_MAX: u64 = 16 << 20;

/// Everything that a run needs to know of its places.
#[derive(Debug)]
pub(crate) struct Places {
    /// The tree at the start.
    pub image: Image,
    /// The blobs that the image names, by number from 1 (0 is the image itself).
    pub sources: Vec<BlobSource>,
    /// The blobs that a pack names, by number from [`REFERENCES`](weir_vfs::pack::REFERENCES).
    pub references: Vec<BlobSource>,
    /// The mapped streams, by number from [`FIRST_STREAM`].
    pub streams: Vec<(Input, Output)>,
    /// The real directories.
    pub host_dirs: Vec<HostDir>,
}

impl Places {
    /// Looks at every place and lays them out.
    ///
    /// # Errors
    /// A host path is missing or of the wrong kind, a path inside is impossible or given twice.
    pub fn plan(run: &mut Run<'_>) -> Result<Self, Error> {
        let Run { grants, saves, limits, carried, .. } = *run;
        let image = Image { quota: limits.files, ..Image::default() };
        let (sources, streams, host_dirs) = Default::default();
        let references = references(carried)?;
        let mut places = Self { image, sources, references, streams, host_dirs };
        let mut outside: Vec<String> = Vec::new();
        let mut opened: Vec<String> = Vec::new();
        for place in &grants.places {
            let path = tree_path(&place.guest)?;
            check_parts(&place.guest, &path, limits)?;
            if places.image.nodes.iter().any(|node| node.path == path) || opened.contains(&path) {
                return Err(Error::new(Kind::Grant, format!("{} is granted twice: give it once", place.guest)));
            }
            match places.add(place, &path)? {
                Added::Directory(target) => {
                    places.image.preopens.push(Preopen { name: without_slash(&place.guest), target });
                    opened.push(path);
                }
                Added::File => outside.push(path),
            }
        }
        for (guest, object) in std::mem::take(&mut run.objects) {
            let path = tree_path(&guest)?;
            check_parts(&guest, &path, limits)?;
            if places.image.nodes.iter().any(|node| node.path == path) || path.is_empty() {
                return Err(Error::new(Kind::Grant, format!("{guest} is granted twice: give it once")));
            }
            let kind = match object {
                Object::Stream(input, output) => NodeKind::Stream(places.stream(input, output)),
                Object::Blob(object) => {
                    let size = object.size();
                    NodeKind::File { blob: places.source(BlobSource::object(object)), offset: 0, size }
                }
            };
            places.image.nodes.push(BootNode { path: path.clone(), times: Times::default(), read_only: false, kind });
            outside.push(path);
        }
        // What a pack opens is there already, and a place of the run may be laid over it.
        for preopen in carried.iter().flat_map(|carried| &carried.preopens) {
            opened.push(tree_path(preopen)?);
        }
        for save in saves {
            let path = tree_path(&save.guest)?;
            places.prepare_save(save, &path, &opened)?;
            outside.push(path);
        }
        let covered = |path: &String| opened.iter().any(|open| is_below(path, open));
        if !outside.iter().all(covered) {
            let target = PreopenTarget::Tree(String::new());
            places.image.preopens.push(Preopen { name: "/".into(), target });
        }
        places.check_inodes(limits, &opened)?;
        check_nesting(&places, grants)?;
        check_carried(&places, carried.map_or(&[], |carried| &carried.preopens))?;
        // Parents first, so that a place inside a mounted directory lands in it.
        places.image.nodes.sort_by_key(|node| node.path.matches('/').count() + usize::from(!node.path.is_empty()));
        Ok(places)
    }

    fn add(&mut self, place: &Place, path: &str) -> Result<Added, Error> {
        let (kind, times) = match &place.source {
            Source::Mount(host) => self.mount(place, Path::new(host))?,
            Source::Bytes(bytes) => (NodeKind::Bytes(bytes.clone()), Times::default()),
            Source::Scratch => (NodeKind::Directory(None), Times::default()),
            Source::Stream(host) => {
                let (input, output) = match host {
                    Some(host) => {
                        check_stream(place, Path::new(host))?;
                        (Input::Path(host.into()), Output::Path(host.into()))
                    }
                    None => (Input::Process, Output::Process),
                };
                (NodeKind::Stream(self.stream(input, output)), Times::default())
            }
            Source::HostDir { host, read_only } => {
                let fd = host_dirs::FIRST_FD + self.host_dirs.len() as u32;
                if !Path::new(host).is_dir() {
                    return Err(Error::new(
                        Kind::Grant,
                        format!("the host directory at {}: {host} is no directory", place.guest),
                    ));
                }
                self.host_dirs.push(HostDir { guest: place.guest.clone(), host: host.clone(), read_only: *read_only });
                return Ok(Added::Directory(PreopenTarget::Host(fd)));
            }
        };
        if path.is_empty() && !matches!(kind, NodeKind::Directory(_)) {
            return Err(Error::new(Kind::Grant, format!("{:?} cannot be a file: name a path below /", place.guest)));
        }
        let added = match kind {
            NodeKind::Directory(_) => Added::Directory(PreopenTarget::Tree(path.into())),
            _ => Added::File,
        };
        self.image.nodes.push(BootNode { path: path.into(), times, read_only: false, kind });
        Ok(added)
    }

    fn stream(&mut self, input: Input, output: Output) -> StreamId {
        self.streams.push((input, output));
        StreamId(FIRST_STREAM + self.streams.len() as u32 - 1)
    }

    fn mount(&mut self, place: &Place, host: &Path) -> Result<(NodeKind, Times), Error> {
        let wrong = |what: String| Error::new(Kind::Grant, format!("the mount at {}: {what}", place.guest));
        let meta = fs::metadata(host).map_err(|error| wrong(format!("{}: {error}", host.display())))?;
        let times = directory_times(&meta);
        // Names of entries are looked up from here for as long as the program runs.
        let host = fs::canonicalize(host).map_err(|error| wrong(format!("{}: {error}", host.display())))?;
        if is_made_by_the_kernel(&host) && (meta.is_dir() || meta.is_file()) {
            if meta.is_dir() {
                let what = format!("{} is {MADE_BY_THE_KERNEL}: mount single files of it", host.display());
                return Err(wrong(what).with_hint(Hint::GrantAsHostDirectory));
            }
            let bytes = read_whole(&host).map_err(|error| wrong(format!("{}: {error}", host.display())))?;
            return Ok((NodeKind::Bytes(bytes), times));
        }
        if meta.is_dir() {
            fs::read_dir(&host).map_err(|error| wrong(format!("{}: {error}", host.display())))?;
            let blob = self.source(BlobSource::listing(host));
            Ok((NodeKind::Directory(Some(blob)), times))
        } else if meta.is_file() {
            // Opened once, so that a file that cannot be read is an error now and not when the program is half done.
            fs::File::open(&host).map_err(|error| wrong(format!("{}: {error}", host.display())))?;
            let blob = self.source(BlobSource::file(host, &meta));
            Ok((NodeKind::File { blob, offset: 0, size: meta.len() }, times))
        } else {
            let what = format!("{} is neither a file nor a directory", host.display());
            Err(wrong(what).with_hint(Hint::GrantAsStream))
        }
    }

    /// Refuses limits that the places alone would meet: the program could not even start.
    fn check_inodes(&self, limits: &Limits, opened: &[String]) -> Result<(), Error> {
        let mut made = BTreeSet::new();
        for mut path in self.image.nodes.iter().map(|node| node.path.as_str()).chain(opened.iter().map(String::as_str))
        {
            while !path.is_empty() && made.insert(path) {
                path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        // The root is a node, too.
        let needed = made.len() as u64 + 1;
        if needed <= limits.files.inodes_max {
            return Ok(());
        }
        Err(Error::met(Limit::Inodes { needed, most: limits.files.inodes_max }).of_kind(Kind::Grant))
    }

    /// Whether a file, and no directory, is at `path`.
    fn is_file(&self, path: &str) -> bool {
        self.image.nodes.iter().any(|node| node.path == path && !matches!(node.kind, NodeKind::Directory(_)))
    }

    fn source(&mut self, source: BlobSource) -> BlobId {
        self.sources.push(source);
        BlobId(self.sources.len() as u32)
    }

    /// Makes sure that the program can create what is to be saved.
    fn prepare_save(&mut self, save: &Save, path: &str, opened: &[String]) -> Result<(), Error> {
        let real = |place: &&HostDir| tree_path(&place.guest).is_ok_and(|dir| is_below(path, &dir));
        if let Some(dir) = self.host_dirs.iter().find(real) {
            let what = format!("{} cannot be saved: it lies in the host directory {} already", save.guest, dir.host);
            return Err(Error::new(Kind::Grant, what));
        }
        if opened.iter().any(|open| is_below(path, open)) {
            return Ok(());
        }
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.image.nodes.iter().any(|node| node.path == parent)
        {
            let kind = NodeKind::Directory(None);
            self.image.nodes.push(BootNode { path: parent.into(), times: Times::default(), read_only: false, kind });
        }
        Ok(())
    }
}

fn references(carried: Option<&Carried>) -> Result<Vec<BlobSource>, Error> {
    let open = |path: &PathBuf| {
        let meta = fs::metadata(path).map_err(|error| {
            Error::new(Kind::Grant, format!("{}: {error}: a file of the pack is gone from the store", path.display()))
        })?;
        Ok(BlobSource::file(path.clone(), &meta))
    };
    carried.iter().flat_map(|carried| &carried.references).map(open).collect()
}

/// Refuses what no tree can be made of: a place below a file, or a file below a directory of the host.
fn check_nesting(places: &Places, grants: &Grants) -> Result<(), Error> {
    for place in &grants.places {
        let path = tree_path(&place.guest)?;
        for other in &grants.places {
            let above = tree_path(&other.guest)?;
            if path == above || !is_below(&path, &above) {
                continue;
            }
            let name = &other.guest;
            let what = match &other.source {
                // A directory is opened for the program beside the host's, by its longer name.
                Source::HostDir { host, .. } if places.is_file(&path) => format!(
                    "lies below the host directory {name} ({host}), which shows the host's files alone: put it there, \
                     or grant it outside of {name}"
                ),
                Source::Mount(host) if let Some(file) = file_above(Path::new(host), &above, &path) => {
                    format!("lies below {}, which is a file: name another place", file.display())
                }
                _ if places.is_file(&above) => {
                    format!("lies below {name}, which is a file: grant a directory there, or name another place")
                }
                _ => continue,
            };
            return Err(Error::new(Kind::Grant, format!("{} {what}", place.guest)));
        }
    }
    Ok(())
}

/// The file in the directory `host`, mounted at `above`, below which `path` would lie.
fn file_above(host: &Path, above: &str, path: &str) -> Option<PathBuf> {
    let rest = path.strip_prefix(above)?.trim_start_matches('/');
    let ends = rest.match_indices('/').map(|(end, _)| host.join(&rest[..end]));
    ends.filter(|_| host.is_dir()).find(|at| fs::metadata(at).is_ok_and(|meta| meta.is_file()))
}

/// Refuses a file of the run where the pack has one of its directories, or above one.
fn check_carried(places: &Places, preopens: &[String]) -> Result<(), Error> {
    for preopen in preopens {
        let directory = tree_path(preopen)?;
        let file = |node: &&BootNode| !matches!(node.kind, NodeKind::Directory(_)) && is_below(&directory, &node.path);
        if let Some(node) = places.image.nodes.iter().find(file) {
            let path = &node.path;
            let what =
                format!("/{path} cannot be a file: the pack has its directory {preopen} there; name another place");
            return Err(Error::new(Kind::Grant, what));
        }
    }
    Ok(())
}

/// All bytes of a file that is made while it is read, so that it is one state and has a size.
fn read_whole(path: &Path) -> std::io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = fs::File::options().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    file.take(KERNEL_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > KERNEL_FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "it is {MADE_BY_THE_KERNEL} and longer than {KERNEL_FILE_BYTES_MAX} bytes: copy what is needed of it to a file"
        )));
    }
    Ok(bytes)
}

enum Added {
    Directory(PreopenTarget),
    File,
}

/// A path inside as a path from the root of the tree: no leading slash, no `.`, never `..`.
fn tree_path(guest: &str) -> Result<String, Error> {
    let wrong = |what: &str| Error::new(Kind::Grant, format!("the path {guest:?} inside the program {what}"));
    if guest.is_empty() {
        return Err(wrong("is empty: write for example /data"));
    }
    if guest.contains('\0') {
        return Err(wrong("contains a NUL byte"));
    }
    let mut path = String::new();
    for part in guest.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(wrong("contains `..`: write where it is"));
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

/// The name of a preopened directory: as given, but without slashes at its end, which programs that compare
/// names do not expect.
fn without_slash(guest: &str) -> String {
    let name = guest.trim_end_matches('/');
    if name.is_empty() { "/".into() } else { name.into() }
}

/// Refuses a path whose names are longer than the tree's own limits.
fn check_parts(guest: &str, path: &str, limits: &Limits) -> Result<(), Error> {
    let files = &limits.files;
    let wrong = |what: String| Err(Error::new(Kind::Grant, format!("the path {guest:?} inside the program {what}")));
    if let Some(name) = path.split('/').find(|name| name.len() > files.name_bytes_max as usize) {
        return wrong(format!("has a name of {} bytes; a name has at most {}", name.len(), files.name_bytes_max));
    }
    if path.split('/').count() > files.depth_max as usize {
        return wrong(format!("has more than {} directories below one another", files.depth_max));
    }
    Ok(())
}

fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn check_stream(place: &Place, host: &Path) -> Result<(), Error> {
    let parent = host.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = |what: String| Err(Error::new(Kind::Grant, format!("the stream at {}: {what}", place.guest)));
    if host.is_dir() {
        return wrong(format!("{} is a directory", host.display()));
    }
    if !host.exists() && !parent.is_dir() {
        return wrong(format!("{} does not exist and cannot be made", host.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(places: Vec<Place>, saves: &[Save]) -> Result<Places, Error> {
        let (grants, limits) = (Grants { places, ..Grants::default() }, Limits::default());
        Places::plan(&mut Run { saves, ..Run::new(&grants, &limits) })
    }

    fn place(guest: &str, source: Source) -> Place {
        Place { guest: guest.into(), source }
    }

    fn host_dir(guest: &str) -> Place {
        place(guest, Source::HostDir { host: "/tmp".into(), read_only: true })
    }

    #[test]
    fn a_file_of_proc_has_its_bytes_and_a_name_no_slash_at_its_end() {
        let source = Source::Mount("/proc/self/status".into());
        let places = plan(vec![place("/status", source), place("/d//", Source::Scratch)], &[]).unwrap();
        assert_eq!(names(&places), ["/d", "/"]);
        let status = places.image.nodes.iter().find(|node| node.path == "status").unwrap();
        assert!(matches!(&status.kind, NodeKind::Bytes(bytes) if bytes.starts_with(b"Name:")));
    }

    #[test]
    fn more_grants_than_inodes_are_refused() {
        let (mut grants, mut limits) = (Grants::default(), Limits::default());
        grants.places = vec![place("/a/b", Source::Scratch), place("/a/c", Source::Scratch)];
        for (inodes_max, fits) in [(3, false), (4, true)] {
            limits.files.inodes_max = inodes_max;
            assert_eq!(Places::plan(&mut Run::new(&grants, &limits)).is_ok(), fits, "{inodes_max}");
        }
    }

    fn names(places: &Places) -> Vec<&str> {
        places.image.preopens.iter().map(|preopen| preopen.name.as_str()).collect()
    }

    #[test]
    fn preopens_are_the_directories_as_given_then_the_root_for_loose_files() {
        let places = plan(
            vec![
                place("/w", Source::Scratch),
                place("rel.dir", Source::Scratch),
                place("/w/in.txt", Source::Bytes(b"x".to_vec())),
            ],
            &[],
        );
        assert_eq!(names(&places.unwrap()), ["/w", "rel.dir"]);
        let places = plan(vec![place("/w", Source::Scratch), place("/etc/x", Source::Bytes(Vec::new()))], &[]);
        assert_eq!(names(&places.unwrap()), ["/w", "/"]);
        let save = Save { guest: "/out/a".into(), host: "a".into() };
        let places = plan(vec![], &[save]).unwrap();
        assert_eq!((names(&places), places.image.nodes[0].path.as_str()), (vec!["/"], "out"));
    }

    #[test]
    fn refusals_name_the_path() {
        for (places, words) in [
            (vec![place("/a/../b", Source::Scratch)], "`..`"),
            (vec![place("", Source::Scratch)], "is empty"),
            (vec![place("/a", Source::Scratch), place("/a/", Source::Scratch)], "granted twice"),
            (vec![place("/", Source::Bytes(Vec::new()))], "cannot be a file"),
            (vec![place("/a", Source::Mount("/does/not/exist".into()))], "/does/not/exist"),
            (vec![place("/a", Source::Mount("/dev/null".into()))], "neither a file nor"),
            (vec![place("/a", Source::Mount("/proc/self".into()))], "mount single files"),
            (
                vec![place("/a", Source::Bytes(vec![])), place("/a/b/c", Source::Scratch)],
                "/a/b/c lies below /a, which is",
            ),
            (vec![place("/a/b", Source::Bytes(vec![])), place("/a", Source::Bytes(vec![]))], "which is a file"),
            (vec![place("/h/x", Source::Bytes(vec![])), host_dir("/h/")], "/h/x lies below the host directory /h/"),
            (vec![place(&"n".repeat(300), Source::Scratch)], "has a name of 300 bytes"),
            (vec![place("/a", Source::HostDir { host: "/dev/null".into(), read_only: false })], "no directory"),
        ] {
            let error = plan(places, &[]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
