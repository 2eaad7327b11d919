//! What is good about a machine, and what is in the way: from Facts and what is Wanted to Findings. Pure.

mod network;
mod others;

#[cfg(test)]
mod tests;

use model::Family;

use crate::facts::{Facts, PortFact, PortProblem, Trial};
use crate::finding::{Finding, Verdict};
use crate::{Transport, Wanted};

/// The name by which an owner of ports is known to be maitred itself.
const OURS: &str = "maitred";

/// Capabilities by their bits (`linux/capability.h`), and what they are for.
const NET_ADMIN: (u32, &str, &str) = (12, "CAP_NET_ADMIN", "to write rules, links and routes");
const SYS_ADMIN: (u32, &str, &str) = (21, "CAP_SYS_ADMIN", "to make namespaces");

/// Judges a machine, line by line.
pub fn judge(facts: &Facts, wanted: &Wanted) -> Vec<Finding> {
    let mut findings = vec![privileges(facts, wanted), rules(facts, wanted), conntrack(facts)];
    findings.extend(others::proxies(facts));
    findings.extend(others::legacy(facts));
    findings.push(others::forward(facts, wanted));
    findings.extend(network::forwarding(facts, wanted));
    findings.extend(facts.ports.iter().map(port));
    findings.extend(network::ranges(facts, wanted));
    findings.extend(network::bridges(facts, wanted));
    findings.extend(network::ipv6(facts, wanted));
    findings.extend(data_dir(facts, wanted));
    for finding in &mut findings {
        if finding.verdict == Verdict::Bad && wanted.tolerated.contains(finding.name) {
            finding.verdict = Verdict::Warning;
        }
    }
    findings
}

fn privileges(facts: &Facts, wanted: &Wanted) -> Finding {
    const NAME: &str = "privileges";
    let has = match &facts.capabilities {
        Ok(bits) => *bits,
        Err(reason) => return Finding::unknown(NAME, reason),
    };
    let mut needed = vec![NET_ADMIN];
    needed.extend(wanted.runs_pods.then_some(SYS_ADMIN));
    let missing: Vec<String> = needed
        .iter()
        .filter(|(bit, ..)| has & (1 << bit) == 0)
        .map(|(_, name, purpose)| format!("{name} ({purpose})"))
        .collect();
    if missing.is_empty() {
        let names: Vec<&str> = needed.iter().map(|(_, name, _)| *name).collect();
        return Finding::good(NAME, format!("{} at hand", names.join(" and ")));
    }
    let said = format!("missing: {}", missing.join(" and "));
    Finding::bad(NAME, said, "run as root; the systemd units in deploy/ give each role what it needs")
}

fn rules(facts: &Facts, wanted: &Wanted) -> Finding {
    const NAME: &str = "nftables";
    // A kernel without IPv6 is told of elsewhere.
    let families = Family::ALL.into_iter().zip(&facts.rules);
    let tried: Vec<(Family, &Trial)> =
        families.filter(|(family, _)| *family == Family::V4 || (wanted.wants(*family) && facts.ipv6)).collect();
    for (family, trial) in &tried {
        match trial {
            Trial::Works => {}
            Trial::Fails(said) => return Finding::bad(NAME, format!("{}: {said}", label(*family)), KERNEL),
            Trial::Untried(reason) => return Finding::unknown(NAME, reason),
        }
    }
    let families: Vec<&str> = tried.iter().map(|(family, _)| label(*family)).collect();
    Finding::good(NAME, format!("the kernel takes all kinds of rules, {}", families.join(" and ")))
}

const KERNEL: &str = "use a kernel with nf_tables, nf_conntrack, nf_nat, nft_numgen, nft_masq and nft_reject (CONFIG_NF_TABLES \
                      and so on); `modprobe nf_tables` if they are modules";

fn conntrack(facts: &Facts) -> Finding {
    const NAME: &str = "conntrack";
    match &facts.conntrack {
        Trial::Works => Finding::good(NAME, "tracked connections can be asked for"),
        Trial::Fails(said) => Finding::bad(NAME, said, "`modprobe nf_conntrack_netlink` (CONFIG_NF_CT_NETLINK)"),
        Trial::Untried(reason) => Finding::unknown(NAME, reason),
    }
}

fn port(fact: &PortFact) -> Finding {
    const NAME: &str = "port";
    let listen = &fact.listen;
    let place = format!("{} {} for {}", listen.transport, listen.address, listen.purpose);
    let elsewhere = format!("choose another place by {}", listen.option);
    match &fact.problem {
        None => Finding::good(NAME, format!("{place} is free")),
        Some(PortProblem::Taken { by: Some(owner) }) if owner.name == OURS => {
            let said = format!("{place} is held by maitred itself (pid {})", owner.pid);
            Finding::warning(NAME, said, "nothing, unless a second one is to be started")
        }
        Some(PortProblem::Taken { by }) => {
            let tool = if listen.transport == Transport::Tcp { "ss -ltnp" } else { "ss -lunp" };
            let (who, stop) = match by {
                Some(owner) => (format!("{} (pid {})", owner.name, owner.pid), format!("stop {}", owner.name)),
                None => ("another process".to_owned(), format!("stop the process that `{tool}` shows there")),
            };
            Finding::bad(NAME, format!("{place} is taken by {who}"), format!("{stop}, or {elsewhere}"))
        }
        Some(PortProblem::NoSuchAddress) => {
            let remedy = format!("name an address of this machine by {}", listen.address_option);
            Finding::bad(NAME, format!("{place}: this machine has no such address"), remedy)
        }
        Some(PortProblem::NotAllowed) => Finding::bad(
            NAME,
            format!("{place}: this user may not listen there"),
            format!("run as root or with CAP_NET_BIND_SERVICE, or {elsewhere}"),
        ),
        Some(PortProblem::Other(said)) => Finding::bad(NAME, format!("{place}: {said}"), elsewhere),
    }
}

fn data_dir(facts: &Facts, wanted: &Wanted) -> Option<Finding> {
    const NAME: &str = "data-dir";
    let dir = wanted.data_dir.as_ref()?.display();
    Some(match &facts.data_dir {
        Ok(()) => Finding::good(NAME, format!("{dir} can be written to")),
        Err(said) => Finding::bad(NAME, said, format!("give this user {dir}, or choose another place by --data-dir")),
    })
}

fn label(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
