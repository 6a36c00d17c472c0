//! Real programs, and some of ours, run twice: under `weir run` with their files as data, and under the
//! stock `wasmtime` command line with the host's directories. Both must print and write the same bytes.
//!
//! The inputs lie in `benches/programs/NAME`, which the program sees as `/w`; the benchmarks time the same runs.

use crate::process;
use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One run of a program.
pub struct Case {
    /// Also the folder of its inputs.
    pub name: &'static str,
    /// In `.programs`.
    pub program: &'static str,
    /// Folders of `.programs` that it reads, and where it expects them.
    pub data: &'static [(&'static str, &'static str)],
    /// Folders of its inputs that it expects elsewhere, too.
    pub folders: &'static [(&'static str, &'static str)],
    pub args: &'static [&'static str],
    /// Files that it writes into `/w`.
    pub outputs: &'static [&'static str],
    /// Empty folders that it needs.
    pub scratch: &'static [&'static str],
    /// What only the stock command line must be told.
    pub stock_options: &'static [&'static str],
}

/// A run of a program that writes nothing and reads no folder but `/w`.
const fn plain(name: &'static str, program: &'static str, args: &'static [&'static str]) -> Case {
    Case { name, program, data: &[], folders: &[], args, outputs: &[], scratch: &[], stock_options: &[] }
}

/// Options without which the stock command line refuses WASI 0.3.
pub const WASI_03: &[&str] = &["-S", "p3", "-W", "component-model-async=y"];

/// Real programs, from short to long.
pub const REAL: [Case; 11] = [
    // A module that exports `_initialize` and, under the empty name, its entry.
    Case {
        outputs: &["out.json", "out.iwi.cbor"],
        ..plain("png-read-image", "png-read-image.wasm", &["/w/gradient.png", "/w/out.json", "/w/out.iwi.cbor"])
    },
    // The names of its temporary files come from a device, which is a file here.
    Case {
        outputs: &["out.gbr"],
        folders: &[("dev", "/dev")],
        scratch: &["/tmp"],
        ..plain("svg-flatten", "svg-flatten.wasm", &["--no-usvg", "/w/plate.svg", "/w/out.gbr"])
    },
    Case { outputs: &["out.png"], ..plain("resvg", "resvg.wasm", &["/w/figure.svg", "/w/out.png"]) },
    Case { outputs: &["out.svg"], ..plain("usvg", "usvg.wasm", &["/w/figure.svg", "/w/out.svg"]) },
    Case { outputs: &["out.wav"], ..plain("flite", "flite.wasm", &["-f", "/w/speech.txt", "-o", "/w/out.wav"]) },
    Case { outputs: &["out.txt"], ..plain("quickjs", "quickjs.wasm", &["-m", "/w/main.js"]) },
    Case { outputs: &["out.db", "out.csv"], ..plain("sqlite", "sqlite3.wasm", &["/w/out.db", ".read /w/main.sql"]) },
    plain("python-start", "python.wasm", &["-c", "print('hello')"]),
    Case { outputs: &["out.json", "out.db"], ..plain("python", "python.wasm", &["/w/main.py"]) },
    Case {
        data: &[("yosys-share", "/share")],
        outputs: &["out.json", "out.blif", "out.v"],
        scratch: &["/tmp"],
        ..plain("yosys", "yosys.wasm", &["-q", "-s", "/w/main.ys"])
    },
    Case { outputs: &["out.s"], ..plain("cc1", "cc1.wasm", &["-quiet", "-O2", "/w/main.c", "-o", "/w/out.s"]) },
];

/// Our own programs, which use files in the ways of five languages and print what they see.
pub const OURS: [Case; 7] = [
    plain("fstest-c", "guests/fstest-c.wasm", &["/w"]),
    plain("fstest-cpp", "guests/fstest-cpp.wasm", &["/w"]),
    plain("fstest-rust", "guests/fstest-rust.wasm", &["/w"]),
    plain("fstest-go", "guests/fstest-go.wasm", &["/w"]),
    plain("fstest-p2", "guests/fstest-p2.wasm", &["/w"]),
    plain("fstest-own", "guests/fstest-own.wasm", &[]),
    Case { stock_options: WASI_03, ..plain("fstest-p3", "guests/fstest-p3.wasm", &["/w"]) },
];

/// The two runtimes.
#[derive(Clone)]
pub struct Runtimes {
    pub weir: PathBuf,
    pub wasmtime: PathBuf,
    /// Where both keep compiled code.
    pub cache: PathBuf,
}

