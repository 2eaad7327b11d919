//! What maitred leaves on a machine, piece by piece: how each is found, named and removed.

use std::fmt;
use std::path::{Path, PathBuf};

use agent::PodTrace;
use anyhow::Context as _;
use kernel::chains::{self, Table, TableFamily};
use kernel::links::{LinkError, Links, Route};
use kernel::nfnetlink::NfSocket;
use proxy::Dataplane as _;

/// The Services' rules; the backend removes both families at once.
const SERVICE_TABLE: &str = "maitred";
/// The agent's masquerading of what Pods send out of the cluster.
const POD_TABLE: &str = "maitred-pods";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// What is to be removed, in this order.
    pub(crate) ours: Vec<Trace>,
    /// Pods that run, and are to go on.
    pub(crate) running_pods: usize,
}

/// One thing that is ours.
#[derive(Debug)]
pub(crate) enum Trace {
    /// A table of nftables.
    Table(Table),
    /// A route to another node's Pods.
    Route(Route),
    /// A Pod, its processes and its state.
    Pod(PodTrace),
    /// The node's end of a Pod's link.
    Link(String),
    /// The control socket of a dead process.
    Socket(PathBuf),
    /// A file that told processes of each other.
    File(PathBuf),
}

/// Looks for all that is ours in the caller's network namespace and in the run directory.
pub(crate) fn look(run_dir: &Path, pods_too: bool) -> anyhow::Result<Traces> {
    let pods_dir = run_dir.join("pods");
    let pods = agent::pods(&pods_dir).with_context(|| format!("cannot list the Pods in {}", pods_dir.display()))?;
    let goes_on = |pod: &&PodTrace| pod.parent.is_some() && !pods_too;
    let links_in_use: Vec<String> = pods.iter().filter(goes_on).map(PodTrace::link).collect();
    let running_pods = pods.iter().filter(goes_on).count();

    let mut ours: Vec<Trace> = tables()?.into_iter().map(Trace::Table).collect();
    let links = Links::open()?;
    let routes = links.routes()?.into_iter().filter(|route| route.protocol == agent::ROUTE_PROTOCOL);
    ours.extend(routes.map(Trace::Route));
    let pods_stay = !pods_too && !pods.is_empty();
    if pods_too {
        ours.extend(pods.into_iter().map(Trace::Pod));
    }
    let names = links.links()?.into_iter().map(|link| link.name);
    let left = names.filter(|name| agent::is_pod_link(name) && !links_in_use.contains(name));
    ours.extend(left.map(Trace::Link));
    let seats = control::seats(run_dir).with_context(|| format!("cannot list {}", run_dir.display()))?;
    let is_held = seats.iter().any(|seat| seat.holder.is_some());
    ours.extend(seats.into_iter().filter(|seat| seat.holder.is_none()).map(|seat| Trace::Socket(seat.path)));
    // They keep processes apart, and Pods from other nodes' agents, as long as there are any.
    if !is_held && !pods_stay {
        let files = agent::claim_files(&pods_dir).into_iter().chain([control::lock_file(run_dir)]);
        ours.extend(files.filter(|file| file.exists()).map(Trace::File));
    }
    Ok(Traces { ours, running_pods })
}

fn tables() -> anyhow::Result<Vec<Table>> {
    let all = NfSocket::open().and_then(|mut socket| chains::tables(&mut socket));
    let all = all.context("nftables cannot be read: the kernel needs nf_tables, the process CAP_NET_ADMIN")?;
    let ours = |table: &Table| match table.family {
        TableFamily::Ip | TableFamily::Ip6 => table.name == SERVICE_TABLE || table.name == POD_TABLE,
        TableFamily::Inet => table.name == POD_TABLE,
        TableFamily::Other(_) => false,
    };
    Ok(all.into_iter().filter(ours).collect())
}

impl Trace {
    /// Removes it; what has gone meanwhile is as good as removed.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        match self {
            Trace::Table(table) if table.name == SERVICE_TABLE => proxy::Nftables::open()?.cleanup()?,
            Trace::Table(table) => chains::delete(&mut NfSocket::open()?, std::slice::from_ref(table))?,
            Trace::Route(route) => gone(Links::open()?.remove_route(route))?,
            Trace::Pod(pod) => pod.remove()?,
            Trace::Link(name) => gone(Links::open()?.delete(name))?,
            Trace::Socket(path) | Trace::File(path) => std::fs::remove_file(path)?,
        }
        Ok(())
    }
}

fn gone(removed: Result<(), LinkError>) -> Result<(), LinkError> {
    removed.or_else(|error| if error.is_already_so() { Ok(()) } else { Err(error) })
}

impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trace::Table(table) => write!(out, "the nftables table {table}"),
            Trace::Route(route) => {
                write!(out, "the route to {}", route.to)?;
                route.via.map_or(Ok(()), |via| write!(out, " via {via}"))
            }
            Trace::Pod(pod) if pod.parent.is_some() => write!(out, "Pod {} and its processes", pod.uid),
            Trace::Pod(pod) => write!(out, "the state of Pod {}", pod.uid),
            Trace::Link(name) => write!(out, "the Pod link {name}"),
            Trace::Socket(path) => write!(out, "the control socket {} of a dead process", path.display()),
            Trace::File(path) => write!(out, "the file {}", path.display()),
        }
    }
}
