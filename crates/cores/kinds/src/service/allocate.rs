//! Cluster IPs, node ports and the health-check node port (S-117, S-135…S-141).
//!
//! Candidates are chosen against a snapshot of what is taken; the store's transaction has the last word.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipam::{AddressRange, PortRange};

use super::families::is_sticky;
use super::spec::Spec;
use crate::fields::Mistakes;
use crate::{Context, Refusal, ip};

const ALREADY_ALLOCATED: &str = "provided port is already allocated";

/// Allocates all that a new Service needs.
pub(super) fn create(spec: &mut Spec, context: &Context<'_>) -> Result<(), Refusal> {
    allocate_addresses(spec, context)?;
    let ports = Ports::new(context);
    if spec.has_node_ports() {
        create_node_ports(spec, &ports)?;
    }
    if spec.needs_health_check() {
        allocate_health_check(spec, &ports)?;
    }
    Ok(())
}

/// Allocates what a changed Service needs beyond what it had.
pub(super) fn update(spec: &mut Spec, old: &Spec, context: &Context<'_>) -> Result<(), Refusal> {
    update_addresses(spec, old, context)?;
    let ports = Ports::new(context);
    if spec.has_node_ports() {
        update_node_ports(spec, old, &ports)?;
    }
    if spec.needs_health_check() && !old.needs_health_check() {
        allocate_health_check(spec, &ports)?;
    }
    Ok(())
}

fn allocate_addresses(spec: &mut Spec, context: &Context<'_>) -> Result<(), Refusal> {
    if spec.is_external_name() || spec.is_headless() {
        return Ok(());
    }
    for index in 0..spec.ip_families.len() {
        allocate_address(spec, index, context)?;
    }
    Ok(())
}

/// S-117. What the old object held and the new one doesn't is released by the caller.
fn update_addresses(spec: &mut Spec, old: &Spec, context: &Context<'_>) -> Result<(), Refusal> {
    if is_sticky(spec, old) {
        return Ok(());
    }
    if old.is_external_name() {
        return allocate_addresses(spec, context);
    }
    if old.is_headless() || spec.is_external_name() {
        return Ok(());
    }
    let upgraded = old.ip_families.len() == 1 && spec.ip_families.len() == 2;
    if upgraded && !spec.is_headless() { allocate_address(spec, 1, context) } else { Ok(()) }
}

fn allocate_address(spec: &mut Spec, index: usize, context: &Context<'_>) -> Result<(), Refusal> {
    if spec.cluster_ips.len() <= index {
        spec.cluster_ips.resize(index + 1, String::new());
    }
    let family = &spec.ip_families[index];
    let address = if spec.cluster_ips[index].is_empty() {
        next_address(family, context).ok_or_else(|| no_address_left(family, context))?.to_string()
    } else {
        let given = spec.cluster_ips[index].clone();
        check_address(&given, family, context).map_err(|reason| {
            let mut mistakes = Mistakes::default();
            let detail = format!("failed to allocate IP {given}: {reason}");
            mistakes.invalid("spec.clusterIPs", &spec.cluster_ips, &detail);
            mistakes.result().err().unwrap_or(Refusal::Internal(detail))
        })?;
        given
    };
    if index == 0 {
        spec.cluster_ip.clone_from(&address);
    }
    spec.cluster_ips[index] = address;
    Ok(())
}

/// The ranges of a family that may be drawn from, in their order (S-141).
fn ranges(family: &str, context: &Context<'_>) -> Vec<AddressRange> {
    let usable = context.service_ranges.iter().filter(|range| range.usable);
    let fitting = usable.filter(|range| ip::family(range.cidr.network()) == family);
    fitting.filter_map(|range| AddressRange::new(range.cidr).ok()).collect()
}

/// Kubernetes's words, and a way out.
fn no_address_left(family: &str, context: &Context<'_>) -> Refusal {
    let list: Vec<String> = ranges(family, context).iter().map(|range| range.cidr().to_string()).collect();
    Refusal::Internal(format!(
        "failed to allocate a serviceIP: range is full ({}): delete a Service or add a ServiceCIDR",
        list.join(", ")
    ))
}

/// S-140: a dry run claims nothing, and shows an address that cannot be claimed.
fn next_address(family: &str, context: &Context<'_>) -> Option<IpAddr> {
    let ranges = ranges(family, context);
    if context.dry_run {
        return ranges.first().map(|range| range.cidr().network());
    }
    ranges.iter().find_map(|range| ipam::next_address(range, context.seed, |address| context.taken.address(address)))
}

fn check_address(given: &str, family: &str, context: &Context<'_>) -> Result<(), String> {
    let ranges = ranges(family, context);
    let offered = ip::parse(given).filter(|address| ranges.iter().any(|range| range.offers(*address)));
    match offered {
        Some(address) if !context.dry_run && context.taken.address(address) => {
            Err("provided IP is already allocated".to_owned())
        }
        Some(_) => Ok(()),
        None => {
            let list: Vec<String> = ranges.iter().map(|range| range.cidr().to_string()).collect();
            Err(format!(
                "the provided IP ({given}) is not in the valid range. The range of valid IPs is {}",
                list.join(", ")
            ))
        }
    }
}

