//! Options that hand things to a program and limit what it may use, shared by the subcommands that
//! run one. Parsing only checks and collects; the world is touched later, by the engine.

use crate::exit::Failure;
use clap::Args;
use std::path::Path;
use std::time::Duration;
use weir_types::grants::{Clock, Grants, Net, Place, Random, Source, Tier, UnknownImports};
use weir_types::limits::Limits;
use weir_types::units::{parse_duration, parse_size};

/// A program and what follows it. All of that is the program's own, be it `--help`; one leading `--` is not passed on.
#[derive(Args, Debug)]
pub struct CommandLine {
    /// The program's own name in its arguments, instead of that of its file
    #[arg(long, value_name = "NAME")]
    argv0: Option<String>,
    /// A .wasm or .wat file, a component, or (to run) a program in a registry: REGISTRY/NAME:TAG. What follows are the
    /// program's own arguments
    // Program and arguments are one list for the parser: after the first value of such a list it takes no options.
    #[arg(value_names = ["PROGRAM", "ARGS"], num_args = 1.., required = true, trailing_var_arg = true)]
    words: Vec<String>,
}

impl CommandLine {
    /// The program.
    pub fn program(&self) -> &Path {
        Path::new(self.words.first().map_or("", String::as_str))
    }

    /// The program's own arguments.
    pub fn args(&self) -> &[String] {
        match self.words.get(1..).unwrap_or_default() {
            [separator, args @ ..] if separator == "--" => args,
            args => args,
        }
    }

    /// Its arguments with the name before them, as a program gets them.
    pub fn argv(&self) -> Vec<String> {
        let of_file =
            || self.program().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = self.argv0.clone().unwrap_or_else(of_file);
        std::iter::once(name).chain(self.args().iter().cloned()).collect()
    }
}

