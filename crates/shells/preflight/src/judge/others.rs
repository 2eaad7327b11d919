//! Other programs that lead Services' packets, or drop them. Docker's chains are in nobody's way.

use kernel::chains::{Chain, FORWARD, Table, TableFamily};
use model::Family;

use crate::Wanted;
use crate::facts::{Facts, Trial};
use crate::finding::{Finding, Verdict};

/// What a proxy leaves behind that leads packets; the kubelet's own `KUBE-KUBELET-CANARY` and the like lead none.
const KUBE_CHAINS: [&str; 3] = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-SVC-"];
/// The link on which kube-proxy puts cluster IPs in its IPVS mode.
const KUBE_IPVS: &str = "kube-ipvs0";

/// Who else serves Services here: a finding for each, or one that says nobody does.
pub(super) fn proxies(facts: &Facts) -> Vec<Finding> {
    const NAME: &str = "proxies";
    let mut found: Vec<Finding> = [ours(NAME, facts), kube_proxy(NAME, facts), ipvs(NAME, facts), cilium(NAME, facts)]
        .into_iter()
        .flatten()
        .collect();
    if let Err(reason) = facts.tables.as_ref().and(facts.chains.as_ref()) {
        found.push(unread(NAME, reason, facts));
    }
    if found.is_empty() {
        found.push(Finding::good(NAME, "nobody else serves Services here"));
    }
    found
}

/// What could not be found out since nftables could not be read. Where the kernel lacks it, rights help nobody.
fn unread(name: &'static str, reason: &str, facts: &Facts) -> Finding {
    match facts.rules[0] {
        Trial::Fails(_) => Finding::warning(name, format!("not judged: {reason}"), "do first what `nftables` asks for"),
        Trial::Works | Trial::Untried(_) => Finding::unknown(name, reason),
    }
}

/// A second one doesn't start beside it, so that this does no harm.
fn ours(name: &'static str, facts: &Facts) -> Option<Finding> {
    let found = facts.programmer.as_ref().ok()?.filter(|found| found.may_program)?;
    let remedy = "nothing, unless a second one is to be started";
    Some(Finding::warning(name, format!("{found} is here already"), remedy))
}

fn kube_proxy(name: &'static str, facts: &Facts) -> Option<Finding> {
    let (tables, chains) = (facts.tables.iter().flatten(), facts.chains.iter().flatten());
    let table = tables.into_iter().find(|table| table.name == "kube-proxy").map(Table::to_string);
    let leads = |chain: &&Chain| KUBE_CHAINS.iter().any(|start| chain.name.starts_with(start));
    let chain = chains.into_iter().find(leads).map(Chain::to_string);
    let seen = match (table, chain) {
        (Some(table), _) => format!("table {table}"),
        (None, Some(chain)) => format!("chain {chain}"),
        (None, None) => return None,
    };
    let remedy = "stop kube-proxy on this node, then remove its rules by `kube-proxy --cleanup`";
    Some(Finding::bad(name, format!("rules of kube-proxy are at work ({seen})"), remedy))
}

fn ipvs(name: &'static str, facts: &Facts) -> Option<Finding> {
    let count = facts.ipvs_services;
    if facts.links.iter().flatten().any(|link| link == KUBE_IPVS) {
        let remedy = "stop kube-proxy on this node, then remove its rules by `kube-proxy --cleanup`";
        let said = format!("kube-proxy's IPVS mode is at work (link {KUBE_IPVS}, {count} virtual services)");
        return Some(Finding::bad(name, said, remedy));
    }
    let remedy = "see by `ipvsadm -Ln` that none of them is a cluster IP or node port; `ipvsadm -C` removes all";
    (count > 0).then(|| Finding::warning(name, format!("IPVS serves {count} addresses of somebody else"), remedy))
}

fn cilium(name: &'static str, facts: &Facts) -> Option<Finding> {
    let link = facts.links.iter().flatten().find(|link| link.starts_with("cilium_"));
    let pin = facts.cilium_pins.first().map(|pin| pin.display().to_string());
    let seen = link.map(|link| format!("link {link}")).or(pin)?;
    let remedy = "remove Cilium from this node (`cilium-dbg post-uninstall-cleanup`); beside maitred it would serve Services, too";
    Some(Finding::bad(name, format!("Cilium is at work ({seen})"), remedy))
}

/// Tables that the kernel doesn't show by nftables.
pub(super) fn legacy(facts: &Facts) -> Option<Finding> {
    let tables = &facts.legacy_tables;
    let said = format!("tables of iptables-legacy are loaded ({}); their rules are not read here", tables.join(", "));
    let remedy = "`iptables-legacy -S FORWARD` should begin with `-P FORWARD ACCEPT`, `iptables-legacy -t nat -S` show no KUBE-SERVICES";
    (!tables.is_empty()).then(|| Finding::warning("iptables-legacy", said, remedy))
}

/// Whether some chain drops what is passed on unless a rule accepts it. What its rules accept is not read.
pub(super) fn forward(facts: &Facts, wanted: &Wanted) -> Finding {
    const NAME: &str = "forward";
    let chains = match &facts.chains {
        Ok(chains) => chains,
        Err(reason) => return unread(NAME, reason, facts),
    };
    let matters = |family| match family {
        TableFamily::Inet => true,
        TableFamily::Ip => wanted.wants(Family::V4),
        TableFamily::Ip6 => wanted.wants(Family::V6),
        TableFamily::Other(_) => false,
    };
    let dropping: Vec<&Chain> = chains
        .iter()
        .filter(|chain| chain.hook == Some(FORWARD) && chain.drops && matters(chain.table.family))
        .collect();
    if dropping.is_empty() {
        return Finding::good(NAME, "no chain drops forwarded packets by its policy");
    }
    let names: Vec<String> = dropping.iter().map(|chain| format!("`{chain}`")).collect();
    let commands: Vec<String> = dropping.iter().map(|chain| format!("`{}`", accept_command(chain))).collect();
    let said = format!("{} drops forwarded packets by policy, also those between Pods", names.join(" and "));
    let remedy = format!(
        "{}; or have rules there accept what comes from and goes to the Pod ranges, and say `--tolerate {NAME}`",
        commands.join(" and ")
    );
    Finding { name: NAME, verdict: Verdict::Bad, said, remedy: Some(remedy) }
}

/// How the policy is changed by the program that people know the chain from.
fn accept_command(chain: &Chain) -> String {
    match (chain.table.family, chain.table.name.as_str(), chain.name.as_str()) {
        (TableFamily::Ip, "filter", "FORWARD") => "iptables -P FORWARD ACCEPT".to_owned(),
        (TableFamily::Ip6, "filter", "FORWARD") => "ip6tables -P FORWARD ACCEPT".to_owned(),
        _ => format!("nft 'chain {chain} {{ policy accept; }}'"),
    }
}
