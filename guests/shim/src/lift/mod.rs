//! A lifted program: one call of its function is one run of the program.
//!
//! The linker makes the function's core wrapper, which leaves the parameters in [`lift_slots`] and calls
//! [`lift_call`]. That lays out files, arguments and stdin as the record says, starts the program, and makes the
//! result of what it left. A program can be started once per instance: its own state is used up by that.

mod arena;
mod flow;
mod inside;
mod io;
mod library;
mod p2;
mod p3;
mod values;

pub use arena::Arena;

use crate::packed;
use crate::state::{Single, process};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use values::{Value, from_flat, from_memory, to_memory};
use weir_vfs::image::{BootNode, Image, NodeKind, Preopen, PreopenTarget};
use weir_vfs::lift::{Arguments, Case, Early, Function, Input, Origin, Part, Type};
use weir_vfs::{BlobId, Errno, FileType, NodeId, Times};

mod linked {
    #[link(wasm_import_module = "weir:lift")]
    unsafe extern "C" {
        /// Runs the program until it returns or exits; not 0 if it says that it failed.
        pub safe fn start() -> u32;
        /// What it exited with; -1 if it returned.
        pub safe fn exit_code() -> i64;
    }
}

/// Core values of parameters at most: more come in memory.
const SLOTS: usize = 16;
/// Bytes of stderr that are kept where it is no part of the result: enough for a message.
const STDERR_KEPT: usize = 64 << 10;

static SLOT_VALUES: Single<[u64; SLOTS]> = Single(UnsafeCell::new([0; SLOTS]));

/// What an asynchronous function gives.
static RETURNED: Single<[u64; SLOTS]> = Single(UnsafeCell::new([0; SLOTS]));

/// A stream that the program writes.
struct Written {
    bytes: Vec<u8>,
    max: usize,
}

/// What the run under way is served from.
struct State {
    image: Option<Image>,
    files: Vec<&'static [u8]>,
    args: Vec<Vec<u8>>,
    env: Vec<Vec<u8>>,
    stdin: &'static [u8],
    stdout: Written,
    stderr: Written,
    random: u64,
    used: bool,
}

static STATE: Single<State> = Single(UnsafeCell::new(State {
    image: None,
    files: Vec::new(),
    args: Vec::new(),
    env: Vec::new(),
    stdin: &[],
    stdout: Written { bytes: Vec::new(), max: usize::MAX },
    stderr: Written { bytes: Vec::new(), max: STDERR_KEPT },
    random: 0,
    used: false,
}));

impl State {
    #[allow(clippy::mut_from_ref, reason = "one thread; taken once per call from outside")]
    fn get() -> &'static mut State {
        // SAFETY: see `Single`.
        unsafe { &mut *STATE.0.get() }
    }
}

/// What the parameters make the tree begin with.
pub fn image() -> Option<Image> {
    State::get().image.take()
}

/// Where the wrapper puts the core values of the parameters, eight bytes for each.
#[unsafe(export_name = "lift:slots")]
extern "C" fn lift_slots() -> u32 {
    SLOT_VALUES.0.get() as u32
}

/// The canonical ABI's allocation.
#[unsafe(export_name = "lift:realloc")]
extern "C" fn lift_realloc(old: *mut u8, old_len: usize, align: usize, len: usize) -> *mut u8 {
    use alloc::alloc::{Layout, alloc, realloc};
    let Ok(layout) = Layout::from_size_align(if old_len == 0 { len } else { old_len }, align) else {
        core::arch::wasm32::unreachable()
    };
    if len == 0 {
        return align as *mut u8;
    }
    // SAFETY: the layout is not empty; `old` came from here with the size and the alignment that are said.
    let new = unsafe { if old_len == 0 { alloc(layout) } else { realloc(old, layout, len) } };
    if new.is_null() {
        core::arch::wasm32::unreachable()
    }
    new
}

/// Why a call has no result.
struct Failure {
    exit_code: u32,
    message: String,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { exit_code: 0, message: message.into() }
    }
}

/// What the linker has written into the module.
fn function() -> Function {
    match packed::entry_bytes().ok().and_then(|bytes| Function::decode(&bytes)) {
        Some(function) => function,
        // A damaged module.
        None => core::arch::wasm32::unreachable(),
    }
}

