//! Lifted programs on every caller: real programs become functions, and each call gives the same bytes from the command
//! line, from Rust, from Python, from Node.js and from a page in a headless browser.

use crate::process;
use crate::programs::{self, Runtimes};
use crate::tally::Tally;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A lifted program and calls of its function.
struct Case {
    /// The binding in `examples/lift`, or in `tests/lift`.
    name: &'static str,
    function: &'static str,
    /// Arguments as the callers take them: `=TEXT`, `%FILE`, `@FILE`, `-`; files are in `benches/programs`.
    calls: &'static [&'static [(&'static str, &'static str)]],
    /// What has to be packed first: program and share folder.
    pack: Option<(&'static str, &'static str)>,
}

const CASES: [Case; 7] = [
    Case {
        name: "resvg",
        function: "render",
        calls: &[
            &[("svg", "%resvg/figure.svg"), ("width", "-")],
            &[("svg", "=<svg xmlns='http://www.w3.org/2000/svg'/>"), ("width", "-")],
        ],
        pack: None,
    },
    Case {
        name: "flite",
        function: "speak",
        calls: &[&[("text", "=The quick brown fox jumps over the lazy dog.")]],
        pack: None,
    },
    Case {
        name: "python",
        function: "evaluate",
        calls: &[&PYTHON, &[("script", "=import sys; sys.exit(7)"), ("input", "=")]],
        pack: None,
    },
    Case {
        name: "yosys",
        function: "synthesize",
        calls: &[&[("verilog", "%yosys/counter.v"), ("top", "=counter")]],
        pack: Some(("yosys.wasm", "yosys-share")),
    },
    Case {
        name: "sqlite",
        function: "query",
        calls: &[
            &[
                ("database", "-"),
                ("sql", "=create table t(a, b); insert into t values (1, 'x'), (2, 'y'); select sum(a) from t;"),
            ],
            &[("database", "-"), ("sql", "=selct 1;")],
        ],
        pack: None,
    },
    Case {
        name: "fstest-own",
        function: "check",
        calls: &[&[("input", "=what comes in")], &[("input", "=fail")]],
        pack: None,
    },
    Case { name: "fstest-p3", function: "walk", calls: &[&[]], pack: None },
];

/// Commands whose files and streams are those of WASI 0.2 or 0.3 itself: what they give is also what they print as a command,
/// with this option.
const AS_COMMANDS: [(&str, &str, &str); 2] =
    [("fstest-own", "check(input: \"\")", "--scratch=/w"), ("fstest-p3", "walk()", "--scratch=/")];

const PYTHON: [(&str, &str); 2] = [
    (
        "script",
        "=import json, random, sys, time; print(json.dumps([sys.stdin.read(), random.random(), time.time(), sys.argv]))",
    ),
    ("input", "=what comes in"),
];

/// Who calls.
struct Caller {
    name: &'static str,
    /// Why it cannot be used on this machine.
    missing: Option<String>,
    /// The start of the command; the component (or its transpiled form), the function and the arguments follow.
    command: Box<dyn Fn() -> Command>,
    transpiled: bool,
}

/// `cargo xtask lifted`: the named programs, or all.
pub fn run(root: &Path, names: &[&str]) -> Result<bool> {
    programs::check_names("lifted program", names, CASES.iter().map(|case| case.name))?;
    Ok(compare(root, names)?.failed == 0)
}

/// All programs that are there.
pub fn compare_all(root: &Path) -> Result<Tally> {
    compare(root, &[])
}

