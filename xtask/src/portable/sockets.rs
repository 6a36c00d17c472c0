//! Sockets beside files: a component that talks to echo servers prints the same when it is packed, under the stock
//! command line, as unpacked with the host's directory. (weir itself gives no program a socket.)

use crate::process;
use crate::programs::{self, Runtimes};
use crate::tally::Tally;
use anyhow::{Context, Result};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

const PROGRAM: &str = ".programs/guests/net.wasm";
const MESSAGE: &str = "A message that lies in a file.\n";
/// Lines that the program prints at least: one for each of its steps.
const LINES_MIN: usize = 80;
const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Packs the program and compares.
pub fn compare(root: &Path, runtimes: &Runtimes) -> Result<Tally> {
    let program = root.join(PROGRAM);
    if !program.exists() || !runtimes.stock_is_there() {
        println!("skipped: sockets: no {PROGRAM} or no stock wasmtime: run scripts/guests.sh and scripts/tools.sh");
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    let folder = runtimes.cache.join("packs/sockets");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("message"), MESSAGE)?;
    let packed = runtimes.cache.join("packs/sockets.wasm");
    let mount = programs::pair("/data", &folder);
    process::text(runtimes.weir_command("pack").arg(&program).args(["--mount", &mount]).arg("-o").arg(&packed))?;

    let ports = Ports::open().context("cannot listen on loopback")?;
    let directory = format!("{}::/data", folder.display());
    let plain = process::kept(&mut command(runtimes, &ports, &["--dir", &directory], &program))?;
    let pack = process::kept(&mut command(runtimes, &ports, &[], &packed))?;
    let mut found = programs::stream_differences(&pack, &plain);
    if !pack.status.success() || plain.status != pack.status {
        found.push(format!("{}, unpacked {}: {}", pack.status, plain.status, programs::tail(&pack.stderr)));
    }
    let lines = plain.stdout.iter().filter(|byte| **byte == b'\n').count();
    if lines < LINES_MIN {
        found.push(format!("the program printed {lines} lines, so not every step was taken"));
    }
    let right = found.is_empty();
    println!("pack net (sockets, {lines} lines) ... {}", if right { "ok" } else { "FAILED" });
    found.iter().for_each(|line| println!("    {line}"));
    Ok(Tally::of(right))
}

fn command(runtimes: &Runtimes, ports: &Ports, options: &[&str], program: &PathBuf) -> Command {
    let mut command = runtimes.stock();
    command.args(["-S", "inherit-network,allow-ip-name-lookup"]).args(options).arg(program);
    command.args([ports.tcp, ports.udp, ports.closed].map(|port| port.to_string())).arg("/data/message");
    command
}

/// Servers on loopback that send back what they get, until the process ends.
struct Ports {
    tcp: u16,
    udp: u16,
    /// Nobody listens here.
    closed: u16,
}

impl Ports {
    fn open() -> io::Result<Self> {
        let tcp = TcpListener::bind(ANY_PORT)?;
        let udp = UdpSocket::bind(ANY_PORT)?;
        let closed = TcpListener::bind(ANY_PORT)?.local_addr()?.port();
        let ports = Self { tcp: tcp.local_addr()?.port(), udp: udp.local_addr()?.port(), closed };
        thread::spawn(move || {
            for client in tcp.incoming().flatten() {
                thread::spawn(move || echo(client));
            }
        });
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while let Ok((len, from)) = udp.recv_from(&mut bytes) {
                let _ = udp.send_to(&bytes[..len], from);
            }
        });
        Ok(ports)
    }
}

/// A client that goes away ends its own connection and nothing else.
fn echo(mut client: std::net::TcpStream) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(len) = client.read(&mut bytes) {
        if len == 0 || client.write_all(&bytes[..len]).is_err() {
            return;
        }
    }
}