/// Calls the function with what is in the slots; gives where the result is.
#[unsafe(export_name = "lift:call")]
extern "C" fn lift_call() -> u32 {
    let function = function();
    let result = prepare(&function).and_then(|()| run(&function));
    let (ty, value) = outcome(&function, result);
    let at = to_memory(&ty, &value);
    // The instance ends with the call, or begins anew: nothing has to be given back piece by piece.
    core::mem::forget((function, ty, value));
    match at {
        Some(at) => at,
        None => core::arch::wasm32::unreachable(),
    }
}

/// The `result` of a call.
fn outcome(function: &Function, result: Result<Value, Failure>) -> (Type, Value) {
    let failure = Type::Record(alloc::vec![Type::Unsigned(4), Type::Text, Type::Text]);
    let nothing = matches!(&function.result, Type::Record(fields) if fields.is_empty());
    let ok = if nothing { None } else { Some(function.result.clone()) };
    let case = |name: &str, ty: Option<Type>| Case { name: name.into(), ty };
    let ty = Type::Variant(alloc::vec![case("ok", ok), case("err", Some(failure))]);
    let value = match result {
        Ok(_) if nothing => Value::Variant(0, String::new(), None),
        Ok(value) => Value::Variant(0, String::new(), Some(Box::new(value))),
        Err(failure) => {
            let stderr = String::from_utf8_lossy(&State::get().stderr.bytes).into_owned();
            let fields = [
                Value::Unsigned(u64::from(failure.exit_code)),
                Value::Text(failure.message.leak()),
                Value::Text(stderr.leak()),
            ];
            Value::Variant(1, String::new(), Some(Box::new(Value::Record(fields.into()))))
        }
    };
    (ty, value)
}

/// Makes of the parameters what the program is going to ask for.
fn prepare(function: &Function) -> Result<(), Failure> {
    let state = State::get();
    if core::mem::replace(&mut state.used, true) {
        return Err(Failure::new("this instance was called before: make an instance for each call"));
    }
    let params = params(function).ok_or_else(|| Failure::new("the parameters are not what the function takes"))?;
    let done = lay_out(function, &params);
    core::mem::forget(params);
    done
}

/// Runs the program, and makes the result of what it left.
fn run(function: &Function) -> Result<Value, Failure> {
    let failed = linked::start();
    let exit_code = u32::try_from(linked::exit_code()).unwrap_or(failed);
    if exit_code != 0 && !function.exit_codes.contains(&exit_code) {
        return Err(Failure { exit_code, message: format!("the program ended with exit code {exit_code}") });
    }
    result(function, exit_code).map_err(|message| Failure { exit_code, message })
}

fn params(function: &Function) -> Option<Vec<Value>> {
    // SAFETY: see `Single`; the wrapper has filled the slots.
    let slots = unsafe { &*SLOT_VALUES.0.get() };
    if function.spilled {
        let all = from_memory(&Type::Record(function.params.clone()), slots[0] as u32)?;
        return match all {
            Value::Record(values) => Some(values),
            _ => None,
        };
    }
    let mut slots = &slots[..];
    function.params.iter().map(|ty| from_flat(ty, &mut slots)).collect()
}

fn find<'v>(params: &'v [Value], place: &[u32]) -> Option<&'v Value> {
    let (first, fields) = place.split_first()?;
    params.get(*first as usize)?.at(fields)
}

fn lay_out(function: &Function, params: &[Value]) -> Result<(), Failure> {
    let state = State::get();
    add_arguments(&function.args, params, None, &mut state.args)?;
    for (name, parts) in &function.env {
        if let Some(value) = text(parts, params, None)? {
            state.env.push(no_nul(format!("{name}={value}"))?);
        }
    }
    if let Some(place) = &function.stdin {
        match find(params, place).and_then(Value::present) {
            Some(Value::Handle(stream)) => flow::reads_stdin(*stream),
            value => state.stdin = value.and_then(Value::bytes).unwrap_or_default(),
        }
    }
    if function.outputs.iter().any(|output| output.from == Origin::Stderr) {
        state.stderr.max = usize::MAX;
    }
    for (place, from) in &function.sinks {
        if let Some(Value::Handle(stream)) = find(params, place).and_then(Value::present) {
            flow::writes(*stream, from);
        }
    }
    let root = Preopen { name: "/".into(), target: PreopenTarget::Tree(String::new()) };
    let mut image = Image { preopens: alloc::vec![root], ..Image::default() };
    for input in &function.inputs {
        add_input(input, params, &mut image, &mut state.files)?;
    }
    for (path, stream) in flow::written_files() {
        image.nodes.push(node(path, NodeKind::Stream(stream)));
    }
    // A program finds the directory of what it is to write.
    let early = function.early.iter().filter_map(|early| match early {
        Early::Flow(from) => Some(from),
        Early::Result => None,
    });
    let sinks = function.sinks.iter().map(|(_, from)| from);
    let written = function.outputs.iter().map(|output| &output.from).chain(early).chain(sinks);
    let written = written.filter_map(|from| match from {
        Origin::Directory(path) => Some(path.as_str()),
        Origin::File(path) => path.rsplit_once('/').map(|(parent, _)| parent),
        _ => None,
    });
    for path in written.chain(function.scratch.iter().map(String::as_str)) {
        if !image.nodes.iter().any(|node| node.path == path) {
            image.nodes.push(node(path, NodeKind::Directory(None)));
        }
    }
    state.image = Some(image);
    // Names come from the caller, and may be such that no tree has them all.
    crate::state::begin().map_err(|errno| {
        let why = if matches!(errno, Errno::Notdir | Errno::Isdir) { "one lies below another" } else { errno.words() };
        Failure::new(format!("the files that were given cannot all be there: {why} ({})", errno.name()))
    })
}