fn compare(root: &Path, names: &[&str]) -> Result<Tally> {
    let runtimes = Runtimes::find(root, "dev")?;
    let mut tally = Tally::default();
    let mut callers = Vec::new();
    for caller in callers_of(root)? {
        match &caller.missing {
            Some(why) => {
                println!("skipped: {}: {why}", caller.name);
                tally.skipped += 1;
            }
            None => callers.push(caller),
        }
    }
    for case in CASES.iter().filter(|case| names.is_empty() || names.contains(&case.name)) {
        let began = std::time::Instant::now();
        match lift(root, &runtimes, case)? {
            None => {
                println!("skipped: {}: its program is not in .programs: run scripts/programs.sh", case.name);
                tally.skipped += 1;
            }
            Some(component) => {
                for (caller, found) in differences(root, &runtimes, case, &component, &callers)? {
                    tally.add(Tally::of(found.is_empty()));
                    if !found.is_empty() {
                        println!("lifted {} from {caller} ... FAILED\n    {}", case.name, found.join("\n    "));
                    }
                }
                println!("lifted {} called, {:.1} s", case.name, began.elapsed().as_secs_f64());
            }
        }
    }
    if names.is_empty() && callers.iter().any(|caller| caller.transpiled) {
        let wrong = streams(root, &runtimes)?;
        tally.add(Tally::of(wrong.is_none()));
        match wrong {
            None => println!("lifted streams of wasi:io called from Node.js"),
            Some(wrong) => println!("lifted streams of wasi:io from Node.js ... FAILED\n    {wrong}"),
        }
    }
    println!("callers: weir call, {}", callers.iter().map(|caller| caller.name).collect::<Vec<_>>().join(", "));
    Ok(tally)
}

/// A filter with streams of wasi:io in Node.js, whose streams are made by the caller; what is wrong with it.
fn streams(root: &Path, runtimes: &Runtimes) -> Result<Option<String>> {
    let folder = runtimes.cache.join("lifted/streams");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let component = folder.join("copy.wasm");
    let binding = root.join("tests/cli/lift/flow-io.lift.toml");
    process::text(runtimes.weir_command("lift").arg(binding).arg("-o").arg(&component))?;
    let maps = ["streams", "poll", "error"].map(|name| format!("--map=wasi:io/{name}=./io.mjs#{name}"));
    let module = transpile(&component, &maps)?;
    fs::copy(root.join("tests/lift/io.mjs"), module.with_file_name("io.mjs"))?;
    let node = crate::portable::newest(&programs::cache().join("engines"), "node-", "bin/node").context("no node")?;
    let script = root.join("tests/lift/streams.mjs");
    let output = process::kept(Command::new(node).arg(script).arg(module).env_remove("NODE_OPTIONS"))?;
    let right = output.status.success() && output.stdout == b"streams flow\n";
    Ok((!right).then(|| format!("{}: {}", output.status, programs::tail(&output.stderr))))
}

