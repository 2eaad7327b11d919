//! `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`: brought in line with each other, and settled
//! (S-112…S-116, [KEP-563]).
//!
//! [KEP-563]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/563-dual-stack

use super::spec::{PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK, Spec, family_of, other_family};
use super::validate;
use crate::fields::Mistakes;
use crate::{Context, Refusal, ip};

/// The older field fills the newer one, never the other way (S-113).
pub(super) fn normalise_new(spec: &mut Spec) {
    if !spec.cluster_ip.is_empty() && spec.cluster_ips.is_empty() {
        spec.cluster_ips = vec![spec.cluster_ip.clone()];
    }
}

/// Of two fields that say the same, a client may change just one (S-113).
pub(super) fn normalise_change(new: &mut Spec, old: &Spec) {
    let same_ip = new.cluster_ip == old.cluster_ip;
    let same_ips = new.cluster_ips == old.cluster_ips;
    if !old.cluster_ips.is_empty() && new.cluster_ips.is_empty() && same_ip && !old.cluster_ip.is_empty() {
        new.cluster_ips.clone_from(&old.cluster_ips);
    } else if !same_ip && same_ips {
        new.cluster_ips = if new.cluster_ip.is_empty() { Vec::new() } else { vec![new.cluster_ip.clone()] };
    }
}

/// Fills in policy and families, or says why they cannot be had on this cluster.
pub(super) fn settle(spec: &mut Spec, old: Option<&Spec>, context: &Context<'_>) -> Result<(), Refusal> {
    if spec.is_external_name() || old.is_some_and(|old| is_sticky(spec, old)) {
        return Ok(());
    }
    if spec.ip_family_policy.is_none() {
        spec.ip_family_policy = Some(default_policy(spec, old));
    }
    let mut mistakes = Mistakes::default();
    validate::check_cluster_ips(spec, old, &mut mistakes);
    mistakes.result()?;

    let cluster = Cluster::new(context);
    settle_given(spec, old, &cluster)?;
    if spec.is_headless_selectorless() {
        settle_headless(spec, &cluster);
        return Ok(());
    }
    settle_families(spec, &cluster)
}

/// The families that the cluster has ranges for.
struct Cluster {
    primary: String,
    families: Vec<String>,
}

impl Cluster {
    fn new(context: &Context<'_>) -> Cluster {
        let mut families: Vec<String> = Vec::new();
        for range in context.service_ranges {
            let family = family_of(range.cidr.network());
            if !families.contains(&family) {
                families.push(family);
            }
        }
        let primary = families.first().cloned().unwrap_or_else(|| "IPv4".to_owned());
        Cluster { primary, families }
    }

    fn has(&self, family: &str) -> bool {
        self.families.iter().any(|known| known == family)
    }
}

/// A Service that prefers two families stays as it is while nobody touches the fields (S-116).
pub(super) fn is_sticky(new: &Spec, old: &Spec) -> bool {
    new.has_policy(PREFER_DUAL_STACK)
        && old.ip_family_policy.as_deref().is_none_or(|policy| policy == PREFER_DUAL_STACK)
        && new.r#type == old.r#type
        && new.needs_cluster_ip()
        && new.cluster_ips == old.cluster_ips
        && new.ip_families == old.ip_families
}

/// S-112.
fn default_policy(spec: &Spec, old: Option<&Spec>) -> String {
    match old.and_then(|old| old.ip_family_policy.clone()) {
        Some(policy) => policy,
        None if spec.is_headless_selectorless() => REQUIRE_DUAL_STACK.to_owned(),
        None => SINGLE_STACK.to_owned(),
    }
}

/// Makes lists and policy agree, and infers families from addresses.
fn settle_given(spec: &mut Spec, old: Option<&Spec>, cluster: &Cluster) -> Result<(), Refusal> {
    let mut mistakes = Mistakes::default();
    if let Some(old) = old {
        shorten(spec, old, &mut mistakes);
    }
    if spec.has_policy(SINGLE_STACK) {
        for (count, what) in [(spec.cluster_ips.len(), "cluster IPs"), (spec.ip_families.len(), "IP families")] {
            if count == 2 {
                let detail =
                    format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
                mistakes.invalid("spec.ipFamilyPolicy", &spec.ip_family_policy, &detail);
            }
        }
    }
    for (index, address) in spec.cluster_ips.iter().enumerate().skip(spec.ip_families.len()) {
        let Some(parsed) = ip::parse(address) else { break };
        let family = family_of(parsed);
        if cluster.has(&family) {
            spec.ip_families.push(family);
        } else {
            let detail = format!("{family} is not configured on this cluster");
            mistakes.invalid(format!("spec.clusterIPs[{index}]"), &spec.cluster_ips, &detail);
        }
    }
    if let Some(old) = old
        && spec.ip_families.is_empty()
    {
        let kept = if spec.has_policy(SINGLE_STACK) { 1 } else { 2 };
        spec.ip_families = old.ip_families.iter().take(kept).cloned().collect();
    }
    mistakes.result()
}

/// One family is asked for: the second address and family go. Otherwise they may not be left out (S-116).
fn shorten(spec: &mut Spec, old: &Spec, mistakes: &mut Mistakes) {
    if spec.has_policy(SINGLE_STACK) {
        if spec.cluster_ips == old.cluster_ips {
            spec.cluster_ips.truncate(1);
        }
        if spec.ip_families == old.ip_families {
            spec.ip_families.truncate(1);
        }
        return;
    }
    let lists =
        [(&spec.cluster_ips, &old.cluster_ips, "cluster IP"), (&spec.ip_families, &old.ip_families, "IP family")];
    for (new, old, what) in lists {
        if !new.is_empty() && new.len() < old.len() {
            let detail = format!("must be 'SingleStack' to release the secondary {what}");
            mistakes.invalid("spec.ipFamilyPolicy", &spec.ip_family_policy, &detail);
        }
    }
}

/// Without addresses and endpoints of its own, it may carry families that the cluster hasn't (S-115).
fn settle_headless(spec: &mut Spec, cluster: &Cluster) {
    if spec.ip_families.is_empty() {
        spec.ip_families.push(cluster.primary.clone());
    }
    if let [only] = spec.ip_families.as_slice()
        && !spec.has_policy(SINGLE_STACK)
    {
        let second = other_family(only);
        spec.ip_families.push(second);
    }
}

/// S-114, S-115.
fn settle_families(spec: &mut Spec, cluster: &Cluster) -> Result<(), Refusal> {
    let mut mistakes = Mistakes::default();
    if spec.has_policy(REQUIRE_DUAL_STACK) && cluster.families.len() < 2 {
        let detail = "this cluster is not configured for dual-stack services";
        mistakes.invalid("spec.ipFamilyPolicy", &spec.ip_family_policy, detail);
    }
    for (index, family) in spec.ip_families.iter().enumerate() {
        if !cluster.has(family) {
            mistakes.invalid(format!("spec.ipFamilies[{index}]"), family, "not configured on this cluster");
        }
    }
    mistakes.result()?;
    if spec.ip_families.is_empty() {
        spec.ip_families.push(cluster.primary.clone());
    }
    if let [only] = spec.ip_families.as_slice()
        && !spec.has_policy(SINGLE_STACK)
        && cluster.families.len() == 2
    {
        let second = other_family(only);
        spec.ip_families.push(second);
    }
    Ok(())
}