fn node(path: &str, kind: NodeKind) -> BootNode {
    BootNode { path: path.into(), times: Times::default(), read_only: false, kind }
}

fn add_input(
    input: &Input,
    params: &[Value],
    image: &mut Image,
    files: &mut Vec<&'static [u8]>,
) -> Result<(), Failure> {
    let Some(value) = find(params, &input.place).and_then(Value::present) else { return Ok(()) };
    let mut file = |path: &str, bytes: &'static [u8]| {
        files.push(bytes);
        let kind = NodeKind::File { blob: BlobId(files.len() as u32), offset: 0, size: bytes.len() as u64 };
        image.nodes.push(node(path, kind));
    };
    if let Value::Handle(stream) = value {
        image.nodes.push(node(&input.path, NodeKind::Stream(flow::reads_file(*stream))));
        return Ok(());
    }
    if !input.directory {
        file(&input.path, value.bytes().unwrap_or_default());
        return Ok(());
    }
    let Value::List(items) = value else { return Ok(()) };
    let mut all = Vec::new();
    for item in items {
        let (Some(name), Some(bytes)) = (item.at(&[0]).and_then(Value::text), item.at(&[1]).and_then(Value::bytes))
        else {
            continue;
        };
        if name.contains('\0') || name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(Failure::new(format!("{name:?} is no name of a file in /{}", input.path)));
        }
        all.push((format!("{}/{name}", input.path), bytes));
    }
    all.iter().for_each(|(path, bytes)| file(path, bytes));
    image.nodes.push(node(&input.path, NodeKind::Directory(None)));
    Ok(())
}

fn no_nul(text: String) -> Result<Vec<u8>, Failure> {
    if text.contains('\0') {
        return Err(Failure::new(format!("{text:?} has a NUL character, which no argument or variable can have")));
    }
    Ok(text.into_bytes())
}

/// The text of parts; `None` where one of them is not there.
fn text(parts: &[Part], params: &[Value], item: Option<&Value>) -> Result<Option<String>, Failure> {
    let mut all = String::new();
    for part in parts {
        let value = match part {
            Part::Text(words) => {
                all.push_str(words);
                continue;
            }
            Part::Value(place) => find(params, place),
            Part::Item => item,
        };
        match value.and_then(Value::present) {
            None => return Ok(None),
            Some(value) => match value.text() {
                Some(words) => all.push_str(&words),
                None => return Err(Failure::new("a value that is put into an argument is no text")),
            },
        }
    }
    Ok(Some(all))
}

fn add_arguments(
    list: &[Arguments],
    params: &[Value],
    item: Option<&Value>,
    out: &mut Vec<Vec<u8>>,
) -> Result<(), Failure> {
    for arguments in list {
        match arguments {
            Arguments::One(parts) => {
                if let Some(words) = text(parts, params, item)? {
                    out.push(no_nul(words)?);
                }
            }
            Arguments::If { when, then, otherwise } => {
                let given = find(params, when).is_some_and(Value::given);
                add_arguments(if given { then } else { otherwise }, params, item, out)?;
            }
            Arguments::Each { of, then } => {
                let items = match find(params, of).and_then(Value::present) {
                    Some(Value::List(items)) => items.as_slice(),
                    _ => &[],
                };
                for item in items {
                    add_arguments(then, params, Some(item), out)?;
                }
            }
        }
    }
    Ok(())
}

