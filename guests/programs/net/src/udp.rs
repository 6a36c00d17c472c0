//! Steps with UDP.

use crate::{Result, host, local, port, show, until};
use wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Network};
use wasi::sockets::udp::{
    IncomingDatagram, IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasi::sockets::udp_create_socket::create_udp_socket;

fn send(outgoing: &OutgoingDatagramStream, data: &[u8], to: Option<IpSocketAddress>) -> Result<u64> {
    while outgoing.check_send()? == 0 {
        outgoing.subscribe().block();
    }
    outgoing.send(&[OutgoingDatagram { data: data.into(), remote_address: to }])
}

fn receive(incoming: &IncomingDatagramStream) -> Result<IncomingDatagram> {
    loop {
        if let Some(datagram) = incoming.receive(1)?.pop() {
            return Ok(datagram);
        }
        incoming.subscribe().block();
    }
}

fn bound(network: &Network) -> Result<UdpSocket> {
    let socket = create_udp_socket(IpAddressFamily::Ipv4)?;
    socket.start_bind(network, local(0))?;
    until(|| socket.subscribe().block(), || socket.finish_bind())?;
    Ok(socket)
}

pub fn exchange(network: &Network, server: u16, message: &[u8]) -> Result<()> {
    let socket = bound(network)?;
    show("  own address", socket.local_address().map(|address| (host(address), port(address) != 0)));
    show("  no peer yet", socket.remote_address().map(drop));
    let (incoming, outgoing) = socket.stream(None)?;
    show("  send nowhere", send(&outgoing, message, None));
    show("  sent", send(&outgoing, message, Some(local(server))));
    let answer = receive(&incoming)?;
    println!("  from the server: {}", port(answer.remote_address) == server);
    println!("  answer: {:?}", String::from_utf8_lossy(&answer.data));
    show("  nothing to receive", incoming.receive(8).map(|all| all.len()));

    // Wasmtime traps when a socket is connected that has had streams.
    let socket = bound(network)?;
    let (incoming, outgoing) = socket.stream(Some(local(server)))?;
    show("  peer", socket.remote_address().map(|address| (host(address), port(address) == server)));
    show("  sent", send(&outgoing, b"one", None));
    show("  answer", receive(&incoming).map(|datagram| datagram.data.len()));
    outgoing.check_send()?;
    let three = [b"one".as_slice(), b"two", b"three"];
    let three = three.map(|data| OutgoingDatagram { data: data.into(), remote_address: None });
    show("  sent at once", outgoing.send(&three));
    for _ in three {
        show("  answer", receive(&incoming).map(|datagram| String::from_utf8_lossy(&datagram.data).into_owned()));
    }
    show("  too large", send(&outgoing, &[0; 70_000], None));
    Ok(())
}

pub fn options() -> Result<()> {
    println!("  family: {:?}", create_udp_socket(IpAddressFamily::Ipv6)?.address_family());
    let socket = create_udp_socket(IpAddressFamily::Ipv4)?;
    println!("  family: {:?}", socket.address_family());
    show("  stream without an address", socket.stream(None).map(drop));
    show("  no hop limit", socket.set_unicast_hop_limit(0));
    socket.set_unicast_hop_limit(63)?;
    show("  unicast_hop_limit", socket.unicast_hop_limit());
    socket.set_receive_buffer_size(70_000)?;
    show("  receive_buffer_size", socket.receive_buffer_size());
    socket.set_send_buffer_size(80_000)?;
    show("  send_buffer_size", socket.send_buffer_size());
    Ok(())
}
