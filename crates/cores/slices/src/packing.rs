//! Which endpoint goes into which slice (S-213), for one address type and one set of ports.
//!
//! Endpoints stay where they are as long as they are wanted: consumers see few changes, and slices that need none are
//! never repacked.

use std::collections::BTreeMap;

use api::{Endpoint, EndpointSlice, Labels};

/// The outcome of [`pack`].
#[derive(Default)]
pub struct Packed<'a> {
    /// Slices that get these endpoints instead of theirs.
    pub rewritten: Vec<(&'a EndpointSlice, Vec<Endpoint>)>,
    /// The endpoints of slices that do not exist yet.
    pub new: Vec<Vec<Endpoint>>,
    /// Slices that have nothing left to hold.
    pub emptied: Vec<&'a EndpointSlice>,
}

/// What an endpoint is; everything else about it may change in place (S-213).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    addresses: Vec<String>,
    hostname: Option<String>,
    target: Option<(String, String)>,
}

impl Identity {
    fn of(endpoint: &Endpoint) -> Identity {
        Identity {
            addresses: endpoint.addresses.clone(),
            hostname: endpoint.hostname.clone(),
            target: endpoint.target_ref.as_ref().map(|target| (target.namespace.clone(), target.name.clone())),
        }
    }
}

/// An existing slice and what it is to hold.
struct Bin<'a> {
    slice: &'a EndpointSlice,
    endpoints: Vec<Endpoint>,
    /// Whether it is rewritten anyway.
    touched: bool,
}

/// Distributes the desired endpoints over the existing slices (sorted by name) and new ones, of at most `len_max`
/// endpoints each. A slice whose labels are not these is rewritten.
pub fn pack<'a>(existing: &[&'a EndpointSlice], desired: Vec<Endpoint>, labels: &Labels, len_max: usize) -> Packed<'a> {
    let mut pending: BTreeMap<Identity, Endpoint> =
        desired.into_iter().map(|endpoint| (Identity::of(&endpoint), endpoint)).collect();
    let bins = existing.iter().map(|slice| keep_wanted(slice, &mut pending, labels));
    let (mut bins, emptied): (Vec<Bin<'a>>, Vec<Bin<'a>>) = bins.partition(|bin| !bin.endpoints.is_empty());

    let mut leftover: Vec<Endpoint> = pending.into_values().collect();
    fill_touched(&mut bins, &mut leftover, len_max);
    let new = place(&mut bins, leftover, len_max);

    let rewritten = bins.into_iter().filter(|bin| bin.touched).map(|bin| (bin.slice, bin.endpoints)).collect();
    Packed { rewritten, new, emptied: emptied.into_iter().map(|bin| bin.slice).collect() }
}

/// Step 1: drops what is gone, replaces what changed, and takes what was found off the pending ones.
fn keep_wanted<'a>(slice: &'a EndpointSlice, pending: &mut BTreeMap<Identity, Endpoint>, labels: &Labels) -> Bin<'a> {
    let endpoints: Vec<Endpoint> =
        slice.endpoints.iter().filter_map(|endpoint| pending.remove(&Identity::of(endpoint))).collect();
    let touched = endpoints != slice.endpoints || slice.metadata.labels != *labels;
    Bin { slice, endpoints, touched }
}

/// Step 2: fills slices that are rewritten anyway, fullest first.
fn fill_touched(bins: &mut [Bin<'_>], leftover: &mut Vec<Endpoint>, len_max: usize) {
    let mut touched: Vec<&mut Bin<'_>> = bins.iter_mut().filter(|bin| bin.touched).collect();
    touched.sort_by_key(|bin| std::cmp::Reverse(bin.endpoints.len()));
    for bin in touched {
        let room = len_max.saturating_sub(bin.endpoints.len()).min(leftover.len());
        bin.endpoints.extend(leftover.drain(..room));
    }
}

/// Step 3: puts a rest that fits into one untouched slice there, and everything else into new slices.
fn place(bins: &mut [Bin<'_>], mut leftover: Vec<Endpoint>, len_max: usize) -> Vec<Vec<Endpoint>> {
    let mut new = Vec::new();
    while !leftover.is_empty() {
        match fullest_with_room(bins, leftover.len(), len_max) {
            Some(bin) => {
                bin.endpoints.append(&mut leftover);
                bin.touched = true;
            }
            None => new.push(leftover.drain(..len_max.min(leftover.len())).collect()),
        }
    }
    new
}

fn fullest_with_room<'b, 'a>(bins: &'b mut [Bin<'a>], count: usize, len_max: usize) -> Option<&'b mut Bin<'a>> {
    let fits = |bin: &&mut Bin<'_>| !bin.touched && bin.endpoints.len() + count <= len_max;
    // The first of equally full ones, so that the choice does not depend on the iterator's habits.
    bins.iter_mut().rev().filter(fits).max_by_key(|bin| bin.endpoints.len())
}

#[cfg(test)]
mod tests;