impl Runtimes {
    /// weir as built by `cargo build` with `profile`, and the stock command line that `scripts/tools.sh` installs.
    ///
    /// # Errors
    /// weir does not build. The stock command line may be missing: ask [`Runtimes::stock_is_there`].
    pub fn find(root: &Path, profile: &str) -> Result<Self> {
        let built = process::shown(process::cargo(root).args([
            "build",
            "--quiet",
            "--locked",
            "--package=weir",
            "--profile",
            profile,
        ]))?;
        if !built {
            bail!("weir does not build");
        }
        let metadata =
            process::text(process::cargo(root).args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let target = PathBuf::from(metadata["target_directory"].as_str().context("cargo names no target directory")?);
        let folder = if profile == "dev" { "debug" } else { profile };
        let wasmtime = stock(&tools()).unwrap_or_else(|| tools().join("wasmtime"));
        Ok(Self { weir: target.join(folder).join("weir"), wasmtime, cache: target.join("program-cache") })
    }

    /// Whether there is something to compare with.
    pub fn stock_is_there(&self) -> bool {
        self.wasmtime.exists()
    }

    /// `weir run`, with its cache apart from the user's.
    pub fn weir(&self) -> Command {
        self.weir_command("run")
    }

    /// Another of weir's commands, in the same way.
    pub fn weir_command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.weir);
        command.arg(name).env("WEIR_CACHE_DIR", self.cache.join("weir")).env_remove("RUST_BACKTRACE");
        command
    }

    /// The stock command line with its cache on, apart from the user's.
    pub fn stock(&self) -> Command {
        let mut command = Command::new(&self.wasmtime);
        command
            .args(["run", "-C", "cache=y"])
            .env("XDG_CACHE_HOME", self.cache.join("stock"))
            .env_remove("RUST_BACKTRACE");
        command
    }
}

/// Where the scripts keep what they download and install.
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/weir");
    std::env::var_os("WEIR_CACHE").map_or_else(home, PathBuf::from)
}

/// The folder in which `scripts/tools.sh` installs.
pub fn tools() -> PathBuf {
    cache().join("tools/v")
}

/// The program itself: the `wasmtime` on the path of those tools is a script that starts Python first.
fn stock(tools: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(tools.join("lib")).ok()?.flatten();
    versions.map(|folder| folder.path().join("site-packages/wasmtime_cli/wasmtime")).find(|path| path.exists())
}

impl Case {
    /// Whether its program was fetched.
    pub fn is_there(&self, root: &Path) -> bool {
        let mut needed = std::iter::once(self.program).chain(self.data.iter().map(|(folder, _)| *folder));
        needed.all(|name| root.join(".programs").join(name).exists())
    }

    /// The run under weir: `work` is mounted, and what is written is saved into `saved`.
    pub fn weir(&self, root: &Path, runtimes: &Runtimes, work: &Path, saved: Option<&Path>) -> Command {
        let programs = root.join(".programs");
        let mut command = runtimes.weir();
        command.arg("--mount").arg(pair("/w", work));
        for (folder, guest) in self.data {
            command.arg("--mount").arg(pair(guest, &programs.join(folder)));
        }
        for (folder, guest) in self.folders {
            command.arg("--mount").arg(pair(guest, &work.join(folder)));
        }
        for guest in self.scratch {
            command.arg("--scratch").arg(guest);
        }
        for name in self.outputs.iter().filter(|_| saved.is_some()) {
            command.arg("--save").arg(pair(&format!("/w/{name}"), &saved.unwrap_or(work).join(name)));
        }
        command.arg(programs.join(self.program)).args(self.args);
        command
    }

    /// The run under stock wasmtime, which writes into `work`. Its empty folders are made beside that.
    pub fn stock(&self, root: &Path, runtimes: &Runtimes, work: &Path) -> Result<Command> {
        let programs = root.join(".programs");
        let mut command = runtimes.stock();
        command.args(self.stock_options).arg("--dir").arg(format!("{}::/w", work.display()));
        for (folder, guest) in self.data {
            command.arg("--dir").arg(format!("{}::{guest}", programs.join(folder).display()));
        }
        for (folder, guest) in self.folders {
            command.arg("--dir").arg(format!("{}::{guest}", work.join(folder).display()));
        }
        for guest in self.scratch {
            let folder = work.with_extension(guest.trim_start_matches('/'));
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            command.arg("--dir").arg(format!("{}::{guest}", folder.display()));
        }
        command.arg(programs.join(self.program)).args(self.args);
        Ok(command)
    }

    /// A fresh copy of the inputs in `folder`.
    pub fn lay_out(&self, root: &Path, folder: &Path) -> Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        copy_tree(&root.join("benches/programs").join(self.name), folder)
    }
}

/// `GUEST=HOST`, as grants are written.
pub fn pair(guest: &str, host: &Path) -> String {
    format!("{guest}={}", host.display())
}

/// `cargo xtask programs`: compares the named programs, or all.
pub fn run(root: &Path, names: &[&str]) -> Result<bool> {
    check_names("program run", names, REAL.iter().chain(&OURS).map(|case| case.name))?;
    Ok(compare(root, names)?.failed == 0)
}

