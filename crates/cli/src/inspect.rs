//! `weir inspect`: the authority report. Printing and its JSON form; what is printed is found out by
//! `weir-link` (from the bytes alone) and `weir-engine` (from one run).

use crate::exit::{self, Failure};
use crate::launch::{launch, open};
use crate::options::{GrantOptions, LimitOptions, file_name};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use weir::{Inspection, Program};
use weir_engine::Trace;
use weir_types::Shown;

/// Reports what a program can reach, and what one run of it touched.
///
/// Without `-- ARGS` nothing runs: the report is read from the bytes. With them the program is run
/// once, with the grants given here, its output thrown away, and what it did is reported, too. Each
/// import is one of: observed (the run called it), possible (the entry point can get to it), excluded
/// (it cannot; that is certain).
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir inspect program.wasm\n",
    "  weir inspect --json program.wasm\n",
    "  weir inspect --mount /work=. python.wasm -- /work/script.py"
), after_long_help = exit::HELP)]
pub struct Options {
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Run the program once even if there are no arguments after `--`
    #[arg(long)]
    observe: bool,
    #[command(flatten)]
    grants: GrantOptions,
    #[command(flatten)]
    limits: LimitOptions,
    /// The program's own name in its arguments, instead of that of its file
    #[arg(long, value_name = "NAME")]
    argv0: Option<String>,
    /// A .wasm or .wat file, or a component
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// Arguments for one run that is observed
    #[arg(value_name = "ARGS", last = true)]
    args: Vec<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// The program cannot be read, or the observed run failed.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let program = open(&options.program)?;
    let inspection = program.inspect()?;
    let observed = if options.observe || !options.args.is_empty() { Some(observe(options, &program)?) } else { None };
    let report = wire::Report::new(&program, &inspection, observed.as_ref());
    match options.json {
        true => crate::out::json(&report).map_err(Failure::program)?,
        false => crate::out::report(format_args!("{}", text(&report))),
    }
    Ok(ExitCode::SUCCESS)
}

/// What one run did.
struct Observed {
    exit_code: u32,
    trace: Option<Trace>,
    args: Vec<String>,
}

fn observe(options: &Options, program: &Program) -> Result<Observed, Failure> {
    let name = options.argv0.clone().unwrap_or_else(|| file_name(&options.program));
    let args = std::iter::once(name).chain(options.args.iter().cloned()).collect();
    let grants = options.grants.collect(args)?.trace().silent();
    let outcome = launch(program, grants, &options.limits.collect())?;
    Ok(Observed { exit_code: outcome.exit_code, trace: outcome.trace, args: options.args.clone() })
}

fn text(report: &wire::Report) -> String {
    let mut out = format!("{}\n", Shown(&report.program));
    // A line break ahead is the report's own; names in a line cannot make another one.
    let mut line = |text: String| {
        let text = text.trim_end();
        let (ahead, text) = text.strip_prefix('\n').map_or(("", text), |text| ("\n", text));
        out.push_str(&format!("{ahead}{}\n", Shown(text)));
    };
    let wasi = if report.wasi.is_empty() { "no WASI".into() } else { format!("WASI {}", report.wasi.join(", ")) };
    line(format!("  {}, {wasi}, {} bytes", report.kind, report.bytes));
    if let Some(run) = &report.run {
        line(format!("  runs by {run}"));
    }
    line(format!(
        "  {} functions, {} can be reached from {}",
        report.functions,
        report.reachable_functions,
        if report.entry_points.len() == 1 { report.entry_points[0].clone() } else { "its exports".into() }
    ));
    let mut reach = "";
    for import in &report.imports {
        if import.reach != reach {
            line(format!("\n{}", import.reach));
            reach = import.reach;
        }
        let calls = import.calls.map_or_else(String::new, |calls| format!("{calls} calls"));
        line(format!("  {:<9} {}.{}  {calls}", import.label, import.module, import.name));
    }
    if !report.constant_paths.is_empty() {
        line("\nconstant strings that look like paths".into());
        for path in &report.constant_paths {
            line(format!("  possible  {path}"));
        }
        if report.constant_paths_omitted > 0 {
            line(format!("  and {} more", report.constant_paths_omitted));
        }
    }
    if let Some(observed) = &report.observed {
        line(format!("\none run, exit code {}", observed.exit_code));
        for touch in &observed.touches {
            line(format!("  observed  {} {} x{}  {}", touch.function, touch.path, touch.count, touch.result));
        }
        line(format!("  {}", observed.verdict));
    }
    line(format!("\nverdict: tier {}", report.verdict.tier));
    line(format!("  {}", report.verdict.why));
    for call in &report.verdict.forced_by {
        line(format!("  forced by {call}"));
    }
    out
}

/// The report as it is written: field names are stable.
mod wire {
    use super::{BTreeMap, Inspection, Observed, Program, Serialize, Trace};
    use weir_link::p1;