/// The component of a case; `None` if its program was not fetched.
fn lift(root: &Path, runtimes: &Runtimes, case: &Case) -> Result<Option<PathBuf>> {
    let programs = root.join(".programs");
    if let Some((program, share)) = case.pack {
        let (program, share) = (programs.join(program), programs.join(share));
        if !program.exists() || !share.exists() {
            return Ok(None);
        }
        let mount = programs::pair("/share", &share);
        let out = programs.join(format!("{}-pack.wasm", case.name));
        let mut command = runtimes.weir_command("pack");
        process::text(command.arg(&program).args(["--mount", &mount, "--compress", "lz4"]).arg("-o").arg(out))?;
    }
    let folders = ["examples/lift", "tests/lift"];
    let mut bindings = folders.map(|folder| root.join(folder).join(format!("{}.lift.toml", case.name))).into_iter();
    let binding = bindings.find(|binding| binding.exists()).context("the case has no binding")?;
    let text = fs::read_to_string(&binding).with_context(|| format!("cannot read {}", binding.display()))?;
    let program = text.lines().find_map(|line| line.strip_prefix("program = \"")?.strip_suffix('"'));
    let program = binding.with_file_name(program.context("the binding names no program")?);
    if !program.exists() {
        return Ok(None);
    }
    let folder = runtimes.cache.join("lifted").join(case.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let component = folder.join(format!("{}.wasm", case.name));
    process::text(runtimes.weir_command("lift").arg(&binding).arg("-o").arg(&component))?;
    Ok(Some(component))
}

fn callers_of(root: &Path) -> Result<Vec<Caller>> {
    let engines = programs::cache().join("engines");
    let find = |prefix: &str, file: &str| crate::portable::newest(&engines, prefix, file);
    let (node, python) = (find("node-", "bin/node"), find("python-wasmtime-", "bin/python"));
    let jco = find("jco-", "node_modules/.bin/jco");
    let chromium = crate::portable::on_path("chromium");
    let tests = root.join("tests/lift");
    let without =
        |there: bool, name: &str| (!there).then(|| format!("is not on this machine: run scripts/engines.sh {name}"));
    let starts = |program: Option<PathBuf>, words: Vec<PathBuf>| -> Box<dyn Fn() -> Command> {
        let program = program.unwrap_or_else(|| "missing".into());
        Box::new(move || {
            let mut command = Command::new(&program);
            command.args(&words).env_remove("NODE_OPTIONS");
            command
        })
    };
    let js = node.is_some() && jco.is_some();
    let browser = js && chromium.is_some();
    let example = example(root)?;
    Ok(vec![
        Caller { name: "Rust", missing: None, command: starts(Some(example), vec![]), transpiled: false },
        Caller {
            name: "Python",
            missing: without(python.is_some(), "python"),
            command: starts(python, vec![tests.join("call.py")]),
            transpiled: false,
        },
        Caller {
            name: "Node.js",
            missing: without(js, "node jco"),
            command: starts(node.clone(), vec![tests.join("node.mjs")]),
            transpiled: true,
        },
        Caller {
            name: "Chromium",
            missing: without(browser, "node jco chromium"),
            command: starts(node, vec![tests.join("browser.mjs"), chromium.unwrap_or_default()]),
            transpiled: true,
        },
    ])
}

/// The example of `weir-engine`, built.
fn example(root: &Path) -> Result<PathBuf> {
    // The packages that the tests are built with together, so that wasmtime is not compiled once more.
    let packages = ["--package=weir", "--package=weir-cli", "--package=weir-engine", "--package=weir-testkit"];
    let words = ["build", "--quiet", "--locked", "--example=call", "--message-format=json"];
    let messages = process::text(process::cargo(root).args(words).args(packages))?;
    let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let path = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    path.context("cargo names no example")
}

/// What is wrong with each caller, against the one from Rust; and of that, against the command line.
fn differences(
    root: &Path,
    runtimes: &Runtimes,
    case: &Case,
    component: &Path,
    callers: &[Caller],
) -> Result<Vec<(&'static str, Vec<String>)>> {
    let module = if callers.iter().any(|caller| caller.transpiled) { Some(transpile(component, &[])?) } else { None };
    let mut all: Vec<(&'static str, Vec<String>)> = callers.iter().map(|caller| (caller.name, Vec::new())).collect();
    let mut of_cli = Vec::new();
    for (number, call) in case.calls.iter().enumerate() {
        let args: Vec<String> = call.iter().map(|(_, arg)| on_disk(root, arg)).collect();
        let mut first: Option<Output> = None;
        for (caller, (_, found)) in callers.iter().zip(&mut all) {
            let target = if caller.transpiled { module.as_deref().unwrap_or(component) } else { component };
            let output = process::kept((caller.command)().arg(target).arg(case.function).args(&args))?;
            if !output.status.success() {
                found.push(format!("call {number}: {}: {}", output.status, programs::tail(&output.stderr)));
            } else if let Some(first) = &first
                && first.stdout != output.stdout
            {
                found.push(format!("call {number}: {}", programs::first_difference(&output.stdout, &first.stdout)));
            }
            first.get_or_insert(output);
        }
        let lines = first.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        of_cli.extend(cli_difference(root, runtimes, case, component, number, &lines)?);
    }
    for (name, call, option) in AS_COMMANDS.iter().filter(|(name, ..)| *name == case.name) {
        of_cli.extend(command_difference(root, runtimes, component, [name, call, option])?);
    }
    all.push(("weir call", of_cli));
    Ok(all)
}

/// What a function gives against what its program prints as a command.
fn command_difference(
    root: &Path,
    runtimes: &Runtimes,
    component: &Path,
    [name, call, option]: [&str; 3],
) -> Result<Option<String>> {
    let program = root.join(".programs/guests").join(format!("{name}.wasm"));
    let mut command = runtimes.weir();
    let printed = process::text(command.arg(option).arg(program).stdin(std::process::Stdio::null()))?;
    let given = process::text(runtimes.weir_command("call").arg(component).arg(call))?;
    let same = given.trim_end() == printed.trim_end() && !printed.is_empty();
    Ok((!same).then(|| programs::first_difference(given.as_bytes(), printed.as_bytes())))
}

/// `weir call` against the lines of the other callers.
fn cli_difference(
    root: &Path,
    runtimes: &Runtimes,
    case: &Case,
    component: &Path,
    number: usize,
    lines: &str,
) -> Result<Option<String>> {
    let folder = component.with_file_name("parts");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let args = case.calls[number].iter().map(|(name, arg)| format!("{name}: {}", wave(&on_disk(root, arg))));
    let call = format!("{}({})", case.function, args.collect::<Vec<_>>().join(", "));
    let output = process::kept(runtimes.weir_command("call").arg(component).arg(&call).arg("-o").arg(folder.join("")))?;
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "failure" {
            let message = words[2..].join(" ");
            if !String::from_utf8_lossy(&output.stderr).contains(&message) || output.status.code() != Some(1) {
                wrong.push(format!("{}, not the failure {message:?}", output.status));
            }
            continue;
        }
        let bytes = fs::read(folder.join(words[0])).unwrap_or_default();
        let sum = process::text(Command::new("sha256sum").arg(folder.join(words[0]))).unwrap_or_default();
        if !sum.starts_with(words[1]) || bytes.len().to_string() != words[2] {
            wrong.push(format!("{} has {} bytes and other ones than {line:?}", words[0], bytes.len()));
        }
    }
    if lines.is_empty() {
        wrong.push("nothing was called, so nothing is proved".into());
    }
    let stderr = programs::tail(&output.stderr);
    Ok((!wrong.is_empty()).then(|| format!("call {number}: {}; {stderr}", wrong.join(", "))))
}

/// An argument with its file where it is.
fn on_disk(root: &Path, arg: &str) -> String {
    match arg.split_at(1) {
        (kind @ ("%" | "@"), file) => format!("{kind}{}", root.join("benches/programs").join(file).display()),
        _ => arg.into(),
    }
}

/// An argument as WAVE.
fn wave(arg: &str) -> String {
    match arg.split_at(1) {
        ("=", text) => format!("{text:?}"),
        ("-", "") => "none".into(),
        (_, file) => format!("@{file}"),
    }
}

/// The component as a module of JavaScript.
fn transpile(component: &Path, words: &[String]) -> Result<PathBuf> {
    let engines = programs::cache().join("engines");
    let node = crate::portable::newest(&engines, "node-", "bin/node").context("no node")?;
    let jco = crate::portable::newest(&engines, "jco-", "node_modules/.bin/jco").context("no jco")?;
    let folder = component.with_file_name("transpiled");
    let mut command = Command::new(node);
    command.arg(jco).arg("transpile").args(["--bindgen-enable-wasm-exnref", "--multi-memory", "--quiet"]);
    process::text(command.args(words).arg(component).arg("-o").arg(&folder))?;
    let name = component.file_stem().context("a component without a name")?;
    Ok(folder.join(name).with_extension("js"))
}
