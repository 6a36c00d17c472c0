//! The real programs whose packs are weighed, and the typical run of each that says what it needs.

use super::super::setting::Bench;
use crate::programs::pair;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program, its files, and a run.
pub struct Packed {
    pub name: &'static str,
    /// In `.programs`, as is the folder.
    program: &'static str,
    folder: &'static str,
    /// Where the program expects the folder.
    pub guest: &'static str,
    env: Option<&'static str>,
    /// The run that is traced; `None` where the program cannot run under weir.
    run: Option<Typical>,
    /// A file of `.programs` that another tool made of the same program and files, and which tool.
    pub made_elsewhere: Option<(&'static str, &'static str)>,
    /// Whether it takes minutes to weigh.
    pub long: bool,
}

struct Typical {
    args: &'static [&'static str],
    /// A folder of `benches/programs` that is mounted at `/w`.
    inputs: Option<&'static str>,
    scratch: &'static [&'static str],
}

pub const PACKED: [Packed; 4] = [
    Packed {
        name: "python",
        program: "python.wasm",
        folder: "pack/python-lib",
        guest: "/usr/local/lib/python3.12",
        // The build carries the same library as an archive, which it would find first.
        env: Some("PYTHONPATH=/usr/local/lib/python3.12"),
        run: Some(Typical { args: &["/w/main.py"], inputs: Some("python"), scratch: &[] }),
        made_elsewhere: None,
        long: false,
    },
    Packed {
        name: "ruby",
        program: "pack/ruby.wasm",
        folder: "pack/ruby-lib",
        guest: "/usr/local/lib",
        env: None,
        // It imports functions of its JavaScript host.
        run: None,
        made_elsewhere: Some(("pack/ruby+stdlib.wasm", "wasi-vfs")),
        long: true,
    },
    Packed {
        name: "yosys",
        program: "yosys.wasm",
        folder: "yosys-share",
        guest: "/share",
        env: None,
        run: Some(Typical { args: &["-q", "-s", "/w/main.ys"], inputs: Some("yosys"), scratch: &["/tmp"] }),
        made_elsewhere: None,
        long: true,
    },
    Packed {
        name: "nextpnr",
        program: "pack/nextpnr-1/nextpnr-ice40.wasm",
        folder: "pack/nextpnr-1/share",
        guest: "/share",
        env: None,
        run: Some(Typical { args: &["--help"], inputs: None, scratch: &[] }),
        made_elsewhere: None,
        long: true,
    },
];

impl Packed {
    pub fn program(&self, root: &Path) -> PathBuf {
        root.join(".programs").join(self.program)
    }

    pub fn files(&self, root: &Path) -> PathBuf {
        root.join(".programs").join(self.folder)
    }

    pub fn is_there(&self, root: &Path) -> bool {
        self.program(root).exists() && self.files(root).exists()
    }

    /// The variables that its packs carry.
    pub fn options(&self) -> Vec<String> {
        self.env.iter().flat_map(|env| ["--env".to_string(), (*env).to_string()]).collect()
    }

    /// The command that writes down what a typical run reads.
    pub fn trace(&self, bench: &Bench<'_>, out: &Path) -> Option<Command> {
        let run = self.run.as_ref()?;
        let mut command = bench.runtimes.weir_command("trace");
        command.args(self.options());
        command.arg("--mount").arg(pair(self.guest, &self.files(bench.root)));
        if let Some(inputs) = run.inputs {
            command.arg("--mount").arg(pair("/w", &bench.root.join("benches/programs").join(inputs)));
        }
        run.scratch.iter().for_each(|guest| {
            command.arg("--scratch").arg(guest);
        });
        command.arg("-o").arg(out).arg(self.program(bench.root)).arg("--").args(run.args);
        Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::REAL;

    #[test]
    fn inputs_are_those_of_a_known_case() {
        let inputs = PACKED.iter().filter_map(|packed| packed.run.as_ref()?.inputs);
        assert!(inputs.into_iter().all(|name| REAL.iter().any(|case| case.name == name)));
    }
}
