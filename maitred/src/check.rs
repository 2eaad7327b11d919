//! `maitred check`: whether this machine can do what maitred wants of it. It takes the options of `maitred up`.

use std::net::SocketAddr;

use clap::Args;
use preflight::{Listen, Transport, Wanted};

use crate::cli::{self, Output};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Let a ✗ of this check be a warning, e.g. forward; may be given several times
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub(crate) tolerate: Vec<String>,
    /// A line per check for people or JSON for programs
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: cli::Server,
    #[command(flatten)]
    pub(crate) node: cli::NodeOptions,
}

/// Says what was found; false if something is in the way.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let mut wanted = wanted(&options.server, &options.node);
    wanted.tolerated.extend(options.tolerate.iter().cloned());
    let findings = preflight::check(&wanted);
    crate::out::print(&match options.output {
        Output::Table => preflight::text(&findings),
        Output::Json => format!("{}\n", preflight::json(&findings)),
    })?;
    Ok(preflight::passes(&findings))
}

/// What one machine with a control plane and a node wants.
pub(crate) fn wanted(server: &cli::Server, node: &cli::NodeOptions) -> Wanted {
    let given = !node.node_ip.is_empty();
    let addresses = if given { node.node_ip.clone() } else { crate::addresses::machine_addresses() };
    let api = listen("the API", server.listen, Transport::Tcp, ["--listen"; 2]);
    let dns = addresses.into_iter().flat_map(|address| {
        let place = SocketAddr::new(address, node.dns_port);
        let options = ["--dns-port", "--node-ip"];
        [Transport::Udp, Transport::Tcp].map(|transport| listen("DNS", place, transport, options))
    });
    Wanted {
        service_ranges: server.service_cluster_ip_range.clone(),
        pod_ranges: server.cluster_cidr.clone(),
        listens: std::iter::once(api).chain(dns).collect(),
        data_dir: Some(server.data_dir.clone()),
        runs_pods: true,
        ..Wanted::default()
    }
}

/// The options choose another place, and another address.
fn listen(purpose: &str, address: SocketAddr, transport: Transport, options: [&str; 2]) -> Listen {
    let [option, address_option] = options.map(str::to_owned);
    Listen { purpose: purpose.to_owned(), address, transport, option, address_option }
}