/// What a program is called by default: its file's name.
pub fn file_name(program: &Path) -> String {
    program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// What is handed to the program. Nothing else is there.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "What the program gets")]
pub struct GrantOptions {
    /// A host file or directory, seen as data: read lazily, written only in memory
    #[arg(long, value_name = "GUEST=HOST", value_parser = pair)]
    mount: Vec<(String, String)>,
    /// A small file from the command line
    #[arg(long, value_name = "GUEST=TEXT", value_parser = pair)]
    file: Vec<(String, String)>,
    /// An empty directory, held in memory
    #[arg(long, value_name = "GUEST")]
    scratch: Vec<String>,
    /// A path inside that is a stream outside (`-`: stdin when read, stdout when written)
    #[arg(long, value_name = "GUEST=HOST|-", value_parser = pair)]
    stream: Vec<(String, String)>,
    /// When the program ends with code 0, copy this file or tree out, atomically
    #[arg(long, value_name = "GUEST=HOST", value_parser = pair)]
    save: Vec<(String, String)>,
    /// The real directory. The only way to touch the host's files
    #[arg(long, value_name = "GUEST=HOST[:ro]", value_parser = pair)]
    host_dir: Vec<(String, String)>,
    /// A variable with this value, or with the value it has here
    #[arg(long, value_name = "K[=V]", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Sockets, name lookup and HTTP requests to these peers, or to whatever the host can reach
    #[arg(long, value_name = "host|HOST:PORT,...", value_parser = net, default_value = "none", hide_default_value = true)]
    net: Net,
    /// The time: the host's, or one that only sleeping moves
    #[arg(long, value_name = "real|fixed:RFC3339", value_parser = clock, default_value = "real", hide_default_value = true)]
    clock: Clock,
    /// Randomness: the host's, or a reproducible sequence
    #[arg(long, value_name = "real|seed:N", value_parser = random, default_value = "real", hide_default_value = true)]
    random: Random,
    /// Imports that nobody grants: the program is refused, or they trap when they are called
    #[arg(long, value_name = "refuse|trap", value_parser = unknown_imports, default_value = "refuse", hide_default_value = true)]
    unknown_imports: UnknownImports,
    /// Fail at once if the program or the grants need more than this tier
    #[arg(long, value_name = "pure|virtual|host", value_parser = tier)]
    pub tier: Option<Tier>,
}

/// What the program may use.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "What the program may use")]
pub struct LimitOptions {
    /// Memory, all memories together [default: 4GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory_max: Option<u64>,
    /// Wall-clock time [default: none]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    time_max: Option<Duration>,
    /// Executed operations, as the engine counts them [default: none]
    #[arg(long, value_name = "N")]
    fuel_max: Option<u64>,
    /// Bytes held by files that were written [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    files_max: Option<u64>,
    /// Files and directories [default: 1000000]
    #[arg(long, value_name = "N")]
    inodes_max: Option<u64>,
    /// Bytes written to streams [default: none]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    output_max: Option<u64>,
}

impl GrantOptions {
    /// The grants for a program with these arguments.
    ///
    /// # Errors
    /// A grant needs more than the tier allows.
    pub fn collect(&self, args: Vec<String>) -> Result<weir::Grants, Failure> {
        let place = |guest: &String, source| Place { guest: guest.clone(), source };
        let mut places = Vec::new();
        places.extend(self.mount.iter().map(|(guest, host)| place(guest, Source::Mount(host.clone()))));
        places.extend(self.scratch.iter().map(|guest| place(guest, Source::Scratch)));
        places.extend(self.host_dir.iter().map(|(guest, host)| place(guest, host_dir(host))));
        places.extend(self.file.iter().map(|(guest, text)| place(guest, Source::Bytes(text.clone().into_bytes()))));
        places.extend(
            self.stream.iter().map(|(guest, host)| place(guest, Source::Stream((host != "-").then(|| host.clone())))),
        );
        let grants = Grants {
            args,
            env: last_of_each(&self.env),
            places,
            net: self.net.clone(),
            clock: self.clock,
            random: self.random,
            unknown_imports: self.unknown_imports,
        };
        self.check_tier(&grants)?;
        Ok(self.save.iter().fold(grants.into(), |grants: weir::Grants, (guest, host)| grants.save(guest, host)))
    }

    fn check_tier(&self, grants: &Grants) -> Result<(), Failure> {
        let Some(tier) = self.tier else { return Ok(()) };
        if tier < Tier::Host
            && let Some((guest, host)) = self.host_dir.first()
        {
            return Err(Failure::grant(format!(
                "--host-dir {guest}={host} needs tier host, but --tier {} was asked for: use --mount, or drop --tier",
                tier.name()
            )));
        }
        if tier < Tier::Virtual
            && let Some(place) = grants.places.first()
        {
            return Err(Failure::grant(format!("{} is a file grant, but --tier pure allows no files", place.guest)));
        }
        Ok(())
    }
}

impl LimitOptions {
    /// The limits, with defaults for what was not given.
    pub fn collect(&self) -> Limits {
        let mut limits = Limits {
            time_max: self.time_max,
            fuel_max: self.fuel_max,
            output_max: self.output_max,
            ..Limits::default()
        };
        limits.memory_max = self.memory_max.unwrap_or(limits.memory_max);
        limits.files.bytes_max = self.files_max.unwrap_or(limits.files.bytes_max);
        limits.files.inodes_max = self.inodes_max.unwrap_or(limits.files.inodes_max);
        limits
    }
}

/// A path inside and one outside.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the part before `=` is empty: write the path inside, for example /data=./data".into()),
        Some((guest, host)) => Ok((guest.into(), host.into())),
        None => Err("write GUEST=HOST, the path inside first, for example /data=./data".into()),
    }
}

/// Variables without those that are given again: the last one counts, as in a shell.
fn last_of_each(env: &[(String, String)]) -> Vec<(String, String)> {
    let is_last = |index: usize, name: &str| env[index + 1..].iter().all(|(other, _)| other != name);
    let last = env.iter().enumerate().filter(|(index, (name, _))| is_last(*index, name));
    last.map(|(_, variable)| variable.clone()).collect()
}

