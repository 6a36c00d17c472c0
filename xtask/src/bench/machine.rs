//! The machine and the versions behind a run, so that a figure can be believed or repeated.

use crate::process;
use crate::programs::Runtimes;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Facts by name, in reading order.
pub type Machine = Vec<(&'static str, String)>;

/// Describes the machine, the commit and both runtimes.
pub fn describe(root: &Path, runtimes: &Runtimes) -> Result<Machine> {
    let git = |words: &[&str]| process::text(Command::new("git").args(words).current_dir(root)).unwrap_or_default();
    let changed = !git(&["status", "--porcelain", "--untracked-files=no", "--", "crates", "Cargo.lock"]).is_empty();
    let commit =
        format!("{}{}", git(&["rev-parse", "--short=12", "HEAD"]).trim(), if changed { ", with changes" } else { "" });
    let version =
        |program: &Path| process::text(Command::new(program).arg("--version")).map(|text| text.trim().to_string());
    Ok(vec![
        ("processor", processor()),
        ("CPUs", std::thread::available_parallelism().map_or_else(|_| "?".into(), |count| count.to_string())),
        ("memory", memory()),
        ("kernel", process::text(Command::new("uname").args(["-s", "-r", "-m"])).unwrap_or_default().trim().into()),
        ("load at the start", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().into()),
        ("began", process::text(Command::new("date").arg("+%FT%T%z")).unwrap_or_default().trim().into()),
        ("compiler", process::text(Command::new("rustc").arg("--version")).unwrap_or_default().trim().into()),
        ("weir", format!("{} at {commit}, release build", version(&runtimes.weir)?)),
        ("stock", version(&runtimes.wasmtime)?),
    ])
}

/// A name for the machine that says what it is, not whose.
pub fn label(machine: &Machine) -> String {
    let fact = |name: &str| machine.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value.as_str());
    let words = fact("processor").to_lowercase();
    let slug =
        words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && *word != "r" && *word != "tm");
    let slug: Vec<&str> = slug.take(4).collect();
    format!("{}-{}cpu", slug.join("-"), fact("CPUs"))
}

/// The last CPU, where `taskset` is to be had: the first serves most interrupts.
pub fn cpu_to_pin() -> Option<usize> {
    let pins = Command::new("taskset").arg("--version").output().is_ok_and(|output| output.status.success());
    let count = std::thread::available_parallelism().ok()?.get();
    (pins && count > 1).then_some(count - 1)
}

/// CPU time, user and system, of all commands that this process has run to their end, in milliseconds. Counted in
/// ticks of 10 ms, so it is for commands that take seconds. 0 where there is no `/proc`.
pub fn children_cpu_ms() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold blanks: the 14th and 15th field are those of the children.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: f64 = fields.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks * 10.0
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split(": ").nth(1));
    name.map_or_else(|| std::env::consts::ARCH.into(), |name| name.trim().to_string())
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .map_or_else(|| "?".into(), |kib| format!("{:.0} GiB", kib as f64 / 1048576.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_file_names() {
        let machine =
            vec![("processor", "Intel(R) Xeon(R) Processor @ 2.00GHz".to_string()), ("CPUs", "2".to_string())];
        assert_eq!(label(&machine), "intel-xeon-processor-2-2cpu");
    }
}
