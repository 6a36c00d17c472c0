//! Runs the inputs in `tests/cli`: each carries its own command line, and what it prints lies beside it.
//!
//! `tests/cli/readme.wat` is the manual, and itself a test. `BLESS=1` (or `cargo xtask bless`) writes the
//! printed text down instead of comparing it. A harness of its own, so that each input is a named test.

mod text;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use text::{difference, normalise, split, unescape};

/// Longer than any input needs with an empty cache on a slow machine; a program that hangs is a failure.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(180);
const KINDS: [&str; 2] = ["wat", "txt"];

type Result<T> = std::result::Result<T, String>;

enum Verdict {
    Passed,
    Skipped(String),
    Failed(String),
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout is there");
    let mut files = BTreeSet::new();
    collect(&root, Path::new("tests/cli"), &mut files).expect("tests/cli can be listed");
    let strays = strays(&files);
    let inputs = files.into_iter().filter(|path| is_input(path));
    let queue: Vec<String> =
        inputs.filter(|path| filters.is_empty() || filters.iter().any(|filter| path.contains(filter))).collect();
    println!("\nrunning {} tests", queue.len());
    let verdicts = run_all(&root, queue);

    let failures: Vec<_> = verdicts.iter().filter_map(|(path, verdict)| Some((path, as_failure(verdict)?))).collect();
    for (path, message) in &failures {
        println!("\n---- {path} ----\n{message}");
    }
    for stray in &strays {
        println!("\n---- {stray} ----\nbelongs to no input: remove it");
    }
    let failed = failures.len() + strays.len();
    let skipped = verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Skipped(_))).count();
    let passed = verdicts.len() - failures.len() - skipped;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn as_failure(verdict: &Verdict) -> Option<&String> {
    if let Verdict::Failed(message) = verdict { Some(message) } else { None }
}

fn run_all(root: &Path, queue: Vec<String>) -> Vec<(String, Verdict)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let (queue, verdicts) = (Mutex::new(queue.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no test panics").next();
                    let Some(path) = next else { break };
                    let verdict =
                        Input::read(root, &path).and_then(|input| input.run()).unwrap_or_else(Verdict::Failed);
                    match &verdict {
                        Verdict::Passed => println!("test {path} ... ok"),
                        Verdict::Skipped(why) => println!("test {path} ... ignored, {why}"),
                        Verdict::Failed(_) => println!("test {path} ... FAILED"),
                    }
                    verdicts.lock().expect("no test panics").push((path, verdict));
                }
            });
        }
    });
    verdicts.into_inner().expect("no test panics")
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.insert(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn is_input(path: &str) -> bool {
    KINDS.iter().any(|kind| path.ends_with(&format!(".{kind}")))
}

fn strays(files: &BTreeSet<String>) -> Vec<String> {
    let golden = |path: &&String| path.ends_with(".stdout") || path.ends_with(".stderr");
    let alone = |path: &&String| !files.contains(&path[..path.len() - ".stdout".len()]);
    files.iter().filter(golden).filter(alone).cloned().collect()
}

/// One input, with what its head says.
struct Input<'a> {
    root: &'a Path,
    /// From the root, which is also where commands run: so messages hold no path of the machine.
    path: &'a str,
    directives: Vec<(String, String)>,
}

impl<'a> Input<'a> {
    fn read(root: &'a Path, path: &'a str) -> Result<Self> {
        let text = fs::read_to_string(root.join(path)).map_err(|error| format!("cannot be read: {error}"))?;
        let head = text.lines().map_while(|line| line.strip_prefix(";;"));
        let directives = head.filter_map(|line| {
            // A directive stands right behind one blank; what is further in is text about directives.
            let (key, value) = line.strip_prefix(' ')?.split_once(": ")?;
            let is_key =
                key.starts_with(|c: char| c.is_ascii_uppercase()) && key.chars().all(|c| !c.is_lowercase() && c != ' ');
            is_key.then(|| (key.to_string(), value.trim().to_string()))
        });
        Ok(Self { root, path, directives: directives.collect() })
    }

    fn run(&self) -> Result<Verdict> {
        let scratch = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let scratch = Scratch(scratch.path().canonicalize().map_err(|error| error.to_string())?, scratch);
        let commands = self.directives.iter().filter(|(key, _)| key == "RUN" || key.starts_with("FAIL(")).count();
        if commands == 0 {
            return Err("its head has no `;; RUN: weir ...` and no `;; FAIL(CODE): weir ...`".into());
        }
        let mut printed = Printed::default();
        let (mut stdin, mut env, mut hide_numbers) = (Vec::new(), Vec::new(), false);
        for (key, value) in &self.directives {
            match key.as_str() {
                "NEEDS" if !self.root.join(value).exists() => {
                    return Ok(Verdict::Skipped(format!("{value} is not here")));
                }
                "NEEDS" => {}
                "STDIN" => stdin = unescape(value)?,
                "ENV" => env.push(value.replace("%t", &scratch.0.to_string_lossy())),
                "NUMBERS" if value == "hidden" => hide_numbers = true,
                "SHOW" => {
                    let content = fs::read(scratch.0.join(value)).unwrap_or_else(|_| b"(is not there)\n".to_vec());
                    append(&mut printed.stdout, value, &content);
                }
                "FILE" | "LINK" | "DIR" => scratch.lay_out(key, value)?,
                _ => {
                    let code = expected_code(key)
                        .ok_or_else(|| format!("`{key}` is no directive: see tests/cli/readme.wat"))?;
                    let (stdout, stderr) = self.command(value, code, &scratch.0, (&stdin, &env))?;
                    let title = if commands > 1 { value } else { "" };
                    append(&mut printed.stdout, title, &stdout);
                    append(&mut printed.stderr, title, &stderr);
                }
            }
        }
        let stdout = normalise(printed.stdout, &scratch.0, hide_numbers);
        let stderr = normalise(printed.stderr, &scratch.0, hide_numbers);
        let differences = [self.compare("stdout", &stdout)?, self.compare("stderr", &stderr)?].concat();
        Ok(if differences.is_empty() { Verdict::Passed } else { Verdict::Failed(differences) })
    }