/// Allocates the node ports of a new Service. Ports with the same number share one (S-136).
fn create_node_ports(spec: &mut Spec, ports: &Ports<'_>) -> Result<(), Refusal> {
    let mut shared: HashMap<i32, i32> = HashMap::new();
    let requested = requested(spec);
    let mut used: HashSet<(String, i32)> = spec
        .ports
        .iter()
        .filter(|port| port.node_port != 0)
        .map(|port| (port.protocol.clone(), port.node_port))
        .collect();
    for index in 0..spec.ports.len() {
        let port = &spec.ports[index];
        if port.node_port == 0 && !spec.needs_node_ports() {
            continue;
        }
        let key = |number| (port.protocol.clone(), number);
        let number = match shared.get(&port.port) {
            Some(&number) if port.node_port == number => number,
            Some(_) if port.node_port != 0 => ports.claim_node_port(index, port.node_port)?,
            Some(&number) if !used.contains(&key(number)) => number,
            Some(_) => ports.next_node_port()?,
            None => {
                let asked = requested
                    .get(&port.port)
                    .copied()
                    .filter(|&asked| port.node_port == asked || port.node_port == 0 && !used.contains(&key(asked)));
                match asked {
                    Some(asked) => ports.claim_node_port(index, asked)?,
                    None if port.node_port != 0 => ports.claim_node_port(index, port.node_port)?,
                    None => ports.next_node_port()?,
                }
            }
        };
        shared.entry(port.port).or_insert(number);
        used.insert(key(number));
        spec.ports[index].node_port = number;
    }
    Ok(())
}

/// The first node port that is asked for together with each port number.
fn requested(spec: &Spec) -> HashMap<i32, i32> {
    let mut requested = HashMap::new();
    for port in spec.ports.iter().filter(|port| port.node_port != 0) {
        requested.entry(port.port).or_insert(port.node_port);
    }
    requested
}

/// Allocates what is new, one port after the other (S-136).
fn update_node_ports(spec: &mut Spec, old: &Spec, ports: &Ports<'_>) -> Result<(), Refusal> {
    let held: HashSet<i32> = if old.has_node_ports() { old.node_ports().collect() } else { HashSet::new() };
    let allocates = spec.needs_node_ports();
    for index in 0..spec.ports.len() {
        let asked = spec.ports[index].node_port;
        if asked == 0 && allocates {
            spec.ports[index].node_port = ports.next_node_port()?;
        } else if asked != 0 && !held.contains(&asked) && !ports.is_claimed_here(asked) {
            ports.claim_node_port(index, asked)?;
        }
    }
    Ok(())
}

/// Whatever goes wrong here is the server's fault, upstream says (S-137).
fn allocate_health_check(spec: &mut Spec, ports: &Ports<'_>) -> Result<(), Refusal> {
    let asked = spec.health_check_node_port;
    spec.health_check_node_port = if asked == 0 {
        ports.next().ok_or_else(|| ports.none_left("failed to allocate a HealthCheck NodePort 0"))?
    } else {
        ports.claim(asked).map_err(|reason| {
            Refusal::Internal(format!("failed to allocate requested HealthCheck NodePort {asked}: {reason}"))
        })?
    };
    Ok(())
}

/// The pool of node ports, with what this operation has chosen already. One port is one port, whatever the protocol.
struct Ports<'a> {
    context: &'a Context<'a>,
    range: PortRange,
    chosen: RefCell<HashSet<u16>>,
}

impl<'a> Ports<'a> {
    fn new(context: &'a Context<'a>) -> Ports<'a> {
        Ports { context, range: PortRange::new(context.node_ports.clone()), chosen: RefCell::default() }
    }

    fn claim_node_port(&self, index: usize, number: i32) -> Result<i32, Refusal> {
        self.claim(number).map_err(|reason| {
            let mut mistakes = Mistakes::default();
            mistakes.invalid(format!("spec.ports[{index}].nodePort"), number, &reason);
            mistakes.result().err().unwrap_or(Refusal::Internal(reason))
        })
    }

    fn next_node_port(&self) -> Result<i32, Refusal> {
        self.next().ok_or_else(|| self.none_left("failed to allocate a nodePort"))
    }

    /// Kubernetes's words, and a way out.
    fn none_left(&self, failed: &str) -> Refusal {
        Refusal::Internal(format!(
            "{failed}: range is full ({}): delete a Service with node ports or widen --service-node-port-range",
            self.range
        ))
    }

    fn claim(&self, number: i32) -> Result<i32, String> {
        let port = u16::try_from(number).ok().filter(|&port| self.range.offers(port)).ok_or_else(|| {
            format!("provided port is not in the valid range. The range of valid ports is {}", self.range)
        })?;
        if self.is_taken(port) || !self.chosen.borrow_mut().insert(port) {
            return Err(ALREADY_ALLOCATED.to_owned());
        }
        Ok(number)
    }

    fn next(&self) -> Option<i32> {
        let chosen = self.chosen.borrow().len() as u64;
        // Each choice within one operation starts at a place of its own.
        let seed = self.context.seed.wrapping_add(chosen);
        let port = ipam::next_port(&self.range, seed, |port| self.is_taken(port))?;
        self.chosen.borrow_mut().insert(port);
        Some(i32::from(port))
    }

    fn is_taken(&self, port: u16) -> bool {
        self.context.taken.port(port) || self.chosen.borrow().contains(&port)
    }

    fn is_claimed_here(&self, number: i32) -> bool {
        u16::try_from(number).is_ok_and(|port| self.chosen.borrow().contains(&port))
    }
}