fn host_dir(host: &str) -> Source {
    let (host, read_only) = match host.strip_suffix(":ro") {
        Some(host) => (host, true),
        None => (host.strip_suffix(":rw").unwrap_or(host), false),
    };
    Source::HostDir { host: host.into(), read_only }
}

/// A variable with its value.
pub fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) | None if text.is_empty() || text.starts_with('=') => Err("the variable has no name".into()),
        Some((name, value)) => Ok((name.into(), value.into())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.into(), value)),
            Err(std::env::VarError::NotPresent) => Err(format!("{text} is not set here: write {text}=VALUE")),
            Err(std::env::VarError::NotUnicode(_)) => Err(format!("the value of {text} is not UTF-8")),
        },
    }
}

fn net(text: &str) -> Result<Net, String> {
    match text {
        "none" => Ok(Net::None),
        "host" => Ok(Net::Host),
        peers => peers
            .split(',')
            .map(|peer| {
                let wrong = || format!("`{peer}` is no peer: write HOST:PORT, for example example.org:443, or `host`");
                let (host, port) = peer.rsplit_once(':').ok_or_else(wrong)?;
                let port = if port == "*" { 0 } else { port.parse().map_err(|_| wrong())? };
                if host.is_empty() { Err(wrong()) } else { Ok((host.trim_matches(['[', ']']).to_string(), port)) }
            })
            .collect::<Result<_, _>>()
            .map(Net::Peers),
    }
}

fn clock(text: &str) -> Result<Clock, String> {
    if text == "real" {
        return Ok(Clock::Real);
    }
    let time = text
        .strip_prefix("fixed:")
        .ok_or("write `real` or `fixed:` and a time, for example fixed:2026-01-01T00:00:00Z")?;
    let time: jiff::Timestamp = time.parse().map_err(|error| format!("`{time}` is no RFC 3339 time: {error}"))?;
    u64::try_from(time.as_nanosecond()).map(Clock::Fixed).map_err(|_| "the time must lie between 1970 and 2554".into())
}

fn random(text: &str) -> Result<Random, String> {
    if text == "real" {
        return Ok(Random::Real);
    }
    let seed = text.strip_prefix("seed:").and_then(|seed| seed.parse().ok());
    seed.map(Random::Seed).ok_or_else(|| "write `real` or `seed:` and a number, for example seed:42".into())
}

/// What becomes of imports that nobody grants.
///
/// # Errors
/// It is neither.
pub fn unknown_imports(text: &str) -> Result<UnknownImports, String> {
    match text {
        "refuse" => Ok(UnknownImports::Refuse),
        "trap" => Ok(UnknownImports::Trap),
        _ => Err("write `refuse` or `trap`".into()),
    }
}

fn tier(text: &str) -> Result<Tier, String> {
    [Tier::Pure, Tier::Virtual, Tier::Host]
        .into_iter()
        .find(|tier| tier.name() == text)
        .ok_or_else(|| "the tiers are pure, virtual and host".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_or_refused_with_words() {
        assert_eq!(pair("/a=b=c"), Ok(("/a".into(), "b=c".into())));
        assert!(pair("/a").is_err() && pair("=b").is_err());
        assert_eq!(variable("K="), Ok(("K".into(), String::new())));
        assert!(variable("=v").is_err() && variable("").is_err() && variable("WEIR_SURELY_NOT_SET").is_err());
        assert_eq!(net("[::1]:80,a.b:*"), Ok(Net::Peers(vec![("::1".into(), 80), ("a.b".into(), 0)])));
        assert!(net("a").is_err() && net("a:b").is_err() && net(":1").is_err());
        assert_eq!(clock("fixed:1970-01-01T00:00:01Z"), Ok(Clock::Fixed(1_000_000_000)));
        assert!(
            clock("fixed:yesterday").is_err() && clock("1").is_err() && clock("fixed:1960-01-01T00:00:00Z").is_err()
        );
        assert_eq!(random("seed:7"), Ok(Random::Seed(7)));
        assert!(random("seed:x").is_err());
        assert_eq!(host_dir("a:ro"), Source::HostDir { host: "a".into(), read_only: true });
    }
}
