//! `weir run`.

use crate::exit::{self, Failure};
use crate::launch::{launch, open};
use crate::options::{CommandLine, GrantOptions, LimitOptions};
use crate::registry::{RegistryOptions, program_file};
use clap::Args;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use weir::{Outcome, Stats};
use weir_types::Shown;
use weir_types::grants::Grants;

/// Runs a program: a core module (WASI 0.1) or a command component (WASI 0.2, 0.3).
///
/// The program sees what the options hand to it and nothing else. Files are data: mounted ones are
/// read lazily and written only in memory, so the host never changes.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir run hello.wasm\n",
    "  weir run --mount /work=. python.wasm /work/script.py\n",
    "  weir run --mount /in.svg=a.svg --save /out.png=a.png resvg.wasm /in.svg /out.png\n\n",
    "Exit codes: see `weir run --help`"
), after_long_help = exit::HELP)]
pub struct Options {
    #[command(flatten)]
    grants: GrantOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    /// Print to stderr what the run cost: times, calls by name, bytes, memory
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    command: CommandLine,
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever keeps the program from starting or ending by itself.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let mut grants = options.grants.collect(options.command.argv())?;
    let limits = options.limits.collect();
    let program = open(&program_file(options.command.program(), &options.registry)?)?;
    if let Some(tier) = options.grants.tier {
        program.check_tier(tier)?;
    }
    if options.stats {
        grants = grants.trace();
    }
    let (data, saves) = (grants.data().clone(), grants.has_saves());
    let outcome = launch(&program, grants, &limits)?;
    if outcome.exit_code != 0
        && std::io::stderr().is_terminal()
        && let Some(hint) = hint(&outcome.stats.looked_for).or_else(|| hint_of_arguments(&data, &|path| path.exists()))
    {
        note!("weir: {hint}");
    }
    if outcome.exit_code != 0 && saves {
        note!("weir: nothing was saved: the program ended with exit code {}", outcome.exit_code);
    }
    if options.stats {
        print_stats(&outcome);
    }
    Ok(exit_code(outcome.exit_code))
}

/// What a program that failed may have wanted.
fn hint(looked_for: &[String]) -> Option<String> {
    match looked_for {
        [] => None,
        [path] => Some(format!(
            "the program looked for {path:?}, which is not granted: hand it over with --mount, --file or --scratch"
        )),
        paths => {
            let paths: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
            Some(format!(
                "the program looked for {}, which are not granted: hand them over with --mount, --file or --scratch",
                paths.join(", ")
            ))
        }
    }
}

/// The first argument that names something of the host which the program was not given. A module's libc finds by itself that
/// there is no such directory, so that nobody outside hears of it.
fn hint_of_arguments(grants: &Grants, is_there: &dyn Fn(&Path) -> bool) -> Option<String> {
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
    };
    let granted = |arg: &str| {
        let arg = parts(arg);
        grants.places.iter().any(|place| arg.starts_with(&parts(&place.guest)))
    };
    let names = |arg: &&String| !arg.is_empty() && !arg.starts_with('-') && !granted(arg) && is_there(Path::new(arg));
    let arg = grants.args.iter().skip(1).find(names)?;
    let inside = parts(arg);
    let what = format!("the program was given the name {arg:?}, and not what is there");
    Some(match inside.iter().any(|part| part == "..") {
        false => format!("{what}: --mount /{}={} hands it over", Shown(&inside.join("/")), Shown(arg)),
        true => format!("{what}: --mount /NAME={} hands it over, and /NAME is its name then", Shown(arg)),
    })
}

/// The program's code as the operating system takes it: eight bits, and never 0 for a failure.
pub fn exit_code(code: u32) -> ExitCode {
    match (code, code as u8) {
        (0, _) => ExitCode::SUCCESS,
        (_, 0) => ExitCode::FAILURE,
        (_, low) => low.into(),
    }
}

fn print_stats(outcome: &Outcome) {
    let Stats { load_time, link_time, compile_time, cache_hit, instantiate_time, run_time, .. } = outcome.stats;
    let ms = |time: std::time::Duration| format!("{:10.3} ms", time.as_secs_f64() * 1e3);
    note!("load        {}{}", ms(load_time), if cache_hit { "  (compiled code from the cache)" } else { "" });
    if !cache_hit {
        note!("link        {}", ms(link_time));
        note!("compile     {}", ms(compile_time));
    }
    note!("instantiate {}", ms(instantiate_time));
    note!("run         {}", ms(run_time));
    let stats = &outcome.stats;
    note!("memory peak {:10} bytes", stats.memory_peak);
    note!("streams in  {:10} bytes", stats.stream_bytes_in);
    note!("streams out {:10} bytes", stats.stream_bytes_out);
    note!("mounts read {:10} bytes", stats.mount_bytes_read);
    if let Some(fuel) = stats.fuel_used {
        note!("fuel        {fuel:10}");
    }
    let Some(trace) = &outcome.trace else { return };
    for (function, calls) in &trace.calls {
        let name = function.name();
        let failed = if calls.failed == 0 { String::new() } else { format!("  ({} failed)", calls.failed) };
        note!("{name:<24} {:10} calls{failed}", calls.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::grants::{Place, Source};

    #[test]
    fn an_argument_that_names_a_file_of_the_host_is_noticed() {
        let grants = |args: &[&str], places: &[&str]| Grants {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            places: places.iter().map(|place| Place { guest: (*place).into(), source: Source::Scratch }).collect(),
            ..Grants::default()
        };
        let there = |path: &Path| path.ends_with("there");
        let hint = |args: &[&str], places: &[&str]| hint_of_arguments(&grants(args, places), &there);
        let right = "the program was given the name \"./a/there\", and not what is there: --mount /a/there=./a/there hands it over";
        assert_eq!(hint(&["there", "-v", "not", "./a/there"], &[]).as_deref(), Some(right));
        assert!(
            hint(&["prog", "../there"], &[])
                .unwrap()
                .ends_with("--mount /NAME=../there hands it over, and /NAME is its name then")
        );
        assert_eq!(hint(&["prog", "--there", "-there", ""], &[]), None);
        assert_eq!(hint(&["prog", "/w/there"], &["/w"]), None);
        assert_eq!(hint(&["prog", "./w/there"], &["/w/"]), None);
        assert_eq!(hint(&["prog", "there"], &["/"]), None);
        assert!(hint(&["prog", "/w/there"], &["/w2"]).is_some());
    }

    #[test]
    fn the_hint_names_what_was_looked_for_and_escapes_it() {
        assert_eq!(hint(&[]), None);
        let one = hint(&["/tmp".into()]).unwrap();
        assert_eq!(
            one,
            "the program looked for \"/tmp\", which is not granted: hand it over with --mount, --file or --scratch"
        );
        let two = hint(&["/a".into(), "/b\u{1b}[0m".into()]).unwrap();
        assert!(two.contains("\"/a\", \"/b\\u{1b}[0m\", which are"), "{two}");
    }
}
