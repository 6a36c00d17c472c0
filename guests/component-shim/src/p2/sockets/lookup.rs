//! wasi:sockets/ip-name-lookup.

use super::super::Shim;
use super::super::bindings::exports::wasi::io::poll;
use super::super::bindings::exports::wasi::sockets::ip_name_lookup as lookup;
use super::super::io::Pollable;
use super::{Result, host, network};
use alloc::string::String;
use lookup::{IpAddress, NetworkBorrow};

/// The addresses of a name.
pub struct Addresses(host::ip_name_lookup::ResolveAddressStream);

impl lookup::Guest for Shim {
    type ResolveAddressStream = Addresses;

    fn resolve_addresses(within: NetworkBorrow<'_>, name: String) -> Result<lookup::ResolveAddressStream> {
        let addresses = host::ip_name_lookup::resolve_addresses(network(&within), &name)?;
        Ok(lookup::ResolveAddressStream::new(Addresses(addresses)))
    }
}

impl lookup::GuestResolveAddressStream for Addresses {
    fn resolve_next_address(&self) -> Result<Option<IpAddress>> {
        Ok(self.0.resolve_next_address()?.map(IpAddress::from))
    }

    fn subscribe(&self) -> poll::Pollable {
        Pollable::host(self.0.subscribe())
    }
}