    /// Runs one command, which must end with `code`, and gives what it printed.
    fn command(
        &self,
        line: &str,
        code: i32,
        scratch: &Path,
        (stdin, env): (&[u8], &[String]),
    ) -> Result<(Vec<u8>, Vec<u8>)> {
        let scratch = scratch.to_str().ok_or("the temporary folder's name is not UTF-8")?;
        let words: Vec<String> =
            split(line)?.iter().map(|word| word.replace("%t", scratch).replace('%', self.path)).collect();
        let (name, arguments) = words.split_first().ok_or("an empty command")?;
        if name != "weir" {
            return Err(format!("commands begin with `weir`, not `{name}`"));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(arguments).current_dir(self.root).env_clear();
        command.env("WEIR_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-cache"));
        command.envs(env.iter().filter_map(|variable| variable.split_once('=')));
        let (actual, stdout, stderr) = finish(command, stdin)?;
        if actual == Some(code) {
            return Ok((stdout, stderr));
        }
        let actual = actual.map_or("a signal".to_string(), |code| code.to_string());
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        Err(format!("{line}\nexit code {actual} instead of {code}; it printed:\n{stdout}{stderr}"))
    }

    fn compare(&self, kind: &str, actual: &[u8]) -> Result<String> {
        let path = self.root.join(format!("{}.{kind}", self.path));
        let expected = fs::read(&path).unwrap_or_default();
        if expected == actual {
            return Ok(String::new());
        }
        if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
            let written = if actual.is_empty() { fs::remove_file(&path) } else { fs::write(&path, actual) };
            return written
                .map(|()| String::new())
                .map_err(|error| format!("cannot bless {}: {error}", path.display()));
        }
        Ok(format!("{kind} is not what {}.{kind} says:\n{}", self.path, difference(&expected, actual)))
    }
}

/// What all commands of an input printed.
#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Adds text under a title. What prints nothing gets no title.
fn append(sink: &mut Vec<u8>, title: &str, text: &[u8]) {
    if !sink.is_empty() && !sink.ends_with(b"\n") {
        sink.push(b'\n');
    }
    if !title.is_empty() && !text.is_empty() {
        sink.extend(format!("-- {title}\n").bytes());
    }
    sink.extend(text);
}

/// The folder that `%t` stands for, canonical; it goes when this goes.
struct Scratch(PathBuf, #[allow(dead_code, reason = "removes the folder when dropped")] tempfile::TempDir);

impl Scratch {
    fn lay_out(&self, key: &str, value: &str) -> Result<()> {
        let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
        let path = self.0.join(name);
        let made =
            fs::create_dir_all(if key == "DIR" { &path } else { path.parent().unwrap_or(&self.0) }).and_then(|()| {
                match key {
                    "FILE" => fs::write(&path, unescape(rest).map_err(std::io::Error::other)?),
                    "LINK" => std::os::unix::fs::symlink(rest.replace("%t", &self.0.to_string_lossy()), &path),
                    _ => Ok(()),
                }
            });
        made.map_err(|error| format!("{key}: {value}: {error}"))
    }
}

/// 0 for `RUN`, N for `FAIL(N)`.
fn expected_code(key: &str) -> Option<i32> {
    if key == "RUN" { Some(0) } else { key.strip_prefix("FAIL(")?.strip_suffix(')')?.parse().ok() }
}

/// Runs `command` to its end, or kills it when it takes too long.
fn finish(mut command: Command, stdin: &[u8]) -> Result<(Option<i32>, Vec<u8>, Vec<u8>)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("weir does not start: {error}"))?;
    let (mut input, mut output, mut errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        // A program may end without reading what it was given.
        scope.spawn(move || input.take().map(|mut pipe| pipe.write_all(stdin)));
        let output = scope.spawn(move || read_all(&mut output));
        let errors = scope.spawn(move || read_all(&mut errors));
        let began = Instant::now();
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if began.elapsed() > COMMAND_TIME_MAX => {
                    let _ = child.kill();
                    return Err(format!("still running after {COMMAND_TIME_MAX:?}: killed"));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<u8>>| {
            thread.join().map_err(|_| "a reader panicked".to_string())
        };
        Ok((status.code(), join(output)?, join(errors)?))
    })
}

fn read_all(pipe: &mut Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}
