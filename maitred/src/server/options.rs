//! Whether what was asked for on the command line can serve, judged as a whole before anything is bound or written.

use std::net::IpAddr;

use anyhow::bail;

use super::ranges;
use crate::cli;

/// Refuses options that cannot serve, each with its name and the way out.
pub(super) fn check(options: &cli::Server) -> anyhow::Result<()> {
    ranges::check(options)?;
    super::pod_pools(options)?;
    options.advertise_address.iter().try_for_each(|address| check_advertised(options, *address))
}

fn check_advertised(options: &cli::Server, address: IpAddr) -> anyhow::Result<()> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if address.is_unspecified() || address.is_multicast() || link_local {
        bail!(
            "--advertise-address {address} is none that others can reach: give an address of this machine, or leave it \
             out and one is chosen"
        );
    }
    let listen = options.listen;
    // `[::]` is IPv4, too; nothing else is of both families.
    let heard = listen.is_ipv4() == address.is_ipv4() || listen.ip() == IpAddr::from([0; 16]);
    if !heard || listen.ip().is_loopback() && !address.is_loopback() {
        let everywhere = if address.is_ipv4() { "0.0.0.0" } else { "[::]" };
        bail!(
            "--advertise-address {address} leads to nobody while the API listens on {listen} only: give --listen \
             {everywhere}:{} too, or leave --advertise-address out",
            listen.port()
        );
    }
    Ok(())
}