    #[derive(Serialize)]
    pub struct Report {
        pub program: String,
        pub digest: String,
        pub kind: &'static str,
        pub wasi: Vec<String>,
        pub bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub run: Option<String>,
        pub functions: u32,
        pub reachable_functions: u32,
        pub entry_points: Vec<String>,
        pub imports: Vec<Import>,
        pub constant_paths: Vec<String>,
        pub constant_paths_omitted: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub observed: Option<OneRun>,
        pub verdict: Verdict,
    }

    #[derive(Serialize)]
    pub struct Import {
        pub reach: &'static str,
        pub module: String,
        pub name: String,
        /// `observed`, `possible` or `excluded`.
        pub label: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub calls: Option<u64>,
    }

    #[derive(Serialize)]
    pub struct OneRun {
        pub exit_code: u32,
        pub touches: Vec<Touch>,
        pub touches_dropped: u64,
        pub verdict: String,
    }

    #[derive(Serialize)]
    pub struct Touch {
        pub function: &'static str,
        pub path: String,
        pub descriptor: u32,
        pub count: u64,
        pub result: String,
    }

    #[derive(Serialize)]
    pub struct Verdict {
        pub tier: &'static str,
        pub why: &'static str,
        pub forced_by: Vec<String>,
    }

    impl Report {
        pub fn new(program: &Program, inspection: &Inspection, observed: Option<&Observed>) -> Self {
            let trace = observed.and_then(|observed| observed.trace.as_ref());
            let calls: BTreeMap<&str, u64> = trace
                .map(|trace| trace.calls.iter().map(|(id, calls)| (id.name(), calls.count)).collect())
                .unwrap_or_default();
            let imports = inspection.imports.iter().map(|import| {
                let calls = calls.get(short_name(&import.module, &import.name)).copied();
                let label = match (calls, import.reachable) {
                    (Some(_), _) => "observed",
                    (None, true) => "possible",
                    (None, false) => "excluded",
                };
                let (module, name) = (import.module.clone(), import.name.clone());
                Import { reach: import.reach.name(), module, name, label, calls }
            });
            Self {
                program: program.path().display().to_string(),
                digest: program.digest().to_hex(),
                kind: inspection.kind.name(),
                wasi: inspection.wasi.clone(),
                bytes: inspection.bytes,
                run: inspection.run.clone(),
                functions: inspection.functions,
                reachable_functions: inspection.reachable_functions,
                entry_points: inspection.entry_points.clone(),
                imports: imports.collect(),
                constant_paths: inspection.paths.iter().map(|path| path.text.clone()).collect(),
                constant_paths_omitted: inspection.paths_omitted,
                observed: observed.map(OneRun::new),
                verdict: Verdict {
                    tier: inspection.verdict.tier.name(),
                    why: inspection.verdict.why,
                    forced_by: inspection.verdict.forced_by.clone(),
                },
            }
        }
    }

    impl OneRun {
        fn new(observed: &Observed) -> Self {
            let Some(trace) = &observed.trace else {
                let verdict = "nothing was recorded";
                let (exit_code, verdict) = (observed.exit_code, verdict.into());
                return Self { exit_code, touches: Vec::new(), touches_dropped: 0, verdict };
            };
            let touches = trace.touches.iter().map(|(touch, touched)| Touch {
                function: touch.function.name(),
                path: touch.path.clone(),
                descriptor: touch.descriptor,
                count: touched.count,
                result: weir_engine::errno_words(touched.errno),
            });
            Self {
                exit_code: observed.exit_code,
                touches: touches.collect(),
                touches_dropped: trace.dropped,
                verdict: observed_verdict(trace, &observed.args),
            }
        }
    }

    /// The name under which a call of this import is recorded; no function has an empty one.
    fn short_name<'a>(module: &str, name: &'a str) -> &'a str {
        if p1::is_p1(module) {
            name
        } else if module.starts_with("wasi:filesystem/types") {
            name.strip_prefix("[method]descriptor.").unwrap_or_default()
        } else {
            ""
        }
    }

    /// What the run says beyond the bytes: whether its files were its arguments.
    fn observed_verdict(trace: &Trace, args: &[String]) -> String {
        let named = |path: &str| args.iter().any(|arg| !path.is_empty() && arg.trim_start_matches('/').ends_with(path));
        let beyond: Vec<&str> = trace
            .touches
            .iter()
            .filter(|(touch, touched)| {
                let opens = matches!(touch.function.name(), "path_open" | "path_filestat_get" | "open-at" | "stat-at");
                touched.errno == 0 && !(opens && named(&touch.path))
            })
            .map(|(touch, _)| touch.path.as_str())
            .collect();
        let lists = trace.calls.keys().any(|id| matches!(id.name(), "fd_readdir" | "read-directory"));
        match (trace.touches.is_empty(), beyond.first(), lists) {
            (true, ..) => "it touched no path: files play no part in this run".into(),
            (_, None, false) => {
                "every file it opened was one of its arguments: they could be typed values (tier pure)".into()
            }
            (_, None, true) => "it listed a directory: it needs a file tree (tier virtual)".into(),
            (_, Some(path), _) => {
                format!("it touched {path:?}, which is none of its arguments: it needs a file tree (tier virtual)")
            }
        }
    }
}
