//! Sockets beside files: `net TCP-PORT UDP-PORT CLOSED-PORT FILE` sends a file to echo servers on 127.0.0.1, talks to
//! itself, looks up names, and prints one line per step. Calls every function of wasi:sockets. Prints nothing that
//! differs between runs (no port that was chosen for it), so that its output under two runtimes can be compared byte
//! by byte.

mod tcp;
mod udp;

use std::fmt::Debug;
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::ip_name_lookup::{IpAddress, resolve_addresses};
use wasi::sockets::network::{ErrorCode, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network};

type Result<T> = std::result::Result<T, ErrorCode>;

fn show<T: Debug>(step: &str, result: Result<T>) {
    match result {
        Ok(value) => println!("{step}: {value:?}"),
        Err(code) => println!("{step}: error {}", code.name()),
    }
}

fn local(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

fn local_6(port: u16) -> IpSocketAddress {
    let address = (0, 0, 0, 0, 0, 0, 0, 1);
    IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
}

fn port(address: IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

/// An address without its port.
fn host(address: IpSocketAddress) -> String {
    match address {
        IpSocketAddress::Ipv4(address) => format!("{:?}", address.address),
        IpSocketAddress::Ipv6(address) => format!("{:?}", address.address),
    }
}

/// Calls `attempt`, and `wait` as long as it would have to wait.
fn until<T>(wait: impl Fn(), attempt: impl Fn() -> Result<T>) -> Result<T> {
    loop {
        match attempt() {
            Err(ErrorCode::WouldBlock) => wait(),
            result => return result,
        }
    }
}

/// The addresses of a name, in order.
fn addresses(network: &Network, name: &str) -> Result<Vec<String>> {
    let stream = resolve_addresses(network, name)?;
    let mut all = Vec::new();
    while let Some(address) = until(|| stream.subscribe().block(), || stream.resolve_next_address())? {
        all.push(match address {
            IpAddress::Ipv4(address) => format!("{address:?}"),
            IpAddress::Ipv6(address) => format!("{address:?}"),
        });
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize| args.get(at).and_then(|port| port.parse().ok());
    let (Some(tcp_port), Some(udp_port), Some(closed), Some(path)) = (number(1), number(2), number(3), args.get(4))
    else {
        eprintln!("usage: net TCP-PORT UDP-PORT CLOSED-PORT FILE");
        std::process::exit(2);
    };
    let message = match std::fs::read(path) {
        Ok(message) => message,
        Err(error) => {
            eprintln!("net: {path}: {error}");
            std::process::exit(1);
        }
    };
    println!("the file has {} bytes", message.len());
    let network = instance_network();
    for name in ["localhost", "127.0.0.1", "::1", "no-such-name.invalid", "not a name"] {
        show(name, addresses(&network, name));
    }
    show("tcp options", tcp::options());
    show("tcp", tcp::exchange(&network, tcp_port, &message));
    show("tcp splice", tcp::splice(&network, tcp_port, path));
    show("tcp to a closed port", tcp::connect(&network, local(closed)).map(drop));
    show("listen", tcp::listen(&network));
    show("udp options", udp::options());
    show("udp", udp::exchange(&network, udp_port, &message));
}