/// The result, of what the program left.
fn result(function: &Function, exit_code: u32) -> Result<Value, String> {
    let Type::Record(fields) = &function.result else {
        return match function.outputs.first() {
            Some(output) => part(&output.from, &function.result, exit_code),
            None => Ok(Value::Record(Vec::new())),
        };
    };
    let mut values = Vec::new();
    for (number, ty) in fields.iter().enumerate() {
        let output = function.outputs.iter().find(|output| output.field == Some(number as u32));
        let output = output.ok_or("the binding gives a part of the result no value")?;
        values.push(part(&output.from, ty, exit_code)?);
    }
    Ok(Value::Record(values))
}

fn part(from: &Origin, ty: &Type, exit_code: u32) -> Result<Value, String> {
    // An option is absent where the program wrote nothing.
    if let Type::Variant(cases) = ty
        && let [_, Case { ty: Some(inside), .. }] = cases.as_slice()
    {
        return Ok(match part(from, inside, exit_code) {
            Ok(value) => Value::Variant(1, String::new(), Some(Box::new(value))),
            Err(_) => Value::Variant(0, String::new(), None),
        });
    }
    match from {
        Origin::ExitCode => Ok(Value::Unsigned(u64::from(exit_code))),
        Origin::Stdout => contents(core::mem::take(&mut State::get().stdout.bytes), ty, "stdout"),
        Origin::Stderr => contents(core::mem::take(&mut State::get().stderr.bytes), ty, "stderr"),
        Origin::File(path) => contents(read_file(path)?, ty, path),
        Origin::Directory(path) => directory(path, ty),
    }
}

fn contents(bytes: Vec<u8>, ty: &Type, name: &str) -> Result<Value, String> {
    if *ty != Type::Text {
        return Ok(Value::Bytes(bytes.leak()));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8, so it is no string"))?;
    Ok(Value::Text(text.leak()))
}

fn look_up(path: &str) -> Result<NodeId, String> {
    let vfs = &mut process().vfs;
    vfs.resolve(vfs.root(), path, true).map_err(|errno| match errno {
        Errno::Noent => format!("the program did not write /{path}"),
        errno => format!("/{path}: {}", errno.name()),
    })
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let node = look_up(path)?;
    read_node(node).map_err(|errno| format!("/{path}: {}", errno.name()))
}

fn read_node(node: NodeId) -> Result<Vec<u8>, Errno> {
    let vfs = &mut process().vfs;
    let size = usize::try_from(vfs.size(node)?).map_err(|_| Errno::Fbig)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| Errno::Nomem)?;
    bytes.resize(size, 0);
    let mut done = 0;
    while done < size {
        match vfs.load_at(node, done as u64, &mut bytes[done..])? {
            0 => return Err(Errno::Io),
            read => done += read,
        }
    }
    Ok(bytes)
}

/// All files of a directory, with their paths in it.
fn directory(path: &str, ty: &Type) -> Result<Value, String> {
    let Type::List(item) = ty else { return Err(format!("/{path} is a directory, and the result is no list")) };
    let Type::Record(pair) = &**item else { return Err(format!("/{path}: the list does not hold pairs")) };
    let contents_ty = pair.get(1).ok_or("the list does not hold pairs")?;
    let mut found = Vec::new();
    let mut work = alloc::vec![(String::new(), look_up(path)?)];
    let failed = |errno: Errno| format!("/{path}: {}", errno.name());
    while let Some((prefix, node)) = work.pop() {
        let mut cookie = 0;
        while let Some(entry) = process().vfs.read_dir(node, cookie).map_err(failed)? {
            cookie = entry.next;
            if matches!(&*entry.name, "." | "..") {
                continue;
            }
            let name = format!("{prefix}{}", entry.name);
            match process().vfs.kind(entry.node).map_err(failed)? {
                FileType::Directory => work.push((format!("{name}/"), entry.node)),
                FileType::File => found.push((name, entry.node)),
                _ => {}
            }
        }
    }
    found.sort();
    let mut items = Vec::new();
    for (name, node) in found {
        let bytes = read_node(node).map_err(failed)?;
        let value = contents(bytes, contents_ty, &name)?;
        items.push(Value::Record(alloc::vec![Value::Text(name.leak()), value]));
    }
    Ok(Value::List(items))
}