/// Names on the command line are those of something.
pub fn check_names<'a>(what: &str, names: &[&str], known: impl Iterator<Item = &'a str>) -> Result<()> {
    let known: Vec<&str> = known.collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(wrong) => bail!("no {what} is called {wrong}; there are: {}", known.join(", ")),
        None => Ok(()),
    }
}

/// Compares all programs that are there.
pub fn compare_all(root: &Path) -> Result<Tally> {
    compare(root, &[])
}

fn compare(root: &Path, names: &[&str]) -> Result<Tally> {
    let runtimes = Runtimes::find(root, "dev")?;
    let mut tally = Tally::default();
    for case in REAL.iter().chain(&OURS).filter(|case| names.is_empty() || names.contains(&case.name)) {
        if !case.is_there(root) {
            let script = if case.program.starts_with("guests/") { "guests.sh" } else { "programs.sh" };
            println!("skipped: {}: no .programs/{}: run scripts/{script}", case.name, case.program);
            tally.skipped += 1;
            continue;
        }
        if !runtimes.stock_is_there() {
            println!("skipped: {}: nothing to compare with: run scripts/tools.sh", case.name);
            tally.skipped += 1;
            continue;
        }
        let differences = differences(root, &runtimes, case)?;
        if differences.is_empty() {
            println!("program {} ... ok", case.name);
            tally.passed += 1;
        } else {
            println!("program {} ... FAILED\n    {}", case.name, differences.join("\n    "));
            tally.failed += 1;
        }
    }
    Ok(tally)
}

/// How the two runs of `case` differ; each runs in a fresh copy of the inputs.
pub fn differences(root: &Path, runtimes: &Runtimes, case: &Case) -> Result<Vec<String>> {
    let scratch = runtimes.cache.join("work").join(case.name);
    let (mounted, saved, stock) = (scratch.join("mounted"), scratch.join("saved"), scratch.join("stock"));
    case.lay_out(root, &mounted)?;
    case.lay_out(root, &stock)?;
    case.lay_out(root, &saved)?;
    let weir_output = process::kept(&mut case.weir(root, runtimes, &mounted, Some(&saved)))?;
    let stock_output = process::kept(&mut case.stock(root, runtimes, &stock)?)?;

    let mut found = output_differences(&weir_output, &stock_output);
    for name in case.outputs {
        let (ours, theirs) = (fs::read(saved.join(name)), fs::read(stock.join(name)));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => {}
            (Ok(ours), Ok(theirs)) => found.push(format!("{name}: {}", first_difference(&ours, &theirs))),
            (ours, theirs) => {
                found.push(format!("{name}: written by weir: {}, by stock: {}", ours.is_ok(), theirs.is_ok()))
            }
        }
        if mounted.join(name).exists() {
            found.push(format!("{name}: weir wrote it into the mounted folder"));
        }
    }
    if found.is_empty() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    Ok(found)
}

fn output_differences(weir: &Output, stock: &Output) -> Vec<String> {
    let mut found = Vec::new();
    if !stock.status.success() {
        found.push(format!("stock wasmtime: {}: {}", stock.status, tail(&stock.stderr)));
    }
    if weir.status.code() != stock.status.code() {
        found.push(format!("{} instead of {}: {}", weir.status, stock.status, tail(&weir.stderr)));
    }
    for (what, ours, theirs) in [("stdout", &weir.stdout, &stock.stdout), ("stderr", &weir.stderr, &stock.stderr)] {
        if ours != theirs {
            found.push(format!("{what}: {}", first_difference(ours, theirs)));
        }
    }
    found
}

/// How what one run printed differs from the first one's.
pub fn stream_differences(output: &Output, first: &Output) -> Vec<String> {
    let streams = [("stdout", &output.stdout, &first.stdout), ("stderr", &output.stderr, &first.stderr)];
    let differ = streams.into_iter().filter(|(_, ours, theirs)| ours != theirs);
    differ.map(|(what, ours, theirs)| format!("{what}: {}", first_difference(ours, theirs))).collect()
}

/// Where two outputs part, with some bytes of both.
pub fn first_difference(ours: &[u8], theirs: &[u8]) -> String {
    let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let around =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 40)]).escape_debug().to_string();
    format!(
        "{} bytes instead of {}, first different at {at}: `{}` instead of `{}`",
        ours.len(),
        theirs.len(),
        around(ours),
        around(theirs)
    )
}

/// The last lines of what a program printed.
pub fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" / ")
}

/// Copies a folder with what it holds.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    // A run without inputs has no folder.
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot copy to {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_different_byte_is_shown() {
        assert_eq!(
            first_difference(b"abcd", b"abx"),
            "4 bytes instead of 3, first different at 2: `cd` instead of `x`"
        );
        assert_eq!(first_difference(b"", b"x"), "0 bytes instead of 1, first different at 0: `` instead of `x`");
    }

    #[test]
    fn each_case_has_its_own_name() {
        let mut names: Vec<&str> = REAL.iter().chain(&OURS).map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REAL.len() + OURS.len());
    }
}
