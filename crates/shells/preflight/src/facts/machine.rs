//! What the kernel's files and lists say. `/proc/thread-self`, because a network namespace is a thread's.

use std::fs;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use kernel::links::{Links, Route};
use kernel::netlink::NetlinkError;
use kernel::nfnetlink::NfSocket;

use super::Learnt;

/// The effective capabilities of the calling thread.
pub(super) fn capabilities() -> Learnt<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").map_err(|error| format!("/proc: {error}"))?;
    effective(&status).ok_or_else(|| "/proc/thread-self/status names no capabilities".to_owned())
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Asks nftables for something of everybody's.
pub(super) fn ruleset<T>(ask: impl Fn(&mut NfSocket) -> Result<Vec<T>, NetlinkError>) -> Learnt<Vec<T>> {
    let asked = NfSocket::open().and_then(|mut socket| ask(&mut socket));
    asked.map_err(|error| format!("nftables cannot be read: {}", runloop::chain(&error)))
}

pub(super) fn legacy_tables() -> Vec<String> {
    let read = |family: &str| {
        let list = fs::read_to_string(format!("/proc/thread-self/net/{family}_tables_names")).unwrap_or_default();
        list.lines().map(|table| format!("{family} {table}")).collect::<Vec<_>>()
    };
    ["ip", "ip6"].into_iter().flat_map(read).collect()
}

pub(super) fn ipvs_services() -> usize {
    count_services(&fs::read_to_string("/proc/thread-self/net/ip_vs").unwrap_or_default())
}

/// Each service is a line that begins with its protocol; its destinations' lines begin with an arrow.
fn count_services(list: &str) -> usize {
    list.lines().filter(|line| ["TCP ", "UDP ", "SCTP ", "FWM "].iter().any(|kind| line.starts_with(kind))).count()
}

pub(super) fn links() -> Learnt<Vec<String>> {
    let links = Links::open().and_then(|links| links.links()).map_err(|error| runloop::chain(&error))?;
    Ok(links.into_iter().map(|link| link.name).collect())
}

pub(super) fn addresses() -> Learnt<Vec<(String, IpNet)>> {
    let list = |links: Links| Ok((links.links()?, links.addresses()?));
    let (links, addresses) = Links::open().and_then(list).map_err(|error| runloop::chain(&error))?;
    let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone()).unwrap_or_default();
    Ok(addresses.into_iter().map(|(index, address)| (name(index), address)).collect())
}

pub(super) fn routes() -> Learnt<Vec<Route>> {
    Links::open().and_then(|links| links.routes()).map_err(|error| runloop::chain(&error))
}

/// sysfs shows the links of the namespace in which it was mounted: the machine's, as a rule.
pub(super) fn bridges() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let bridges = entries.filter(|entry| entry.path().join("bridge").exists());
    bridges.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// A setting below `/proc/sys/net`; nothing if the kernel lacks it.
pub(super) fn switch(name: &str) -> Option<bool> {
    let value = fs::read_to_string(Path::new("/proc/sys/net").join(name)).ok()?;
    Some(value.trim() != "0")
}

pub(super) fn is_on(name: &str) -> bool {
    switch(name) == Some(true)
}

pub(super) fn cilium_pins() -> Vec<PathBuf> {
    let is_cilium = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cilium"));
    let places = ["/sys/fs/bpf", "/sys/fs/bpf/tc/globals"];
    let entries = places.into_iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
    entries.filter(is_cilium).collect()
}

/// Writes a file that has no business there, and removes it.
pub(super) fn writable(dir: &Path) -> Learnt<()> {
    let there = dir.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let tried = tempfile::Builder::new().prefix(".maitred-check-").tempfile_in(there);
    tried.map(drop).map_err(|error| format!("cannot write in {}: {error}", there.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status_of_a_process() {
        assert_eq!(effective("Name:\tx\nCapPrm:\t00ff\nCapEff:\t0000000000003000\n"), Some(0x3000));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn services_of_ipvs_are_counted_without_their_destinations() {
        let list = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  \
                    -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
                    TCP  0A600001:01BB rr\n  -> C0A80001:192B      Masq    1      0          0\nUDP  0A60000A:0035 rr\n";
        assert_eq!(count_services(list), 2);
        assert_eq!(count_services(""), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_tried_where_it_would_be_made() {
        let place = tempfile::tempdir().expect("a directory");
        assert_eq!(writable(&place.path().join("a/b/c")), Ok(()));
        assert_eq!(fs::read_dir(place.path()).expect("a list").count(), 0, "nothing is left behind");
        assert!(writable(Path::new("/proc/maitred")).is_err_and(|said| said.contains("/proc")));
    }
}
