//! What is handed to a program. What is not written here is not there.

use alloc::{string::String, vec::Vec};

/// How much a program can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// No files: typed values and streams only.
    Pure,
    /// A file system made of data; nothing of the host can be written.
    Virtual,
    /// Directories of the host, by explicit flag.
    Host,
}

impl Tier {
    /// The word used on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Pure => "pure",
            Tier::Virtual => "virtual",
            Tier::Host => "host",
        }
    }
}

/// Everything handed to one run of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Arguments, the program's own name first.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Places in the program's file tree, in the order they were given.
    pub places: Vec<Place>,
    /// Network peers; none by default.
    pub net: Net,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where randomness comes from.
    pub random: Random,
    /// What becomes of imports that nobody grants.
    pub unknown_imports: UnknownImports,
}

/// What becomes of imports that nobody grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownImports {
    /// The program is refused before it is linked or compiled.
    #[default]
    Refuse,
    /// Functions trap by name when they are called: many programs import a callback that most runs never need.
    Trap,
}

/// One place in the file tree and where its bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path inside, as the program sees it.
    pub guest: String,
    /// Where the bytes are.
    pub source: Source,
}

/// Where the bytes of a place are. Host paths are text as given by the user; who opens them
/// (`engine`) says what is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A host file or directory, seen as data: read lazily, never written.
    Mount(String),
    /// A small file given as bytes.
    Bytes(Vec<u8>),
    /// An empty directory, held in memory.
    Scratch,
    /// A stream outside: a host path, or `None` for stdin (reads) and stdout (writes).
    Stream(Option<String>),
    /// The real directory.
    HostDir {
        /// The host path.
        host: String,
        /// Only reading is allowed.
        read_only: bool,
    },
}

/// Which network peers a program may talk to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Net {
    /// None.
    #[default]
    None,
    /// Whatever the host can reach.
    Host,
    /// These alone: `host:port`; port 0 is every port of the host.
    Peers(Vec<(String, u16)>),
}

/// Where the time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The host's clocks.
    #[default]
    Real,
    /// A clock that stands still at this time, in nanoseconds since 1970-01-01 UTC. Sleeps end at once.
    Fixed(u64),
}

/// Where randomness comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Random {
    /// The host's secure generator.
    #[default]
    Real,
    /// A reproducible sequence from this seed. Not secure.
    Seed(u64),
}
