//! What is handed to one run. What is not written here is not there.

use crate::error::{Error, Kind};
use crate::typed::{FromValues, ToResult};
use std::sync::Arc;
use weir_engine::{Blob, Caller, Ends, Functions, Input, Object, Output, Save, Value};
use weir_types::grants::{self, Clock, Net, Place, Random, Source, UnknownImports};

/// Everything handed to one run of a program: data forms, and objects of whoever runs it. By default nothing: no
/// arguments, no files, an empty stdin, output that is thrown away.
#[derive(Debug)]
pub struct Grants {
    pub(crate) data: grants::Grants,
    pub(crate) saves: Vec<Save>,
    pub(crate) ends: Ends,
    pub(crate) objects: Vec<(String, Object)>,
    pub(crate) trace: bool,
    pub(crate) functions: Functions,
}

impl Default for Grants {
    fn default() -> Self {
        let (data, saves, objects, functions) = Default::default();
        Self { data, saves, ends: Ends::none(), objects, trace: false, functions }
    }
}

/// The data form: streams are those of this process.
impl From<grants::Grants> for Grants {
    fn from(data: grants::Grants) -> Self {
        Self { data, ends: Ends::default(), ..Self::default() }
    }
}

impl Grants {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arguments, the program's own name first.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.data.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.data.env.push((name.into(), value.into()));
        self
    }

    /// What the program reads from stdin.
    pub fn stdin(mut self, input: Input) -> Self {
        self.ends.stdin = input;
        self
    }

    /// Where stdout goes.
    pub fn stdout(mut self, output: Output) -> Self {
        self.ends.stdout = output;
        self
    }

    /// Where stderr goes.
    pub fn stderr(mut self, output: Output) -> Self {
        self.ends.stderr = output;
        self
    }

    /// This process's own stdin, stdout and stderr.
    pub fn process_streams(mut self) -> Self {
        self.ends = Ends::default();
        self
    }

    fn place(mut self, guest: impl Into<String>, source: Source) -> Self {
        self.data.places.push(Place { guest: guest.into(), source });
        self
    }

    /// A file or directory of the host, seen as data at the path `guest`: read lazily, written only in memory.
    pub fn mount(self, guest: impl Into<String>, host: impl Into<String>) -> Self {
        self.place(guest, Source::Mount(host.into()))
    }

    /// A file with these bytes.
    pub fn file(self, guest: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.place(guest, Source::Bytes(bytes.into()))
    }

    /// An empty directory, held in memory.
    pub fn scratch(self, guest: impl Into<String>) -> Self {
        self.place(guest, Source::Scratch)
    }

    /// A path inside that is a stream: read from `input`, written to `output`.
    pub fn stream(mut self, guest: impl Into<String>, input: Input, output: Output) -> Self {
        self.objects.push((guest.into(), Object::Stream(input, output)));
        self
    }

    /// A file whose bytes lie somewhere else and are read where they are needed.
    pub fn blob(mut self, guest: impl Into<String>, blob: Arc<dyn Blob>) -> Self {
        self.objects.push((guest.into(), Object::Blob(blob)));
        self
    }

    /// The real directory: the only way to touch the host's files.
    pub fn host_dir(self, guest: impl Into<String>, host: impl Into<String>, read_only: bool) -> Self {
        self.place(guest, Source::HostDir { host: host.into(), read_only })
    }

    /// When the program ends with code 0, this file or tree is copied out to `host`, atomically.
    pub fn save(mut self, guest: impl Into<String>, host: impl Into<std::path::PathBuf>) -> Self {
        self.saves.push(Save { guest: guest.into(), host: host.into() });
        self
    }

    /// Peers on the network.
    pub fn net(mut self, net: Net) -> Self {
        self.data.net = net;
        self
    }

    /// Where the time comes from.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.data.clock = clock;
        self
    }

    /// Where randomness comes from.
    pub fn random(mut self, random: Random) -> Self {
        self.data.random = random;
        self
    }

    /// What becomes of imports that nobody grants.
    pub fn unknown_imports(mut self, unknown: UnknownImports) -> Self {
        self.data.unknown_imports = unknown;
        self
    }

    /// Record every call that the program makes: [`Outcome::trace`](crate::Outcome::trace) has them.
    pub fn trace(mut self) -> Self {
        self.trace = true;
        self
    }

    /// A function for an import: `name` of `interface`, such as `acme:log/log@1.0.0`, or of the module of that name that a
    /// core module imports. It is called on the program's own thread; an error of it ends the program.
    pub fn function<A: FromValues, R: ToResult>(
        self,
        interface: &str,
        name: &str,
        body: impl Fn(A) -> Result<R, Error> + Send + Sync + 'static,
    ) -> Self {
        let full = format!("{interface}#{name}");
        self.raw_function(interface, name, move |_, values| {
            let args = A::from_values(values).ok_or_else(|| {
                let taken = std::any::type_name::<A>();
                Error::new(
                    Kind::Grant,
                    format!("the granted function {full} takes {taken}, and was called with {values:.200?}"),
                )
            })?;
            Ok(body(args)?.to_result().into_iter().collect())
        })
    }

    /// The same with values as they come, and with the memory of a module: where its pointers point.
    pub fn raw_function(
        mut self,
        interface: &str,
        name: &str,
        body: impl Fn(&mut Caller<'_>, &[Value]) -> Result<Vec<Value>, Error> + Send + Sync + 'static,
    ) -> Self {
        self.functions.add(interface, name, move |caller, values| body(caller, values).map_err(Error::into_engine));
        self
    }

    /// Whether anything is to be copied out.
    pub fn has_saves(&self) -> bool {
        !self.saves.is_empty()
    }

    /// What the program writes to stdout and stderr is thrown away.
    pub fn silent(mut self) -> Self {
        (self.ends.stdout, self.ends.stderr) = (Output::Discard, Output::Discard);
        self
    }

    /// The data form of these grants.
    pub fn data(&self) -> &grants::Grants {
        &self.data
    }
}
